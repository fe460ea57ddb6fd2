//! What LiteLLM says of a provider that lies in a cloud: where it is, and with which credentials it is asked.

use super::{
    Losses,
    provider::{Given, Known},
    section::Section,
};

/// Bedrock is asked in one API, whichever of these LiteLLM would ask it in.
const BEDROCK_ROUTES: [&str; 3] = ["converse/", "invoke/", "converse_like/"];

/// Members of a provider, each with what LiteLLM says for it; secrets apart, since they are not copied.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) open: Vec<(&'static str, Given)>,
    pub(super) secret: Vec<(&'static str, Given)>,
}

/// A secret that stands in the file: its member, and where it stands.
pub(super) type InFile = (&'static str, u64, String);

/// Parameters of `known` besides its address, and the secrets among them that stand in the file.
pub(super) fn members(
    known: &Known,
    params: &mut Section<'_>,
    losses: &mut Losses,
) -> (Members, Vec<InFile>) {
    let mut in_file = Vec::new();
    let members = match known.kind {
        "bedrock" => bedrock(params, &mut in_file, losses),
        "vertex" => vertex(params, &mut in_file, losses),
        _ => Members::default(),
    };
    (members, in_file)
}

/// What is written, else LiteLLM's own variable.
fn or_variable(params: &mut Section<'_>, name: &str, variable: &str, losses: &mut Losses) -> Given {
    given(params, name, losses).unwrap_or_else(|| Given::Variable(variable.to_owned()))
}

fn given(params: &mut Section<'_>, name: &str, losses: &mut Losses) -> Option<Given> {
    params.text(name, losses).map(|(_, text)| Given::of(text))
}

fn secret(
    params: &mut Section<'_>,
    (ours, theirs): (&'static str, &str),
    in_file: &mut Vec<InFile>,
    losses: &mut Losses,
) -> Option<Given> {
    let (field, text) = params.text(theirs, losses)?;
    let found = Given::of(text);
    if let Given::Written(_) = found {
        in_file.push((ours, field.line, field.place));
    }
    Some(found)
}

fn bedrock(params: &mut Section<'_>, in_file: &mut Vec<InFile>, losses: &mut Losses) -> Members {
    let open = vec![("region", or_variable(params, "aws_region_name", "AWS_REGION_NAME", losses))];
    let keys = [
        ("access_key_id", "aws_access_key_id"),
        ("secret_access_key", "aws_secret_access_key"),
        ("session_token", "aws_session_token"),
    ];
    let written: Vec<_> =
        keys.into_iter().filter_map(|key| Some((key.0, secret(params, key, in_file, losses)?))).collect();
    let usual = || {
        [("access_key_id", "AWS_ACCESS_KEY_ID"), ("secret_access_key", "AWS_SECRET_ACCESS_KEY")]
            .map(|(ours, variable)| (ours, Given::Variable(variable.to_owned())))
            .to_vec()
    };
    Members { open, secret: if written.is_empty() { usual() } else { written } }
}

fn vertex(params: &mut Section<'_>, in_file: &mut Vec<InFile>, losses: &mut Losses) -> Members {
    let mut open = vec![
        ("project", or_variable(params, "vertex_project", "VERTEXAI_PROJECT", losses)),
        ("location", or_variable(params, "vertex_location", "VERTEXAI_LOCATION", losses)),
    ];
    let mut secret = Vec::new();
    match params.text("vertex_credentials", losses) {
        // The account itself, not the file that has it.
        Some((field, text)) if text.starts_with('{') => {
            in_file.push(("service_account", field.line, field.place));
            secret.push(("service_account", Given::Written(text.to_owned())));
        }
        Some((_, text)) => open.push(("service_account_file", Given::of(text))),
        None => {
            let usual = Given::Variable("GOOGLE_APPLICATION_CREDENTIALS".to_owned());
            open.push(("service_account_file", usual));
        }
    }
    Members { open, secret }
}

/// What the cloud calls the model.
pub(super) fn model<'m>(known: &Known, model: &'m str) -> &'m str {
    if known.kind != "bedrock" {
        return model;
    }
    BEDROCK_ROUTES.iter().find_map(|route| model.strip_prefix(route)).unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::super::provider::KNOWN;
    use super::*;

    #[test]
    fn of_bedrock_the_route_is_no_part_of_the_model() {
        let of = |word: &str, written| model(KNOWN.iter().find(|known| known.word == word).unwrap(), written);
        assert_eq!(of("bedrock", "converse/us.anthropic.claude-v1:0"), "us.anthropic.claude-v1:0");
        assert_eq!(of("bedrock", "amazon.nova-pro-v1:0"), "amazon.nova-pro-v1:0");
        assert_eq!(of("openai", "converse/x"), "converse/x");
    }
}

//! How a call is said to one deployment: as it came where its provider speaks the caller's API, translated where it does not.

use bytes::Bytes;
use shipway_dialects::{BadRequest, Changes, Dialect, Head, rewrite, translate};

use super::{Api, Asked, telling::Telling};
use crate::{
    address::Target,
    model::{DeploymentSpec, ModelSpec, ProviderKind},
    service::Deployment,
};

/// A call as one deployment is asked.
pub(super) struct Said<'a> {
    pub(super) target: Target<'a>,
    pub(super) body: Bytes,
    /// How its answer is told to the caller; none: as it comes.
    pub(super) telling: Option<Telling>,
    /// Members of the call that were left out or changed.
    pub(super) dropped: Vec<String>,
}

impl Deployment {
    /// As [`spoken_to`], of its provider.
    pub(super) fn spoken_to(&self, api: Api) -> Option<(Dialect, &'static str)> {
        spoken_to(self.provider.as_ref()?.kind(), &self.spec.model, api)
    }
}

/// In which dialect, and on which path, a provider of this kind is asked for a call of `model`: in that of the call where its bytes can pass, in
/// another one where the call is translated. None: it cannot be asked.
fn spoken_to(kind: ProviderKind, model: &str, api: Api) -> Option<(Dialect, &'static str)> {
    if kind.family(model) == api.dialect.family() {
        return Some((api.dialect, api.path));
    }
    let (dialect, path) = kind.chat(model);
    // What is only counted or embedded has no counterpart elsewhere.
    (api.writes && translate::can_translate(api.dialect, dialect)).then_some((dialect, path))
}

/// Says the call to a deployment. What its API has no words for is refused by name, or dropped, as the model says.
pub(super) fn say<'a>(
    asked: &Asked,
    (dialect, path): (Dialect, &'static str),
    model: &ModelSpec,
    deployment: &'a DeploymentSpec,
    telling: impl FnOnce() -> Telling,
) -> Result<Said<'a>, BadRequest> {
    let (head, is_stream) = (&asked.head, asked.head.stream);
    let target = Target { dialect, path, model: &deployment.model, is_stream };
    let changes = Changes { model: Some(&deployment.model), stream_usage: true };
    if dialect == Dialect::OpenAiRealtime {
        // It has no body but what its query says beside the model.
        return Ok(Said { target, body: asked.body.clone(), telling: None, dropped: Vec::new() });
    }
    if dialect == asked.api.dialect {
        let body = rewrite(dialect, asked.body.clone(), head, &changes);
        return Ok(Said { target, body, telling: None, dropped: Vec::new() });
    }
    let options = translate::Options {
        lossy: model.lossy,
        default_max_output_tokens: deployment.max_output_tokens,
        output_limit: deployment.output_limit,
        maker: translate::Maker::of_bedrock(&deployment.model),
    };
    let said = Some((head.model.as_str(), is_stream));
    let translated = translate::request(asked.api.dialect, dialect, said, &asked.body, &options)?;
    let head = Head::read(dialect, &translated.body)?;
    let body = rewrite(dialect, translated.body, &head, &changes);
    let dropped = translated.dropped.into_iter().map(|dropped| dropped.field).collect();
    Ok(Said { target, body, telling: Some(telling()), dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(dialect: Dialect, path: &'static str, writes: bool) -> Api {
        Api { dialect, path, writes, is_charged: true }
    }

    #[test]
    fn bytes_pass_within_an_api_and_what_is_written_goes_to_the_others() {
        let chat = api(Dialect::OpenAiChat, "chat/completions", true);
        let messages = api(Dialect::AnthropicMessages, "messages", true);
        let responses = api(Dialect::OpenAiResponses, "responses", true);
        let spoken_to = |kind, api| spoken_to(kind, "m", api);
        assert_eq!(spoken_to(ProviderKind::Azure, chat), Some((Dialect::OpenAiChat, "chat/completions")));
        assert_eq!(spoken_to(ProviderKind::OpenAi, responses), Some((Dialect::OpenAiResponses, "responses")));
        assert_eq!(spoken_to(ProviderKind::Anthropic, chat), Some((Dialect::AnthropicMessages, "messages")));
        assert_eq!(
            spoken_to(ProviderKind::Gemini, messages),
            Some((Dialect::GeminiGenerate, "generateContent"))
        );
        assert_eq!(
            spoken_to(ProviderKind::OpenAi, messages),
            Some((Dialect::OpenAiChat, "chat/completions"))
        );
        assert_eq!(spoken_to(ProviderKind::Bedrock, messages), Some((Dialect::BedrockConverse, "converse")));
        assert_eq!(
            super::spoken_to(ProviderKind::Vertex, "claude-x", messages),
            Some((Dialect::AnthropicMessages, "messages"))
        );
        assert_eq!(spoken_to(ProviderKind::Vertex, chat), Some((Dialect::GeminiGenerate, "generateContent")));
        for (kind, api) in [
            (ProviderKind::Bedrock, api(Dialect::OpenAiEmbeddings, "embeddings", false)),
            (ProviderKind::Anthropic, api(Dialect::OpenAiEmbeddings, "embeddings", false)),
            (ProviderKind::Gemini, api(Dialect::OpenAiCompletions, "completions", true)),
            (ProviderKind::OpenAi, api(Dialect::AnthropicMessages, "messages/count_tokens", false)),
        ] {
            assert_eq!(spoken_to(kind, api), None, "{kind:?} {api:?}");
        }
    }
}

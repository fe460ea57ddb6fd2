//! `llm secrets`: what opens providers, kept encrypted. A value comes from standard input and never goes out.

use std::{
    io::{IsTerminal as _, Read as _},
    process::ExitCode,
};

use serde_json::json;

use super::{done, items, shown};
use crate::{
    arguments::LlmSecrets,
    client::segment,
    commands::Context,
    failure::CommandFailure,
    output::{self, member},
};

const LONGEST: u64 = 64 << 10;

pub(super) async fn run(context: &Context, action: &LlmSecrets) -> Result<ExitCode, CommandFailure> {
    let client = &context.client;
    let path = |name: &str| format!("/llm/secrets/{}", segment(name));
    match action {
        LlmSecrets::Put { name } => {
            client.put(&path(name), &json!({ "value": value()? })).await?;
            done(context, &format!("secret {name} is kept"))
        }
        LlmSecrets::List => {
            let answer = client.get("/llm/secrets").await?;
            shown(context, &answer, || {
                let rows = items(&answer, "secrets").map(|secret| {
                    let problem = secret["problem"].as_str().unwrap_or("-").to_owned();
                    vec![
                        member(secret, "name"),
                        output::moment_of(secret, "changed"),
                        member(secret, "changed_by"),
                        member(secret, "key_id"),
                        problem,
                    ]
                });
                let head = ["secret", "put", "by", "encrypted with", "problem"];
                output::table(&head, rows.collect(), "no secrets");
            })
        }
        LlmSecrets::Delete { name } => {
            client.delete(&path(name)).await?;
            done(context, &format!("forgot secret {name}"))
        }
        LlmSecrets::Rekey => {
            let answer = client.post("/llm/rekey", &json!({})).await?;
            shown(context, &answer, || {
                output::line(format!("encrypted anew: {}", member(&answer, "encrypted_anew")));
            })
        }
    }
}

/// The value, without the end of its line.
fn value() -> Result<String, CommandFailure> {
    if std::io::stdin().is_terminal() {
        output::note("write the value, then the end of the input (Ctrl-D)");
    }
    let mut value = String::new();
    std::io::stdin().take(LONGEST).read_to_string(&mut value)?;
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(CommandFailure::new("standard input is empty")
            .with_hint("pipe the value into it: `shipway llm secrets put NAME < FILE`"));
    }
    Ok(value.to_owned())
}

//! `llm guardrails`: what guardrails found, and what they would find in a text.

use std::{io::Read as _, path::Path, process::ExitCode};

use serde_json::{Value as Json, json};

use super::{Context, items, list_of, shown};
use crate::{
    failure::CommandFailure,
    output::{self, member},
};

pub(super) async fn list(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/llm/guardrails").await?;
    shown(context, &answer, || {
        let rows = items(&answer, "guardrails").map(|guardrail| {
            let find = guardrail["find"].as_object().and_then(|find| find.keys().next());
            vec![
                member(guardrail, "name"),
                find.cloned().unwrap_or_default(),
                member(guardrail, "on"),
                member(guardrail, "action"),
                list_of(&guardrail["models"], "-"),
                rate(&guardrail["input"]),
                rate(&guardrail["output"]),
                mean(guardrail),
            ]
        });
        let head = ["guardrail", "finds", "on", "action", "models", "in requests", "in answers", "mean µs"];
        output::table(&head, rows.collect(), "no guardrails");
    })
}

/// In how many of those that were looked at something was found: `3 of 120`; and how many nobody judged who should have: `, 2 failed`.
fn rate(side: &Json) -> String {
    match side["looked"].as_u64() {
        Some(0) | None => "-".to_owned(),
        Some(looked) => {
            let found = format!("{} of {looked}", member(side, "found"));
            match side["failed"].as_u64() {
                Some(0) | None => found,
                Some(failed) => format!("{found}, {failed} failed"),
            }
        }
    }
}

fn mean(guardrail: &Json) -> String {
    let sum = |what: &str| -> u64 {
        ["input", "output"].iter().filter_map(|side| guardrail[*side][what].as_u64()).sum()
    };
    match sum("looked") {
        0 => "-".to_owned(),
        looked => (sum("took_us") / looked).to_string(),
    }
}

pub(super) async fn try_them(
    context: &Context,
    file: Option<&Path>,
    guardrails: &[String],
) -> Result<ExitCode, CommandFailure> {
    let text = match file.filter(|file| *file != Path::new("-")) {
        Some(file) => fs_err::read_to_string(file).map_err(|error| CommandFailure::new(error.to_string()))?,
        None => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| CommandFailure::new(format!("standard input: {error}")))?;
            text
        }
    };
    let answer = context
        .client
        .post("/llm/guardrails/try", &json!({ "text": text, "guardrails": guardrails }))
        .await?;
    shown(context, &answer, || {
        let rows = items(&answer, "findings").map(|finding| {
            vec![
                format!("{}:{}", member(finding, "line"), member(finding, "column")),
                member(finding, "guardrail"),
                member(finding, "label"),
                member(finding, "bytes"),
                member(finding, "action"),
            ]
        });
        output::table(&["place", "guardrail", "what", "bytes", "action"], rows.collect(), "nothing is found");
    })
}

//! `features verify`.

use std::process::ExitCode;

use serde_json::json;

use super::Context;
use crate::{
    failure::{CommandFailure, exit},
    output::{self, Format, member},
};

pub(super) async fn run(
    context: &Context,
    deployment: &str,
    limit: Option<u64>,
) -> Result<ExitCode, CommandFailure> {
    let waiting = output::spinner("replaying served vectors against history");
    let answer = context.client.post("/verify", &json!({ "deployment": deployment, "limit": limit })).await;
    waiting.finish_and_clear();
    let answer = answer?;
    let differing = answer["differing"].as_u64().unwrap_or(0);
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        let compared = output::count(answer["compared"].as_u64().unwrap_or(0));
        output::line(format!("{compared} served vectors compared with history, {differing} differ"));
        let rows = answer["differences"].as_array().into_iter().flatten().map(|difference| {
            ["request_id", "view", "feature", "served", "replayed", "cause"]
                .iter()
                .map(|name| member(difference, name))
                .collect()
        });
        let rows: Vec<Vec<String>> = rows.collect();
        if !rows.is_empty() {
            output::table(
                &["request", "view", "feature", "served", "replayed", "cause"],
                rows,
                "no differences",
            );
        }
    }
    Ok(ExitCode::from(if differing == 0 { 0 } else { exit::FAILED }))
}

//! `models`.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::Models,
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

pub(super) async fn run(context: &Context, action: &Models) -> Result<ExitCode, CommandFailure> {
    let answer = match action {
        Models::List => context.client.get("/models").await?,
        Models::Show { model } => context.client.get(&format!("/models/{}", segment(model))).await?,
        Models::Promote { model, version, alias } => {
            let path = format!("/models/{}/aliases/{}", segment(model), segment(alias));
            context.client.post(&path, &json!({ "version": version })).await?
        }
    };
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    match action {
        Models::List => list(&answer),
        Models::Show { .. } => show(&answer),
        Models::Promote { model, version, alias } => promoted(&answer, model, *version, alias),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(answer: &Json) {
    let rows = answer["models"].as_array().into_iter().flatten();
    let rows = rows.map(|model| vec![member(model, "name"), member(model, "newest_version"), aliases(model)]);
    output::table(&["model", "newest version", "aliases"], rows.collect(), "no models");
}

fn show(answer: &Json) {
    output::line(format!("{}  aliases: {}", member(answer, "name"), aliases(answer)));
    let rows = answer["versions"].as_array().into_iter().flatten().map(|version| {
        let evaluations = version["evaluations"].as_array().into_iter().flatten();
        let scores: Vec<String> = evaluations
            .map(|score| {
                format!(
                    "{} {} on {}",
                    member(score, "metric"),
                    member(score, "value"),
                    member(score, "dataset")
                )
            })
            .collect();
        vec![
            member(version, "version"),
            member(version, "model_id"),
            scores.join("; "),
            member(version, "artifact_digest"),
        ]
    });
    output::table(&["version", "logged model", "evaluations", "artifact"], rows.collect(), "no versions");
}

fn promoted(answer: &Json, model: &str, version: u32, alias: &str) {
    let replaced = match answer["replaced"].as_u64() {
        Some(previous) => format!(", in place of version {previous}"),
        None => String::new(),
    };
    output::line(format!("{model}@{alias} is now version {version}{replaced}"));
    for judged in answer["judged"].as_array().into_iter().flatten() {
        output::line(format!("  {}: {}", member(judged, "gate"), member(judged, "finding")));
    }
}

fn aliases(model: &Json) -> String {
    let aliases = model["aliases"].as_object().into_iter().flatten();
    let shown: Vec<String> =
        aliases.map(|(alias, version)| format!("{alias}={}", output::cell(version))).collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(" ") }
}

//! `sources refresh` and `sources status`; what flows is in `streams`.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::{Context, jobs, streams};
use crate::{
    arguments::Sources,
    client::segment,
    failure::{CommandFailure, exit},
    output::{self, Format, member},
};

pub(super) async fn run(context: &Context, action: &Sources) -> Result<ExitCode, CommandFailure> {
    match action {
        Sources::Refresh { source, wait } => refresh(context, source, *wait).await,
        Sources::Status { watch: true, .. } => streams::watch(context).await,
        Sources::Skip { source, partition, to } => streams::skip(context, source, *partition, *to).await,
        Sources::Replay { source } => streams::replay(context, source).await,
        Sources::Status { source: Some(source), watch: false } => {
            let status = context.client.get(&format!("/sources/{}", segment(source))).await?;
            show(context, &status);
            Ok(ExitCode::SUCCESS)
        }
        Sources::Status { source: None, watch: false } => list(context).await,
    }
}

async fn refresh(context: &Context, source: &str, wait: bool) -> Result<ExitCode, CommandFailure> {
    let job = context.client.post(&format!("/sources/{}/refresh", segment(source)), &json!({})).await?;
    if !wait {
        jobs::print(context, &job);
        return Ok(ExitCode::SUCCESS);
    }
    let job = jobs::wait(context, &member(&job, "id")).await?;
    jobs::ended_well(&job)?;
    let looked = &job["result"];
    if context.format == Format::Json {
        output::json(looked);
    } else {
        let number = |name: &str| output::count(looked[name].as_u64().unwrap_or(0));
        output::line(format!(
            "{source}: {} found, {} of them new; {} rows loaded, {} left out because they were there before",
            number("found"),
            number("loaded"),
            number("rows"),
            number("duplicates")
        ));
        problems(&looked["problems"]);
    }
    match looked["failed"].as_u64() {
        None | Some(0) => Ok(ExitCode::SUCCESS),
        Some(failed) => Err(CommandFailure {
            message: format!("source {source}: {failed} could not be loaded, the others are"),
            hint: Some(format!("`shipway sources status {source}` names them; mend them and refresh again")),
            code: None,
            exit: exit::FAILED,
        }),
    }
}

async fn list(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/sources").await?;
    let status = context.client.get("/status").await?;
    if context.format == Format::Json {
        let (flowing, streams) = (&status["sources"], &status["streams"]);
        output::json(&json!({ "sources": answer["sources"], "flowing": flowing, "streams": streams }));
        return Ok(ExitCode::SUCCESS);
    }
    streams::flows(&status);
    if answer["sources"].as_array().is_none_or(Vec::is_empty) {
        return Ok(ExitCode::SUCCESS);
    }
    output::line("");
    let rows = answer["sources"].as_array().into_iter().flatten().map(|status| {
        let items = &status["items"];
        let wrong = ["failed", "changed"].map(|name| items[name].as_u64().unwrap_or(0)).iter().sum::<u64>();
        vec![
            member(status, "source"),
            member(status, "location"),
            member(status, "every"),
            output::moment_of(status, "looked_at"),
            output::count_of(items, "loaded"),
            wrong.to_string(),
            output::count_of(status, "rows"),
            member(&status["error"], "message"),
        ]
    });
    let header = ["source", "location", "every", "looked at", "loaded", "wrong", "rows", "error"];
    output::table(&header, rows.collect(), "no source has a batch part");
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context, status: &Json) {
    if context.format == Format::Json {
        output::json(status);
        return;
    }
    output::line(format!(
        "source {}: {} {}",
        member(status, "source"),
        member(status, "kind"),
        member(status, "location")
    ));
    for name in ["every", "looked_at", "table_version", "rows", "duplicates"] {
        if !status[name].is_null() {
            output::line(format!("  {}: {}", name.replace('_', " "), member(status, name)));
        }
    }
    for (name, number) in status["items"].as_object().into_iter().flatten() {
        if number.as_u64() != Some(0) {
            output::line(format!("  {name}: {}", output::cell(number)));
        }
    }
    if !status["error"].is_null() {
        said(&status["error"]);
    }
    problems(&status["problems"]);
}

fn problems(problems: &Json) {
    for problem in problems.as_array().into_iter().flatten() {
        output::line(format!("  {}", member(problem, "item")));
        said(problem);
    }
}

fn said(problem: &Json) {
    output::line(format!("    {} ({})", member(problem, "message"), member(problem, "code")));
    if !problem["hint"].is_null() {
        output::line(format!("    hint: {}", member(problem, "hint")));
    }
}

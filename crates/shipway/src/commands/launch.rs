//! `launch`.

use std::{process::ExitCode, time::Duration};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::{Launch, LaunchStart},
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

/// How often a launch is asked for while it is watched.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context, command: &Launch) -> Result<ExitCode, CommandFailure> {
    match command {
        Launch::Start(options) => start(context, options).await,
        Launch::Show { name, watch: true } => watch(context, name).await,
        Launch::Show { name, watch: false } => {
            let launch = context.client.get(&path(name)).await?;
            shown(context, &launch);
            Ok(ExitCode::SUCCESS)
        }
        Launch::List { name } => list(context, name).await,
        Launch::Advance { name } => {
            let launch = context.client.post(&format!("{}/advance", path(name)), &json!({})).await?;
            shown(context, &launch);
            Ok(ExitCode::SUCCESS)
        }
        Launch::Abort { name } => {
            let launch = context.client.delete(&path(name)).await?;
            shown(context, &launch);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn path(name: &str) -> String {
    format!("/deployments/{}/launch", segment(name))
}

async fn start(context: &Context, options: &LaunchStart) -> Result<ExitCode, CommandFailure> {
    let shares = if options.no_canary { &[] } else { options.canary_shares.as_slice() };
    let mut body = json!({
        "shadow_share": options.shadow_share,
        "canary_shares": shares,
        "hold_s": options.hold,
        "gates": {
            "min_requests": options.min_requests,
            "max_error_rate": options.max_error_rate,
            "max_latency_ratio": options.max_latency_ratio.0,
            "max_drift": options.max_drift.0,
        },
    });
    let candidate = options.alias.as_ref().map(|alias| ("alias", json!(alias)));
    let candidate = candidate.or_else(|| options.version.map(|version| ("version", json!(version))));
    let key = options.key.as_ref().map(|key| ("key", json!(key)));
    for (name, value) in candidate.into_iter().chain(key) {
        body[name] = value;
    }
    let launch = context.client.post(&path(&options.name), &body).await?;
    if options.watch {
        return watch(context, &options.name).await;
    }
    shown(context, &launch);
    Ok(ExitCode::SUCCESS)
}

/// Looks at a launch until it is over; a launch that did not succeed is a failure.
async fn watch(context: &Context, name: &str) -> Result<ExitCode, CommandFailure> {
    loop {
        let launch = context.client.get(&path(name)).await?;
        if context.format != Format::Json && output::is_at_terminal() {
            output::begin_screen();
        }
        shown(context, &launch);
        match launch["stage"].as_str() {
            Some("full") => return Ok(ExitCode::SUCCESS),
            Some("rolled_back" | "cancelled") => return Ok(ExitCode::FAILURE),
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

fn shown(context: &Context, launch: &Json) {
    if context.format == Format::Json {
        output::json(launch);
        return;
    }
    output::line(format!(
        "{}: {} version {} beside version {}: {}",
        member(launch, "deployment"),
        member(launch, "model"),
        member(launch, "candidate"),
        member(launch, "stable"),
        stage(launch),
    ));
    for (word, name) in [("because", "reason"), ("waits", "waits_for")] {
        if let Some(text) = launch[name].as_str() {
            output::line(format!("{word}: {text}"));
        }
    }
    let seen = &launch["seen"];
    if seen.is_null() {
        return;
    }
    let row = |name: &str, version: &str| {
        let seen = &seen[name];
        let milliseconds = |name: &str| seen[name].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.2}"));
        vec![
            member(launch, version),
            output::count_of(seen, "requests"),
            output::count_of(seen, "failures"),
            milliseconds("p50_ms"),
            milliseconds("p95_ms"),
        ]
    };
    let rows = vec![row("stable", "stable"), row("candidate", "candidate")];
    output::table(&["version", "requests", "failed", "p50 ms", "p95 ms"], rows, "");
    if let Some(drift) = seen["drift"].as_f64() {
        output::line(format!("predictions differ by a population stability index of {drift:.3}"));
    }
}

async fn list(context: &Context, name: &str) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get(&format!("/deployments/{}/launches", segment(name))).await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = answer["launches"].as_array().into_iter().flatten().map(|launch| {
        vec![
            output::moment_of(launch, "started_at"),
            member(launch, "candidate"),
            member(launch, "stable"),
            stage(launch),
            output::moment_of(launch, "since"),
            member(launch, "started_by"),
            member(launch, "reason"),
        ]
    });
    let header = ["began", "version", "beside", "stage", "since", "by", "reason"];
    output::table(&header, rows.collect(), "no launches");
    Ok(ExitCode::SUCCESS)
}

/// The stage in words: `canary 25 %`.
fn stage(launch: &Json) -> String {
    let word = member(launch, "stage").replace('_', " ");
    match launch["share"].as_f64() {
        Some(share) if word == "canary" => format!("{word} {:.1} %", share * 100.0),
        _ => word,
    }
}

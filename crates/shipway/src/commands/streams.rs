//! `sources status` of what flows, `sources replay` and `sources skip`.

use std::{process::ExitCode, time::Duration};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

/// How often the status is asked for while it is watched.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Shows what flows into every source, again and again until it is interrupted.
pub(super) async fn watch(context: &Context) -> Result<ExitCode, CommandFailure> {
    loop {
        let status = context.client.get("/status").await?;
        if context.format == Format::Json {
            output::json(&status);
        } else {
            output::begin_screen();
            flows(&status);
            output::line("");
            views(&status);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The table of what flows into every source.
pub(super) fn flows(status: &Json) {
    let streams = || status["streams"].as_array().into_iter().flatten();
    let sources = status["sources"].as_array().into_iter().flatten();
    let rows = sources.map(|source| {
        let selection = &source["selection"];
        let stream = streams().find(|stream| stream["source"] == source["source"]).unwrap_or(selection);
        let (received, readable) = (&source["received"], &source["readable"]);
        let from = match stream {
            Json::Null => "requests".to_owned(),
            stream if stream["from"].is_string() => format!("selected from {}", member(stream, "from")),
            stream => format!("{}/{}", member(stream, "broker"), member(stream, "topic")),
        };
        let delays = match readable {
            Json::Null => "-".to_owned(),
            readable => {
                format!("{} / {}", milliseconds(&readable["p50_ms"]), milliseconds(&readable["p99_ms"]))
            }
        };
        vec![
            member(source, "source"),
            from,
            member(stream, "state"),
            output::count_of(stream, "lag"),
            output::count_of(received, "events"),
            output::count_of(received, "duplicates"),
            output::count_of(received, "late"),
            output::count_of(received, "quarantined"),
            output::count_of(received, "refused"),
            output::count_of(received, "dead_letters"),
            output::count_of(source, "lag"),
            delays,
            output::moment_of(source, "watermark"),
        ]
    });
    let header = [
        "source",
        "from",
        "state",
        "lag",
        "events",
        "duplicates",
        "late",
        "too early",
        "refused",
        "dead",
        "unread",
        "readable p50 / p99 ms",
        "watermark",
    ];
    output::table(&header, rows.collect(), "no sources");
    let sources = status["sources"].as_array().into_iter().flatten();
    let selections = sources.map(|source| (source, &source["selection"]));
    let all = streams().map(|stream| (stream, stream)).chain(selections);
    for (source, stream) in all.filter(|(_, stream)| stream["state"] == "failing") {
        output::line(format!(
            "  {}: {} ({})",
            member(source, "source"),
            member(stream, "error"),
            member(stream, "code")
        ));
        if !stream["hint"].is_null() {
            output::line(format!("    hint: {}", member(stream, "hint")));
        }
    }
}

fn views(status: &Json) {
    let sources = status["sources"].as_array().into_iter().flatten();
    let rows = sources.flat_map(|source| {
        source["views"].as_array().into_iter().flatten().map(|view| {
            let ready = if view["ready"] == true { "ready" } else { "building" };
            vec![
                member(view, "view"),
                member(source, "source"),
                ready.to_owned(),
                output::count_of(view, "states_written"),
            ]
        })
    });
    output::table(&["view", "source", "state", "states written"], rows.collect(), "no views");
}

fn milliseconds(value: &Json) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

/// Reads the dead letters of a source again.
pub(super) async fn replay(context: &Context, source: &str) -> Result<ExitCode, CommandFailure> {
    let path = format!("/streams/{}/replay", segment(source));
    let replayed = context.client.post(&path, &json!({})).await?;
    if context.format == Format::Json {
        output::json(&replayed);
        return Ok(ExitCode::SUCCESS);
    }
    let number = |name: &str| replayed[name].as_u64().unwrap_or(0);
    let letters = output::counted(number("letters"), "dead letter");
    output::line(format!(
        "{source}: {letters} read again, {} events taken in",
        output::count(number("events"))
    ));
    let said = |name: &str, what: &str| {
        if number(name) > 0 {
            output::line(format!("  {} {what}", output::count(number(name))));
        }
    };
    said("duplicates", "were there before");
    said("late", "are older than the retention");
    said("quarantined", "lie in the future");
    said("empty", "say nothing");
    said("dead", "are dead letters still");
    if number("dead") > 0 {
        output::line(format!(
            "  hint: shipway sql \"select code, reason, text from {source}__dead_letters order by _arrival desc limit 5\""
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes over messages that the broker keeps no more.
pub(super) async fn skip(
    context: &Context,
    source: &str,
    partition: u32,
    to: u64,
) -> Result<ExitCode, CommandFailure> {
    let path = format!("/streams/{}/skip", segment(source));
    let skipped = context.client.post(&path, &json!({ "partition": partition, "position": to })).await?;
    if context.format == Format::Json {
        output::json(&skipped);
    } else {
        output::line(format!(
            "{source}: partition {partition} is read from offset {to} on, or where it stands if that is later"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

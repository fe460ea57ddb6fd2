//! `sinks status`, `sinks resend` and `sinks acknowledge`.

use std::{process::ExitCode, time::Duration};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::Sinks,
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

/// How often the status is asked for while it is watched.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) async fn run(context: &Context, action: &Sinks) -> Result<ExitCode, CommandFailure> {
    match action {
        Sinks::Status { watch: false } => {
            print(context, &context.client.get("/sinks").await?);
            Ok(ExitCode::SUCCESS)
        }
        Sinks::Status { watch: true } => loop {
            let answer = context.client.get("/sinks").await?;
            if context.format != Format::Json {
                output::begin_screen();
            }
            print(context, &answer);
            tokio::time::sleep(LOOK_AGAIN).await;
        },
        Sinks::Resend { sink } => {
            ask(context, sink, "resend", "the row of every key is sent once more, beside what comes").await
        }
        Sinks::Acknowledge { sink } => {
            ask(context, sink, "acknowledge", "what it has skipped is told no more").await
        }
    }
}

async fn ask(context: &Context, sink: &str, what: &str, done: &str) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.post(&format!("/sinks/{}/{what}", segment(sink)), &json!({})).await?;
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        output::line(format!("{sink}: {done}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(context: &Context, answer: &Json) {
    if context.format == Format::Json {
        output::json(answer);
        return;
    }
    let sinks = || answer["sinks"].as_array().into_iter().flatten();
    let rows = sinks().map(|sink| {
        vec![
            member(sink, "sink"),
            named(&sink["from"]),
            destination(&sink["to"]),
            state(sink),
            lag(sink),
            output::count_of(sink, "rows"),
            output::count_of(&sink["left_out"], "rows"),
            output::count_of(sink, "skipped"),
            output::moment_of(sink, "last_sent"),
        ]
    });
    let header = ["sink", "from", "to", "state", "lag", "rows", "left out", "skipped", "last sent"];
    output::table(&header, rows.collect(), "no sinks");
    for sink in sinks() {
        let said = |text: String| output::line(format!("  {}: {text}", member(sink, "sink")));
        if sink["state"] == "failing" {
            said(format!("{} ({})", member(sink, "error"), member(sink, "code")));
            if !sink["hint"].is_null() {
                output::line(format!("    hint: {}", member(sink, "hint")));
            }
        }
        if !sink["waits_for"].is_null() {
            said(format!("waits for {}", member(sink, "waits_for")));
        }
        if !sink["left_out"].is_null() {
            let left_out = &sink["left_out"];
            said(format!(
                "the last row left out: {} ({})",
                member(left_out, "reason"),
                member(left_out, "code")
            ));
        }
    }
}

/// `view plane_legs`.
fn named(from: &Json) -> String {
    let named = from.as_object().into_iter().flatten().next();
    named.map_or_else(String::new, |(kind, name)| format!("{kind} {}", output::cell(name)))
}

fn destination(to: &Json) -> String {
    match &to["table"] {
        Json::Null => format!("{}/{} ({})", member(to, "broker"), member(to, "topic"), member(to, "format")),
        table => format!("table {}", output::cell(table)),
    }
}

fn state(sink: &Json) -> String {
    let state = member(sink, "state");
    if sink["resending"] == true { format!("{state}, resending") } else { state }
}

fn lag(sink: &Json) -> String {
    if sink["lag"].is_null() {
        return "-".to_owned();
    }
    format!("{} {}", output::count_of(sink, "lag"), member(sink, "unit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_rows_come_from_and_go_to_is_said_in_words() {
        assert_eq!(named(&json!({ "view": "plane_legs" })), "view plane_legs");
        let topic = json!({ "broker": "main", "topic": "rows", "format": "avro" });
        assert_eq!(destination(&topic), "main/rows (avro)");
        assert_eq!(destination(&json!({ "table": "rows" })), "table rows");
        assert_eq!(lag(&json!({ "lag": 1_200, "unit": "records" })), "1,200 records");
        assert_eq!(lag(&json!({ "lag": null, "unit": null })), "-");
    }
}

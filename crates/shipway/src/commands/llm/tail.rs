//! `llm tail`: the last calls, with who was asked and why.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::{Context, shown};
use crate::{
    failure::CommandFailure,
    output::{self, member},
};

/// The columns of a call that people look at first; the attempts last, as JSON.
const COLUMNS: [&str; 13] = [
    "at",
    "caller",
    "model",
    "deployment",
    "outcome",
    "status",
    "input",
    "output",
    "dollars",
    "ms",
    "error",
    "call",
    "attempts",
];

/// The last calls, out of the table that the ledger is carried into.
pub(super) async fn run(context: &Context, limit: u32) -> Result<ExitCode, CommandFailure> {
    let query = format!(
        "SELECT at, caller, model, deployment, outcome, status, input_tokens + cache_read_tokens + cache_write_tokens AS input, \
         output_tokens AS output, cost_nanos / 1e9 AS dollars, took_us / 1000 AS ms, error, call, attempts \
         FROM llm_calls ORDER BY at DESC LIMIT {limit}"
    );
    let answer = context.client.post("/sql", &json!({ "query": query })).await?;
    shown(context, &answer, || {
        let shown_columns = &COLUMNS[..COLUMNS.len() - 2];
        let mut head: Vec<&str> = shown_columns.to_vec();
        head.push("attempts");
        let rows = answer["rows"].as_array().into_iter().flatten().map(|row| {
            let cell = |name: &&str| output::cell(of(row, name));
            let mut cells: Vec<String> = shown_columns.iter().map(cell).collect();
            cells.push(attempts(of(row, "attempts")));
            cells
        });
        output::table(&head, rows.collect(), "no calls");
    })
}

/// A row is a list of values, or an object of them.
fn of<'r>(row: &'r Json, name: &str) -> &'r Json {
    match row.as_array() {
        Some(values) => {
            let place = COLUMNS.iter().position(|column| *column == name);
            place.and_then(|place| values.get(place)).unwrap_or(&Json::Null)
        }
        None => &row[name],
    }
}

/// Each attempt with its reason and what came of it: `eu (latency): overloaded; us (fallback after overloaded of eu): answered`.
fn attempts(recorded: &Json) -> String {
    let attempts: Vec<Json> =
        recorded.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let told = attempts.iter().map(|attempt| {
        let (deployment, result) = (member(attempt, "deployment"), member(attempt, "result"));
        match attempt["why"].as_str().filter(|why| !why.is_empty()) {
            Some(why) => format!("{deployment} ({why}): {result}"),
            None => format!("{deployment}: {result}"),
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_with_their_reasons() {
        let recorded = json!([
            { "deployment": "eu", "why": "latency", "result": "overloaded", "took_us": 5 },
            { "deployment": "us", "result": "answered", "took_us": 5 },
        ]);
        assert_eq!(attempts(&json!(recorded.to_string())), "eu (latency): overloaded; us: answered");
        assert_eq!(attempts(&Json::Null), "");
    }
}

//! `sql`.

use std::{io::Read, process::ExitCode};

use serde_json::json;

use super::Context;
use crate::{
    arguments::Sql,
    failure::CommandFailure,
    output::{self, Format},
};

pub(super) async fn run(context: &Context, options: &Sql) -> Result<ExitCode, CommandFailure> {
    let mut query = options.query.clone();
    if query == "-" {
        query.clear();
        std::io::stdin().read_to_string(&mut query)?;
    }
    ask(context, &query).await
}

/// Asks one query and prints its answer.
pub(super) async fn ask(context: &Context, query: &str) -> Result<ExitCode, CommandFailure> {
    let waiting = output::spinner("running the query");
    let answer = context.client.post("/sql", &json!({ "query": query })).await;
    waiting.finish_and_clear();
    let answer = answer?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let columns: Vec<String> = answer["columns"].as_array().into_iter().flatten().map(name_of).collect();
    let rows = answer["rows"].as_array().into_iter().flatten();
    let cells = |row: &serde_json::Value| match row.as_array() {
        Some(values) => values.iter().map(output::cell).collect(),
        None => columns.iter().map(|column| output::member(row, column)).collect(),
    };
    output::table_as_named(&columns, rows.map(cells).collect(), "no rows");
    if answer["truncated"] == serde_json::Value::Bool(true) {
        output::note("note: the answer was cut; ask for less, or for Arrow over HTTP");
    }
    Ok(ExitCode::SUCCESS)
}

fn name_of(column: &serde_json::Value) -> String {
    column["name"].as_str().map_or_else(|| output::cell(column), str::to_owned)
}

//! `status`.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::{Context, deploy};
use crate::{
    failure::CommandFailure,
    output::{self, Format, member},
};

const SOURCE_COLUMNS: [&str; 6] = ["source", "log_end", "applied", "archived", "lag", "watermark"];
const COPY_COLUMNS: [&str; 5] = ["source", "applied", "lag", "copying", "watermark"];

pub(super) async fn run(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/status").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(format!(
        "shipway {}, up {} s",
        member(&answer, "version"),
        member(&answer, "uptime_seconds")
    ));
    if answer.get("sources").is_some() {
        output::line("");
        table(&SOURCE_COLUMNS, &answer["sources"], "no sources");
        output::line("");
        deploy::table(&answer["deployments"]);
        deploy::ensembles(&answer["ensembles"]);
    }
    if let Some(copy) = answer.get("read_copy") {
        output::line("");
        read_copy(copy);
    }
    Ok(ExitCode::SUCCESS)
}

/// How the read copy is, and every source in it.
fn read_copy(copy: &Json) {
    let [role, state, address, prefix] =
        ["role", "state", "address", "prefix"].map(|name| member(copy, name));
    let since = output::moment_of(copy, "since");
    output::line(format!("read copy: {role}, {state} since {since}, at {address} under {prefix}"));
    if let (Some(code), Some(error)) = (copy["code"].as_str(), copy["error"].as_str()) {
        output::line(format!("  {code}: {error}"));
    }
    if let Some(hint) = copy["hint"].as_str() {
        output::line(format!("  hint: {hint}"));
    }
    if !copy["written"].is_null() {
        output::line(format!("  written {}", output::moment_of(copy, "written")));
    }
    let full = &copy["full_copy"];
    if !full.is_null() {
        let (ended, rows) = (output::moment_of(full, "ended"), member(full, "rows"));
        output::line(format!("  copied everything, {rows} rows, {ended}"));
    }
    table(&COPY_COLUMNS, &copy["sources"], "no sources in it");
}

fn table(columns: &[&str], rows: &Json, empty: &str) {
    let cells = |row: &Json| -> Vec<String> {
        let cell = |name: &&str| match *name {
            "watermark" => output::moment_of(row, name),
            "copying" => match row["copying"].as_array().map(Vec::as_slice) {
                Some([states, rows]) => format!("{states} states, {rows} rows"),
                _ => String::new(),
            },
            _ => member(row, name),
        };
        columns.iter().map(cell).collect()
    };
    output::table(columns, rows.as_array().into_iter().flatten().map(cells).collect(), empty);
}

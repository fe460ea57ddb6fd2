//! `status`.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::{Context, deploy};
use crate::{
    failure::CommandFailure,
    output::{self, Format, member},
};

const SOURCE_COLUMNS: [&str; 6] = ["source", "log_end", "applied", "archived", "lag", "watermark"];

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
    output::line("");
    let rows = answer["sources"].as_array().into_iter().flatten();
    let cells = |row: &Json| -> Vec<String> {
        let cell = |name: &&str| match *name {
            "watermark" => output::moment_of(row, name),
            _ => member(row, name),
        };
        SOURCE_COLUMNS.iter().map(cell).collect()
    };
    output::table(&SOURCE_COLUMNS, rows.map(cells).collect(), "no sources");
    output::line("");
    deploy::table(&answer["deployments"]);
    Ok(ExitCode::SUCCESS)
}

//! `metadata`: what is done to the metadata database while no server runs.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    arguments,
    configuration::{Configuration, Flags},
    failure::CommandFailure,
    metadata,
    output::{self, Format},
};

pub(super) fn run(action: &arguments::Metadata, format: Format) -> Result<ExitCode, CommandFailure> {
    let arguments::Metadata::Move { configuration, data } = action;
    let flags = Flags { data: data.clone(), ..Flags::default() };
    let configuration = Configuration::read(configuration.clone(), &flags)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = |table: &str, rows: u64| {
        if format == Format::Text {
            output::line(format!("{table}: {}", output::counted(rows, "row")));
        }
    };
    let moved = runtime.block_on(metadata::move_to_postgres(&configuration, told))?;
    match format {
        Format::Json => output::json(&json!({ "tables": moved.tables, "rows": moved.rows })),
        Format::Text => output::line(format!(
            "moved {} with {}; start the server with the same metadata.url",
            output::counted(moved.tables, "table"),
            output::counted(moved.rows, "row")
        )),
    }
    Ok(ExitCode::SUCCESS)
}

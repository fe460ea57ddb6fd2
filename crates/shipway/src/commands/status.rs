//! `status`.

use std::process::ExitCode;

use super::Context;
use crate::{
    failure::CommandFailure,
    output::{self, Format, member},
};

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
    for (title, list, columns) in [
        ("sources", "sources", &["source", "log_end", "applied", "archived", "lag", "watermark"][..]),
        ("deployments", "deployments", &["name", "model", "alias", "version", "service", "state"][..]),
    ] {
        output::line(title);
        let rows = answer[list].as_array().into_iter().flatten();
        let cells = |row| columns.iter().map(|name| member(row, name)).collect();
        output::table(columns, rows.map(cells).collect());
        output::line("");
    }
    Ok(ExitCode::SUCCESS)
}

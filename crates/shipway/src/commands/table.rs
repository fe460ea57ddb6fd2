//! `table load`, `table list` and `table maintain`.

use std::{path::Path, process::ExitCode};

use reqwest::Body;
use serde_json::{Value as Json, json};
use tokio_stream::StreamExt;
use tokio_util::io::ReaderStream;

use super::Context;
use crate::{
    arguments::FileFormat,
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

pub(super) async fn load(
    context: &Context,
    table: &str,
    file: &Path,
    format: Option<FileFormat>,
    load_id: Option<&str>,
) -> Result<ExitCode, CommandFailure> {
    let format = format.or_else(|| format_of(file)).ok_or_else(|| {
        CommandFailure::new(format!("{}: the format is not clear from the name", file.display()))
            .with_hint("say --format csv, jsonl, parquet or arrow")
    })?;
    let handle = fs_err::tokio::File::open(file).await?;
    let bytes = handle.metadata().await?.len();
    let bar = output::bytes_bar(bytes, &format!("loading {table}"));
    let (sent, writing) = (bar.clone(), format!("{table} is sent, the server writes it"));
    let stream = ReaderStream::with_capacity(handle, 256 * 1024).map(move |read| {
        read.inspect(|piece| {
            sent.inc(piece.len() as u64);
            if sent.position() >= bytes {
                sent.set_message(writing.clone());
            }
        })
    });
    let word = match format {
        FileFormat::Csv => "csv",
        FileFormat::Jsonl => "jsonl",
        FileFormat::Parquet => "parquet",
        FileFormat::Arrow => "arrow",
    };
    let mut path = format!("/tables/{}/load?format={word}", segment(table));
    if let Some(load_id) = load_id {
        path.push_str(&format!("&load_id={}", segment(load_id)));
    }
    let answer =
        context.client.post_bytes(&path, "application/octet-stream", Body::wrap_stream(stream)).await;
    bar.finish_and_clear();
    let answer = answer?;
    if context.format == Format::Json {
        output::json(&answer);
    } else if answer["already_loaded"] == Json::Bool(true) {
        output::line(format!("{table}: this file is loaded already, nothing was added"));
    } else {
        let rows = output::counted(answer["rows"].as_u64().unwrap_or(0), "row");
        output::line(format!("{table}: {rows} loaded"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn list(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/tables").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = answer["tables"].as_array().into_iter().flatten();
    let rows = rows
        .map(|table| {
            vec![
                member(table, "name"),
                output::count_of(table, "rows"),
                output::count_of(table, "files"),
                table["bytes"].as_u64().map_or_else(|| "-".to_owned(), output::bytes),
                member(table, "version"),
            ]
        })
        .collect();
    output::table(&["table", "rows", "files", "size", "version"], rows, "no tables");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn maintain(context: &Context, table: &str) -> Result<ExitCode, CommandFailure> {
    let waiting = output::spinner(&format!("maintaining {table}"));
    let answer = context.client.post(&format!("/tables/{}/maintain", segment(table)), &json!({})).await;
    waiting.finish_and_clear();
    let answer = answer?;
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        output::line(format!(
            "{table}: {} files became {}; {} old files and {} log entries deleted",
            member(&answer, "files_removed"),
            member(&answer, "files_added"),
            member(&answer, "files_deleted"),
            member(&answer, "log_entries_deleted"),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn upkeep(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/tables/upkeep").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let columns =
        ["table", "at", "files_removed", "files_added", "bytes_rewritten", "files_deleted", "error"];
    let rows = answer["tables"].as_array().into_iter().flatten();
    let cells = |table: &Json| -> Vec<String> {
        let cell = |column: &str| match column {
            "table" | "error" => member(table, column),
            "at" => output::moment_of(table, column),
            _ => output::count_of(table, column),
        };
        columns.map(cell).into()
    };
    output::table(&columns, rows.map(cells).collect(), "no upkeep was needed yet");
    Ok(ExitCode::SUCCESS)
}

fn format_of(file: &Path) -> Option<FileFormat> {
    match file.extension()?.to_str()? {
        "csv" => Some(FileFormat::Csv),
        "jsonl" | "ndjson" | "json" => Some(FileFormat::Jsonl),
        "parquet" => Some(FileFormat::Parquet),
        "arrows" => Some(FileFormat::Arrow),
        _ => None,
    }
}

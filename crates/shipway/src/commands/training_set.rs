//! `features training-set`: the server streams Arrow, this writes Parquet as it comes.

use std::{path::Path, process::ExitCode};

use arrow::{buffer::Buffer, ipc::reader::StreamDecoder};
use parquet::file::metadata::KeyValue;
use serde_json::{Value as Json, json};

use super::{Context, jobs};
use crate::{
    arguments::{AsOf, TrainingSet},
    client::segment,
    failure::CommandFailure,
    output::{self, Format},
    parquet_file::ParquetFile,
};

pub(super) async fn run(context: &Context, options: &TrainingSet) -> Result<ExitCode, CommandFailure> {
    let spine = match (&options.spine, &options.spine_sql) {
        (Some(table), _) => json!({ "table": table }),
        (None, query) => json!({ "sql": query }),
    };
    let mut body = json!({ "service": options.service, "spine": spine, "time": options.time });
    for (name, value) in [("from", &options.from), ("to", &options.to)] {
        if let Some(value) = value {
            body[name] = value.as_str().into();
        }
    }
    if options.as_of == AsOf::Arrival {
        body["as_of"] = "arrival".into();
    }
    if !options.labels.is_empty() {
        body["labels"] = labels(&options.labels)?;
    }
    let summary = match &options.file {
        Some(file) => to_file(context, body, file).await?,
        None => {
            body["output"] = json!({ "table": options.table, "replace": options.replace });
            body["wait"] = false.into();
            let job = context.client.post("/training-sets", &body).await?;
            if options.detach {
                jobs::print(context, &job);
                return Ok(ExitCode::SUCCESS);
            }
            let job = jobs::wait(context, job["id"].as_str().unwrap_or_default()).await?;
            jobs::ended_well(&job)?;
            job["result"].clone()
        }
    };
    if context.format == Format::Json {
        output::json(&summary);
    } else {
        let rows = output::count(summary["rows"].as_u64().unwrap_or(0));
        let place = options.file.as_ref().map(|file| file.display().to_string()).or(options.table.clone());
        let done = if summary["reused"] == Json::Bool(true) { "kept already in" } else { "written to" };
        output::line(format!("{rows} rows {done} {}", place.unwrap_or_default()));
        output::line(format!("service version {}", output::member(&summary, "service_hash")));
    }
    Ok(ExitCode::SUCCESS)
}

fn labels(texts: &[String]) -> Result<Json, CommandFailure> {
    let labels = texts.iter().map(|text| {
        serde_json::from_str::<Json>(text).map_err(|error| {
            CommandFailure::new(format!("--label {text}: {error}")).with_hint(
                r#"such as {"source": "sales", "keys": ["shop"], "column": "amount", "operation": "sum", "window": "1d"}"#,
            )
        })
    });
    labels.collect()
}

/// `features training-sets`.
pub(super) async fn list(context: &Context, table: Option<&str>) -> Result<ExitCode, CommandFailure> {
    if let Some(table) = table {
        output::json(&context.client.get(&format!("/training-sets/{}", segment(table))).await?);
        return Ok(ExitCode::SUCCESS);
    }
    let answer = context.client.get("/training-sets").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let kept = answer["training_sets"].as_array().into_iter().flatten();
    let rows = kept.map(|kept| {
        let recipe = &kept["recipe"];
        vec![
            output::member(kept, "table"),
            output::count_of(kept, "rows"),
            output::member(recipe, "service"),
            output::moment_of(kept, "created_at"),
        ]
    });
    output::table(&["table", "rows", "service", "made"], rows.collect(), "no training sets are kept");
    Ok(ExitCode::SUCCESS)
}

/// `features rebuild`.
pub(super) async fn rebuild(
    context: &Context,
    table: &str,
    into: Option<&str>,
    detach: bool,
) -> Result<ExitCode, CommandFailure> {
    let path = format!("/training-sets/{}/rebuild", segment(table));
    let job = context.client.post(&path, &json!({ "into": into })).await?;
    if detach {
        jobs::print(context, &job);
        return Ok(ExitCode::SUCCESS);
    }
    let job = jobs::wait(context, job["id"].as_str().unwrap_or_default()).await?;
    jobs::ended_well(&job)?;
    let result = &job["result"];
    if context.format == Format::Json {
        output::json(result);
    } else {
        let rows = output::count(result["rows"].as_u64().unwrap_or(0));
        output::line(format!("{table}: {rows} rows made again, every bit the same"));
        if let Some(written) = result["written"].as_str() {
            output::line(format!("written to {written}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn to_file(context: &Context, mut body: Json, file: &Path) -> Result<Json, CommandFailure> {
    body["output"] = json!({ "format": "arrow" });
    let waiting = output::spinner("building the training set");
    let response = context.client.post_for_arrow("/training-sets", &body).await;
    waiting.finish_and_clear();
    let mut response = response?;
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let service_hash = header("x-shipway-service-hash");
    let bar = output::rows_bar(header("x-shipway-spine-rows").parse().unwrap_or(0), "writing");

    // Written beside its place and moved there when whole, so that a broken-off answer leaves no half file.
    let unfinished = file.with_extension("unfinished");
    let mut decoder = StreamDecoder::new();
    let mut writer: Option<ParquetFile> = None;
    let mut rows = 0_u64;
    while let Some(piece) = context.client.chunk(&mut response).await? {
        let mut buffer = Buffer::from(piece);
        while !buffer.is_empty() {
            let Some(batch) = decoder.decode(&mut buffer).map_err(damaged)? else { continue };
            rows += batch.num_rows() as u64;
            let open = match writer.take() {
                Some(open) => open,
                None => {
                    let hash = KeyValue::new("shipway.service_hash".to_owned(), service_hash.clone());
                    ParquetFile::create(&unfinished, &batch, vec![hash]).map_err(unwritable)?
                }
            };
            writer.insert(open).write(batch).map_err(unwritable)?;
            bar.set_position(rows);
        }
    }
    decoder.finish().map_err(damaged)?;
    bar.finish_and_clear();
    let Some(writer) = writer else {
        return Err(CommandFailure::new("the spine has no rows, no file was written")
            .with_hint("check the spine and the times given with --from and --to"));
    };
    writer.close().map_err(unwritable)?;
    fs_err::rename(&unfinished, file)?;
    Ok(json!({ "rows": rows, "service_hash": service_hash, "file": file.display().to_string() }))
}

fn damaged(error: arrow::error::ArrowError) -> CommandFailure {
    CommandFailure::new(format!("the answer broke off or is damaged: {error}"))
        .with_hint("the server's log says why; running the command again is safe")
}

fn unwritable(error: parquet::errors::ParquetError) -> CommandFailure {
    CommandFailure::new(format!("the file could not be written: {error}"))
}

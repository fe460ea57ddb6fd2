//! `features read` and `predict`.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::{Context, rows};
use crate::{
    arguments::Rows,
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

pub(super) async fn features(
    context: &Context,
    service: &str,
    options: &Rows,
) -> Result<ExitCode, CommandFailure> {
    let mut body = rows::body(options)?;
    body["service"] = service.into();
    let answer = context.client.post("/features/read", &body).await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let columns = answer["columns"].as_array().cloned().unwrap_or_default();
    let read = answer["rows"].as_array().cloned().unwrap_or_default();
    let header: Vec<String> = std::iter::once("feature".to_owned())
        .chain((1..=read.len()).map(|number| format!("row {number}")))
        .collect();
    let lines = columns.iter().enumerate().map(|(index, column)| {
        let values = read.iter().map(|row| output::cell(&row["values"][index]));
        std::iter::once(output::cell(column)).chain(values).collect()
    });
    output::table(&header.iter().map(String::as_str).collect::<Vec<_>>(), lines.collect(), "no features");
    output::line("");
    for (number, row) in read.iter().enumerate() {
        for view in row["views"].as_array().into_iter().flatten() {
            output::line(format!("row {} {}", number + 1, freshness(view)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn predictions(
    context: &Context,
    deployment: &str,
    options: &Rows,
) -> Result<ExitCode, CommandFailure> {
    let answer =
        context.client.post(&format!("/predict/{}", segment(deployment)), &rows::body(options)?).await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let predictions = answer["predictions"].as_array().cloned().unwrap_or_default();
    let lines = predictions.iter().enumerate();
    output::table(
        &["row", "prediction"],
        lines.map(|(index, value)| vec![(index + 1).to_string(), output::cell(value)]).collect(),
        "no predictions",
    );
    output::line("");
    output::line(format!(
        "{} version {}, at {}",
        member(&answer, "model"),
        member(&answer, "version"),
        member(&answer, "at")
    ));
    Ok(ExitCode::SUCCESS)
}

fn freshness(view: &Json) -> String {
    let name = member(view, "view");
    let Some(age_us) = view["age_us"].as_i64() else { return format!("{name}: no event yet") };
    let stale = if view["fresh"] == Json::Bool(false) { ", beyond its freshness objective" } else { "" };
    let age = output::age(age_us as f64 / 1e6);
    format!("{name}: last event {}, {age} before{stale}", member(view, "event_time"))
}

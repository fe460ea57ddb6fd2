//! `deploy`.

use std::{path::Path, process::ExitCode};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::{Deploy, DeployAction, Preview},
    client::segment,
    failure::{CommandFailure, exit},
    output::{self, Format, member},
};

pub(super) async fn run(context: &Context, options: &Deploy) -> Result<ExitCode, CommandFailure> {
    if let Some(DeployAction::Preview(options)) = &options.action {
        return preview(context, options).await;
    }
    let Some(name) = &options.name else { return list(context).await };
    let path = format!("/deployments/{}", segment(name));
    let answer = if options.remove {
        context.client.delete(&path).await?
    } else {
        let mut body = json!({
            "service": options.service,
            "batching": {
                "max_rows": options.max_batch_rows,
                "max_delay_us": options.max_batch_delay,
                "instances": options.instances,
            },
            "queue": { "max_requests": options.max_waiting, "timeout_ms": options.wait_timeout },
            "cache": { "max_bytes": options.cache_mib.saturating_mul(1 << 20) },
            "log_share": options.log_share,
        });
        match (&options.ensemble, &options.model) {
            (Some(file), _) => body["ensemble"] = ensemble(file)?,
            (None, Some(model)) => {
                body["model"] = json!(model);
                body["alias"] = json!(options.alias);
            }
            (None, None) => {
                return Err(CommandFailure::new(format!("deployment {name}: no model is named"))
                    .with_hint(format!("shipway deploy {name} --model MODEL --alias {}", options.alias))
                    .with_exit(exit::USAGE));
            }
        }
        context.client.put(&path, &body).await?
    };
    if context.format == Format::Json {
        output::json(&answer);
    } else if options.remove {
        output::line(format!("{name} is taken down"));
    } else if answer.get("ensemble").is_some() {
        output::line(format!("{name} serves version {} of its ensemble", member(&answer, "version")));
        models(&answer["models"]);
    } else {
        let engine = answer["serves"]["onnx_engine"].as_str();
        output::line(format!(
            "{name} serves {} version {}{}",
            member(&answer, "model"),
            member(&answer["serves"], "version"),
            engine.map(|engine| format!(" with {engine}")).unwrap_or_default(),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The graph of an ensemble out of its file.
fn ensemble(file: &Path) -> Result<Json, CommandFailure> {
    let text = fs_err::read_to_string(file)?;
    serde_saphyr::from_str(&text).map_err(|error| {
        CommandFailure::new(format!("{}: {}", file.display(), error.without_snippet()))
            .with_hint("an ensemble has `inputs`, `steps` and `outputs`: docs/serving.md")
            .with_exit(exit::USAGE)
    })
}

/// The models of an ensemble's steps.
fn models(models: &Json) {
    let rows = models.as_array().into_iter().flatten().map(|model| {
        let named = |name| member(model, name);
        let state = match model["trouble"].is_null() {
            true => "serving".to_owned(),
            false => format!("trouble: {}", member(&model["trouble"], "detail")),
        };
        vec![named("step"), named("deployment"), named("model"), named("alias"), named("version"), state]
    });
    output::table(&["step", "deployment", "model", "alias", "version", "state"], rows.collect(), "no models");
}

async fn list(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/deployments").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    table(&answer["deployments"]);
    ensembles(&answer["ensembles"]);
    Ok(ExitCode::SUCCESS)
}

async fn preview(context: &Context, options: &Preview) -> Result<ExitCode, CommandFailure> {
    let body = json!({
        "alias": options.alias,
        "rows": options.rows,
        "threshold": options.threshold,
        "tolerance": options.tolerance,
        "segments": options.segments,
        "examples": options.examples,
    });
    let waiting = output::spinner("running the candidate over what was served");
    let answer =
        context.client.post(&format!("/deployments/{}/preview", segment(&options.name)), &body).await;
    waiting.finish_and_clear();
    let answer = answer?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let named = |name| member(&answer, name);
    let counts = |counted: &Json| {
        let number = |name| counted[name].as_u64().unwrap_or(0);
        (number("rows"), number("changed"))
    };
    let (rows, changed) = counts(&answer);
    output::line(format!(
        "{} version {} over {} that version {} and those before it served: {} decided otherwise ({})",
        named("model"),
        named("candidate"),
        output::counted(rows, "row"),
        named("serves"),
        output::count(changed),
        share(changed, rows),
    ));
    output::line(format!(
        "{}; numbers moved by {:.4} on average, {:.4} at most",
        rule(&answer["rule"]),
        answer["mean_difference"].as_f64().unwrap_or_default(),
        answer["largest_difference"].as_f64().unwrap_or_default(),
    ));
    let listed = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let segments: Vec<Vec<String>> = listed("segments")
        .iter()
        .map(|segment| {
            let (rows, changed) = counts(segment);
            vec![
                member(segment, "column"),
                member(segment, "value"),
                output::count(rows),
                output::count(changed),
                share(changed, rows),
            ]
        })
        .collect();
    if !segments.is_empty() {
        output::table(&["input", "value", "rows", "changed", "share"], segments, "");
    }
    let examples: Vec<Vec<String>> = listed("examples")
        .iter()
        .map(|example| {
            ["request_id", "row", "version", "served", "candidate", "inputs"]
                .iter()
                .map(|name| member(example, name))
                .collect()
        })
        .collect();
    if !examples.is_empty() {
        output::table(&["request", "row", "version", "served", "candidate", "inputs"], examples, "");
    }
    Ok(ExitCode::SUCCESS)
}

/// When two predictions are two decisions, in words.
fn rule(rule: &Json) -> String {
    if let Some(threshold) = rule["threshold"].as_f64() {
        format!("a number decides by being {threshold} or above")
    } else if let Some(tolerance) = rule["tolerance"].as_f64() {
        format!("another decision is a number that moved by more than {tolerance}")
    } else {
        "of several numbers the largest decides".to_owned()
    }
}

fn share(part: u64, whole: u64) -> String {
    let tenths = part * 1_000 / whole.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Deployments as a table; `status` prints the same.
pub(super) fn table(deployments: &Json) {
    let rows = deployments.as_array().into_iter().flatten().map(|deployment| {
        let named = |name| member(deployment, name);
        vec![
            named("name"),
            named("model"),
            named("alias"),
            member(&deployment["serves"], "version"),
            named("service"),
            state(deployment),
        ]
    });
    output::table(
        &["deployment", "model", "alias", "version", "service", "state"],
        rows.collect(),
        "no deployments",
    );
}

/// Whether a deployment answers, and what goes on in it.
fn state(deployment: &Json) -> String {
    if !deployment["trouble"].is_null() {
        return format!("trouble: {}", member(&deployment["trouble"], "detail"));
    }
    let launch = &deployment["launch"];
    if !launch.is_null() {
        return format!("serving; version {} in {}", member(launch, "candidate"), member(launch, "stage"));
    }
    match (deployment["parked"].as_bool(), deployment["serves"]["onnx_engine"].as_str()) {
        (Some(true), _) => "parked: loaded when it is asked".to_owned(),
        (_, Some(engine)) => format!("serving with {engine}"),
        _ => "serving".to_owned(),
    }
}

/// Ensembles as a table, where there are any; `status` prints the same.
pub(super) fn ensembles(ensembles: &Json) {
    let rows: Vec<Vec<String>> = ensembles
        .as_array()
        .into_iter()
        .flatten()
        .map(|ensemble| {
            let state = match (ensemble["trouble"].is_null(), ensemble["ready"].as_bool()) {
                (false, _) => format!("trouble: {}", member(&ensemble["trouble"], "detail")),
                (true, Some(true)) => "serving".to_owned(),
                (true, _) => "not ready".to_owned(),
            };
            let model = |model: &Json| {
                let who = if model["deployment"].is_null() { "model" } else { "deployment" };
                format!("{}={}:{}", member(model, "step"), member(model, who), member(model, "version"))
            };
            let models: Vec<String> =
                ensemble["models"].as_array().into_iter().flatten().map(model).collect();
            let named = |name| member(ensemble, name);
            vec![named("name"), named("version"), models.join(" "), named("service"), state]
        })
        .collect();
    if !rows.is_empty() {
        output::line("");
        output::table(&["ensemble", "version", "models", "service", "state"], rows, "no ensembles");
    }
}

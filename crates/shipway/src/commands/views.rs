//! `features views` and `features rebuild --view`; and what `apply` shows of views that are being built.

use std::{process::ExitCode, time::Duration};

use serde_json::{Value as Json, json};

use super::{Context, jobs};
use crate::{
    client::segment,
    failure::CommandFailure,
    output::{self, Format, member},
};

/// How often a view whose job is not recorded yet is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn list(context: &Context) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.get("/features/views").await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let views = answer["views"].as_array().into_iter().flatten();
    let rows = views.map(|view| {
        let steps = match (view["steps_done"].as_u64(), view["steps"].as_u64()) {
            (Some(done), Some(steps)) => format!("{done} of {steps}"),
            _ => String::new(),
        };
        let in_force = if view["in_force"] == Json::Bool(true) { "in force" } else { "older" };
        vec![
            member(view, "view"),
            short(&member(view, "hash")),
            in_force.to_owned(),
            member(view, "state"),
            steps,
            member(view, "job"),
        ]
    });
    output::table(&["view", "version", "", "state", "steps", "job"], rows.collect(), "no views");
    Ok(ExitCode::SUCCESS)
}

/// `features rebuild --view`.
pub(super) async fn rebuild(
    context: &Context,
    view: &str,
    hash: Option<&str>,
    detach: bool,
) -> Result<ExitCode, CommandFailure> {
    let path = format!("/features/views/{}/rebuild", segment(view));
    let job = context.client.post(&path, &json!({ "hash": hash })).await?;
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
        output::line(summary(result));
    }
    Ok(ExitCode::SUCCESS)
}

/// The views in force that have no state yet.
pub(super) async fn building(context: &Context) -> Result<Vec<Json>, CommandFailure> {
    let answer = context.client.get("/features/views").await?;
    let views = answer["views"].as_array().cloned().unwrap_or_default();
    Ok(views.into_iter().filter(is_building).collect())
}

fn is_building(view: &Json) -> bool {
    view["in_force"] == Json::Bool(true) && view["state"] != "ready"
}

/// What a program needs to know of a view that is being built.
pub(super) fn named(view: &Json) -> Json {
    json!({ "view": view["view"], "hash": view["hash"], "job": view["job"] })
}

/// What is said of a build that is not waited for.
pub(super) async fn told(context: &Context, build: &Json) -> String {
    let view = member(build, "view");
    let Some(id) = build["job"].as_str() else {
        return format!("view {view} is built from history as soon as the log is read that far");
    };
    let job = context.client.get(&format!("/jobs/{}", segment(id))).await.unwrap_or_default();
    match job["state"].as_str() {
        Some("failed" | "cancelled") => format!(
            "view {view} is not built, job {id} has ended: shipway features rebuild --view {view} goes on with it"
        ),
        _ => format!("view {view} is built from history by job {id}: shipway jobs wait {id}"),
    }
}

/// Follows the builds to their ends, each with a bar.
pub(super) async fn wait(context: &Context, builds: &[Json]) -> Result<ExitCode, CommandFailure> {
    for build in builds {
        let Some(job) = job_of(context, build).await? else { continue };
        if output::is_at_terminal() {
            let view = member(build, "view");
            output::note(format!("view {view} is built by job {job}; Ctrl-C stops watching, not the job"));
        }
        let job = jobs::wait(context, &job).await?;
        jobs::ended_well(&job)?;
        if context.format != Format::Json {
            output::line(summary(&job["result"]));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The job of a build; none when the view needs none any more. Where the log is far behind, it comes a little later.
async fn job_of(context: &Context, build: &Json) -> Result<Option<String>, CommandFailure> {
    if let Some(job) = build["job"].as_str() {
        return Ok(Some(job.to_owned()));
    }
    let waiting = output::spinner(&format!("view {}: waiting for the log", member(build, "view")));
    loop {
        let now = building(context).await?;
        let Some(now) = now.iter().find(|now| now["hash"] == build["hash"]) else {
            waiting.finish_and_clear();
            return Ok(None);
        };
        if let Some(job) = now["job"].as_str() {
            waiting.finish_and_clear();
            return Ok(Some(job.to_owned()));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn summary(result: &Json) -> String {
    let count = |name: &str| result[name].as_u64();
    let view = member(result, "view");
    let rows = output::count(count("rows").unwrap_or(0));
    match (count("keys"), count("differing")) {
        (Some(keys), Some(differing)) => {
            let (keys, differing) = (output::count(keys), output::count(differing));
            format!("{view}: built again from {rows} rows; of {keys} keys {differing} had another answer")
        }
        _ => format!("{view}: built from {rows} rows"),
    }
}

/// The first digits of a hash, enough for a person.
fn short(hash: &str) -> String {
    hash.trim_start_matches("sha256:").chars().take(12).collect()
}

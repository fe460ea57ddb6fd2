//! `jobs list`, `show`, `cancel`, `wait`.

use std::{process::ExitCode, time::Duration};

use indicatif::ProgressBar;
use serde_json::Value as Json;

use super::Context;
use crate::{
    arguments::Jobs,
    client::segment,
    failure::{CommandFailure, exit},
    output::{self, Format, member},
};

/// How often a job is looked at while it is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

pub(super) async fn run(context: &Context, action: &Jobs) -> Result<ExitCode, CommandFailure> {
    match action {
        Jobs::List { state, limit } => list(context, state.as_deref(), *limit).await,
        Jobs::Show { id } => {
            let job = context.client.get(&format!("/jobs/{}", segment(id))).await?;
            print(context, &job);
            Ok(ExitCode::SUCCESS)
        }
        Jobs::Cancel { id } => {
            let path = format!("/jobs/{}/cancel", segment(id));
            let job = context.client.post(&path, &Json::Object(serde_json::Map::new())).await?;
            print(context, &job);
            if context.format != Format::Json && matches!(job["state"].as_str(), Some("queued" | "running")) {
                output::line(format!("  it ends before its next step: shipway jobs wait {id}"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Jobs::Wait { id } => {
            let job = wait(context, id).await?;
            print(context, &job);
            ended_well(&job)
        }
    }
}

async fn list(context: &Context, state: Option<&str>, limit: u32) -> Result<ExitCode, CommandFailure> {
    let state = state.map(|state| format!("&state={}", segment(state))).unwrap_or_default();
    let answer = context.client.get(&format!("/jobs?limit={limit}{state}")).await?;
    if context.format == Format::Json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = answer["jobs"].as_array().into_iter().flatten();
    let rows = rows.map(|job| {
        vec![
            member(job, "id"),
            member(job, "kind"),
            member(job, "subject"),
            member(job, "state"),
            progress(job),
            output::moment_of(job, "created_at"),
        ]
    });
    output::table(&["id", "kind", "subject", "state", "progress", "created"], rows.collect(), "no jobs");
    Ok(ExitCode::SUCCESS)
}

/// Prints one job.
pub(super) fn print(context: &Context, job: &Json) {
    if context.format == Format::Json {
        output::json(job);
        return;
    }
    output::line(format!("job {}", member(job, "id")));
    output::line(format!(
        "  {} of {}: {}",
        member(job, "kind"),
        member(job, "subject"),
        member(job, "state")
    ));
    let progress = progress(job);
    if !progress.is_empty() {
        output::line(format!("  {progress}"));
    }
    if !job["error"].is_null() {
        output::line(format!("  {} ({})", member(&job["error"], "message"), member(&job["error"], "code")));
    }
    for (name, value) in job["result"].as_object().into_iter().flatten() {
        output::line(format!("  {name}: {}", output::cell(value)));
    }
}

fn progress(job: &Json) -> String {
    let progress = &job["progress"];
    let phase = progress["phase"].as_str().unwrap_or_default();
    match (progress["done"].as_u64(), progress["total"].as_u64()) {
        _ if phase.is_empty() => String::new(),
        (Some(done), Some(total)) => format!("{phase}, {} of {}", output::count(done), output::count(total)),
        (Some(done), None) if done > 0 => format!("{phase}, {}", output::count(done)),
        _ => phase.to_owned(),
    }
}

/// Follows a job to its end, with a bar.
pub(super) async fn wait(context: &Context, id: &str) -> Result<Json, CommandFailure> {
    let path = format!("/jobs/{}", segment(id));
    let mut bar: Option<(String, ProgressBar)> = None;
    loop {
        let job = context.client.get(&path).await?;
        if matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")) {
            if let Some((_, bar)) = bar {
                bar.finish_and_clear();
            }
            return Ok(job);
        }
        show_progress(&mut bar, &job);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn show_progress(bar: &mut Option<(String, ProgressBar)>, job: &Json) {
    let phase = job["progress"]["phase"].as_str().filter(|phase| !phase.is_empty());
    let phase = phase.unwrap_or_else(|| job["state"].as_str().unwrap_or_default());
    let (done, total) = (job["progress"]["done"].as_u64().unwrap_or(0), job["progress"]["total"].as_u64());
    if bar.as_ref().is_none_or(|(shown, _)| shown != phase) {
        if let Some((_, old)) = bar.take() {
            old.finish_and_clear();
        }
        let fresh = match total {
            Some(total) => output::steps_bar(total, &label(job, phase)),
            None => output::spinner(&label(job, phase)),
        };
        *bar = Some((phase.to_owned(), fresh));
    }
    if let Some((_, bar)) = bar {
        bar.set_position(done);
        if total.is_none() && done > 0 {
            bar.set_message(format!("{}, {}", label(job, phase), output::count(done)));
        }
    }
}

/// `visitor_clicks: reading history`: where several jobs are followed in turn, whose bar it is.
fn label(job: &Json, phase: &str) -> String {
    format!("{}: {phase}", subject_of(job))
}

/// The view, table or source that a job is about: `visitor_clicks` of `view/visitor_clicks@a13a6b02df06`.
fn subject_of(job: &Json) -> String {
    let subject = member(job, "subject");
    let named = subject.rsplit('/').next().unwrap_or_default();
    named.split('@').next().unwrap_or_default().to_owned()
}

/// Whether a job that has ended did what it was asked to do; if not, why.
pub(super) fn ended_well(job: &Json) -> Result<ExitCode, CommandFailure> {
    match job["state"].as_str() {
        Some("done") => Ok(ExitCode::SUCCESS),
        Some("failed") => {
            let word = |name: &str| job["error"][name].as_str().map(str::to_owned);
            Err(CommandFailure {
                message: word("message").unwrap_or_else(|| "the job failed".to_owned()),
                hint: word("hint"),
                code: word("code"),
                exit: exit::FAILED,
            })
        }
        _ => {
            let cancelled = CommandFailure::new(format!("job {} was cancelled", member(job, "id")));
            Err(match job["kind"] == "backfill" {
                true => cancelled.with_hint(format!(
                    "`shipway features rebuild --view {}` goes on with it",
                    subject_of(job)
                )),
                false => cancelled,
            })
        }
    }
}

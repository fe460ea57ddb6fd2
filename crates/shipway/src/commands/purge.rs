//! `purge`.

use std::{
    io::{BufRead, IsTerminal},
    process::ExitCode,
};

use serde_json::{Value as Json, json};

use super::{Context, jobs};
use crate::{
    arguments::Purge,
    failure::{CommandFailure, exit},
    output::{self, Format},
};

pub(super) async fn run(context: &Context, options: &Purge) -> Result<ExitCode, CommandFailure> {
    let ask = |dry_run: bool| json!({ "older_than": options.older_than, "dry_run": dry_run });
    let plan = context.client.post("/purge", &ask(true)).await?;
    if options.dry_run && context.format == Format::Json {
        output::json(&plan);
        return Ok(ExitCode::SUCCESS);
    }
    if context.format == Format::Text {
        print(&plan);
    }
    if options.dry_run {
        output::line("nothing was changed");
        return Ok(ExitCode::SUCCESS);
    }
    if !options.yes && !is_wanted()? {
        output::note("nothing was changed");
        return Ok(ExitCode::from(exit::FAILED));
    }
    let begun = context.client.post("/purge", &ask(false)).await?;
    let Some(id) = begun["job"].as_str() else {
        match context.format {
            Format::Json => output::json(&begun),
            Format::Text => output::line("there is nothing to purge"),
        }
        return Ok(ExitCode::SUCCESS);
    };
    let job = jobs::wait(context, id).await?;
    match context.format {
        Format::Json => output::json(&job),
        Format::Text if job["state"] == "done" => {
            let result = &job["result"];
            output::line(format!(
                "purged {} experiments, {} runs, {} logged models, {} traces; {} of files",
                output::count_of(result, "experiments"),
                output::count_of(result, "runs"),
                output::count_of(result, "logged_models"),
                output::count_of(result, "traces"),
                output::bytes(result["blob_bytes"].as_u64().unwrap_or_default())
            ));
        }
        Format::Text => {}
    }
    jobs::ended_well(&job)
}

fn print(plan: &Json) {
    output::line(format!(
        "{} experiments, {} runs and {} logged models go, with {} of files",
        output::count_of(plan, "experiments"),
        output::count_of(plan, "runs"),
        output::count_of(plan, "logged_models"),
        output::bytes(plan["file_bytes"].as_u64().unwrap_or_default())
    ));
    for kept in plan["protected"].as_array().into_iter().flatten() {
        output::line(format!("  {} stays: a version in the registry is made of it", output::cell(kept)));
    }
}

/// Asks the person; nobody at the terminal is no yes.
fn is_wanted() -> Result<bool, CommandFailure> {
    if !std::io::stdin().is_terminal() {
        return Err(CommandFailure::new("purging cannot be undone, and nobody is there to be asked")
            .with_hint("say --yes, or look first with --dry-run"));
    }
    output::note("They cannot be restored. Go on? Type yes:");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}

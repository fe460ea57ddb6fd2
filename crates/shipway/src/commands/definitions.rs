//! `plan` and `apply`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value as Json, json};

use super::{Context, changes, views};
use crate::{
    arguments::{Apply, Definitions},
    failure::{CommandFailure, exit},
    output::{self, Format},
};

pub(super) async fn plan(context: &Context, options: &Definitions) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.post("/definitions/plan", &body(options)?).await?;
    let changes = answer["changes"].as_array().map_or(0, Vec::len);
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        changes::print(&answer);
        match changes {
            0 => output::line("nothing to do"),
            number => {
                let (cost, prune) = (changes::cost(&answer), if options.prune { " --prune" } else { "" });
                output::line(format!(
                    "{number} to apply{cost}: shipway apply{prune} {}",
                    shown(&options.paths)
                ));
            }
        }
    }
    Ok(ExitCode::from(if changes == 0 { 0 } else { exit::CHANGES }))
}

pub(super) async fn apply(context: &Context, options: &Apply) -> Result<ExitCode, CommandFailure> {
    let mut answer = context.client.post("/definitions/apply", &body(&options.definitions)?).await?;
    let mut builds = views::building(context).await?;
    builds.retain(|build| is_among(&answer, build));
    if context.format == Format::Json {
        answer["builds"] = builds.iter().map(views::named).collect();
    }
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        changes::print(&answer);
        match answer["changes"].as_array().map_or(0, Vec::len) {
            0 => output::line("nothing to do"),
            number => output::line(format!("applied {number}")),
        }
    }
    let waits = options.wait || !options.no_wait && output::is_at_terminal();
    if waits {
        return views::wait(context, &builds).await;
    }
    if context.format != Format::Json {
        for build in &builds {
            output::line(views::told(context, build).await);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the view of a build is one of those applied: nobody asked here about others that are built meanwhile.
fn is_among(answer: &Json, build: &Json) -> bool {
    let applied = ["changes", "unchanged"].into_iter().flat_map(|list| answer[list].as_array());
    applied.flatten().any(|subject| subject["kind"] == "view" && subject["name"] == build["view"])
}

fn body(options: &Definitions) -> Result<Json, CommandFailure> {
    let mut files = Vec::new();
    for path in &options.paths {
        collect(path, &mut files)?;
    }
    if files.is_empty() {
        return Err(CommandFailure::new(format!("{}: no definitions found", shown(&options.paths)))
            .with_hint("definitions are files that end in .yaml or .yml"));
    }
    Ok(json!({ "files": files, "prune": options.prune }))
}

fn collect(path: &Path, files: &mut Vec<Json>) -> Result<(), CommandFailure> {
    let found = fs_err::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            CommandFailure::new(format!("{}: there is no such file or folder", path.display()))
        }
        _ => error.into(),
    })?;
    if found.is_dir() {
        let mut entries: Vec<PathBuf> =
            fs_err::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        entries.sort();
        for entry in entries {
            let is_definition = entry.extension().is_some_and(|end| end == "yaml" || end == "yml");
            if entry.is_dir() || is_definition {
                collect(&entry, files)?;
            }
        }
        return Ok(());
    }
    files.push(json!({ "path": path.display().to_string(), "text": fs_err::read_to_string(path)? }));
    Ok(())
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

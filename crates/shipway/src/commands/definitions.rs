//! `plan` and `apply`.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value as Json, json};

use super::Context;
use crate::{
    arguments::Definitions,
    failure::{CommandFailure, exit},
    output::{self, Format, member},
};

pub(super) async fn plan(context: &Context, options: &Definitions) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.post("/definitions/plan", &body(options)?).await?;
    let changes = answer["changes"].as_array().map_or(0, Vec::len);
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        print_changes(&answer);
        match changes {
            0 => output::line("nothing to do"),
            number => output::line(format!("{number} to apply: shipway apply {}", shown(&options.paths))),
        }
    }
    Ok(ExitCode::from(if changes == 0 { 0 } else { exit::CHANGES }))
}

pub(super) async fn apply(context: &Context, options: &Definitions) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.post("/definitions/apply", &body(options)?).await?;
    if context.format == Format::Json {
        output::json(&answer);
    } else {
        print_changes(&answer);
        match answer["changes"].as_array().map_or(0, Vec::len) {
            0 => output::line("nothing to do"),
            number => output::line(format!("applied {number}")),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_changes(answer: &Json) {
    for change in answer["changes"].as_array().into_iter().flatten() {
        let mark = match change["action"].as_str() {
            Some("created") => '+',
            Some("removed") => '-',
            _ => '~',
        };
        output::line(format!("{mark} {} {}", member(change, "kind"), member(change, "name")));
        for field in change["fields"].as_array().into_iter().flatten() {
            let (before, after) = (member(field, "before"), member(field, "after"));
            output::line(format!("    {}: {before} → {after}", member(field, "field")));
        }
        for consequence in change["consequences"].as_array().into_iter().flatten() {
            output::line(format!("    {}", output::cell(consequence)));
        }
    }
    for kept in answer["kept"].as_array().into_iter().flatten() {
        let named = format!("{} {}", member(kept, "kind"), member(kept, "name"));
        output::line(format!("= {named} is not in these files and stays; --prune removes it"));
    }
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
    if fs_err::metadata(path)?.is_dir() {
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

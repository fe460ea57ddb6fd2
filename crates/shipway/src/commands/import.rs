//! `import mlflow`.

use std::{path::Path, process::ExitCode};

use super::Context;
use crate::{
    arguments::{self, ImportMlflow},
    failure::{CommandFailure, exit},
    import::{Credentials, FolderSource, Import, Options, RestSource, Source},
    output::{self, Format},
};

pub(super) async fn run(context: &Context, action: &arguments::Import) -> Result<ExitCode, CommandFailure> {
    let arguments::Import::Mlflow(asked) = action;
    let source = source(asked)?;
    let options = Options {
        workspace: asked.workspace.as_deref(),
        at_once: asked.at_once.clamp(1, 64),
        recheck: asked.recheck,
    };
    let (report, ended) = Import::new(source.as_ref(), &context.client, options).run().await;
    match context.format {
        Format::Json => output::json(&report.json()),
        Format::Text => report.print(),
    }
    ended?;
    Ok(ExitCode::from(if report.has_failed() { exit::FAILED } else { 0 }))
}

fn source(asked: &ImportMlflow) -> Result<Box<dyn Source>, CommandFailure> {
    if !asked.from.contains("://") {
        return Ok(Box::new(FolderSource::new(Path::new(&asked.from), asked.artifacts.as_deref())?));
    }
    if asked.artifacts.is_some() {
        return Err(CommandFailure::new(
            "--artifacts belongs to a folder: a server hands out its artifacts itself",
        ));
    }
    let credentials = match (&asked.from_user, &asked.from_password, &asked.from_token) {
        (Some(user), Some(password), _) => {
            Credentials::Basic { user: user.clone(), password: password.clone() }
        }
        (_, _, Some(token)) => Credentials::Token(token.clone()),
        _ => Credentials::None,
    };
    Ok(Box::new(RestSource::new(&asked.from, credentials)?))
}

//! `import mlflow`, `import litellm`.

use std::{path::Path, process::ExitCode};

use serde_json::json;
use shipway_definitions::LitellmImport;

use super::Context;
use crate::{
    arguments::{self, ImportLitellm, ImportMlflow},
    failure::{CommandFailure, exit},
    import::{Credentials, FolderSource, Import, Options, RestSource, Source},
    output::{self, Format},
};

pub(super) async fn run(context: &Context, action: &arguments::Import) -> Result<ExitCode, CommandFailure> {
    match action {
        arguments::Import::Mlflow(asked) => mlflow(context, asked).await,
        arguments::Import::Litellm(asked) => litellm(context, asked),
    }
}

async fn mlflow(context: &Context, asked: &ImportMlflow) -> Result<ExitCode, CommandFailure> {
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

const MODELS: &str = "llm-models.yaml";
const PROVIDERS: &str = "providers.toml";

fn litellm(context: &Context, asked: &ImportLitellm) -> Result<ExitCode, CommandFailure> {
    let shown = asked.file.display();
    let text = fs_err::read_to_string(&asked.file)?;
    let found = LitellmImport::read(&text).map_err(|wrong| {
        CommandFailure::new(format!("{shown}: {wrong}"))
            .with_hint("give the config.yaml that `litellm --config` takes")
    })?;
    if let Some(folder) = &asked.into {
        fs_err::create_dir_all(folder)?;
        write_new(&folder.join(MODELS), &found.definitions)?;
        write_new(&folder.join(PROVIDERS), &found.configuration)?;
    }
    if context.format == Format::Json {
        output::json(&json!(found));
    } else {
        print(&found, asked.into.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str) -> Result<(), CommandFailure> {
    use std::io::Write as _;
    let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn print(found: &LitellmImport, into: Option<&Path>) {
    match into {
        Some(folder) => {
            output::line(format!("{}: plan and apply it", folder.join(MODELS).display()));
            output::line(format!("{}: put it into shipway.toml", folder.join(PROVIDERS).display()));
        }
        None => {
            output::line(format!("# {MODELS}: for `shipway plan` and `shipway apply`"));
            output::raw(&found.definitions);
            output::line(format!("\n# {PROVIDERS}: for shipway.toml"));
            output::raw(&found.configuration);
        }
    }
    if !found.environment.is_empty() {
        output::line("\n# start the server with");
        for (ours, theirs) in &found.environment {
            output::line(format!("#   {ours}=\"${theirs}\""));
        }
    }
    let carried = found.left_out.is_empty();
    output::line(if carried { "\n# everything was carried" } else { "\n# not carried, or not as it was" });
    for left_out in &found.left_out {
        output::line(format!("#   {left_out}"));
    }
}

//! One file per verb. A command asks a server and prints the answer; it decides nothing.

mod access;
mod catalog;
mod changes;
mod definitions;
mod deploy;
mod drop;
mod import;
mod ingest;
mod jobs;
mod launch;
mod llm;
mod metadata;
mod models;
mod purge;
mod read;
mod rows;
mod runtime;
mod sinks;
mod sources;
mod sql;
mod status;
mod streams;
mod table;
mod training_set;
mod verify;
mod views;
mod workspaces;

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    arguments::{Arguments, Command, Features, Table},
    client::Client,
    failure::CommandFailure,
    output::Format,
    reference, serve,
};

/// What every command needs: a server to ask and a way to print.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) format: Format,
}

/// Runs one command to its exit code.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, CommandFailure> {
    match arguments.command {
        Command::Completions { shell } => {
            let mut written = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "shipway", &mut written);
            crate::output::raw(&String::from_utf8_lossy(&written));
            Ok(ExitCode::SUCCESS)
        }
        Command::Reference(action) => reference::run(&action),
        Command::Serve(options) => serve::run(&options, arguments.connection.token),
        Command::Metadata(action) => metadata::run(&action, arguments.connection.output),
        Command::Runtime(action) => runtime::run(&action, arguments.connection.output),
        command => {
            let context =
                Context { client: Client::new(&arguments.connection)?, format: arguments.connection.output };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ask(command, &context))
        }
    }
}

async fn ask(command: Command, context: &Context) -> Result<ExitCode, CommandFailure> {
    match command {
        Command::Plan(options) => definitions::plan(context, &options).await,
        Command::Apply(options) => definitions::apply(context, &options).await,
        Command::Drop(options) => drop::run(context, &options).await,
        Command::Sources(action) => sources::run(context, &action).await,
        Command::Sinks(action) => sinks::run(context, &action).await,
        Command::Table(Table::Load { table, file, format, load_id }) => {
            table::load(context, &table, &file, format, load_id.as_deref()).await
        }
        Command::Table(Table::List) => table::list(context).await,
        Command::Table(Table::Maintain { table: Some(table) }) => table::maintain(context, &table).await,
        Command::Table(Table::Maintain { table: None }) => table::upkeep(context).await,
        Command::Sql(options) => sql::run(context, &options).await,
        Command::Import(action) => import::run(context, &action).await,
        Command::Ingest(options) => ingest::run(context, &options).await,
        Command::Features(Features::List(search)) => catalog::list(context, &search).await,
        Command::Features(Features::Read { service, rows }) => read::features(context, &service, &rows).await,
        Command::Features(Features::TrainingSet(options)) => training_set::run(context, &options).await,
        Command::Features(Features::TrainingSets { table }) => {
            training_set::list(context, table.as_deref()).await
        }
        Command::Features(Features::Views) => views::list(context).await,
        Command::Features(Features::Rebuild { view: Some(view), hash, detach, .. }) => {
            views::rebuild(context, &view, hash.as_deref(), detach).await
        }
        Command::Features(Features::Rebuild { table, into, detach, .. }) => {
            training_set::rebuild(context, &table.unwrap_or_default(), into.as_deref(), detach).await
        }
        Command::Features(Features::Verify { deployment, limit }) => {
            verify::run(context, &deployment, limit).await
        }
        Command::Models(action) => models::run(context, &action).await,
        Command::Workspaces(action) => workspaces::run(context, &action).await,
        Command::Deploy(options) => deploy::run(context, &options).await,
        Command::Launch(command) => launch::run(context, &command).await,
        Command::Llm(action) => llm::run(context, &action).await,
        Command::Predict(options) => read::predictions(context, &options.deployment, &options.rows).await,
        Command::Jobs(action) => jobs::run(context, &action).await,
        Command::Purge(options) => purge::run(context, &options).await,
        Command::Status => status::run(context).await,
        Command::Whoami => access::whoami(context).await,
        Command::Users(action) => access::users(context, &action).await,
        Command::Roles(action) => access::roles(context, &action).await,
        Command::Tokens(action) => access::tokens(context, &action).await,
        Command::Serve(_)
        | Command::Metadata(_)
        | Command::Runtime(_)
        | Command::Completions { .. }
        | Command::Reference(_) => Ok(ExitCode::SUCCESS),
    }
}

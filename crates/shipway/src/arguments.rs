//! What can be typed. The doc comments are the help texts and, through `reference`, docs/reference/cli.md.

mod access;
mod drop;
mod import;
mod launch;
mod llm;
mod metadata;
mod models;
mod purge;
mod runtime;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use access::{NewPassword, Roles, Tokens, Users};
pub(crate) use drop::Drop;
pub(crate) use import::{Import, ImportLitellm, ImportMlflow};
pub(crate) use launch::{Launch, LaunchStart};
pub(crate) use llm::{
    Llm, LlmGroups, LlmGuardrails, LlmKeys, LlmLabels, LlmLimits, LlmOnOutage, LlmRecompute, LlmSecrets,
    LlmTraceFilter, LlmTraces, RecomputeBy,
};
pub(crate) use metadata::Metadata;
pub(crate) use models::{Deploy, DeployAction, Models, Predict, Preview, Workspaces};
pub(crate) use purge::Purge;
pub(crate) use runtime::Runtime;

use crate::output::Format;

/// Shipway carries a machine-learning model from idea to production.
#[derive(Debug, Parser)]
#[command(name = "shipway", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Stands over the options that every command has, so that they do not lie between those of one command.
const EVERY_COMMAND: &str = "Options of every command";

/// Which server to ask, and how to print its answers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// Address of the server
    #[arg(
        long,
        global = true,
        help_heading = EVERY_COMMAND,
        env = "SHIPWAY_SERVER",
        default_value = "http://127.0.0.1:8700",
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// Token that the server demands of its callers
    #[arg(
        long,
        global = true,
        help_heading = EVERY_COMMAND,
        env = "SHIPWAY_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub(crate) token: Option<String>,
    /// Name to sign in with instead of a token; the password is asked for, or is in the environment
    #[arg(long = "user", global = true, help_heading = EVERY_COMMAND, env = "SHIPWAY_USER", value_name = "USER")]
    pub(crate) signed_in_as: Option<String>,
    /// Password of that user. Meant for the environment: others see what is typed
    #[arg(
        long = "user-password",
        global = true,
        hide = true,
        env = "SHIPWAY_PASSWORD",
        hide_env_values = true
    )]
    pub(crate) sign_in_password: Option<String>,
    /// How answers are printed
    #[arg(long, global = true, help_heading = EVERY_COMMAND, value_enum, default_value_t)]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(Serve),
    /// Show what applying definitions would change; exits 2 when there is something to do
    Plan(Definitions),
    /// Apply definitions: all of them or none
    Apply(Apply),
    /// Take one definition out of force; refused while something uses it
    Drop(Drop),
    /// Load and list history tables
    #[command(subcommand)]
    Table(Table),
    /// Look for news of sources whose history lies elsewhere, and show how they stand
    #[command(subcommand)]
    Sources(Sources),
    /// Show what flows out, and have it sent once more
    #[command(subcommand)]
    Sinks(Sinks),
    /// Ask the history tables a question in SQL; read only
    Sql(Sql),
    /// Send events to a source as JSON lines
    Ingest(Ingest),
    /// Find and read features, build training sets, prove what was served
    #[command(subcommand)]
    Features(Features),
    /// List, show and promote models
    #[command(subcommand)]
    Models(Models),
    /// List, make and delete workspaces, which keep experiments and models of groups apart
    #[command(subcommand)]
    Workspaces(Workspaces),
    /// Serve the model behind an alias, or list what is served
    Deploy(Deploy),
    /// Launch a version of a deployment's model step by step, and look at how it goes
    #[command(subcommand)]
    Launch(Launch),
    /// Models of language at providers: keys, groups, what they cost
    #[command(subcommand)]
    Llm(Llm),
    /// Ask a deployment for predictions
    Predict(Predict),
    /// List, show, cancel and await jobs
    #[command(subcommand)]
    Jobs(Jobs),
    /// Show what the server holds and how fresh it is
    Status,
    /// Show who the server takes you for, and what you may do
    Whoami,
    /// Make, list, change and remove users, and grant them things
    #[command(subcommand)]
    Users(Users),
    /// Make, list, change and remove roles
    #[command(subcommand)]
    Roles(Roles),
    /// Make, list and take back tokens
    #[command(subcommand)]
    Tokens(Tokens),
    /// Bring over what another server recorded
    #[command(subcommand)]
    Import(Import),
    /// Remove deleted experiments, runs and logged models for good, with their files
    Purge(Purge),
    /// Move the metadata database, while no server runs
    #[command(subcommand)]
    Metadata(Metadata),
    /// Install the library that runs ONNX models
    #[command(subcommand)]
    Runtime(Runtime),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write or check the generated reference pages
    #[command(hide = true, subcommand)]
    Reference(Reference),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration file; without it `shipway.toml` in the current folder, if there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) configuration: Option<PathBuf>,
    /// Folder of everything that the server keeps
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct Definitions {
    /// Files and folders of definitions (.yaml, .yml); folders are read with all below them
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Also remove what exists and is no longer defined
    #[arg(long)]
    pub(crate) prune: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) definitions: Definitions,
    /// Wait until new views have their state; at a terminal that is the default
    #[arg(long, overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// Do not wait: print the jobs that build new views
    #[arg(long, overrides_with = "wait")]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// Comma-separated values with a header line
    Csv,
    /// One JSON object a line
    Jsonl,
    /// Apache Parquet
    Parquet,
    /// An Arrow IPC stream
    Arrow,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Table {
    /// Load a file into a table: all rows or none; the same file twice is loaded once
    Load {
        /// Name of the table; the name of a source loads that source's history
        table: String,
        /// The file
        file: PathBuf,
        /// Format of the file; by default from its extension
        #[arg(long, value_enum)]
        format: Option<FileFormat>,
        /// Identity of this load; by default the digest of the file
        #[arg(long, value_name = "ID")]
        load_id: Option<String>,
    },
    /// List the tables
    List,
    /// Join and sort the files of a table now, and remove files older than the retention; no row changes
    Maintain {
        /// Name of the table; without it, what the upkeep did to each table is listed
        table: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sources {
    /// Load what is new of a source: each file or version once; exits 1 when something could not be loaded
    Refresh {
        /// Name of the source
        source: String,
        /// Follow it to its end, with a progress bar
        #[arg(long)]
        wait: bool,
    },
    /// Show what flows in, what is loaded and what is wrong, of all sources; or of one that is loaded from elsewhere
    Status {
        /// Name of the source
        #[arg(conflicts_with = "watch")]
        source: Option<String>,
        /// Show what flows again every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Pass over messages that the broker keeps no more; none of them is counted in any feature
    Skip {
        /// Name of the source
        source: String,
        /// The partition that stands still
        #[arg(long)]
        partition: u32,
        /// The offset to read on from
        #[arg(long, value_name = "OFFSET")]
        to: u64,
    },
    /// Read the dead letters of a source again, after what was wrong with them or with its definition is mended
    Replay {
        /// Name of the source
        source: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sinks {
    /// Show what flows out of every sink, and what is wrong
    Status {
        /// Show it again every second, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Send the row of every key of a sink's view once more, beside those whose events come
    Resend {
        /// Name of the sink
        sink: String,
    },
    /// Say that it is known what a sink has skipped
    Acknowledge {
        /// Name of the sink
        sink: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// The query; `-` reads it from standard input
    pub(crate) query: String,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    /// Name of the source
    pub(crate) source: String,
    /// File of JSON lines; `-` reads standard input
    #[arg(default_value = "-")]
    pub(crate) file: PathBuf,
    /// Events sent in one request
    #[arg(long, default_value_t = 1_000, value_name = "EVENTS")]
    pub(crate) batch: usize,
}

/// Which features are listed; all that is given must hold.
#[derive(Debug, Args)]
pub(crate) struct FeatureSearch {
    /// Only those with this tag
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Option<String>,
    /// Only those that this one answers for
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    /// Only those of this class of personal data
    #[arg(long, value_name = "CLASS", value_parser = ["none", "personal", "sensitive"])]
    pub(crate) pii: Option<String>,
    /// Only those that should not be taken any more
    #[arg(long)]
    pub(crate) deprecated: bool,
    /// Only those of this view
    #[arg(long, value_name = "VIEW")]
    pub(crate) view: Option<String>,
    /// Only those that describe this entity
    #[arg(long, value_name = "ENTITY")]
    pub(crate) entity: Option<String>,
    /// Only those that this service takes
    #[arg(long, value_name = "SERVICE")]
    pub(crate) service: Option<String>,
    /// Only those with this in their name, description, owner or tags
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Features {
    /// List features with what is known about them
    List(FeatureSearch),
    /// Read a service's features for one or more keys
    Read {
        /// Name of the service
        service: String,
        #[command(flatten)]
        rows: Rows,
    },
    /// Build a point-in-time-correct training set
    TrainingSet(TrainingSet),
    /// List the training sets that are kept, or show one with its recipe
    TrainingSets {
        /// Table of the training set to show
        table: Option<String>,
    },
    /// List the views: which have their online state, and how far the others are
    Views,
    /// Make a kept training set again from its recipe and compare every bit, exits 1 when any differs; or, with `--view`, build
    /// the online state of a view again from history beside the one that is read, compare them, and put it in its place
    Rebuild {
        /// Table of the training set
        #[arg(required_unless_present = "view", conflicts_with = "view")]
        table: Option<String>,
        /// View whose online state is built; one whose build was cancelled goes on
        #[arg(long, value_name = "VIEW")]
        view: Option<String>,
        /// Version of the view; by default the one in force
        #[arg(long, value_name = "HASH", requires = "view")]
        hash: Option<String>,
        /// Write it to this new table; by default it is compared only, or written again if its table is gone
        #[arg(long, value_name = "TABLE", conflicts_with = "view")]
        into: Option<String>,
        /// Do not wait for the end: print the job
        #[arg(long)]
        detach: bool,
    },
    /// Replay served vectors against history; exits 1 when any differs
    Verify {
        /// Name of the deployment
        deployment: String,
        /// Compare at most this many of the latest vectors
        #[arg(long, value_name = "VECTORS")]
        limit: Option<u64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TrainingSet {
    /// Name of the service
    pub(crate) service: String,
    /// Table that holds the spine: keys, a time, request columns, labels
    #[arg(long, value_name = "TABLE", required_unless_present = "spine_sql", conflicts_with = "spine_sql")]
    pub(crate) spine: Option<String>,
    /// Query whose result is the spine
    #[arg(long, value_name = "QUERY")]
    pub(crate) spine_sql: Option<String>,
    /// Column of the spine that holds each row's moment
    #[arg(long, value_name = "COLUMN")]
    pub(crate) time: String,
    /// Keep spine rows from this moment on
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Keep spine rows before this moment
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
    /// Write the training set to this Parquet file
    #[arg(long, value_name = "FILE", required_unless_present = "table")]
    pub(crate) file: Option<PathBuf>,
    /// Keep the training set in this table on the server, with the recipe that makes it again
    #[arg(long, visible_alias = "into", value_name = "TABLE", conflicts_with = "file")]
    pub(crate) table: Option<String>,
    /// Replace the table if it holds something else
    #[arg(long, requires = "table")]
    pub(crate) replace: bool,
    /// Do not wait for the end: print the job
    #[arg(long, requires = "table")]
    pub(crate) detach: bool,
    /// Which events count: all, or only those that the server had taken in by each row's moment
    #[arg(long, value_enum, default_value_t)]
    pub(crate) as_of: AsOf,
    /// A label as JSON: what came after each row; repeat for more
    #[arg(long = "label", value_name = "JSON")]
    pub(crate) labels: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum AsOf {
    /// Every event: the truth as it is known now
    #[default]
    EventTime,
    /// Only what had arrived by each row's moment: what serving saw
    Arrival,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Jobs {
    /// List the jobs, newest first
    List {
        /// Only those that are queued, running, done, failed or cancelled
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
        /// How many
        #[arg(long, default_value_t = 20, value_name = "JOBS")]
        limit: u32,
    },
    /// Show a job
    Show {
        /// Id of the job
        id: String,
    },
    /// Cancel a job
    Cancel {
        /// Id of the job
        id: String,
    },
    /// Follow a job to its end; exits 1 when it failed or was cancelled
    Wait {
        /// Id of the job
        id: String,
    },
}

/// Rows of keys and request columns.
#[derive(Debug, Args)]
pub(crate) struct Rows {
    /// A row as `column=value,…`, text that looks like a number in double quotes; repeat for more rows
    #[arg(long = "row", value_name = "COLUMN=VALUE,…", required_unless_present = "file")]
    pub(crate) rows: Vec<String>,
    /// File of rows as JSON lines; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "rows")]
    pub(crate) file: Option<PathBuf>,
    /// The moment to answer for; by default now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Token of an ingest: answer only when those events are visible
    #[arg(long, value_name = "TOKEN")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Reference {
    /// Write the generated pages below this folder
    Write {
        /// The folder, docs
        folder: PathBuf,
    },
    /// Fail when a generated page is not current
    Check {
        /// The folder, docs
        folder: PathBuf,
    },
}

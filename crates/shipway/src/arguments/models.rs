//! What can be typed of models, deployments and predictions.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Rows;

#[derive(Debug, Subcommand)]
pub(crate) enum Models {
    /// List the registered models
    List,
    /// Show a model's versions, aliases and evaluations
    Show {
        /// Name of the model
        model: String,
    },
    /// Give an alias to a version, if its gates allow it; exits 1 when refused
    Promote {
        /// Name of the model
        model: String,
        /// Number of the version
        version: u32,
        /// The alias
        alias: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeployAction {
    /// Run a candidate over what was served, and list the decisions that it would change
    Preview(Preview),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Workspaces {
    /// List the workspaces that you may see
    List,
    /// Make a workspace
    Create {
        /// Its name: 2 to 63 lower-case letters, digits and inner dashes
        workspace: String,
        /// What it is for
        #[arg(long)]
        description: Option<String>,
    },
    /// Delete a workspace; refused while something is in it
    Delete {
        /// Name of the workspace
        workspace: String,
        /// Remove what is in it for good, with its files
        #[arg(long, conflicts_with = "move_contents")]
        remove_contents: bool,
        /// Move what is in it to `default` first
        #[arg(long)]
        move_contents: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// Name of the deployment
    pub(crate) name: String,
    /// Alias of the deployment's model that names the candidate
    #[arg(long)]
    pub(crate) alias: String,
    /// How many of the last rows that were served
    #[arg(long, default_value_t = 10_000)]
    pub(crate) rows: u32,
    /// Numbers at this or above are one decision [default: 0.5 where all are probabilities]
    #[arg(long)]
    pub(crate) threshold: Option<f64>,
    /// Numbers that differ by more than this are another decision
    #[arg(long, conflicts_with = "threshold")]
    pub(crate) tolerance: Option<f64>,
    /// An input of the model to tell by; may be given several times
    #[arg(long = "segment", value_name = "INPUT")]
    pub(crate) segments: Vec<String>,
    /// How many examples to list
    #[arg(long, default_value_t = 5)]
    pub(crate) examples: u32,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Deploy {
    #[command(subcommand)]
    pub(crate) action: Option<DeployAction>,
    /// Name of the deployment; without it, what is deployed is listed
    pub(crate) name: Option<String>,
    /// Model to serve
    #[arg(long, requires = "name")]
    pub(crate) model: Option<String>,
    /// YAML file of an ensemble to serve: inputs, steps that are models or expressions, outputs
    #[arg(long, requires = "name", value_name = "FILE", conflicts_with_all = ["model", "alias"])]
    pub(crate) ensemble: Option<PathBuf>,
    /// Alias that decides which version
    #[arg(long, requires = "name", default_value = "champion")]
    pub(crate) alias: String,
    /// Feature service that supplies the inputs; without it callers send every input
    #[arg(long, requires = "name")]
    pub(crate) service: Option<String>,
    /// The most rows that run together, 1 for none [default: 64, and 1 for a model of tensors]
    #[arg(long, requires = "name", value_name = "ROWS")]
    pub(crate) max_batch_rows: Option<u32>,
    /// How long the first of a batch waits for others, in microseconds
    #[arg(long, requires = "name", value_name = "MICROSECONDS", default_value_t = 0)]
    pub(crate) max_batch_delay: u32,
    /// How many batches run at once; an ONNX model has a session, and its memory, for each
    #[arg(long, requires = "name", value_name = "BATCHES", default_value_t = 1)]
    pub(crate) instances: u32,
    /// The most requests that may wait for the model; the next one is refused
    #[arg(long, requires = "name", value_name = "REQUESTS", default_value_t = 1_000)]
    pub(crate) max_waiting: u32,
    /// How long a request may wait for the model, in milliseconds
    #[arg(long, requires = "name", value_name = "MILLISECONDS", default_value_t = 10_000)]
    pub(crate) wait_timeout: u32,
    /// Keep so many MiB of answers and give them again to the same inputs, for a model that always answers the same
    #[arg(long, requires = "name", value_name = "MIB", default_value_t = 0)]
    pub(crate) cache_mib: u64,
    /// The share of requests whose rows are logged, from 0 to 1 [default: all]
    #[arg(long, requires = "name", value_name = "SHARE")]
    pub(crate) log_share: Option<f64>,
    /// Take the deployment down
    #[arg(long, requires = "name", conflicts_with_all = ["model", "ensemble", "service"])]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// Name of the deployment
    pub(crate) deployment: String,
    #[command(flatten)]
    pub(crate) rows: Rows,
}

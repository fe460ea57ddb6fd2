//! What can be typed of models, deployments and predictions.

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

#[derive(Debug, Args)]
pub(crate) struct Deploy {
    /// Name of the deployment; without it, what is deployed is listed
    pub(crate) name: Option<String>,
    /// Model to serve
    #[arg(long, requires = "name")]
    pub(crate) model: Option<String>,
    /// Alias that decides which version
    #[arg(long, requires = "name", default_value = "champion")]
    pub(crate) alias: String,
    /// Feature service that supplies the model's inputs; without it callers send every input
    #[arg(long, requires = "name")]
    pub(crate) service: Option<String>,
    /// Take the deployment down
    #[arg(long, requires = "name", conflicts_with_all = ["model", "service"])]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Predict {
    /// Name of the deployment
    pub(crate) deployment: String,
    #[command(flatten)]
    pub(crate) rows: Rows,
}

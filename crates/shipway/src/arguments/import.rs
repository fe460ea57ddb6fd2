//! What can be typed of imports.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Bring experiments, runs, models and the registry over from MLflow; may be repeated and goes on where it stopped, exits 1 when
    /// something failed
    Mlflow(ImportMlflow),
    /// Turn a config.yaml of LiteLLM's proxy into definitions of models and the providers of the configuration; asks no server, copies
    /// no secret, and lists what it could not carry
    Litellm(ImportLitellm),
}

#[derive(Debug, Args)]
pub(crate) struct ImportLitellm {
    /// The config.yaml; files that it includes are not read
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Folder that llm-models.yaml and providers.toml are written into; files of these names that are there already stay, and the command
    /// fails. Without it, both are printed
    #[arg(long, value_name = "FOLDER")]
    pub(crate) into: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportMlflow {
    /// Address of a running `mlflow server`, or a folder such as `mlruns` over which none runs
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: String,
    /// User that the source asks for
    #[arg(
        long,
        value_name = "USER",
        env = "MLFLOW_TRACKING_USERNAME",
        hide_env_values = true,
        requires = "from_password"
    )]
    pub(crate) from_user: Option<String>,
    /// Password that the source asks for; the environment keeps it out of the list of processes
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "MLFLOW_TRACKING_PASSWORD",
        hide_env_values = true,
        requires = "from_user"
    )]
    pub(crate) from_password: Option<String>,
    /// Token that the source asks for
    #[arg(long, value_name = "TOKEN", env = "MLFLOW_TRACKING_TOKEN", hide_env_values = true)]
    pub(crate) from_token: Option<String>,
    /// Folder of the artifacts of a folder, where they are not in it; by default `mlartifacts` beside it
    #[arg(long, value_name = "FOLDER")]
    pub(crate) artifacts: Option<PathBuf>,
    /// Workspace that everything goes into; without it, `default`
    #[arg(long, value_name = "WORKSPACE")]
    pub(crate) workspace: Option<String>,
    /// Runs and models that are brought at the same time
    #[arg(long, value_name = "ITEMS", default_value_t = 4)]
    pub(crate) at_once: usize,
    /// Read and compare also what came whole in an earlier import
    #[arg(long)]
    pub(crate) recheck: bool,
}

//! What can be typed of the metadata database.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Metadata {
    /// Move the metadata of a data folder from SQLite into the empty PostgreSQL database that `metadata.url` names
    Move {
        /// Configuration file; without it `shipway.toml` in the current folder, if there is one
        #[arg(long, value_name = "FILE")]
        configuration: Option<PathBuf>,
        /// Folder of everything that the server keeps
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
}

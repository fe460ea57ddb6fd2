//! What can be typed of the libraries that run models.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Runtime {
    /// Put ONNX Runtime's library into the data folder, out of its Python package; the server finds it there
    Install {
        /// Version of the package
        #[arg(long, default_value = "1.24.4")]
        version: String,
        /// Take the package for CUDA
        #[arg(long)]
        gpu: bool,
        /// Python whose pip fetches the package
        #[arg(long, value_name = "PROGRAM", default_value = "python3")]
        python: String,
        /// Configuration file; without it `shipway.toml` in the current folder, if there is one
        #[arg(long, value_name = "FILE")]
        configuration: Option<PathBuf>,
        /// Folder of everything that the server keeps
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
}

//! How models run in processes of Python.

use std::{ffi::OsString, fmt, path::PathBuf, time::Duration};

/// Where a model's packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PythonEnvironment {
    /// From its own requirements, installed once into a folder of their own. Wheels only: nothing of a package runs while it is
    /// installed.
    Built,
    /// From the interpreter as it is. What is there in another version than the model was made with is written to the log.
    Given,
    /// The same, and a model whose requirements are there in other versions does not load.
    Matching,
}

/// How models run in processes of Python.
#[derive(Debug, Clone)]
pub struct PythonOptions {
    /// The interpreter.
    pub interpreter: PathBuf,
    /// Where a model's packages come from.
    pub environment: PythonEnvironment,
    /// Where wheels come from: the address of an index, or a folder of wheels; without it, what pip is set to.
    pub index: Option<String>,
    /// Bytes of memory that one model may write to.
    pub memory_bytes: u64,
    /// How long one call may take. A process that takes longer is killed and started anew.
    pub call_timeout: Duration,
    /// Whether a model is refused where its process cannot be confined.
    pub sandbox_required: bool,
    /// Threads that the libraries of numbers under a model may use.
    pub threads: usize,
    /// A folder for environments and for what models need while they are loaded.
    pub folder: PathBuf,
    /// The folder of everything that the server keeps, which no model may read.
    pub private: PathBuf,
    /// The environment that pip gets, and nobody else.
    pub pip: PipEnvironment,
}

/// Environment variables for pip: proxies may carry passwords, so they are not shown.
#[derive(Clone, Default)]
pub struct PipEnvironment(pub Vec<(OsString, OsString)>);

impl fmt::Debug for PipEnvironment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PipEnvironment({} variables)", self.0.len())
    }
}

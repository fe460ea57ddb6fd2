//! What can be wrong with a model that runs in a process of Python, or with its process.

use std::borrow::Cow;

use shipway_core::{Failure, Kind};

/// Why a model in a process of its own does not load or does not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PythonError {
    /// The model's signature is missing, or has something that cannot be sent to it.
    #[error("the signature of the model: {0}")]
    Signature(String),
    /// Its requirements name something else than packages.
    #[error("requirements.txt, line {line}: {reason}")]
    Requirements {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The environment of its packages is not there, could not be built, or is another one.
    #[error("the model's Python environment: {0}")]
    Environment(String),
    /// The process cannot be confined as it must be.
    #[error("the model's process is not confined: {0}")]
    Sandbox(String),
    /// Python could not load the model.
    #[error("Python did not load the model: {0}")]
    Load(String),
    /// The model refused what it was asked.
    #[error("the model refused the input: {0}")]
    Refused(String),
    /// The model failed with an exception that does not speak of its input.
    #[error("the model failed: {0}")]
    Failed(String),
    /// What came out of the process is no answer to what was asked.
    #[error("the model's answer cannot be used: {0}")]
    Answer(String),
    /// The process ended or hung, and is started anew.
    #[error("the model's process {0}; it is started anew")]
    Down(String),
}

impl Failure for PythonError {
    fn kind(&self) -> Kind {
        match self {
            Self::Signature(_) | Self::Requirements { .. } | Self::Load(_) | Self::Refused(_) => {
                Kind::Invalid
            }
            Self::Environment(_) | Self::Sandbox(_) | Self::Down(_) => Kind::Unavailable,
            Self::Failed(_) | Self::Answer(_) => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "runtime.python_signature",
            Self::Requirements { .. } => "runtime.python_requirements",
            Self::Environment(_) => "runtime.python_environment",
            Self::Sandbox(_) => "runtime.python_sandbox",
            Self::Load(_) => "runtime.python_load",
            Self::Refused(_) => "runtime.python_refused",
            Self::Failed(_) => "runtime.python_failed",
            Self::Answer(_) => "runtime.python_answer",
            Self::Down(_) => "runtime.python_down",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Signature(_) => "log the model with signature=mlflow.models.infer_signature(input, output)",
            Self::Requirements { .. } => {
                "only packages by their names and versions are installed; put what it names into an index or a folder of wheels, `runtime.python.index`"
            }
            Self::Environment(_) => {
                "the server's log has what pip wrote; or set `runtime.python.environment` to `given` and install the packages yourself"
            }
            Self::Sandbox(_) => {
                "Linux 6.2 or newer with Landlock and seccomp is needed; `runtime.python.sandbox_required = false` does without, for models that you trust as much as the server"
            }
            Self::Load(_) | Self::Failed(_) => "the server's log has the whole traceback",
            Self::Down(_) => "try again a little later; `shipway deploy` says when it answers",
            Self::Refused(_) | Self::Answer(_) => return None,
        };
        Some(hint.into())
    }
}

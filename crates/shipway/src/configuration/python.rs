//! Models that are code, each in a process of Python of its own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_runtime::python::{PipEnvironment, PythonEnvironment, PythonOptions};

use crate::failure::CommandFailure;

/// Models that are code, each in a process of Python of its own.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PythonConfiguration {
    /// Path of the Python that runs models which are code: pickles of scikit-learn, PyTorch, functions of Python. Without it they are refused
    pub(crate) interpreter: Option<PathBuf>,
    /// Where a model's packages come from: `built`, from its own requirements, wheels only; `given`, what the interpreter has, and
    /// differences are logged; `matching`, the same, and a model made with other versions is refused
    pub(crate) environment: Environment,
    /// Where wheels come from: the address of an index, or a folder of wheels. Without it, what pip is set to
    pub(crate) index: Option<String>,
    /// MiB of memory that one model may write to
    pub(crate) memory_mib: u64,
    /// Seconds that one call of a model may take. One that takes longer is killed with its process, which is started anew
    pub(crate) call_timeout_seconds: u64,
    /// Whether models are refused where their processes cannot be confined, which takes Linux 6.2 with Landlock and seccomp
    pub(crate) sandbox_required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Environment {
    Built,
    Given,
    Matching,
}

impl Default for PythonConfiguration {
    fn default() -> Self {
        Self {
            interpreter: None,
            environment: Environment::Built,
            index: None,
            memory_mib: 4096,
            call_timeout_seconds: 60,
            sandbox_required: true,
        }
    }
}

/// What pip gets of the server's environment: how to reach an index, and its own settings.
const FOR_PIP: [&str; 11] = [
    "HOME",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "XDG_CACHE_HOME",
];

impl PythonConfiguration {
    /// How models run in processes, below `data`; `None` where they do not.
    pub(crate) fn options(
        &self,
        data: &Path,
        threads: usize,
    ) -> Result<Option<PythonOptions>, CommandFailure> {
        let Some(interpreter) = &self.interpreter else { return Ok(None) };
        if self.memory_mib == 0 || self.call_timeout_seconds == 0 {
            return Err(CommandFailure::new(
                "configuration: runtime.python.memory_mib and runtime.python.call_timeout_seconds must be above 0",
            ));
        }
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| CommandFailure::new(format!("{}: {error}", path.display())))
        };
        let data = absolute(data)?;
        let is_for_pip = |name: &str| FOR_PIP.contains(&name) || name.starts_with("PIP_");
        let pip = std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_for_pip)).collect();
        Ok(Some(PythonOptions {
            // Only made absolute: where its link leads would be another environment.
            interpreter: absolute(interpreter)?,
            environment: match self.environment {
                Environment::Built => PythonEnvironment::Built,
                Environment::Given => PythonEnvironment::Given,
                Environment::Matching => PythonEnvironment::Matching,
            },
            index: self.index.clone(),
            memory_bytes: self.memory_mib.saturating_mul(1 << 20),
            call_timeout: Duration::from_secs(self.call_timeout_seconds),
            sandbox_required: self.sandbox_required,
            threads,
            folder: data.join("runtime").join("python"),
            private: data,
            pip: PipEnvironment(pip),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_are_code_are_off_until_an_interpreter_is_named() {
        let mut configuration = PythonConfiguration::default();
        assert!(configuration.options(Path::new("data"), 1).unwrap().is_none());
        configuration.interpreter = Some("/opt/venv/bin/python".into());
        let options = configuration.options(Path::new("data"), 1).unwrap().unwrap();
        assert!(options.sandbox_required && options.private.is_absolute());
        assert_eq!(options.environment, PythonEnvironment::Built);
        configuration.memory_mib = 0;
        assert!(configuration.options(Path::new("data"), 1).is_err());
    }
}

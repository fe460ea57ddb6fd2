//! A version that is code is loaded into a process of its own, where the operator allows that.

use shipway_core::Failure as _;
use shipway_runtime::{
    Model, RuntimeError, mlflow,
    python::{ModelFolder, PythonError, PythonOptions, PythonPlan, REQUIREMENTS},
};

use super::{
    Served, Serving,
    loading::{MAX_DESCRIPTION_BYTES, MAX_MODEL_BYTES},
};
use crate::{error::ServingError, model::deployment::LoadTrouble, ports::ResolvedModel};

impl Serving {
    /// Loads a version that nothing in this process runs, which `refusal` says; without leave of the operator, or without a function
    /// of Python in the version, that is the answer.
    pub(super) async fn load_outside(
        &self,
        resolved: &ResolvedModel,
        refusal: RuntimeError,
    ) -> Result<Model, ServingError> {
        let Some(options) = self.inner.options.runtime.python.clone() else { return Err(refusal.into()) };
        let described = resolved.files.iter().find(|file| file.path == mlflow::DESCRIPTION);
        let Some(description) = described else { return Err(refusal.into()) };
        let description = self.read_file(resolved, description, MAX_DESCRIPTION_BYTES).await?;
        let plan = PythonPlan::of(&String::from_utf8_lossy(&description))?;
        let Some(plan) = plan else { return Err(refusal.into()) };
        let mut folder = ModelFolder::create(&options).map_err(|error| unwritten(&options, &error))?;
        let mut requirements = None;
        for file in &resolved.files {
            // One file is held at a time, whatever all of them weigh.
            let content = self.read_file(resolved, file, MAX_MODEL_BYTES).await?;
            if file.path == REQUIREMENTS {
                requirements = Some(String::from_utf8_lossy(&content).into_owned());
            }
            let path = file.path.clone();
            let writing =
                self.inner.tracker.spawn_blocking(move || folder.write(&path, &content).map(|()| folder));
            let written = writing.await.map_err(|_| ServingError::ShuttingDown)?;
            folder = written.map_err(|error| unwritten(&options, &error))?;
        }
        let name = format!("{} {}", resolved.name, resolved.version);
        let loading =
            self.inner.tracker.spawn_blocking(move || plan.load(folder, requirements, &options, name));
        Ok(loading.await.map_err(|_| ServingError::ShuttingDown)??)
    }
}

impl Served {
    /// Why it does not answer just now, though it has loaded: its process is being started anew.
    pub(super) fn trouble_now(&self) -> Option<LoadTrouble> {
        let trouble = self.model.trouble()?;
        Some(LoadTrouble {
            version: Some(self.resolved.version),
            at: self.since,
            code: trouble.code(),
            detail: trouble.to_string(),
            hint: trouble.hint().map(|hint| hint.into_owned()),
        })
    }
}

fn unwritten(options: &PythonOptions, error: &std::io::Error) -> ServingError {
    let reason = format!("{}: {error}", options.folder.display());
    RuntimeError::Python(PythonError::Environment(reason)).into()
}

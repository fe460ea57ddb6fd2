//! ONNX Runtime's shared library: loaded from the configured path, once, for the life of the process.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use ort::environment::Environment;

use crate::{error::RuntimeError, model::RuntimeOptions};

/// One environment per process: ONNX Runtime allows no second one.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The process's environment, made from the library at the configured path.
pub(super) fn environment(options: &RuntimeOptions) -> Result<Environment, RuntimeError> {
    let mut held = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = held.as_ref() {
        return Ok(environment.clone());
    }
    let Some(path) = options.onnx_library.as_deref() else {
        return Err(RuntimeError::OnnxLibrary { path: None, reason: "no path is configured".to_owned() });
    };
    let missing = |reason: String| RuntimeError::OnnxLibrary { path: Some(path.to_owned()), reason };
    if !Path::is_file(path) {
        return Err(missing(format!("{} is not a file", path.display())));
    }
    let environment = ort::init_from(path)
        .map_err(|error| missing(format!("{} does not load: {error}", path.display())))?
        .with_name("shipway")
        .with_telemetry(false)
        .build()
        .map_err(RuntimeError::onnx("start"))?;
    Ok(held.insert(environment).clone())
}

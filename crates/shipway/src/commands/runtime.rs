//! `runtime`: the libraries that run models.

use std::process::{Command, ExitCode};

use serde_json::json;

use crate::{
    arguments,
    configuration::{Configuration, Flags, onnx_library},
    failure::CommandFailure,
    output::{self, Format},
};

pub(super) fn run(action: &arguments::Runtime, format: Format) -> Result<ExitCode, CommandFailure> {
    let arguments::Runtime::Install { version, gpu, python, configuration, data } = action;
    let flags = Flags { data: data.clone(), ..Flags::default() };
    let configuration = Configuration::read(configuration.clone(), &flags)?;
    let is_version = !version.is_empty()
        && version.chars().all(|character| character.is_ascii_alphanumeric() || character == '.');
    if !is_version {
        return Err(CommandFailure::new(format!("{version:?} is no version of a package")));
    }
    let package = if *gpu { "onnxruntime-gpu" } else { "onnxruntime" };
    let folder = onnx_library::installed_under(&configuration.data);
    if format == Format::Text {
        output::line(format!("fetching {package} {version} with {python} -m pip"));
    }
    let done = Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"])
        .args(["--only-binary", ":all:", "--target"])
        .arg(&folder)
        .arg(format!("{package}=={version}"))
        .output()
        .map_err(|error| {
            CommandFailure::new(format!("{python}: {error}"))
                .with_hint("name a Python 3 that has pip with --python, or set runtime.onnx_library to a library that you have")
        })?;
    if !done.status.success() {
        let words = String::from_utf8_lossy(&done.stderr);
        let reason = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        return Err(CommandFailure::new(format!("{package} {version} was not installed: {reason}"))
            .with_hint("choose another --version, or set runtime.onnx_library to a library that you have"));
    }
    let library = onnx_library::found(&configuration.data)
        .filter(|library| library.starts_with(&folder))
        .ok_or_else(|| {
            CommandFailure::new(format!("{package} {version} has no shared library in it"))
                .with_hint("versions from 1.19 on have one; 1.24 or newer is needed")
        })?;
    match format {
        Format::Json => output::json(&json!({ "library": library })),
        Format::Text => output::line(format!("{} is there; start the server anew", library.display())),
    }
    Ok(ExitCode::SUCCESS)
}

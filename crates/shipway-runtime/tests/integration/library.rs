//! Where ONNX Runtime's library is. The tests of other crates that run ONNX models take this file in too.

use std::path::{Path, PathBuf};

/// The library from `SHIPWAY_ONNX_LIBRARY`, else from the virtual environment that `scripts/setup` makes.
#[expect(clippy::disallowed_methods, reason = "a test finds the library that the set-up installed")]
pub(crate) fn library() -> PathBuf {
    if let Ok(path) = std::env::var("SHIPWAY_ONNX_LIBRARY") {
        return path.into();
    }
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/lib");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        fs_err::read_dir(folder)
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default()
    };
    entries(&lib)
        .iter()
        .flat_map(|python| entries(&python.join("site-packages/onnxruntime/capi")))
        .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so")))
        .expect(
            "ONNX Runtime's library is needed: run scripts/setup, which installs onnxruntime into .venv, or set \
             SHIPWAY_ONNX_LIBRARY to its libonnxruntime.so file",
        )
}

//! Where ONNX Runtime's shared library is when the configuration does not say.

use std::path::{Path, PathBuf};

use fs_err as fs;

/// Where `shipway runtime install` puts the package, in the data folder.
pub(crate) fn installed_under(data: &Path) -> PathBuf {
    data.join("runtime").join("onnxruntime")
}

/// The library that `shipway runtime install` has put into the data folder; else the one of the active virtual environment; else
/// one that is installed on the system.
pub(crate) fn found(data: &Path) -> Option<PathBuf> {
    let of_package = |packages: PathBuf| library_in(&packages.join("onnxruntime").join("capi"));
    of_package(installed_under(data)).or_else(|| virtual_environment(of_package)).or_else(|| {
        [
            "/usr/local/lib",
            "/usr/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/opt/onnxruntime/lib",
        ]
        .iter()
        .find_map(|folder| library_in(Path::new(folder)))
    })
}

fn virtual_environment(of_package: impl Fn(PathBuf) -> Option<PathBuf>) -> Option<PathBuf> {
    let folder = std::env::var_os("VIRTUAL_ENV")?;
    let pythons = entries(&Path::new(&folder).join("lib"));
    pythons.into_iter().find_map(|python| of_package(python.join("site-packages")))
}

/// The library in a folder; of several, the one whose name is the last, which has the highest version.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let is_library = |file: &PathBuf| {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("libonnxruntime.so")
            || name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
    };
    entries(folder).into_iter().filter(is_library).max()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_installed_package_is_found_first() {
        let data = tempfile::tempdir().unwrap();
        let capi = installed_under(data.path()).join("onnxruntime").join("capi");
        fs::create_dir_all(&capi).unwrap();
        for name in ["libonnxruntime.so.1.24.4", "libonnxruntime_providers_shared.so", "other.so"] {
            fs::write(capi.join(name), "").unwrap();
        }
        assert_eq!(found(data.path()), Some(capi.join("libonnxruntime.so.1.24.4")));
    }
}

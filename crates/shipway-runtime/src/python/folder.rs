//! What a model needs on disk while it is loaded: its files, a place to write to, and our code that runs it.

use std::{
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use fs_err as fs;

use super::options::PythonOptions;

/// The code that runs in the process.
const CODE: [(&str, &str); 2] = [
    ("shipway_sandbox.py", include_str!("shipway_sandbox.py")),
    ("shipway_worker.py", include_str!("shipway_worker.py")),
];

/// Names the next folder.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// A folder that nobody else may enter, and that is removed when this is dropped.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
}

impl ModelFolder {
    /// Makes a folder for one model.
    pub fn create(options: &PythonOptions) -> io::Result<Self> {
        let path =
            std::path::absolute(models(options))?.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        private(&path)?;
        let folder = Self { path };
        for part in [folder.model(), folder.scratch(), folder.code()] {
            private(&part)?;
        }
        for (name, code) in CODE {
            fs::write(folder.code().join(name), code)?;
        }
        Ok(folder)
    }

    /// Removes what a server left behind that was killed. To be called before anything is loaded.
    pub fn clear(options: &PythonOptions) -> io::Result<()> {
        match fs::remove_dir_all(models(options)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a file of the model; a path that does not stay in the folder is refused.
    pub fn write(&self, path: &str, content: &[u8]) -> io::Result<()> {
        let relative = Path::new(path);
        let stays = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !stays || path.is_empty() || path.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{path}` leaves the model's folder"),
            ));
        }
        let place = self.model().join(relative);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(place, content)
    }

    /// Where the model's files are.
    pub(super) fn model(&self) -> PathBuf {
        self.path.join("model")
    }

    /// Where the process may write.
    pub(super) fn scratch(&self) -> PathBuf {
        self.path.join("scratch")
    }

    fn code(&self) -> PathBuf {
        self.path.join("code")
    }

    /// What the interpreter is started with.
    pub(super) fn program(&self) -> PathBuf {
        self.code().join("shipway_worker.py")
    }
}

impl Drop for ModelFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "a model's folder is left behind");
        }
    }
}

fn models(options: &PythonOptions) -> PathBuf {
    options.folder.join("models")
}

fn private(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{super::tests::options, *};

    #[test]
    fn a_folder_is_private_and_goes_away() {
        let data = tempfile::tempdir().unwrap();
        let folder = ModelFolder::create(&options(data.path())).unwrap();
        folder.write("artifacts/deep/weights.bin", b"1").unwrap();
        let path = folder.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read(folder.model().join("artifacts/deep/weights.bin")).unwrap(), b"1");
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn no_file_of_a_model_leaves_its_folder() {
        let data = tempfile::tempdir().unwrap();
        let folder = ModelFolder::create(&options(data.path())).unwrap();
        for path in ["../code/shipway_worker.py", "/etc/passwd", "", "a/../../b", ".", "a\0b"] {
            assert_eq!(folder.write(path, b"").unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
    }

    #[test]
    fn what_a_killed_server_left_is_removed() {
        let data = tempfile::tempdir().unwrap();
        let options = options(data.path());
        let folder = ModelFolder::create(&options).unwrap();
        ModelFolder::clear(&options).unwrap();
        assert!(!folder.path.exists());
        ModelFolder::clear(&options).unwrap();
    }
}

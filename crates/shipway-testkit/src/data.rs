//! Data folders that vanish with the test.

use std::path::{Path, PathBuf};

/// A fresh folder, removed when it is dropped.
#[derive(Debug)]
pub struct TempData {
    folder: tempfile::TempDir,
}

impl Default for TempData {
    fn default() -> Self {
        Self::new()
    }
}

impl TempData {
    /// Makes an empty folder.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("shipway-test-").tempdir();
        Self { folder: folder.expect("a temporary folder can be made") }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// A copy of everything in it. Taken while a server writes, it is what a killed one would leave behind only if the
    /// writer is still: kill the server first.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy_folder(self.path(), copy.path());
        copy
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs_err::read_dir(from).expect("the folder can be read") {
        let entry = entry.expect("the folder can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("the file has a type").is_dir() {
            fs_err::create_dir(&target).expect("a folder can be made");
            copy_folder(&entry.path(), &target);
        } else {
            fs_err::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_copied_whole_and_vanishes() {
        let data = TempData::new();
        fs_err::create_dir_all(data.join("a/b")).unwrap();
        fs_err::write(data.join("a/b/c"), "x").unwrap();
        let copy = data.copy();
        let path = copy.join("a/b/c");
        drop(data);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "x");
        drop(copy);
        assert!(!path.exists());
    }
}

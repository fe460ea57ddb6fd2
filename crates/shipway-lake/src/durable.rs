//! Makes files outlive a power cut: the object store that Delta writes through renames files but never syncs them.

use std::{
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;

use crate::LakeError;

/// Syncs `files`, relative to `folder`, and then `folder` itself. Blocks; call it where blocking is allowed.
pub(crate) fn sync_here(
    folder: &Path,
    files: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<(), LakeError> {
    for file in files {
        let path = folder.join(file);
        sync_one(&path).map_err(LakeError::io("sync", &path))?;
    }
    sync_one(folder).map_err(LakeError::io("sync", folder))
}

/// The same, off the threads that answer requests.
pub(crate) async fn sync(folder: PathBuf, file: String) -> Result<(), LakeError> {
    tokio::task::spawn_blocking(move || sync_here(&folder, [file]))
        .await
        .map_err(LakeError::task("sync files"))?
}

fn sync_one(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

//! Files of folders that the operator allows. No link is followed below an allowed folder, and what is opened is checked to be
//! what was asked for, so that a name that changes meanwhile leads nowhere else.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use fs_err as fs;
use futures::{Stream, stream};
use shipway_core::{Location, Place};
use tokio::io::AsyncReadExt as _;

use super::{CopiedFile, OutsideError, OutsideFile, OutsideOptions, copy};
use crate::LakeError;

/// How much of a file is in memory.
const PIECE_BYTES: usize = 1 << 20;
/// Names that a walk looks at, at most this many for each file that it may find.
const NAMES_PER_FILE: usize = 20;

/// The files that a location stands for.
pub(super) async fn list(
    options: &OutsideOptions,
    location: &Location,
) -> Result<Vec<OutsideFile>, OutsideError> {
    let (options, location) = (options.clone(), location.clone());
    let name = location.to_string();
    let walked = tokio::task::spawn_blocking(move || -> Result<Vec<OutsideFile>, OutsideError> {
        let base = location.base();
        check_way(&options, &base)?;
        let mut walk = Walk { options: &options, location: &location, found: Vec::new(), looked_at: 0 };
        walk.folder(&base)?;
        Ok(walk.found)
    });
    walked.await.map_err(|error| OutsideError::failed(name, error))?
}

/// The folder of a table, when it may be read: the path that it really has.
pub(super) fn folder(options: &OutsideOptions, path: &str) -> Result<PathBuf, OutsideError> {
    check_way(options, path)?;
    Ok(absolute(path))
}

/// Refuses a way into a folder that is not allowed, or that goes over a link below the allowed one.
fn check_way(options: &OutsideOptions, path: &str) -> Result<(), OutsideError> {
    let allowed = options.folder_of(path)?;
    let root = fs::canonicalize(&allowed).map_err(|fault| fault_at(&allowed, fault))?;
    let wanted = absolute(path);
    let real = fs::canonicalize(&wanted).map_err(|fault| fault_at(&wanted, fault))?;
    let below = wanted.strip_prefix(&allowed).unwrap_or(Path::new(""));
    if real == root.join(below) {
        return Ok(());
    }
    Err(OutsideError::Link { path: wanted.display().to_string() })
}

fn absolute(path: &str) -> PathBuf {
    PathBuf::from(format!("/{path}"))
}

fn fault_at(path: &Path, fault: io::Error) -> OutsideError {
    let path = path.display().to_string();
    if matches!(fault.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        OutsideError::NotThere { path }
    } else {
        OutsideError::failed(path, fault)
    }
}

struct Walk<'w> {
    options: &'w OutsideOptions,
    location: &'w Location,
    found: Vec<OutsideFile>,
    looked_at: usize,
}

impl Walk<'_> {
    /// Looks at everything in the folder, and below it where a match may lie. The depth is bounded by that of any path.
    fn folder(&mut self, path: &str) -> Result<(), OutsideError> {
        let here = absolute(path);
        let entries = fs::read_dir(&here).map_err(|fault| fault_at(&here, fault))?;
        for entry in entries {
            let entry = entry.map_err(|fault| fault_at(&here, fault))?;
            self.looked_at += 1;
            self.options.check_count(self.location, self.looked_at / NAMES_PER_FILE)?;
            // A name that is no text is in no pattern.
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            let kind = entry.file_type().map_err(|fault| fault_at(&entry.path(), fault))?;
            let is_match = self.location.matches(&path);
            let may_lie_below = self.location.may_lie_below(&path);
            if kind.is_dir() && may_lie_below {
                self.folder(&path)?;
            } else if kind.is_file() && is_match {
                let metadata = entry.metadata().map_err(|fault| fault_at(&entry.path(), fault))?;
                self.found.push(listed(path, &metadata));
            } else if kind.is_symlink() && (is_match || may_lie_below) {
                self.found.push(link(path));
            }
            self.options.check_count(self.location, self.found.len())?;
        }
        Ok(())
    }
}

fn listed(path: String, metadata: &Metadata) -> OutsideFile {
    OutsideFile {
        place: Place::Disk,
        path,
        bytes: metadata.len(),
        stamp: stamp(metadata),
        tag: None,
        is_link: false,
    }
}

/// A link is listed, so that whoever put it there learns why it is not read.
fn link(path: String) -> OutsideFile {
    OutsideFile { place: Place::Disk, path, bytes: 0, stamp: "link".to_owned(), tag: None, is_link: true }
}

fn stamp(metadata: &Metadata) -> String {
    format!("{}-{}.{:09}", metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Copies a file that was listed.
pub(super) async fn copy(
    options: &OutsideOptions,
    file: &OutsideFile,
    to: &Path,
) -> Result<CopiedFile, LakeError> {
    let name = file.name();
    if file.is_link {
        return Err(OutsideError::Link { path: name }.into());
    }
    let (checked, path) = (options.clone(), file.path.clone());
    let opened = tokio::task::spawn_blocking(move || open(&checked, &path));
    let (handle, before) = opened.await.map_err(LakeError::task("open a file"))??;
    if before.len() > options.most_bytes {
        return Err(OutsideError::FileTooLarge { path: name, limit: options.most_bytes }.into());
    }
    let handle = tokio::fs::File::from_std(handle);
    let again = handle.try_clone().await.map_err(|fault| OutsideError::failed(name.clone(), fault))?;
    let copied = copy::copy(file, to, options.most_bytes, pieces(handle, &name)).await?;
    let after = again.metadata().await.map_err(|fault| OutsideError::failed(name.clone(), fault))?;
    if stamp(&before) != file.stamp || stamp(&after) != file.stamp {
        return Err(OutsideError::Changing { path: name }.into());
    }
    Ok(copied)
}

/// Opens a file, and makes sure that what is open is the file of that name: no link, and on a way without links.
fn open(options: &OutsideOptions, path: &str) -> Result<(std::fs::File, Metadata), OutsideError> {
    let full = absolute(path);
    let is_file = fs::symlink_metadata(&full).map_err(|fault| fault_at(&full, fault))?.is_file();
    if !is_file {
        return Err(OutsideError::Link { path: full.display().to_string() });
    }
    let handle = fs::File::open(&full).map_err(|fault| fault_at(&full, fault))?.into_parts().0;
    let held = handle.metadata().map_err(|fault| fault_at(&full, fault))?;
    check_way(options, path)?;
    let named = fs::symlink_metadata(&full).map_err(|fault| fault_at(&full, fault))?;
    if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        return Err(OutsideError::Changing { path: full.display().to_string() });
    }
    Ok((handle, held))
}

fn pieces(file: tokio::fs::File, name: &str) -> impl Stream<Item = Result<Bytes, OutsideError>> + Send {
    let name = name.to_owned();
    stream::try_unfold((file, name), |(mut file, name)| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = (&mut file).take(PIECE_BYTES as u64).read_to_end(&mut piece).await;
        read.map_err(|fault| OutsideError::failed(name.clone(), fault))?;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), (file, name))))
    })
}

/// A file that something else named, as it is now.
pub(super) fn named(path: String) -> Result<OutsideFile, OutsideError> {
    let full = absolute(&path);
    let metadata = fs::symlink_metadata(&full).map_err(|fault| fault_at(&full, fault))?;
    Ok(if metadata.is_file() { listed(path, &metadata) } else { link(path) })
}

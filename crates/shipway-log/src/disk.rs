//! The three ways in which the writer touches a segment file.
//!
//! A seam on purpose: how a log behaves when the disk is full or fails cannot be tried on a healthy one.

use std::{io, path::Path};

use fs_err::{File, os::unix::fs::FileExt as _};

/// What the writer does to a segment file. Tests put a failing disk here.
pub(crate) trait Disk: Send + Sync {
    /// Writes all of `bytes` at `position`; a failure may leave any part of them written.
    fn write(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()>;

    /// Returns after everything written to `file` is durable, its length included.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Cuts `file` to `length` bytes.
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;
}

/// The disk of the machine.
pub(crate) struct LocalDisk;

impl Disk for LocalDisk {
    fn write(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        file.write_all_at(bytes, position)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}

/// Makes the names in `folder` durable: a new or removed file is otherwise not there, or still there, after a power loss.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

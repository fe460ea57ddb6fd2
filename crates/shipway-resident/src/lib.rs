//! What of the program itself lies in memory, and how to give back what only its start needed.
//!
//! The kernel reads a program from its file as it runs, sixteen pages where one is needed, and counts them to the process until
//! somebody else needs the memory. Most of what a server reads while it starts, and while it merges a table once an hour, it does not
//! need to answer.
//!
//! - `linux`: as Linux counts and takes it; on other systems nothing is given back
#![deny(missing_docs)]

use std::{io, time::Duration};

#[cfg(target_os = "linux")]
mod linux;

/// How many bytes of files lie in memory for this process: its program and what it maps. None where the system does not say so cheaply.
///
/// # Errors
///
/// What the system says of itself cannot be read.
pub fn from_files() -> io::Result<Option<u64>> {
    #[cfg(target_os = "linux")]
    return linux::from_files().map(Some);
    #[cfg(not(target_os = "linux"))]
    Ok(None)
}

/// The processor time that this process has used, all threads together, in hundredths of a second; none where the system does not say
/// so cheaply.
///
/// # Errors
///
/// What the system says of itself cannot be read.
pub fn processor_time() -> io::Result<Option<Duration>> {
    #[cfg(target_os = "linux")]
    return linux::processor_time().map(Some);
    #[cfg(not(target_os = "linux"))]
    Ok(None)
}

/// Takes the program's pages out of the memory of this process, and returns how many bytes those were.
///
/// Nothing is lost: they are as they lie in the program's file, from which the kernel takes them again, mostly out of its cache, when
/// they are needed. That costs about a microsecond for 64 KiB, some milliseconds for all that a busy server runs, so this is for times in
/// which there is little to do. A part in which a single page is not the file's (a debugger's breakpoint, an address that was written at the start) stays
/// as it is.
///
/// # Errors
///
/// What the system says of itself cannot be read, or it refuses.
pub fn release_program() -> io::Result<u64> {
    #[cfg(target_os = "linux")]
    return linux::release_program();
    #[cfg(not(target_os = "linux"))]
    Ok(0)
}

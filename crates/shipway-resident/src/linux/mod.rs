//! What Linux says of this process, and does with its memory.
//!
//! - `parts`: the parts of the address space, as `/proc/self/smaps` lists them
//! - `advice`: the call that gives pages back

mod advice;
mod parts;

use std::{fs, io, time::Duration};

/// What the kernel counts processor time in, for everything that reads it: a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

pub(crate) fn from_files() -> io::Result<u64> {
    let said = fs::read_to_string("/proc/self/status")?;
    let counted = said.lines().filter_map(parts::counted).find(|(name, _)| *name == "RssFile");
    counted.and_then(|(_, bytes)| bytes).ok_or_else(unreadable)
}

pub(crate) fn processor_time() -> io::Result<Duration> {
    let said = fs::read_to_string("/proc/self/stat")?;
    // The name of the program is the only field that may hold spaces, and stands in brackets.
    let (_, behind_name) = said.rsplit_once(") ").ok_or_else(unreadable)?;
    let mut used = behind_name.split(' ').skip(11).map(str::parse::<u32>);
    match (used.next(), used.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(TICK * user + TICK * system),
        _ => Err(unreadable()),
    }
}

pub(crate) fn release_program() -> io::Result<u64> {
    let program = fs::read_link("/proc/self/exe")?;
    let said = fs::read_to_string("/proc/self/smaps")?;
    let mut released = 0;
    for part in parts::read(&said).filter(|part| part.is_only_of(&program)) {
        advice::take_back(part.at.clone())?;
        released += part.resident_bytes;
    }
    Ok(released)
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel says it in a way that is not known here")
}

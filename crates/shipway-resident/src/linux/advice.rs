//! The call that gives pages back.

#![expect(unsafe_code, reason = "no safe call tells the kernel what it may take back")]

use std::{io, ops::Range};

use libc::{MADV_DONTNEED, madvise};

/// Takes the pages of a part out of memory. It must be private, not writable, and hold nothing but what lies in its file.
pub(super) fn take_back(part: Range<usize>) -> io::Result<()> {
    let start = std::ptr::without_provenance_mut(part.start);
    // SAFETY: as its caller has seen, no byte of the part differs from its file, none can be written, and the kernel reads the file
    // again where one is needed. So what any reference into it sees is the same before and after.
    let said = unsafe { madvise(start, part.len(), MADV_DONTNEED) };
    if said == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

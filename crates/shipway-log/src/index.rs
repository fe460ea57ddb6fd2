//! The sparse index from offsets to bytes, and the sidecar file that spares reopening a scan of full segments.
//!
//! The sidecar is a convenience: it is bound to its segment by salt and length, checked by a crc, and rebuilt from the
//! segment whenever it is missing or does not fit.
//!
//! ```text
//! "SHIPWIDX" · u32 version · u32 entries · u64 first · u64 salt · u64 end · u64 bytes · entries × (u64 offset, u64 byte) · u32 crc
//! ```

use std::path::Path;

use crate::format::{HEADER_BYTES, Header, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"SHIPWIDX";
const VERSION: u32 = 1;
const HEAD_BYTES: usize = 48;
const ENTRY_BYTES: usize = 16;

/// A reader skips at most about this many bytes to reach an offset.
const STRIDE_BYTES: u64 = 64 << 10;

/// Where some of the records of a segment begin, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SparseIndex(Vec<(u64, u64)>);

impl SparseIndex {
    /// Notes that the record `offset` begins at `byte`, if the last note is far enough behind.
    pub(crate) fn note(&mut self, offset: u64, byte: u64) {
        let last = self.0.last().map_or(HEADER_BYTES as u64, |&(_, last)| last);
        if byte - last >= STRIDE_BYTES {
            self.0.push((offset, byte));
        }
    }

    /// The last noted record at or before `offset` and its first byte; the start of a segment that begins at `first`
    /// if nothing is noted before it.
    pub(crate) fn at_or_before(&self, offset: u64, first: u64) -> (u64, u64) {
        let after = self.0.partition_point(|&(noted, _)| noted <= offset);
        after.checked_sub(1).map_or((first, HEADER_BYTES as u64), |at| self.0[at])
    }
}

/// What is known of the content of a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The offset after the last record.
    pub(crate) end: u64,
    /// The bytes that hold records, header included.
    pub(crate) bytes: u64,
    /// Where records begin.
    pub(crate) index: SparseIndex,
}

/// The content of the sidecar of a segment.
pub(crate) fn encode(header: Header, extent: &Extent) -> Vec<u8> {
    let entries = &extent.index.0;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + entries.len() * ENTRY_BYTES + 4);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for word in [header.first, header.salt, extent.end, extent.bytes] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for (offset, byte) in entries {
        bytes.extend_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&byte.to_le_bytes());
    }
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Reads a sidecar; `None` unless it is whole and belongs to the segment with this header and length.
pub(crate) fn decode(bytes: &[u8], header: Header, file_bytes: u64) -> Option<Extent> {
    let content = bytes.len().checked_sub(4).filter(|&content| content >= HEAD_BYTES)?;
    if crc32fast::hash(&bytes[..content]) != u32_at(bytes, content)
        || bytes[..8] != MAGIC
        || u32_at(bytes, 8) != VERSION
        || content != HEAD_BYTES + u32_at(bytes, 12) as usize * ENTRY_BYTES
    {
        return None;
    }
    let (first, salt, end, length) =
        (u64_at(bytes, 16), u64_at(bytes, 24), u64_at(bytes, 32), u64_at(bytes, 40));
    if (first, salt, length) != (header.first, header.salt, file_bytes) || end <= first {
        return None;
    }
    let entries = bytes[HEAD_BYTES..content].chunks_exact(ENTRY_BYTES);
    let index = SparseIndex(entries.map(|entry| (u64_at(entry, 0), u64_at(entry, 8))).collect());
    Some(Extent { end, bytes: length, index })
}

/// Reads the sidecar at `path`; `None` unless it is there and fits.
pub(crate) fn load(path: &Path, header: Header, file_bytes: u64) -> Option<Extent> {
    decode(&fs_err::read(path).ok()?, header, file_bytes)
}

/// Writes the sidecar at `path`. A failure costs the next opening a scan and nothing else, so it is only logged.
pub(crate) fn save(path: &Path, header: Header, extent: &Extent) {
    if let Err(failure) = fs_err::write(path, encode(header, extent)) {
        tracing::warn!(%failure, "index of a full segment not written; the next start scans the segment");
        // A part of an index would be refused by its checksum; it only takes space.
        let _ = fs_err::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent() -> Extent {
        let mut index = SparseIndex::default();
        for offset in 5..5_000 {
            index.note(offset, HEADER_BYTES as u64 + (offset - 5) * 1_000);
        }
        Extent { end: 5_000, bytes: 5_000_000, index }
    }

    #[test]
    fn a_sidecar_reads_as_it_was_written_and_only_for_its_own_segment() {
        let header = Header { first: 5, salt: 9 };
        let bytes = encode(header, &extent());
        assert_eq!(decode(&bytes, header, 5_000_000), Some(extent()));
        assert_eq!(decode(&bytes, header, 5_000_001), None);
        assert_eq!(decode(&bytes, Header { first: 5, salt: 8 }, 5_000_000), None);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(decode(&bad, header, 5_000_000), None, "byte {at}");
            assert_eq!(decode(&bytes[..at], header, 5_000_000), None, "cut at {at}");
        }
    }

    #[test]
    fn an_offset_is_found_at_or_after_its_note() {
        let index = extent().index;
        assert_eq!(index.at_or_before(5, 5), (5, HEADER_BYTES as u64));
        for offset in 5..5_000 {
            let (noted, byte) = index.at_or_before(offset, 5);
            assert!(noted <= offset && (offset - noted) * 1_000 <= STRIDE_BYTES + 1_000);
            assert_eq!(byte, HEADER_BYTES as u64 + (noted - 5) * 1_000);
        }
    }
}

//! The bytes of a segment, format version 1. Pure; integers are little-endian.
//!
//! ```text
//! header  "SHIPWLOG" · u32 version · u64 first offset · u64 salt · u32 crc of the 28 bytes before      32 bytes
//! record  u32 length · u32 crc · payload                                                      8 + length bytes
//! mark    u32 length (16) with bit 31 set · u32 crc · "SHIPMARK" · u64 offset of the next record      24 bytes
//! ```
//! The crc of a frame is CRC-32 over salt, length word and payload: a run of zeros is never a frame, and neither is a
//! stale frame of another file.
//!
//! A mark opens every group, which is what one write and one `fdatasync` carry. A group is written only after the one
//! before it is durable, so a mark proves all bytes before it: a fault *before* a mark is damage, a fault *after* the
//! last mark can only be a write that was never acknowledged. Closing the log writes a mark as well, which proves the
//! last group. The random salt keeps a payload from forging a mark.

/// The version of the format that this code writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;
/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: usize = 32;
/// Bytes of a frame before its payload.
pub(crate) const FRAME_BYTES: usize = 8;
/// Bytes of a mark.
pub(crate) const MARK_BYTES: usize = FRAME_BYTES + MARK_PAYLOAD_BYTES;
/// The longest payload that the format can carry.
pub(crate) const MAX_PAYLOAD_BYTES: u32 = MARK_BIT - 1;

const MAGIC: [u8; 8] = *b"SHIPWLOG";
const MARK_MAGIC: [u8; 8] = *b"SHIPMARK";
const MARK_BIT: u32 = 1 << 31;
const MARK_PAYLOAD_BYTES: usize = 16;
const MARK_WORD: u32 = MARK_BIT | MARK_PAYLOAD_BYTES as u32;

/// The head of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The offset of the first record.
    pub(crate) first: u64,
    /// Random per file; goes into every checksum.
    pub(crate) salt: u64,
}

/// Why bytes are not a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not a header of any version, or a damaged one.
    Wrong(&'static str),
    /// A header of a later format.
    Newer(u32),
}

impl Header {
    /// The bytes of the header.
    pub(crate) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.first.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderFault> {
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Wrong("not a segment of an event log"));
        }
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(HeaderFault::Newer(version));
        }
        if version == 0 || u32_at(bytes, 28) != crc32fast::hash(&bytes[..28]) {
            return Err(HeaderFault::Wrong("the checksum of the header does not match"));
        }
        Ok(Self { first: u64_at(bytes, 12), salt: u64_at(bytes, 20) })
    }
}

/// The checksum of the frames of one segment.
#[derive(Debug, Clone)]
pub(crate) struct Checksum(crc32fast::Hasher);

impl Checksum {
    /// The checksum of the segment with this salt.
    pub(crate) fn new(salt: u64) -> Self {
        let mut seeded = crc32fast::Hasher::new();
        seeded.update(&salt.to_le_bytes());
        Self(seeded)
    }

    fn of(&self, word: u32, payload: &[u8]) -> u32 {
        let mut hasher = self.0.clone();
        hasher.update(&word.to_le_bytes());
        hasher.update(payload);
        hasher.finalize()
    }
}

/// Appends a record to `out`. The payload is at most [`MAX_PAYLOAD_BYTES`] long; the caller has checked.
pub(crate) fn encode_record(checksum: &Checksum, payload: &[u8], out: &mut Vec<u8>) {
    encode_frame(checksum, payload.len() as u32, payload, out);
}

/// Appends a mark that says that `next` is the offset of the record after it.
pub(crate) fn encode_mark(checksum: &Checksum, next: u64, out: &mut Vec<u8>) {
    let mut payload = [0; MARK_PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&MARK_MAGIC);
    payload[8..].copy_from_slice(&next.to_le_bytes());
    encode_frame(checksum, MARK_WORD, &payload, out);
}

fn encode_frame(checksum: &Checksum, word: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&word.to_le_bytes());
    out.extend_from_slice(&checksum.of(word, payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// A frame at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A record whose payload has this many bytes, after [`FRAME_BYTES`].
    Record {
        /// Bytes of the payload.
        payload_bytes: usize,
    },
    /// A mark.
    Mark {
        /// The offset of the next record.
        next: u64,
    },
}

/// Why bytes do not start with a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameFault {
    /// The frame says that it needs this many bytes, and there are fewer.
    Short(usize),
    /// Not a frame.
    Wrong(&'static str),
}

/// Reads the frame at the start of `bytes`.
pub(crate) fn decode(checksum: &Checksum, bytes: &[u8]) -> Result<Frame, FrameFault> {
    if bytes.len() < FRAME_BYTES {
        return Err(FrameFault::Short(FRAME_BYTES));
    }
    let word = u32_at(bytes, 0);
    if word & MARK_BIT != 0 && word != MARK_WORD {
        return Err(FrameFault::Wrong("the length of the record is impossible"));
    }
    let size = FRAME_BYTES + (word & !MARK_BIT) as usize;
    if bytes.len() < size {
        return Err(FrameFault::Short(size));
    }
    let payload = &bytes[FRAME_BYTES..size];
    if u32_at(bytes, 4) != checksum.of(word, payload) {
        return Err(FrameFault::Wrong("the checksum of the record does not match"));
    }
    if word != MARK_WORD {
        return Ok(Frame::Record { payload_bytes: payload.len() });
    }
    if payload[..8] != MARK_MAGIC {
        return Err(FrameFault::Wrong("the mark is not a mark"));
    }
    Ok(Frame::Mark { next: u64_at(payload, 8) })
}

/// The position in `bytes` of the first whole mark, if there is one.
pub(crate) fn find_mark(checksum: &Checksum, bytes: &[u8]) -> Option<usize> {
    bytes.windows(MARK_BYTES).position(|window| {
        window[FRAME_BYTES..FRAME_BYTES + 8] == MARK_MAGIC
            && matches!(decode(checksum, window), Ok(Frame::Mark { .. }))
    })
}

/// The little-endian integer at `at`; the caller knows that it lies within `bytes`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// The little-endian integer at `at`; the caller knows that it lies within `bytes`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_is_written_as_it_always_was() {
        let header = Header { first: 7, salt: 0x0123_4567_89ab_cdef };
        let checksum = Checksum::new(header.salt);
        let mut bytes = header.encode().to_vec();
        encode_mark(&checksum, 7, &mut bytes);
        encode_record(&checksum, b"", &mut bytes);
        encode_record(&checksum, b"departed", &mut bytes);
        encode_mark(&checksum, 9, &mut bytes);
        encode_record(&checksum, &(0..=255).collect::<Vec<_>>(), &mut bytes);
        encode_mark(&checksum, 10, &mut bytes);
        let golden = include_bytes!("../tests/golden/v1/departures/00000000000000000007.segment");
        assert_eq!(bytes, golden);
    }

    #[test]
    fn a_header_reads_as_it_was_written() {
        let header = Header { first: 42, salt: 7 };
        assert_eq!(Header::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_changed_header_is_refused_whichever_byte_changed() {
        let good = Header { first: 42, salt: 7 }.encode();
        for at in 0..HEADER_BYTES {
            let mut bad = good;
            bad[at] ^= 0x40;
            assert!(Header::decode(&bad).is_err(), "byte {at}");
        }
        let mut newer = good;
        newer[8] = 2;
        assert_eq!(Header::decode(&newer), Err(HeaderFault::Newer(2)));
    }

    #[test]
    fn zeros_are_no_frame_and_neither_is_a_frame_of_another_file() {
        let checksum = Checksum::new(0);
        assert!(matches!(decode(&checksum, &[0; 64]), Err(FrameFault::Wrong(_))));
        let mut bytes = Vec::new();
        encode_record(&Checksum::new(1), b"stale", &mut bytes);
        assert!(matches!(decode(&checksum, &bytes), Err(FrameFault::Wrong(_))));
    }

    #[test]
    fn a_mark_is_found_among_other_bytes_and_a_forged_one_is_not() {
        let (ours, forged) = (Checksum::new(1), Checksum::new(2));
        let mut bytes = vec![7; 100];
        encode_mark(&forged, 3, &mut bytes);
        assert_eq!(find_mark(&ours, &bytes), None);
        let at = bytes.len();
        encode_mark(&ours, 3, &mut bytes);
        assert_eq!(find_mark(&ours, &bytes), Some(at));
        assert_eq!(find_mark(&ours, &bytes[..bytes.len() - 1]), None);
    }
}

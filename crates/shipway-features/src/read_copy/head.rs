//! The bytes of the copy: the head of a bucket, and a row.
//!
//! ```text
//! head   = format:u8  is_whole:u8  term:u64  owner:16 bytes  step:u64  version:16 bytes  written:i64  moment*
//! moment = applied:u64  watermark:i64          one for each source, as the metadata of the version list them
//! row    = format:u8  applied:u64  the bytes of the state, as the store has them
//! ```
//!
//! Numbers have their most significant byte first.

use bytes::{BufMut as _, Bytes, BytesMut};
use uuid::Uuid;

/// The format of heads, rows and metadata, together.
pub(crate) const FORMAT: u8 = 1;

const ROW_HEADER_BYTES: usize = 9;

/// How far the rows of one source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CopiedMoment {
    /// Exactly the events with an arrival before it are in the rows.
    pub(crate) applied: u64,
    /// The newest event time.
    pub(crate) watermark_us: i64,
}

/// What the rows of a bucket stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Whether the rows are all there. Readers take a bucket that is not whole for lost.
    pub(crate) is_whole: bool,
    /// Every claim has a higher one than all before it.
    pub(crate) term: u64,
    /// Whose claim it is.
    pub(crate) owner: Uuid,
    /// Makes every head different.
    pub(crate) step: u64,
    /// Which metadata hold.
    pub(crate) version: Uuid,
    /// When the owner last said that it stands so, by its clock.
    pub(crate) written_us: i64,
    /// As the sources of the metadata.
    pub(crate) moments: Vec<CopiedMoment>,
}

/// A head or a row of another format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OtherFormat(pub(crate) Option<u8>);

impl Head {
    /// That of a bucket with nothing in it.
    pub(crate) const fn of_nothing() -> Self {
        Self {
            is_whole: false,
            term: 0,
            owner: Uuid::nil(),
            step: 0,
            version: Uuid::nil(),
            written_us: 0,
            moments: Vec::new(),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(58 + 16 * self.moments.len());
        bytes.put_u8(FORMAT);
        bytes.put_u8(u8::from(self.is_whole));
        bytes.put_u64(self.term);
        bytes.put_slice(self.owner.as_bytes());
        bytes.put_u64(self.step);
        bytes.put_slice(self.version.as_bytes());
        bytes.put_i64(self.written_us);
        for moment in &self.moments {
            bytes.put_u64(moment.applied);
            bytes.put_i64(moment.watermark_us);
        }
        bytes.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, OtherFormat> {
        let other = OtherFormat(bytes.first().copied());
        if other.0 != Some(FORMAT) {
            return Err(other);
        }
        let read = || {
            let (whole, rest) = bytes.get(1..)?.split_first()?;
            let (term, rest) = rest.split_first_chunk::<8>()?;
            let (owner, rest) = rest.split_first_chunk::<16>()?;
            let (step, rest) = rest.split_first_chunk::<8>()?;
            let (version, rest) = rest.split_first_chunk::<16>()?;
            let (written, rest) = rest.split_first_chunk::<8>()?;
            let moments = rest.chunks(16).map(|moment| {
                let (applied, watermark) = moment.split_first_chunk::<8>()?;
                Some(CopiedMoment {
                    applied: u64::from_be_bytes(*applied),
                    watermark_us: i64::from_be_bytes(watermark.try_into().ok()?),
                })
            });
            Some(Self {
                is_whole: *whole == 1,
                term: u64::from_be_bytes(*term),
                owner: Uuid::from_bytes(*owner),
                step: u64::from_be_bytes(*step),
                version: Uuid::from_bytes(*version),
                written_us: i64::from_be_bytes(*written),
                moments: moments.collect::<Option<_>>()?,
            })
        };
        read().ok_or(other)
    }
}

/// A row: `state` as it is when exactly the events before `applied` are in it.
pub(crate) fn encode_row(applied: u64, state: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(ROW_HEADER_BYTES + state.len());
    bytes.put_u8(FORMAT);
    bytes.put_u64(applied);
    bytes.put_slice(state);
    bytes.freeze()
}

/// The offset at which a row was written, and the state.
pub(crate) fn decode_row(row: &Bytes) -> Result<(u64, Bytes), OtherFormat> {
    let other = OtherFormat(row.first().copied());
    match row.get(1..).and_then(<[u8]>::split_first_chunk::<8>) {
        Some((applied, _)) if other.0 == Some(FORMAT) => {
            Ok((u64::from_be_bytes(*applied), row.slice(ROW_HEADER_BYTES..)))
        }
        _ => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            is_whole: true,
            term: 3,
            owner: Uuid::from_u128(0x0102),
            step: 5,
            version: Uuid::from_u128(0x0304),
            written_us: -1,
            moments: vec![CopiedMoment { applied: 7, watermark_us: 11 }],
        }
    }

    #[test]
    fn heads_and_rows_stay_what_they_are() {
        let golden = concat!(
            "0101",
            "0000000000000003",
            "00000000000000000000000000000102",
            "0000000000000005",
            "00000000000000000000000000000304",
            "ffffffffffffffff",
            "0000000000000007000000000000000b",
        );
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&head().encode()), golden);
        assert_eq!(Head::decode(&head().encode()), Ok(head()));
        assert_eq!(hex(&encode_row(9, b"ab")), "0100000000000000096162");
        assert_eq!(decode_row(&encode_row(9, b"ab")), Ok((9, Bytes::from_static(b"ab"))));
        assert_eq!(decode_row(&encode_row(9, b"")), Ok((9, Bytes::new())));
    }

    #[test]
    fn what_is_cut_off_or_of_another_format_is_not_read() {
        let whole = head().encode();
        for length in 0..whole.len() {
            // Without a moment, and with its source, it would be a head of another version of the metadata.
            if length != whole.len() - 16 {
                assert!(Head::decode(&whole[..length]).is_err(), "{length}");
            }
        }
        let mut other = whole.to_vec();
        other[0] = 2;
        assert_eq!(Head::decode(&other), Err(OtherFormat(Some(2))));
        assert_eq!(Head::decode(&[]), Err(OtherFormat(None)));
        let row = encode_row(9, b"ab");
        assert!((0..9).all(|length| decode_row(&row.slice(..length)).is_err()));
    }
}

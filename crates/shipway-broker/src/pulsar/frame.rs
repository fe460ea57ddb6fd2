//! Frames of Pulsar's protocol: a command, and behind it an entry where the command carries one.
//!
//! `[length of all][length][command]`, then for an entry `[0x0e01][checksum][length][metadata][payload]`. The checksum is CRC-32C of
//! what follows it. Lengths and checksum are big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::commands::{BaseCommand, Body, Metadata};

/// Before the checksum of an entry.
const CHECKED: u16 = 0x0e01;
/// Before what the broker itself says of an entry.
const OF_BROKER: u16 = 0x0e02;

static CHECKSUM: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISCSI);

/// What came in one frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) body: Option<Body>,
    /// What lies behind the command: the entry.
    pub(super) entry: Bytes,
}

/// Bytes that are no frame, or no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

fn malformed(what: &str) -> Malformed {
    Malformed(what.to_owned())
}

/// Takes the next frame out of what was read, if it is complete.
pub(super) fn take(read: &mut BytesMut, longest: usize) -> Result<Option<Frame>, Malformed> {
    let Some(head) = read.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > longest {
        return Err(Malformed(format!(
            "a frame of {length} bytes is longer than the {longest} that were agreed on"
        )));
    }
    if read.len() < 4 + length {
        read.reserve(4 + length - read.len());
        return Ok(None);
    }
    let mut frame = read.split_to(4 + length).freeze();
    frame.advance(4);
    let command = take_part(&mut frame)?;
    let body = BaseCommand::decode(command)?.body;
    Ok(Some(Frame { body, entry: frame }))
}

/// A command alone.
pub(super) fn of(body: Body) -> Bytes {
    let command = BaseCommand { kind: body.kind(), body: Some(body) };
    let length = command.encoded_len();
    let mut frame = BytesMut::with_capacity(8 + length);
    frame.put_u32(short(4 + length));
    frame.put_u32(short(length));
    frame.put_slice(&command.encode_to_vec());
    frame.freeze()
}

/// A command with an entry.
pub(super) fn with_entry(body: Body, metadata: &Metadata, payload: &[u8]) -> Bytes {
    let command = BaseCommand { kind: body.kind(), body: Some(body) }.encode_to_vec();
    let entry = entry_of(metadata, payload);
    let mut frame = BytesMut::with_capacity(8 + command.len() + entry.len());
    frame.put_u32(short(4 + command.len() + entry.len()));
    frame.put_u32(short(command.len()));
    frame.put_slice(&command);
    frame.put_slice(&entry);
    frame.freeze()
}

fn entry_of(metadata: &Metadata, payload: &[u8]) -> Bytes {
    let metadata = metadata.encode_to_vec();
    let mut checked = BytesMut::with_capacity(4 + metadata.len() + payload.len());
    checked.put_u32(short(metadata.len()));
    checked.put_slice(&metadata);
    checked.put_slice(payload);
    let mut entry = BytesMut::with_capacity(6 + checked.len());
    entry.put_u16(CHECKED);
    entry.put_u32(CHECKSUM.checksum(&checked));
    entry.put_slice(&checked);
    entry.freeze()
}

/// Lengths are bounded far below what four bytes hold, by the longest message of the broker.
fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Takes an entry apart into what is said of it and its payload.
pub(super) fn open_entry(mut entry: Bytes) -> Result<(Metadata, Bytes), Malformed> {
    if entry.len() >= 2 && entry[..2] == OF_BROKER.to_be_bytes() {
        entry.advance(2);
        take_part(&mut entry)?;
    }
    if entry.len() >= 6 && entry[..2] == CHECKED.to_be_bytes() {
        entry.advance(2);
        let promised = entry.get_u32();
        if CHECKSUM.checksum(&entry) != promised {
            return Err(malformed("its checksum is wrong"));
        }
    }
    let metadata = take_part(&mut entry)?;
    Ok((Metadata::decode(metadata)?, entry))
}

/// Takes a part that is led by its length.
pub(super) fn take_part(bytes: &mut Bytes) -> Result<Bytes, Malformed> {
    if bytes.len() < 4 {
        return Err(malformed("it ends within a length"));
    }
    let length = bytes.get_u32() as usize;
    if bytes.len() < length {
        return Err(malformed("it is shorter than it says"));
    }
    Ok(bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulsar::commands::{Flow, Ping, Publish};

    const LONGEST: usize = 1 << 20;

    #[test]
    fn the_checksum_is_the_one_that_the_protocol_names() {
        // The check value of CRC-32C, as every catalogue of checksums has it.
        assert_eq!(CHECKSUM.checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_command_is_framed_as_the_protocol_says() {
        let frame = of(Body::Flow(Flow { consumer_id: 7, message_permits: 300 }));
        // Type 11 in field 1, then the command in field 11.
        let command = [8, 11, 90, 5, 8, 7, 16, 172, 2];
        let mut expected = vec![0, 0, 0, 13, 0, 0, 0, 9];
        expected.extend(command);
        assert_eq!(frame, expected);
    }

    #[test]
    fn frames_are_taken_out_of_a_stream_however_it_is_cut() {
        let metadata = Metadata { producer_name: "p".to_owned(), publish_time: 1, ..Metadata::default() };
        let send = Body::Send(Publish { producer_id: 1, sequence_id: 2 });
        let mut sent = of(Body::Ping(Ping {})).to_vec();
        sent.extend(with_entry(send.clone(), &metadata, b"payload"));
        let (mut read, mut bodies) = (BytesMut::new(), Vec::new());
        for byte in sent {
            read.put_u8(byte);
            while let Some(frame) = take(&mut read, LONGEST).unwrap() {
                if !frame.entry.is_empty() {
                    let (read_metadata, payload) = open_entry(frame.entry).unwrap();
                    assert_eq!((read_metadata, &payload[..]), (metadata.clone(), &b"payload"[..]));
                }
                bodies.push(frame.body.unwrap());
            }
        }
        assert_eq!(bodies, [Body::Ping(Ping {}), send]);
        assert!(read.is_empty());
    }

    #[test]
    fn a_frame_longer_than_agreed_is_refused_before_memory_is_taken_for_it() {
        let mut read = BytesMut::from(&[0xff, 0xff, 0xff, 0xff][..]);
        let refused = take(&mut read, LONGEST).unwrap_err().to_string();
        assert!(refused.contains("longer than the 1048576"), "{refused}");
    }

    #[test]
    fn a_damaged_entry_is_noticed() {
        let metadata = Metadata { producer_name: "p".to_owned(), ..Metadata::default() };
        let entry = entry_of(&metadata, b"payload");
        for place in 0..entry.len() {
            let mut damaged = entry.to_vec();
            damaged[place] ^= 0x10;
            let opened = open_entry(Bytes::from(damaged));
            assert!(opened.is_err(), "byte {place}: {opened:?}");
        }
        for length in 0..entry.len() {
            assert!(open_entry(entry.slice(..length)).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn what_the_broker_says_of_an_entry_is_passed_over() {
        let metadata = Metadata { producer_name: "p".to_owned(), ..Metadata::default() };
        let mut entry = vec![0x0e, 0x02, 0, 0, 0, 3, 1, 2, 3];
        entry.extend(entry_of(&metadata, b"payload"));
        let (read, payload) = open_entry(Bytes::from(entry)).unwrap();
        assert_eq!((read, &payload[..]), (metadata, &b"payload"[..]));
    }
}

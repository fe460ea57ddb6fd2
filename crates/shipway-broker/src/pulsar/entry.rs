//! An entry of a ledger, taken apart into its messages: one, or those of a batch.

use std::io::Read;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use prost::Message as _;

use super::{
    commands::{KeyValue, Metadata, SingleMetadata},
    frame::{self, Malformed},
};
use crate::{Header, Message};

/// A longer entry is not unpacked: it would take memory that nobody gave it.
const LONGEST: usize = 64 << 20;

/// A message of an entry, and its place in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) batch: u64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) timestamp_us: Option<i64>,
    pub(super) headers: Vec<Header>,
}

impl Piece {
    pub(super) fn placed(self, partition: u32, offset: u64) -> Message {
        let Self { key, value, timestamp_us, headers, .. } = self;
        Message { partition, offset, key, value, timestamp_us, headers }
    }
}

/// An entry that was taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    /// How many messages its sender put into it. Some may have been taken out since.
    pub(super) messages: u32,
    pub(super) pieces: Vec<Piece>,
}

/// The messages of an entry, in their order. What the broker wrote for itself has none.
pub(super) fn open(entry: Bytes) -> Result<Opened, Malformed> {
    let (metadata, payload) = frame::open_entry(entry)?;
    if metadata.marker_type.is_some() {
        return Ok(Opened { messages: 1, pieces: Vec::new() });
    }
    if !metadata.encryption_keys.is_empty() {
        return Err(Malformed("it is encrypted by its producer".to_owned()));
    }
    if metadata.num_chunks_from_msg.is_some_and(|chunks| chunks > 1) {
        return Err(Malformed("its producer sent it in chunks".to_owned()));
    }
    let payload = unpack(&metadata, payload)?;
    match metadata.num_messages_in_batch {
        None => Ok(Opened { messages: 1, pieces: vec![single(&metadata, payload)] }),
        Some(number) => {
            let messages = u32::try_from(number)
                .map_err(|_| Malformed(format!("it is a batch of {number} messages")))?;
            Ok(Opened { messages, pieces: batch(&metadata, payload, messages)? })
        }
    }
}

/// How many messages an entry counts as, without taking it apart.
pub(super) fn count(entry: Bytes) -> u32 {
    let number = frame::open_entry(entry).ok().and_then(|(metadata, _)| metadata.num_messages_in_batch);
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1)
}

fn single(metadata: &Metadata, payload: Bytes) -> Piece {
    let key = Key {
        text: metadata.partition_key.as_deref(),
        is_base64: metadata.partition_key_b64_encoded,
        is_null: metadata.null_partition_key,
    };
    Piece {
        batch: 0,
        key: key.bytes(),
        value: value(payload, metadata.null_value),
        timestamp_us: timestamp_us(metadata.event_time, metadata.publish_time),
        headers: headers(&metadata.properties),
    }
}

fn batch(metadata: &Metadata, mut payload: Bytes, messages: u32) -> Result<Vec<Piece>, Malformed> {
    let mut pieces = Vec::new();
    for place in 0..messages {
        let single = SingleMetadata::decode(frame::take_part(&mut payload)?)?;
        let length = usize::try_from(single.payload_size)
            .ok()
            .filter(|length| *length <= payload.len())
            .ok_or_else(|| Malformed(format!("message {place} of its batch is longer than the batch")))?;
        let text = payload.split_to(length);
        if single.compacted_out == Some(true) {
            continue;
        }
        let key = Key {
            text: single.partition_key.as_deref(),
            is_base64: single.partition_key_b64_encoded,
            is_null: single.null_partition_key,
        };
        pieces.push(Piece {
            batch: u64::from(place),
            key: key.bytes(),
            value: value(text, single.null_value),
            timestamp_us: timestamp_us(single.event_time, metadata.publish_time),
            headers: headers(&single.properties),
        });
    }
    Ok(pieces)
}

/// A key as it comes: text, which stands for bytes where it is said to be base64.
struct Key<'m> {
    text: Option<&'m str>,
    is_base64: Option<bool>,
    is_null: Option<bool>,
}

impl Key<'_> {
    fn bytes(&self) -> Option<Bytes> {
        if self.is_null == Some(true) {
            return None;
        }
        let text = self.text?;
        let decoded = (self.is_base64 == Some(true)).then(|| BASE64_STANDARD.decode(text).ok()).flatten();
        Some(decoded.map_or_else(|| Bytes::copy_from_slice(text.as_bytes()), Bytes::from))
    }
}

fn value(payload: Bytes, is_null: Option<bool>) -> Option<Bytes> {
    (is_null != Some(true)).then_some(payload)
}

/// When the event was, as its producer says, or else when it was sent. The protocol has milliseconds.
fn timestamp_us(event_time: Option<u64>, publish_time: u64) -> Option<i64> {
    let milliseconds = event_time.filter(|time| *time > 0).unwrap_or(publish_time);
    i64::try_from(milliseconds).ok()?.checked_mul(1000)
}

fn headers(properties: &[KeyValue]) -> Vec<Header> {
    let header = |pair: &KeyValue| Header {
        name: pair.key.clone(),
        value: Some(Bytes::copy_from_slice(pair.value.as_bytes())),
    };
    properties.iter().map(header).collect()
}

/// Unpacks a payload, into as many bytes as its producer says that it has, and no more.
fn unpack(metadata: &Metadata, payload: Bytes) -> Result<Bytes, Malformed> {
    const NONE: i32 = 0;
    const LZ4: i32 = 1;
    const ZLIB: i32 = 2;
    const ZSTD: i32 = 3;
    const SNAPPY: i32 = 4;
    let packing = metadata.compression.unwrap_or(NONE);
    if packing == NONE {
        return Ok(payload);
    }
    let length = metadata.uncompressed_size.unwrap_or(0) as usize;
    if length > LONGEST {
        return Err(Malformed(format!(
            "it unpacks to {length} bytes, more than the {LONGEST} that are taken"
        )));
    }
    let failed = |error: &dyn std::fmt::Display| Malformed(format!("it cannot be unpacked: {error}"));
    let unpacked = match packing {
        LZ4 => lz4_flex::block::decompress(&payload, length).map_err(|error| failed(&error))?,
        ZLIB => {
            let mut unpacked = Vec::with_capacity(length);
            let mut reader = flate2::read::ZlibDecoder::new(&payload[..]).take(length as u64 + 1);
            reader.read_to_end(&mut unpacked).map_err(|error| failed(&error))?;
            unpacked
        }
        ZSTD => zstd::bulk::decompress(&payload, length).map_err(|error| failed(&error))?,
        SNAPPY => {
            let promised = snap::raw::decompress_len(&payload).map_err(|error| failed(&error))?;
            if promised != length {
                return Err(failed(&"its length is another one than its producer says"));
            }
            snap::raw::Decoder::new().decompress_vec(&payload).map_err(|error| failed(&error))?
        }
        other => {
            return Err(Malformed(format!("it is packed in a way that is not known here, number {other}")));
        }
    };
    if unpacked.len() != length {
        return Err(failed(&"its length is another one than its producer says"));
    }
    Ok(Bytes::from(unpacked))
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;

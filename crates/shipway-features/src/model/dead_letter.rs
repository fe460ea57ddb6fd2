//! A message of a broker that is no event of its source, kept whole until somebody has seen to it.

use bytes::Bytes;
use shipway_core::Timestamp;

use crate::model::{
    bytes::{read_byte, read_moment, read_number, read_text, write_moment, write_number, write_text},
    origin::Origin,
};

/// A message that could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLetter {
    pub(crate) origin: Origin,
    pub(crate) topic: Box<str>,
    /// When its producer sent it, if the broker knows.
    pub(crate) sent: Option<Timestamp>,
    pub(crate) received: Timestamp,
    pub(crate) key: Option<Bytes>,
    pub(crate) message: Option<Bytes>,
    /// What kind of fault it is: stable.
    pub(crate) code: Box<str>,
    /// For a person.
    pub(crate) reason: Box<str>,
}

impl DeadLetter {
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        self.origin.write(bytes);
        write_moment(self.received.micros(), bytes);
        bytes.push(u8::from(self.sent.is_some()));
        write_moment(self.sent.map_or(0, Timestamp::micros), bytes);
        for text in [&self.topic, &self.code, &self.reason] {
            write_text(text, bytes);
        }
        for part in [&self.key, &self.message] {
            bytes.push(u8::from(part.is_some()));
            let part = part.as_deref().unwrap_or_default();
            write_number(part.len() as u64, bytes);
            bytes.extend(part);
        }
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Self> {
        let origin = Origin::read(from)?;
        let received = Timestamp(read_moment(from)?);
        let is_sent = read_byte(from)? != 0;
        let sent = Some(Timestamp(read_moment(from)?)).filter(|_| is_sent);
        let topic = read_text(from)?.into();
        let code = read_text(from)?.into();
        let reason = read_text(from)?.into();
        let key = read_bytes(from)?;
        let message = read_bytes(from)?;
        Some(Self { origin, topic, sent, received, key, message, code, reason })
    }
}

fn read_bytes(from: &mut &[u8]) -> Option<Option<Bytes>> {
    let is_there = read_byte(from)? != 0;
    let length = usize::try_from(read_number(from)?).ok()?;
    let (part, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(is_there.then(|| Bytes::copy_from_slice(part)))
}

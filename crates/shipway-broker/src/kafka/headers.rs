//! Headers there and back.

use bytes::Bytes;
use rdkafka::message::{BorrowedMessage, Header as Theirs, Headers, Message, OwnedHeaders};

use crate::Header;

/// The headers of a message that was read.
pub(super) fn of(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let ours = |header: Theirs<'_, &[u8]>| Header {
        name: header.key.to_owned(),
        value: header.value.map(Bytes::copy_from_slice),
    };
    headers.iter().map(ours).collect()
}

/// The headers of a message that is to be written; none where there are none, for an empty list is sent as one.
pub(super) fn to_send(headers: &[Header]) -> Option<OwnedHeaders> {
    let first = OwnedHeaders::new_with_capacity(headers.len());
    let all = headers
        .iter()
        .fold(first, |all, header| all.insert(Theirs { key: &header.name, value: header.value.as_deref() }));
    (!headers.is_empty()).then_some(all)
}

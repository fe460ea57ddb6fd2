//! The header that clients of a schema registry write before a message: a zero byte and the id of the schema in four bytes,
//! most significant first; for Protobuf then which message of the schema it is.

use crate::error::MessageError;

/// The bytes before the message itself, without Protobuf's indexes.
pub(crate) const HEADER_BYTES: usize = 5;

/// The deepest that a Protobuf message type may lie in others.
const MOST_INDEXES: u64 = 32;

/// The id of the schema, and what follows the header.
pub(crate) fn split(message: &[u8]) -> Result<(u32, &[u8]), MessageError> {
    match message.split_first_chunk::<HEADER_BYTES>() {
        Some(([0, id @ ..], rest)) => Ok((u32::from_be_bytes(*id), rest)),
        _ => Err(MessageError::Header { reason: "the message does not begin with the id of a schema" }),
    }
}

/// Whether the message looks as if it had a header: no object of JSON begins so.
pub(crate) fn has_header(message: &[u8]) -> bool {
    message.len() >= HEADER_BYTES && message[0] == 0
}

/// Writes the header.
pub(crate) fn write(id: u32, into: &mut Vec<u8>) {
    into.push(0);
    into.extend(id.to_be_bytes());
}

/// Which message of a Protobuf schema follows: the index in the file, then the index in the message, and so on. A single
/// zero stands for the first message of the file.
pub(crate) fn message_indexes(message: &[u8]) -> Result<(Vec<usize>, &[u8]), MessageError> {
    let wrong =
        || MessageError::Header { reason: "the header does not say which message of the schema it is" };
    let (count, mut rest) = varint(message).ok_or_else(wrong)?;
    if count == 0 {
        return Ok((vec![0], rest));
    }
    let count = u64::try_from(count).ok().filter(|count| *count <= MOST_INDEXES).ok_or_else(wrong)?;
    let mut indexes = Vec::new();
    for _ in 0..count {
        let (index, after) = varint(rest).ok_or_else(wrong)?;
        indexes.push(usize::try_from(index).map_err(|_| wrong())?);
        rest = after;
    }
    Ok((indexes, rest))
}

/// A zigzag number of at most 32 bits.
fn varint(from: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0_u64;
    for (position, byte) in from.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * position);
        if *byte < 0x80 {
            let signed = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
            return Some((signed, &from[position + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_confluents_clients_to_the_byte() {
        let mut written = Vec::new();
        write(0x0102_0304, &mut written);
        assert_eq!(written, [0, 1, 2, 3, 4]);
        assert_eq!(split(&[0, 0, 0, 1, 0, 0xaa]), Ok((256, &[0xaa][..])));
        for wrong in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 1], b"{\"a\":1}"] {
            assert!(split(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_of_protobuf_says_which_message_it_is() {
        let read = |bytes: &[u8]| message_indexes(bytes).map(|(indexes, rest)| (indexes, rest.len()));
        assert_eq!(read(&[0, 9]), Ok((vec![0], 1)), "the short form of the first");
        assert_eq!(read(&[2, 0]), Ok((vec![0], 0)), "the long form of the first");
        assert_eq!(read(&[4, 2, 0, 9, 9]), Ok((vec![1, 0], 2)), "the first in the second");
        for wrong in [&[][..], &[2], &[1, 0], &[2, 1], &[0xff, 0xff, 0xff, 0xff, 0xff], &[0x80]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}

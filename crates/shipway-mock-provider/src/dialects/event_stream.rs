//! The binary streams of AWS: each event is a message with lengths, headers and two checksums.

use bytes::{BufMut, Bytes, BytesMut};

use super::sse::{Data, Event, faulty};
use crate::script::{Fault, Script};

/// The messages of a stream; `error` is what the provider says when it breaks in the middle.
pub(crate) fn messages(events: Vec<Event>, script: &Script, error: impl FnOnce() -> Event) -> Vec<Bytes> {
    let mut messages: Vec<BytesMut> = faulty(events, script, error).iter().map(message).collect();
    if let Some(Fault::BadChecksum(at)) = script.fault
        && let Some(last) = messages.get_mut(at).and_then(|message| message.last_mut())
    {
        *last ^= 1;
    }
    messages.into_iter().map(BytesMut::freeze).collect()
}

/// One message. What is called an exception is one.
fn message(event: &Event) -> BytesMut {
    let name = event.name.unwrap_or_default();
    let payload = match &event.data {
        Data::Word(word) => (*word).to_owned(),
        Data::Json(value) => value.to_string(),
    };
    let (kind, name_is) =
        if name.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
    let mut headers = BytesMut::new();
    for (header, value) in [(name_is, name), (":content-type", "application/json"), (":message-type", kind)] {
        put_length::<u8>(&mut headers, header.len());
        headers.put_slice(header.as_bytes());
        // The type of a text.
        headers.put_u8(7);
        put_length::<u16>(&mut headers, value.len());
        headers.put_slice(value.as_bytes());
    }
    let mut bytes = BytesMut::with_capacity(16 + headers.len() + payload.len());
    put_length::<u32>(&mut bytes, 16 + headers.len() + payload.len());
    put_length::<u32>(&mut bytes, headers.len());
    let checksum = crc32fast::hash(&bytes);
    bytes.put_u32(checksum);
    bytes.put_slice(&headers);
    bytes.put_slice(payload.as_bytes());
    let checksum = crc32fast::hash(&bytes);
    bytes.put_u32(checksum);
    bytes
}

/// A length in as many bytes as `N` has; what is played is never as long as that.
fn put_length<N>(bytes: &mut BytesMut, length: usize) {
    let wide = u64::try_from(length).unwrap_or_default().to_be_bytes();
    bytes.put_slice(&wide[wide.len() - size_of::<N>()..]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(script: &str) -> Vec<Bytes> {
        let events = vec![
            Event::named("messageStart", json!({"role": "assistant"})),
            Event::named("messageStop", json!({})),
        ];
        let error = || Event::named("throttlingException", json!({"message": "slow"}));
        messages(events, &Script::parse(script).unwrap(), error)
    }

    #[test]
    fn a_message_has_its_lengths_and_checksums() {
        let bytes = &made("")[0];
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(number(0) as usize, bytes.len());
        assert_eq!(number(8), crc32fast::hash(&bytes[..8]));
        assert_eq!(number(bytes.len() - 4), crc32fast::hash(&bytes[..bytes.len() - 4]));
        let headers = 12 + number(4) as usize;
        assert_eq!(&bytes[headers..bytes.len() - 4], br#"{"role":"assistant"}"#);
        assert!(bytes[12..headers].starts_with(b"\x0b:event-type\x07\x00\x0cmessageStart"));
    }

    #[test]
    fn faults_damage_what_they_name() {
        let (whole, damaged) = (made(""), made("fault=bad_checksum:1"));
        assert_eq!((whole[0] == damaged[0], whole[1] == damaged[1]), (true, false));
        let broken = made("fault=error_frame:1");
        assert!(broken[1].windows(15).any(|bytes| bytes == b":exception-type"));
        assert_eq!(made("fault=empty").len(), 0);
    }
}

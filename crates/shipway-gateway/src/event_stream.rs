//! The binary streams of AWS (`application/vnd.amazon.eventstream`) as events: each message becomes a frame under the name of its type,
//! with its payload as data. Checksums are checked, and what ends within a message has broken.

use std::pin::Pin;

use aws_smithy_eventstream::frame::read_message_from;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use shipway_dialects::{ApiError, Cause, LONGEST_FRAME_BYTES};

/// The content type of such a stream.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";
/// Lengths and checksums around an empty message.
const LEAST_BYTES: usize = 16;
const LENGTH_BYTES: usize = 4;

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>;

/// The stream as events; it ends with an error where the binary one is damaged or cut off.
pub(crate) fn as_events(chunks: Chunks) -> Chunks {
    let decoding = Decoding { chunks, begun: BytesMut::new(), is_over: false };
    Box::pin(stream::unfold(decoding, |mut decoding| async move {
        let next = decoding.next().await?;
        Some((next, decoding))
    }))
}

struct Decoding {
    chunks: Chunks,
    /// What has come of messages that are not whole yet.
    begun: BytesMut,
    is_over: bool,
}

impl Decoding {
    async fn next(&mut self) -> Option<Result<Bytes, ApiError>> {
        while !self.is_over {
            match self.chunks.next().await {
                Some(Ok(chunk)) => {
                    self.begun.extend_from_slice(&chunk);
                    let mut events = Vec::new();
                    let decoded = decode(&mut self.begun, &mut events);
                    if let Err(error) = decoded {
                        // What was whole before goes out first; the damage is found again behind it.
                        if events.is_empty() {
                            self.is_over = true;
                            return Some(Err(error));
                        }
                        self.chunks = Box::pin(stream::iter([Err(error)]));
                    }
                    if !events.is_empty() {
                        return Some(Ok(Bytes::from(events)));
                    }
                }
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                None => {
                    self.is_over = true;
                    return (!self.begun.is_empty()).then(|| Err(ApiError::truncated()));
                }
            }
        }
        None
    }
}

/// Takes the messages that are whole off `begun`, and appends them to `events`.
fn decode(begun: &mut BytesMut, events: &mut Vec<u8>) -> Result<(), ApiError> {
    while let Some(length) = begun.first_chunk::<LENGTH_BYTES>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if !(LEAST_BYTES..=LONGEST_FRAME_BYTES).contains(&length) {
            return Err(damaged("its length cannot be"));
        }
        if begun.len() < length {
            return Ok(());
        }
        let message = begun.split_to(length).freeze();
        let message = read_message_from(message).map_err(|error| damaged(&error.to_string()))?;
        let header = |name: &str| {
            let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
            found.value().as_string().ok().map(|text| text.as_str().to_owned())
        };
        let kind = header(":message-type").unwrap_or_default();
        match kind.as_str() {
            "event" => frame(events, &header(":event-type").unwrap_or_default(), message.payload()),
            "exception" => {
                let name = header(":exception-type").unwrap_or_default();
                let message = text_of(message.payload(), "message");
                let data = serde_json::json!({"__type": name, "message": message});
                frame(events, "error", data.to_string().as_bytes());
            }
            "error" => {
                let (name, message) = (header(":error-code"), header(":error-message"));
                let data = serde_json::json!({"__type": name, "message": message});
                frame(events, "error", data.to_string().as_bytes());
            }
            _ => return Err(damaged("it is of no type that is known")),
        }
    }
    Ok(())
}

fn frame(events: &mut Vec<u8>, name: &str, payload: &[u8]) {
    events.extend_from_slice(b"event: ");
    // A name with a line in it would be two lines.
    events.extend(name.bytes().filter(u8::is_ascii_alphanumeric));
    // In JSON no line means anything.
    for line in payload.split(|byte| matches!(byte, b'\n' | b'\r')) {
        events.extend_from_slice(b"\ndata: ");
        events.extend_from_slice(line);
    }
    events.extend_from_slice(b"\n\n");
}

fn text_of(payload: &[u8], name: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    value.get(name)?.as_str().map(str::to_owned)
}

fn damaged(why: &str) -> ApiError {
    ApiError::new(Cause::Upstream, format!("a message of the provider's stream is damaged: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as AWS writes it.
    fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
        let mut head = Vec::new();
        for (name, value) in headers {
            head.push(u8::try_from(name.len()).unwrap());
            head.extend_from_slice(name.as_bytes());
            head.push(7);
            head.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            head.extend_from_slice(value.as_bytes());
        }
        let total = u32::try_from(16 + head.len() + payload.len()).unwrap();
        let mut bytes = total.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u32::try_from(head.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(payload.as_bytes());
        bytes.extend_from_slice(&crc32(&bytes).to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
        })
    }

    fn event(name: &str, payload: &str) -> Vec<u8> {
        message(
            &[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")],
            payload,
        )
    }

    async fn read(bytes: &[u8], step: usize) -> (String, Option<String>) {
        let chunks: Vec<_> = bytes.chunks(step).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        let mut events = as_events(Box::pin(stream::iter(chunks)));
        let (mut text, mut failure) = (Vec::new(), None);
        while let Some(next) = events.next().await {
            match next {
                Ok(bytes) => text.extend_from_slice(&bytes),
                Err(error) => failure = Some(error.message),
            }
        }
        (String::from_utf8(text).unwrap(), failure)
    }

    #[tokio::test]
    async fn messages_become_events_however_they_are_cut() {
        let bytes = [event("messageStart", r#"{"role":"assistant"}"#), event("messageStop", "{\n}")].concat();
        let whole =
            "event: messageStart\ndata: {\"role\":\"assistant\"}\n\nevent: messageStop\ndata: {\ndata: }\n\n";
        for step in [1, 3, 15, 16, 17, bytes.len()] {
            assert_eq!(read(&bytes, step).await, (whole.to_owned(), None), "in steps of {step}");
        }
    }

    #[tokio::test]
    async fn exceptions_are_errors_in_the_stream() {
        let headers = [(":exception-type", "throttlingException"), (":message-type", "exception")];
        let (text, failure) = read(&message(&headers, r#"{"message":"slow down"}"#), 9).await;
        assert_eq!(
            text,
            "event: error\ndata: {\"__type\":\"throttlingException\",\"message\":\"slow down\"}\n\n"
        );
        assert_eq!(failure, None);
        let headers =
            [(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "broken")];
        let (text, _) = read(&message(&headers, ""), 9).await;
        assert!(text.contains("\"message\":\"broken\""), "{text}");
    }

    #[tokio::test]
    async fn what_is_cut_or_damaged_ends_with_an_error_behind_what_was_whole() {
        let whole = event("messageStart", "{}");
        for cut in 1..whole.len() {
            let (text, failure) = read(&[&whole[..], &whole[..cut]].concat(), 7).await;
            assert!(text.starts_with("event: messageStart") && failure.is_some(), "cut after {cut}");
        }
        for place in 0..whole.len() {
            let mut bytes = [whole.clone(), whole.clone()].concat();
            bytes[whole.len() + place] ^= 0x10;
            for step in [5, bytes.len()] {
                let (text, failure) = read(&bytes, step).await;
                assert_eq!(text, "event: messageStart\ndata: {}\n\n", "at {place}");
                assert!(failure.is_some(), "at {place}");
            }
        }
    }

    #[tokio::test]
    async fn a_length_that_cannot_be_is_not_waited_for() {
        for length in [0_u32, 15, u32::MAX] {
            let (_, failure) = read(&length.to_be_bytes(), 4).await;
            assert!(failure.unwrap().contains("length"), "{length}");
        }
    }
}

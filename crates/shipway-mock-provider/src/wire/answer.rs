//! An answer before it is sent, and its bytes.

use std::{fmt::Write as _, io::Write as _, sync::OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::Wrong;
use crate::script::{Framing, Split};

/// Status, headers and body; what a script does to its bytes is done when it is made, what it does to their delivery is not.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    /// All of its bytes, once they were asked for.
    encoded: OnceLock<Bytes>,
}

/// The bytes after the head.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Bytes),
    /// Each frame in the pieces that it is sent in. Sent as chunks.
    Frames(Vec<Vec<Bytes>>),
}

impl Answer {
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        Self::whole(status, "application/json", Bytes::from(value.to_string()))
    }

    pub(crate) fn whole(status: u16, content_type: &str, body: Bytes) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: Body::Whole(body), encoded: OnceLock::new() }
    }

    /// A stream of server-sent events.
    pub(crate) fn stream(frames: Vec<Bytes>) -> Self {
        let headers = vec![
            ("content-type", "text/event-stream; charset=utf-8".to_owned()),
            ("cache-control", "no-cache".to_owned()),
        ];
        let frames = frames.into_iter().map(|frame| vec![frame]).collect();
        Self { status: 200, headers, body: Body::Frames(frames), encoded: OnceLock::new() }
    }

    /// A binary stream of AWS.
    pub(crate) fn binary_stream(messages: Vec<Bytes>) -> Self {
        let headers = vec![("content-type", "application/vnd.amazon.eventstream".to_owned())];
        let frames = messages.into_iter().map(|message| vec![message]).collect();
        Self { status: 200, headers, body: Body::Frames(frames), encoded: OnceLock::new() }
    }

    /// The answer to what is no request.
    pub(crate) fn wrong(wrong: &Wrong) -> Self {
        let status = if matches!(wrong, Wrong::TooLarge) { 413 } else { 400 };
        Self::json(
            status,
            &serde_json::json!({"error": {"message": wrong.to_string(), "type": "invalid_request_error", "param": null, "code": null}}),
        )
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Compressed and cut into pieces, as a script says.
    pub(crate) fn framed(mut self, framing: &Framing) -> Self {
        if framing.gzip {
            self.headers.push(("content-encoding", "gzip".to_owned()));
            self.body = match self.body {
                Body::Whole(body) => Body::Whole(compressed([vec![body]].iter()).concat().into()),
                Body::Frames(frames) => Body::Frames(
                    compressed(frames.iter()).into_iter().map(|frame| vec![frame.into()]).collect(),
                ),
            };
        }
        if let Body::Frames(frames) = &mut self.body {
            for frame in frames.iter_mut().filter(|_| framing.split != Split::Frames) {
                *frame = frame.iter().flat_map(|piece| pieces(piece, framing.split)).collect();
            }
        }
        self
    }

    /// The status line, and the headers with the empty line.
    pub(crate) fn head(&self, closes: bool) -> (String, String) {
        let mut headers = String::with_capacity(256);
        for (name, value) in &self.headers {
            // Writing to a string cannot fail.
            let _ = write!(headers, "{name}: {value}\r\n");
        }
        let _ = match &self.body {
            Body::Whole(body) => write!(headers, "content-length: {}\r\n", body.len()),
            Body::Frames(_) => write!(headers, "transfer-encoding: chunked\r\n"),
        };
        headers.push_str(if closes { "connection: close\r\n\r\n" } else { "\r\n" });
        (format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)), headers)
    }

    /// All of its bytes; made once while the connection stays.
    pub(crate) fn encoded(&self, closes: bool) -> Bytes {
        if closes { self.encode(true) } else { self.encoded.get_or_init(|| self.encode(false)).clone() }
    }

    fn encode(&self, closes: bool) -> Bytes {
        let (line, headers) = self.head(closes);
        let mut bytes = BytesMut::with_capacity(line.len() + headers.len() + self.body.len() + 64);
        bytes.put_slice(line.as_bytes());
        bytes.put_slice(headers.as_bytes());
        match &self.body {
            Body::Whole(body) => bytes.put_slice(body),
            Body::Frames(frames) => {
                frames.iter().flatten().for_each(|piece| put_chunk(&mut bytes, piece));
                bytes.put_slice(LAST_CHUNK);
            }
        }
        bytes.freeze()
    }
}

impl Body {
    /// Its bytes, before chunks are made of them.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Whole(body) => body.len(),
            Self::Frames(frames) => frames.iter().flatten().map(Bytes::len).sum(),
        }
    }
}

pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Adds a chunk; an empty one would end the body, so it is left out.
pub(super) fn put_chunk(bytes: &mut BytesMut, piece: &[u8]) {
    if piece.is_empty() {
        return;
    }
    // Writing to a buffer in memory cannot fail.
    let _ = write!(bytes, "{:x}\r\n", piece.len());
    bytes.put_slice(piece);
    bytes.put_slice(b"\r\n");
}

/// Each frame compressed so that it can be read when it has arrived; the last one ends the stream.
fn compressed<'a>(frames: impl ExactSizeIterator<Item = &'a Vec<Bytes>>) -> Vec<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut made: Vec<Vec<u8>> = Vec::with_capacity(frames.len());
    for frame in frames {
        for piece in frame {
            // Writing to a buffer in memory cannot fail.
            let _ = encoder.write_all(piece);
        }
        let _ = encoder.flush();
        made.push(std::mem::take(encoder.get_mut()));
    }
    let rest = encoder.finish().unwrap_or_default();
    match made.last_mut() {
        Some(last) => last.extend(rest),
        None => made.push(rest),
    }
    made
}

fn pieces(frame: &Bytes, split: Split) -> Vec<Bytes> {
    match split {
        Split::Frames => vec![frame.clone()],
        Split::Bytes(size) => {
            (0..frame.len()).step_by(size).map(|at| frame.slice(at..frame.len().min(at + size))).collect()
        }
        Split::Characters => {
            let starts = frame.iter().enumerate().filter(|(_, byte)| **byte >= 0xC0).map(|(at, _)| at + 1);
            let mut pieces = Vec::new();
            let mut from = 0;
            for at in starts.chain([frame.len()]) {
                pieces.push(frame.slice(from..at));
                from = at;
            }
            pieces
        }
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn framing(words: &str) -> Framing {
        crate::script::Script::parse(words).unwrap().framing
    }

    fn frames(answer: Answer) -> Vec<Vec<Bytes>> {
        match answer.body {
            Body::Frames(frames) => frames,
            Body::Whole(_) => panic!("no frames"),
        }
    }

    #[test]
    fn a_split_frame_ends_within_characters_and_loses_nothing() {
        let frame = Bytes::from("aé🚢b");
        let made = frames(Answer::stream(vec![frame.clone()]).framed(&framing("split=utf8")));
        assert_eq!(made[0].len(), 3);
        assert!(made[0].iter().any(|piece| str::from_utf8(piece).is_err()));
        assert_eq!(made[0].concat(), frame);
        let made = frames(Answer::stream(vec![frame.clone()]).framed(&framing("split=3")));
        assert_eq!(made[0].iter().map(Bytes::len).collect::<Vec<_>>(), [3, 3, 2]);
    }

    #[test]
    fn each_compressed_frame_can_be_read_when_it_has_arrived() {
        let made = frames(Answer::stream(vec!["one".into(), "two".into()]).framed(&framing("gzip")));
        let mut first = vec![0; 3];
        flate2::read::GzDecoder::new(&made[0][0][..]).read_exact(&mut first).unwrap();
        assert_eq!(first, b"one");
        let mut all = String::new();
        flate2::read::GzDecoder::new(&made.concat().concat()[..]).read_to_string(&mut all).unwrap();
        assert_eq!(all, "onetwo");
    }

    #[test]
    fn a_stream_is_sent_as_chunks_with_an_end() {
        let encoded = Answer::stream(vec!["data: 1\n\n".into(), "".into()]).encoded(true);
        let text = String::from_utf8(encoded.to_vec()).unwrap();
        assert!(
            text.ends_with(
                "transfer-encoding: chunked\r\nconnection: close\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n"
            ),
            "{text}"
        );
    }
}

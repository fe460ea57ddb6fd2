//! Reads a request as it came: its head is kept as bytes, since the journal shows it and the answer rarely asks for it.

use std::{fmt, io, time::Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};

const HEAD_LIMIT: usize = 65_536;
const HEADERS: usize = 128;
/// What a client may send ahead of an answer that it waits for.
const AHEAD_LIMIT: usize = 1 << 20;

/// A request that arrived wholly.
#[derive(Debug)]
pub(crate) struct Request {
    /// The request line and the headers, as they came.
    pub(crate) head: Bytes,
    pub(crate) method: String,
    /// Path and query, as they came.
    pub(crate) target: String,
    pub(crate) body: Bytes,
    pub(crate) wants_close: bool,
    pub(crate) arrived: Instant,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        headers(&self.head).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The key that it came with: `Authorization: Bearer`, `x-api-key`, `x-goog-api-key`, or `key=` in the query.
    pub(crate) fn key(&self) -> Option<&str> {
        let bearer = |value: &'_ str| value.strip_prefix("Bearer ").map(str::len);
        if let Some(value) = self.header("authorization") {
            return bearer(value).map_or(Some(value), |length| value.get(value.len() - length..));
        }
        self.header("x-api-key")
            .or_else(|| self.header("x-goog-api-key"))
            .or_else(|| self.query().split('&').find_map(|pair| pair.strip_prefix("key=")))
    }
}

/// Names and values of the headers in a head. What is not text is left out.
pub(crate) fn headers(head: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let text = str::from_utf8(head).unwrap_or_default();
    text.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
}

/// A request that is none.
#[derive(Debug)]
pub(crate) enum Wrong {
    NotHttp(String),
    TooLarge,
    /// It ended within a request.
    Ended,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp(why) => write!(formatter, "the request is not HTTP/1.1: {why}"),
            Self::TooLarge => formatter.write_str("the request is too large"),
            Self::Ended => formatter.write_str("the connection ended within the request"),
        }
    }
}

/// One connection, and what was read ahead from it.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    ahead: BytesMut,
    body_limit: usize,
}

/// The client left: it closed the connection, or broke it.
#[derive(Debug)]
pub(crate) struct Left;

enum Length {
    Known(usize),
    Chunked,
}

struct Head {
    bytes: usize,
    method: String,
    target: String,
    length: Length,
    wants_close: bool,
    awaits_continue: bool,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, body_limit: usize) -> Self {
        Self { stream, ahead: BytesMut::with_capacity(8192), body_limit }
    }

    /// The next request; `None` when the client ends the connection between two.
    pub(crate) async fn request(&mut self) -> Result<Option<Request>, Wrong> {
        let head = loop {
            if let Some(head) = parse_head(&self.ahead)? {
                break head;
            }
            if self.ahead.len() > HEAD_LIMIT {
                return Err(Wrong::TooLarge);
            }
            if !self.read_more().await {
                return if self.ahead.is_empty() { Ok(None) } else { Err(Wrong::Ended) };
            }
        };
        let raw_head = self.ahead.split_to(head.bytes).freeze();
        if head.awaits_continue && self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
            return Err(Wrong::Ended);
        }
        let body = match head.length {
            Length::Known(length) => self.body(length).await?,
            Length::Chunked => self.chunked_body().await?,
        };
        Ok(Some(Request {
            head: raw_head,
            method: head.method,
            target: head.target,
            body,
            wants_close: head.wants_close,
            arrived: Instant::now(),
        }))
    }

    async fn body(&mut self, length: usize) -> Result<Bytes, Wrong> {
        if length > self.body_limit {
            return Err(Wrong::TooLarge);
        }
        self.ahead.reserve(length.saturating_sub(self.ahead.len()));
        while self.ahead.len() < length {
            if !self.read_more().await {
                return Err(Wrong::Ended);
            }
        }
        Ok(self.ahead.split_to(length).freeze())
    }

    async fn chunked_body(&mut self) -> Result<Bytes, Wrong> {
        let mut body = BytesMut::new();
        loop {
            let parsed = httparse::parse_chunk_size(&self.ahead);
            match parsed.map_err(|_| Wrong::NotHttp("a chunk without a size".to_owned()))? {
                httparse::Status::Complete((used, 0)) => {
                    self.ahead.advance(used);
                    return self.trailers().await.map(|()| body.freeze());
                }
                httparse::Status::Complete((used, size)) => {
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    if size > self.body_limit.saturating_sub(body.len()) {
                        return Err(Wrong::TooLarge);
                    }
                    self.ahead.advance(used);
                    let chunk = self.body(size + 2).await?;
                    body.extend_from_slice(&chunk[..size]);
                }
                httparse::Status::Partial => {
                    if !self.read_more().await {
                        return Err(Wrong::Ended);
                    }
                }
            }
        }
    }

    /// Reads to the empty line after the last chunk.
    async fn trailers(&mut self) -> Result<(), Wrong> {
        loop {
            while let Some(end) = memchr::memmem::find(&self.ahead, b"\r\n") {
                self.ahead.advance(end + 2);
                if end == 0 {
                    return Ok(());
                }
            }
            if !self.read_more().await {
                return Err(Wrong::Ended);
            }
        }
    }

    /// The connection as a WebSocket, with what was read ahead of it.
    pub(super) async fn into_socket(self) -> WebSocketStream<TcpStream> {
        WebSocketStream::from_partially_read(self.stream, self.ahead.to_vec(), Role::Server, None).await
    }

    /// Whether there was more.
    async fn read_more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.ahead).await, Ok(read) if read > 0)
    }

    /// Sends `bytes`, or finds that nobody reads them.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Left> {
        self.stream.write_all(bytes).await.map_err(|_| Left)
    }

    /// Whether the client has left already.
    pub(crate) fn look(&mut self) -> Result<(), Left> {
        if self.ahead.len() > AHEAD_LIMIT {
            return Ok(());
        }
        match self.stream.try_read_buf(&mut self.ahead) {
            Ok(0) => Err(Left),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Left),
        }
    }

    /// Resolves when the client leaves.
    pub(crate) async fn left(&mut self) -> Left {
        loop {
            if self.ahead.len() > AHEAD_LIMIT {
                std::future::pending::<()>().await;
            }
            if self.stream.readable().await.is_err() || self.look().is_err() {
                return Left;
            }
        }
    }

    /// Waits, unless the client leaves before.
    pub(crate) async fn pause(&mut self, time: std::time::Duration) -> Result<(), Left> {
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            left = self.left() => Err(left),
        }
    }

    /// Lets the end of this connection be a reset.
    pub(crate) fn resets(&self) {
        // Where it cannot be set, the connection ends the usual way.
        let _ = self.stream.set_zero_linger();
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Wrong> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) =
        parsed.parse(bytes).map_err(|error| Wrong::NotHttp(error.to_string()))?
    else {
        return Ok(None);
    };
    let mut head = Head {
        bytes: length,
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        length: Length::Known(0),
        wants_close: parsed.version == Some(0),
        awaits_continue: false,
    };
    for header in parsed.headers.iter() {
        let value = str::from_utf8(header.value).unwrap_or_default();
        if header.name.eq_ignore_ascii_case("content-length") {
            let length =
                value.parse().map_err(|_| Wrong::NotHttp("content-length is no number".to_owned()))?;
            head.length = Length::Known(length);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding")
            && value.eq_ignore_ascii_case("chunked")
        {
            head.length = Length::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.wants_close = value.eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("expect") {
            head.awaits_continue = value.eq_ignore_ascii_case("100-continue");
        }
    }
    Ok(Some(head))
}

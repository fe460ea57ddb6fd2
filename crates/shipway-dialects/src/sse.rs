//! Server-sent events: a stream cut into its frames, wherever the network cut it.
//!
//! A frame is the lines up to and with the empty line that ends it. Frames lie back to back: their bytes, and what
//! [`Framer::rest`] has at the end, are the stream again. A frame that came in one piece shares the memory it came
//! in; one that came in several is put together, once.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The longest frame that is put together; an image in one frame fits.
pub const LONGEST_FRAME_BYTES: usize = 32 * 1024 * 1024;

/// A frame has more than [`LONGEST_FRAME_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the stream is longer than {LONGEST_FRAME_BYTES} bytes")]
pub struct FrameTooLong;

/// Cuts a stream into frames. Lines end in LF, CRLF or CR, also mixed.
#[derive(Debug)]
pub struct Framer {
    /// What has come of a frame that has not ended yet.
    begun: BytesMut,
    /// The line that is being read has nothing in it so far.
    fresh_line: bool,
    /// A CR was the last byte: a LF that follows belongs to it.
    after_return: bool,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// A framer at the start of a stream.
    pub fn new() -> Self {
        Self { begun: BytesMut::new(), fresh_line: true, after_return: false }
    }

    /// Takes the next bytes of the stream, and calls `frame` with each frame that is now whole.
    pub fn feed(&mut self, chunk: &Bytes, mut frame: impl FnMut(Bytes)) -> Result<(), FrameTooLong> {
        let mut start = 0;
        let mut at = 0;
        while at < chunk.len() {
            if self.after_return {
                self.after_return = false;
                at += usize::from(chunk[at] == b'\n');
                if self.line_ends() {
                    frame(self.cut(chunk, start, at));
                    start = at;
                }
                continue;
            }
            let Some(found) = memchr2(b'\n', b'\r', &chunk[at..]) else {
                self.fresh_line = false;
                break;
            };
            self.fresh_line &= found == 0;
            at += found + 1;
            if chunk[at - 1] == b'\r' {
                self.after_return = true;
            } else if self.line_ends() {
                frame(self.cut(chunk, start, at));
                start = at;
            }
        }
        if self.begun.len() + (chunk.len() - start) > LONGEST_FRAME_BYTES {
            return Err(FrameTooLong);
        }
        self.begun.extend_from_slice(&chunk[start..]);
        Ok(())
    }

    /// What has come after the last whole frame. At the end of a stream it is a frame that was cut off, unless only
    /// the last empty line is missing.
    pub fn rest(&mut self) -> Bytes {
        (self.fresh_line, self.after_return) = (true, false);
        std::mem::take(&mut self.begun).freeze()
    }

    /// Whether the line that just ended ends the frame. An empty line where no frame has begun is a frame of its own,
    /// so that what is sent to keep a connection alive goes on at once.
    fn line_ends(&mut self) -> bool {
        std::mem::replace(&mut self.fresh_line, true)
    }

    fn cut(&mut self, chunk: &Bytes, start: usize, end: usize) -> Bytes {
        if self.begun.is_empty() {
            return chunk.slice(start..end);
        }
        self.begun.extend_from_slice(&chunk[start..end]);
        self.begun.split().freeze()
    }
}

/// What one frame says: the name of its event and its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The last `event:` line's value, empty if there is none.
    pub name: &'a [u8],
    /// The `data:` lines, joined by LF; `None` if there is none, as in a comment that keeps the connection alive.
    pub data: Option<Cow<'a, [u8]>>,
}

impl<'a> Event<'a> {
    /// Reads the lines of a frame. Borrows all but data of several lines.
    pub fn read(frame: &'a [u8]) -> Self {
        let mut event = Self { name: b"", data: None };
        let mut rest = frame.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(frame);
        while !rest.is_empty() {
            let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            let (field, value) = match memchr::memchr(b':', line) {
                Some(colon) => (&line[..colon], &line[colon + 1..]),
                None => (line, &[][..]),
            };
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match field {
                b"event" => event.name = value,
                b"data" => match &mut event.data {
                    None => event.data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                },
                _ => {}
            }
        }
        event
    }
}

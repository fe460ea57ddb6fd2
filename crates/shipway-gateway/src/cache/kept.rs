//! An answer: while it is written down, and when it is given again.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shipway_core::Timestamp;
use shipway_dialects::Frame;

/// Where an answer comes from, and how long it is good.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<HeaderValue>,
    /// When it was asked for.
    pub(crate) began: Timestamp,
    pub(crate) until: Timestamp,
}

/// An answer that is kept.
#[derive(Debug)]
pub(crate) struct Kept {
    origin: Origin,
    /// A stream frame by frame; a whole answer in one piece.
    parts: Vec<Bytes>,
    pub(crate) is_stream: bool,
    pub(crate) made: Made,
}

/// How an answer was made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Made {
    pub(crate) deployment: Option<String>,
    pub(crate) upstream_model: Option<String>,
    /// What it cost.
    pub(crate) cost_nanos: i64,
}

impl Kept {
    fn whole(origin: Origin, body: &Bytes, made: Made) -> Self {
        // What shares memory with a longer buffer would keep that.
        let parts = vec![Bytes::copy_from_slice(body)];
        Self { origin, parts, is_stream: false, made }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64 + 32).sum()
    }

    pub(crate) fn is_good_at(&self, now: Timestamp) -> bool {
        now < self.origin.until
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.origin.status
    }

    /// All of its bytes, in the pieces in which they came.
    pub(crate) fn parts(&self) -> Vec<Bytes> {
        self.parts.clone()
    }

    /// The headers of its provider that belong to its bytes.
    pub(crate) fn headers(&self) -> HeaderMap {
        let content_type = self.origin.content_type.clone();
        content_type.map(|value| (header::CONTENT_TYPE, value)).into_iter().collect()
    }

    /// How old it is, in seconds.
    pub(crate) fn age_seconds(&self, now: Timestamp) -> i64 {
        (now.0 - self.origin.began.0).max(0) / 1_000_000
    }
}

/// Writes a stream down while it passes.
#[derive(Debug)]
pub(crate) struct Recorder {
    origin: Origin,
    parts: Vec<Bytes>,
    bytes: u64,
    most_bytes: u64,
}

impl Recorder {
    /// Of a stream of no more than `most_bytes`: what is longer is not kept.
    pub(crate) fn new(origin: Origin, most_bytes: u64) -> Self {
        Self { origin, parts: Vec::new(), bytes: 0, most_bytes }
    }

    pub(crate) fn record(&mut self, frames: &[Frame]) {
        for frame in frames {
            self.bytes += frame.bytes.len() as u64;
            if self.bytes > self.most_bytes {
                self.parts = Vec::new();
                return;
            }
            self.parts.push(Bytes::copy_from_slice(&frame.bytes));
        }
    }

    /// A whole answer, instead of a stream; none if it is too long.
    pub(crate) fn finish_whole(self, body: &Bytes, made: Made) -> Option<Kept> {
        (body.len() as u64 <= self.most_bytes).then(|| Kept::whole(self.origin, body, made))
    }

    /// The stream, once it is over; none if it was too long.
    pub(crate) fn finish(self, made: Made) -> Option<Kept> {
        let Self { origin, parts, bytes, most_bytes } = self;
        let kept = Kept { origin, parts, is_stream: true, made };
        (bytes <= most_bytes).then_some(kept)
    }
}

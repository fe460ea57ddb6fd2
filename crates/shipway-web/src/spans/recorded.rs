//! A span that has ended, as whoever sends it takes it.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

/// A span that has ended.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The trace that it belongs to.
    pub trace: [u8; 16],
    /// Its id.
    pub id: [u8; 8],
    /// The span that it stands under; none at the begin of a trace.
    pub parent: Option<[u8; 8]>,
    /// Whether the span that it stands under is of another process.
    pub is_parent_remote: bool,
    /// What other tracers keep in the trace (W3C `tracestate`); empty without anything.
    pub state: Arc<str>,
    /// Its name.
    pub name: Cow<'static, str>,
    /// Whether it is the answer to a request.
    pub kind: SpanKind,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// What is said of it. Texts that clients write are cut.
    pub attributes: Vec<SpanAttribute>,
    /// Whether it failed by a fault of ours, and how; the sentence may be empty.
    pub error: Option<String>,
}

/// What a span is to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// A part of the work of this process.
    Internal,
    /// The answer to a request.
    Server,
    /// A request to somebody else.
    Client,
}

/// Something that is said of a span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpanAttribute {
    /// Its name, of OpenTelemetry's conventions where they have one.
    pub key: &'static str,
    /// What it is.
    pub value: SpanValue,
}

impl SpanAttribute {
    /// The attribute of that name and value.
    pub fn new(key: &'static str, value: impl Into<SpanValue>) -> Self {
        Self { key, value: value.into() }
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum SpanValue {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// Texts.
    Texts(Vec<String>),
}

impl From<&'static str> for SpanValue {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for SpanValue {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for SpanValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for SpanValue {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Vec<String>> for SpanValue {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<bool> for SpanValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// Takes spans as they end. It is called on the way of a request, so it neither waits nor fails.
pub trait TakeSpans: Send + Sync {
    /// Takes a span.
    fn take(&self, span: Recorded);
}

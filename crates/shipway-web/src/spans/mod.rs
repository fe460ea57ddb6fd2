//! Spans: what a request did and when, for a collector of OpenTelemetry. Only requests that are sampled have any.
//!
//! A span is made of moments that are measured anyway, not by a layer over every span of the log: a process that sends no spans pays one
//! load of an atomic at each place that could make one, and a request that is not sampled pays for its decision.
//!
//! - `trace`: ids, the trace that a caller says, and which traces are sampled
//! - `open`: a span while it goes on
//! - `recorded`: one that has ended, for whoever sends it
//! - `future`: work under a span
//! - `request`: the span of a request
//! - `answer`: its end, when the last byte of the answer is gone

mod answer;
mod future;
mod open;
mod recorded;
mod request;
mod trace;

use std::sync::OnceLock;

pub use future::{Under, Within, under, within};
pub use open::Span;
pub use recorded::{Recorded, SpanAttribute, SpanKind, SpanValue, TakeSpans};
pub(crate) use request::{Asked, RequestSpan};
pub use trace::Sampling;

/// Who makes spans; nobody unless the process sends them.
static MAKER: OnceLock<Maker> = OnceLock::new();

struct Maker {
    sampling: Sampling,
    sink: Box<dyn TakeSpans>,
}

/// From here on requests that are sampled have spans, and `sink` gets them. Whoever comes first stays.
pub fn make_spans(sampling: Sampling, sink: Box<dyn TakeSpans>) {
    let _ = MAKER.set(Maker { sampling, sink });
}

/// The span that this code runs under; none where spans are not made or the request is not sampled.
pub fn current() -> Option<Span> {
    MAKER.get()?;
    open::entered()
}

/// Begins a trace, if that is sampled: for what no request waits for.
pub fn begin_trace(name: &'static str, attributes: impl FnOnce() -> Vec<SpanAttribute>) -> Option<Span> {
    let span = Span::begin(name, SpanKind::Internal, None)?;
    span.set_all(attributes());
    Some(span)
}

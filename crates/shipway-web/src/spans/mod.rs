//! Spans: what a request did and when, for a collector of OpenTelemetry. Only requests that are sampled have any.
//!
//! A span is made of moments that are measured anyway, not by a layer over every log span: a process that sends no spans pays one
//! load of an atomic at each place that could make one, and a request that is not sampled pays for its decision.
//!
//! - `request`: the span of a request, and its trace as the caller says it
//! - `answer`: its end, when the last byte of the answer is gone

mod answer;
mod request;

use std::{
    future::Future,
    pin::Pin,
    sync::OnceLock,
    task::{self, Poll, ready},
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    global::{self, BoxedTracer},
    trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer},
};
use pin_project_lite::pin_project;
use shipway_core::{Failure, Kind};

pub use opentelemetry::KeyValue as SpanAttribute;
pub(crate) use request::{Asked, RequestSpan};

/// Who makes spans; nobody unless the process sends them.
static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// From here on requests have spans, made by the provider that the process has set (`opentelemetry::global`). The trace that a caller
/// says is read by the propagator that it has set.
pub fn make_spans() {
    let scope = InstrumentationScope::builder("shipway").with_version(env!("CARGO_PKG_VERSION")).build();
    let _ = TRACER.set(global::tracer_with_scope(scope));
}

/// What is kept of a text that may be as long as somebody likes: many spans wait at once.
const MOST_CHARACTERS: usize = 512;

fn cut(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

/// A moment as both clocks show it: what is measured between two moments is placed in time by it.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    instant: Instant,
    time: SystemTime,
}

impl Anchor {
    fn now() -> Self {
        Self { instant: Instant::now(), time: opentelemetry::time::now() }
    }

    fn time_of(self, instant: Instant) -> SystemTime {
        match instant.checked_duration_since(self.instant) {
            Some(later) => self.time + later,
            None => self.time - self.instant.duration_since(instant),
        }
    }
}

/// A span that is sampled and open, for others to stand under. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Span(Context);

/// The span that this code runs under; none where spans are not made or the request is not sampled.
pub fn current() -> Option<Span> {
    TRACER.get()?;
    Context::map_current(|context| {
        let is_sampled = context.span().span_context().is_sampled();
        is_sampled.then(|| Span(context.clone()))
    })
}

/// Runs `work` under a span, or as it is without one.
pub fn under<F: Future>(span: Option<Span>, work: F) -> Under<F> {
    Under { work, span }
}

/// Runs `work` under a span of its own, a child of the one that the caller runs under; as it is without that. A failure of ours is an
/// error of the span.
pub fn within<F, T, E>(
    name: &'static str,
    attributes: impl FnOnce() -> Vec<SpanAttribute>,
    work: F,
) -> Within<F>
where
    F: Future<Output = Result<T, E>>,
    E: Failure,
{
    Within { work: under(current().map(|parent| parent.child(name, attributes())), work) }
}

// Futures by hand: an async function would hold the work twice, and the way of a prediction is short.
pin_project! {
    /// See [`under`].
    pub struct Under<F> {
        #[pin]
        work: F,
        span: Option<Span>,
    }
}

pin_project! {
    /// See [`within`].
    pub struct Within<F> {
        #[pin]
        work: Under<F>,
    }
}

impl<F: Future> Future for Under<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<F::Output> {
        let under = self.project();
        let _attached = under.span.as_ref().map(|span| span.0.clone().attach());
        under.work.poll(task)
    }
}

impl<F, T, E> Future for Within<F>
where
    F: Future<Output = Result<T, E>>,
    E: Failure,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Result<T, E>> {
        let mut work = self.project().work;
        let outcome = ready!(work.as_mut().poll(task));
        if let Some(span) = work.project().span {
            if let Err(failure) = &outcome {
                span.failed(failure);
            }
            span.end();
        }
        Poll::Ready(outcome)
    }
}

/// Begins a trace, if that is sampled: for what no request waits for.
pub fn begin_trace(name: &'static str, attributes: impl FnOnce() -> Vec<SpanAttribute>) -> Option<Span> {
    let span = begin(TRACER.get()?, SpanBuilder::from_name(name), &Context::new())?;
    span.0.span().set_attributes(attributes());
    Some(span)
}

/// A span at the begin of what happens in this process, if it is sampled.
fn begin(tracer: &BoxedTracer, builder: SpanBuilder, parent: &Context) -> Option<Span> {
    let anchor = Anchor::now();
    let span = tracer.build_with_context(builder.with_start_time(anchor.time), parent);
    let context = Context::new().with_span(span);
    let is_sampled = context.span().span_context().is_sampled();
    is_sampled.then(|| Span(context.with_value(anchor)))
}

/// What a span began with, for its children to say too.
struct Labels(Vec<KeyValue>);

impl Span {
    /// A child that has been, from one moment to another. It says what its parent began with too.
    pub fn was(&self, name: &'static str, (from, to): (Instant, Instant), attributes: Vec<SpanAttribute>) {
        let (Some(tracer), Some(anchor)) = (TRACER.get(), self.0.get::<Anchor>()) else { return };
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Internal)
            .with_start_time(anchor.time_of(from))
            .with_attributes(self.labelled(attributes));
        let mut span = tracer.build_with_context(builder, &self.0);
        opentelemetry::trace::Span::end_with_timestamp(&mut span, anchor.time_of(to));
    }

    /// Says something of the span.
    pub fn set(&self, attribute: SpanAttribute) {
        self.0.span().set_attribute(attribute);
    }

    /// Says that what the span stands for failed, by a stable code and a sentence.
    pub fn fail(&self, code: &str, sentence: &str) {
        self.set(KeyValue::new("error.type", code.to_owned()));
        self.0.span().set_status(Status::error(cut(sentence)));
    }

    /// Ends the span. Without it, it ends when nobody holds it any more.
    pub fn end(&self) {
        self.0.span().end();
    }

    /// A child that begins now.
    fn child(&self, name: &'static str, attributes: Vec<SpanAttribute>) -> Self {
        let Some(tracer) = TRACER.get() else { return self.clone() };
        let attributes = self.labelled(attributes);
        let builder = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Internal)
            .with_attributes(attributes.iter().cloned());
        let builder = match self.0.get::<Anchor>() {
            Some(anchor) => builder.with_start_time(anchor.time_of(Instant::now())),
            None => builder,
        };
        let span = tracer.build_with_context(builder, &self.0);
        Self(self.0.with_span(span).with_value(Labels(attributes)))
    }

    /// What a child says: what its parent began with, then its own.
    fn labelled(&self, attributes: Vec<SpanAttribute>) -> Vec<SpanAttribute> {
        match self.0.get::<Labels>() {
            Some(Labels(labels)) => labels.iter().cloned().chain(attributes).collect(),
            None => attributes,
        }
    }

    /// What was refused says so by its code; only what is a fault of ours is an error.
    fn failed(&self, failure: &impl Failure) {
        match failure.kind() {
            Kind::Unavailable | Kind::Internal => self.fail(failure.code(), &failure.to_string()),
            _ => self.set(KeyValue::new("error.type", failure.code())),
        }
    }

    fn trace_id(&self) -> String {
        self.0.span().span_context().trace_id().to_string()
    }
}

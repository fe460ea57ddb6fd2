//! A span while it goes on, and the one that a thread works under.

use std::{
    borrow::Cow,
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use shipway_core::{Failure, Kind};

use super::{
    MAKER,
    recorded::{Recorded, SpanAttribute, SpanKind},
    trace::{Said, hex, new_id},
};

/// What is kept of a text that may be as long as somebody likes: many spans wait at once.
const MOST_CHARACTERS: usize = 512;

pub(super) fn cut(text: &str) -> String {
    text.chars().take(MOST_CHARACTERS).collect()
}

/// A moment as both clocks show it: what is measured between two moments is placed in time by it. One for each trace, so that no clock
/// that was set in the meantime tears it apart.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    instant: Instant,
    time: SystemTime,
}

impl Anchor {
    #[expect(
        clippy::disallowed_methods,
        reason = "a collector wants the time of this machine, in nanoseconds"
    )]
    fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }

    fn time_of(self, instant: Instant) -> SystemTime {
        let before = self.instant.saturating_duration_since(instant);
        self.time + instant.saturating_duration_since(self.instant) - before
    }
}

/// A span that is sampled and goes on, for others to stand under. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Span(Arc<Open>);

#[derive(Debug)]
struct Open {
    trace: [u8; 16],
    id: [u8; 8],
    state: Arc<str>,
    anchor: Anchor,
    /// What its children say too.
    labels: Vec<SpanAttribute>,
    /// None once it has ended.
    record: Mutex<Option<Recorded>>,
}

/// A span that nobody ended, such as that of a request whose caller went away, ends when nobody holds it any more.
impl Drop for Open {
    fn drop(&mut self) {
        self.end();
    }
}

impl Open {
    fn with(&self, change: impl FnOnce(&mut Recorded)) {
        if let Some(record) = self.record.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            change(record);
        }
    }

    fn end(&self) {
        self.end_at(Instant::now());
    }

    fn end_at(&self, moment: Instant) {
        let ended = self.record.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(mut record), Some(maker)) = (ended, MAKER.get()) else { return };
        record.ended = self.anchor.time_of(moment);
        maker.sink.take(record);
    }
}

impl Span {
    /// A span at the begin of what happens in this process, if it is sampled.
    pub(super) fn begin(name: &'static str, kind: SpanKind, said: Option<Said>) -> Option<Self> {
        let sampling = MAKER.get()?.sampling;
        let trace = said.as_ref().map_or_else(new_id, |said| said.trace);
        if !sampling.samples(trace, said.as_ref()) {
            return None;
        }
        let anchor = Anchor::now();
        let record = Recorded {
            trace,
            id: new_id(),
            parent: said.as_ref().map(|said| said.parent),
            is_parent_remote: said.is_some(),
            state: said.map(|said| said.state).unwrap_or_default(),
            name: Cow::Borrowed(name),
            kind,
            began: anchor.time,
            ended: anchor.time,
            attributes: Vec::new(),
            error: None,
        };
        Some(Self::of(record, anchor, Vec::new()))
    }

    fn of(record: Recorded, anchor: Anchor, labels: Vec<SpanAttribute>) -> Self {
        let (trace, id, state) = (record.trace, record.id, Arc::clone(&record.state));
        Self(Arc::new(Open { trace, id, state, anchor, labels, record: Mutex::new(Some(record)) }))
    }

    /// What stands under this span: it says what this one began with, then its own.
    fn under(&self, name: &'static str, (from, to): (Instant, Instant), own: Vec<SpanAttribute>) -> Recorded {
        let open = &self.0;
        Recorded {
            trace: open.trace,
            id: new_id(),
            parent: Some(open.id),
            is_parent_remote: false,
            state: Arc::clone(&open.state),
            name: Cow::Borrowed(name),
            kind: SpanKind::Internal,
            began: open.anchor.time_of(from),
            ended: open.anchor.time_of(to),
            attributes: open.labels.iter().cloned().chain(own).collect(),
            error: None,
        }
    }

    /// A child that has been, from one moment to another. It says what its parent began with too.
    pub fn was(&self, name: &'static str, moments: (Instant, Instant), attributes: Vec<SpanAttribute>) {
        if let Some(maker) = MAKER.get() {
            maker.sink.take(self.under(name, moments, attributes));
        }
    }

    /// A request to somebody else that has been; `error` is why nothing came of it.
    pub fn asked(
        &self,
        name: &'static str,
        moments: (Instant, Instant),
        attributes: Vec<SpanAttribute>,
        error: Option<&str>,
    ) {
        if let Some(maker) = MAKER.get() {
            let record = self.under(name, moments, attributes);
            maker.sink.take(Recorded { kind: SpanKind::Client, error: error.map(cut), ..record });
        }
    }

    /// A child that begins now, whose name is only known at run time. It says nothing that its own children say again.
    pub fn begins(&self, name: String, kind: SpanKind) -> Self {
        let now = Instant::now();
        let mut record = self.under("", (now, now), Vec::new());
        (record.name, record.kind, record.attributes) = (name.into(), kind, Vec::new());
        Self::of(record, self.0.anchor, Vec::new())
    }

    /// Ends the span as of a moment that has been.
    pub fn end_at(&self, moment: Instant) {
        self.0.end_at(moment);
    }

    /// A child that begins now.
    pub(super) fn child(&self, name: &'static str, attributes: Vec<SpanAttribute>) -> Self {
        let now = Instant::now();
        let record = self.under(name, (now, now), attributes);
        let labels = record.attributes.clone();
        Self::of(record, self.0.anchor, labels)
    }

    /// Says something of the span.
    pub fn set(&self, attribute: SpanAttribute) {
        self.0.with(|record| record.attributes.push(attribute));
    }

    /// Says several things of the span.
    pub fn set_all(&self, attributes: Vec<SpanAttribute>) {
        self.0.with(|record| record.attributes.extend(attributes));
    }

    pub(super) fn rename(&self, name: String) {
        self.0.with(|record| record.name = name.into());
    }

    /// Says that what the span stands for failed, by a stable code and a sentence.
    pub fn fail(&self, code: &str, sentence: &str) {
        self.set(SpanAttribute::new("error.type", code.to_owned()));
        self.0.with(|record| record.error = Some(cut(sentence)));
    }

    /// What was refused says so by its code; only what is a fault of ours is an error.
    pub(super) fn failed(&self, failure: &impl Failure) {
        match failure.kind() {
            Kind::Unavailable | Kind::Internal => self.fail(failure.code(), &failure.to_string()),
            _ => self.set(SpanAttribute::new("error.type", failure.code())),
        }
    }

    /// Ends the span. Without it, it ends when nobody holds it any more.
    pub fn end(&self) {
        self.0.end();
    }

    /// The trace that it belongs to, in 32 hexadecimal digits.
    pub(super) fn trace_id(&self) -> String {
        hex(&self.0.trace)
    }

    /// Lets this thread work under the span, until what is returned is dropped.
    pub(super) fn enter(&self) -> Entered {
        Entered(CURRENT.with_borrow_mut(|current| current.replace(self.clone())))
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Span>> = const { RefCell::new(None) };
}

/// The span that this thread works under.
pub(super) fn entered() -> Option<Span> {
    CURRENT.with_borrow(Clone::clone)
}

/// Puts back what a thread worked under before.
pub(super) struct Entered(Option<Span>);

impl Drop for Entered {
    fn drop(&mut self) {
        // The span that is taken out is dropped outside: its end may be told there.
        let _left = CURRENT.with_borrow_mut(|current| std::mem::replace(current, self.0.take()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_before_and_after_are_placed_in_time() {
        let anchor = Anchor::now();
        let second = Duration::from_secs(1);
        assert_eq!(anchor.time_of(anchor.instant + second), anchor.time + second);
        assert_eq!(anchor.time_of(anchor.instant), anchor.time);
        if let Some(before) = anchor.instant.checked_sub(second) {
            assert_eq!(anchor.time_of(before), anchor.time - second);
        }
    }
}

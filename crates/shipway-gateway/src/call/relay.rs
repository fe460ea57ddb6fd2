//! A stream is passed on, byte for byte or told in the caller's API, while the scanner reads along.
//!
//! A stream that breaks ends with an error in the words of its API, never as if it were whole. When the caller goes away, the body is
//! dropped, and with it the connection to the provider: nothing more is written there, and what was written is charged.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use shipway_dialects::{ApiError, Cause, Ending, Finish};
use tokio::time::{Instant, timeout_at};

use super::{
    attempt::{Chunks, First},
    charge::{Call, Charge},
    on_the_way::OnTheWay,
    reading::{Progress, Reading},
};
use crate::{guard::Violation, ledger::Outcome, traces::Stage};

/// How long is waited for the end of a connection whose stream is over, so that it can be used again.
const PATIENCE_AFTER_END: Duration = Duration::from_millis(500);

/// The body of the answer. `call` is settled when the stream is over, or when the body is dropped.
pub(super) fn body(first: First, call: Call, idle: Duration, on_the_way: OnTheWay) -> Body {
    let First { status, headers: _, reading, chunks } = first;
    let deadline = call.deadline();
    let relay =
        Relay { call, status, reading, chunks, idle, on_the_way, deadline, is_over: false, ended: None };
    // Errors are said within the stream: to its reader the body itself never fails.
    Body::from_stream(stream::unfold(relay, |mut relay| async move {
        let bytes = relay.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), relay))
    }))
}

struct Relay {
    call: Call,
    status: StatusCode,
    reading: Reading,
    chunks: Chunks,
    idle: Duration,
    on_the_way: OnTheWay,
    deadline: Instant,
    is_over: bool,
    /// How it came to its end, until guardrails have seen all of it.
    ended: Option<Progress>,
}

impl Relay {
    /// The next bytes for the caller; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.call.is_running() && self.reading.ends_without_reason() {
                self.is_over = true;
                let message = "the provider's stream ended without a reason";
                self.break_off(&ApiError::new(Cause::Upstream, message));
            }
            let was_over = self.is_over;
            let out = self.reading.take();
            self.call.passes(Stage::Written, &out);
            let out = match self.on_the_way.pass(out, was_over).await {
                Ok(out) => out,
                Err(violation) => self.block(&violation),
            };
            self.call.passes(Stage::Given, &out);
            self.call.count_response(out.len() as u64);
            // Before the last bytes go out: whoever has them finds the call in the ledger.
            let progress = self.ended.take().unwrap_or_else(|| self.reading.progress());
            self.judge(progress);
            if !out.is_empty() {
                return Some(out);
            }
            if was_over {
                return None;
            }
            if !self.is_over {
                self.read().await;
            }
        }
    }

    /// A guardrail refuses what comes: the stream ends with an error, and the provider is left. What was used is charged.
    fn block(&mut self, violation: &Violation) -> Bytes {
        let error = violation.error();
        self.is_over = true;
        self.chunks = Box::pin(stream::empty());
        self.call.went_wrong(error.message.clone());
        self.settle(Outcome::Blocked);
        let (dialect, last) = self.on_the_way.stop(&error, self.call.id());
        self.reading = Reading::passing(dialect, false);
        last
    }

    async fn read(&mut self) {
        let is_done = self.reading.scanner().ending() == Ending::Complete;
        let patience = if is_done { PATIENCE_AFTER_END } else { self.idle };
        let until = self.deadline.min(Instant::now() + patience);
        let failure = match timeout_at(until, self.chunks.next()).await {
            Ok(Some(Ok(chunk))) => match self.reading.feed(&chunk) {
                Ok(()) => return,
                Err(too_long) => ApiError::new(Cause::Upstream, too_long.to_string()),
            },
            Ok(None) => return self.end(),
            Ok(Some(Err(error))) => error,
            Err(_) => ApiError::new(Cause::Timeout, "the provider's stream stood still for too long"),
        };
        self.is_over = true;
        // What is whole stays whole, however its connection ended.
        match is_done {
            true if self.call.is_running() => self.end(),
            true => {}
            false => self.break_off(&failure),
        }
    }

    /// The provider's stream is over.
    fn end(&mut self) {
        self.is_over = true;
        match self.reading.end(self.call.is_running()) {
            Progress::Whole => self.ended = Some(Progress::Whole),
            progress => self.judge(progress),
        }
    }

    /// Settles the call where its stream has come to an end.
    fn judge(&mut self, progress: Progress) {
        match progress {
            Progress::Going => {}
            Progress::Whole => self.settle(Outcome::Answered),
            Progress::Failed(message) => {
                self.is_over = true;
                if self.call.is_running() {
                    self.call.went_wrong(message);
                }
                self.settle(Outcome::Broken);
            }
            Progress::Cut => self.break_off(&ApiError::truncated()),
        }
    }

    /// Says within the stream that it broke.
    fn break_off(&mut self, error: &ApiError) {
        self.call.went_wrong(error.message.clone());
        self.reading.break_off(error, self.call.id());
        self.settle(Outcome::Broken);
    }

    fn settle(&mut self, outcome: Outcome) {
        if self.call.is_running() {
            self.call.judged(self.on_the_way.take_verdicts());
        }
        let (usage, is_estimated) = self.reading.scanner().usage_or_estimate(self.call.input_tokens);
        let finish = self.reading.scanner().finish();
        self.call.finishes(|| finish.map(Finish::word).into_iter().collect());
        self.call.made(self.reading.scanner().made());
        self.call.was_served_at(self.reading.scanner().service_tier());
        let charge = if is_estimated { Charge::Estimated(usage) } else { Charge::Stated(usage) };
        self.call.settle(outcome, Some(self.status), charge);
        self.on_the_way.keep(outcome, &self.call);
    }
}

impl Drop for Relay {
    /// The caller went away before the end.
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

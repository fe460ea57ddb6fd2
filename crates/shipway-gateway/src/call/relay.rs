//! A stream is passed on, byte for byte, while the scanner reads along.
//!
//! Only frames that say usage to a caller who did not ask are left out. A stream that breaks ends with an error in the words of its API,
//! never as if it were whole. When the caller goes away, the body is dropped, and with it the connection to the provider: nothing more is
//! written there, and what was written is charged.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::StatusCode;
use shipway_dialects::{ApiError, Cause, Dialect, Ending, Frame, Scanner, Sort};
use tokio::time::{Instant, timeout_at};

use super::{
    attempt::{Chunks, First},
    cached::Keeper,
    charge::{Call, Charge},
};
use crate::{guard::StreamGuard, ledger::Outcome, upstream};

/// How long is waited for the end of a connection whose stream is over, so that it can be used again.
const PATIENCE_AFTER_END: Duration = Duration::from_millis(500);

/// The body of the answer. `call` is settled when the stream is over, or when the body is dropped.
pub(super) fn body(first: First, call: Call, manner: Manner) -> Body {
    let First { status, headers: _, scanner, frames, chunks } = first;
    let Manner { dialect, hides_usage, idle, mut keeper, guard } = manner;
    let deadline = call.deadline();
    if let Some(keeper) = &mut keeper {
        keeper.recorder.record(&frames);
    }
    let relay = Relay {
        call,
        dialect,
        status,
        scanner,
        frames,
        chunks,
        hides_usage,
        idle,
        keeper,
        guard,
        deadline,
        is_over: false,
    };
    // Errors are said within the stream: to its reader the body itself never fails.
    Body::from_stream(stream::unfold(relay, |mut relay| async move {
        let bytes = relay.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), relay))
    }))
}

/// How a stream is passed on.
pub(super) struct Manner {
    pub(super) dialect: Dialect,
    /// The caller did not ask for usage.
    pub(super) hides_usage: bool,
    /// How long is waited between two parts.
    pub(super) idle: Duration,
    /// Writes it down to be given again.
    pub(super) keeper: Option<Keeper>,
    /// The guardrails that look at it.
    pub(super) guard: Option<StreamGuard>,
}

struct Relay {
    call: Call,
    dialect: Dialect,
    status: StatusCode,
    scanner: Scanner,
    /// Frames that are to be passed on.
    frames: Vec<Frame>,
    chunks: Chunks,
    hides_usage: bool,
    idle: Duration,
    keeper: Option<Keeper>,
    guard: Option<StreamGuard>,
    deadline: Instant,
    is_over: bool,
}

impl Relay {
    /// The next bytes for the caller; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.refuse_an_end_without_reason();
            let out = if self.guard.is_some() { self.take_guarded() } else { self.take_frames() };
            if self.scanner.ending() == Ending::Complete {
                // Before the last bytes go out: whoever has them finds the call in the ledger.
                self.settle(Outcome::Answered);
            }
            if !out.is_empty() {
                return Some(out);
            }
            if self.is_over {
                return None;
            }
            self.read().await;
        }
    }

    /// A terminator says that nothing more comes; without a reason why the answer ended nobody knows whether it is whole.
    fn refuse_an_end_without_reason(&mut self) {
        let says_why = match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::AnthropicMessages => {
                self.scanner.finish().is_some()
            }
            // Their last event is the reason.
            Dialect::OpenAiResponses | Dialect::OpenAiEmbeddings | Dialect::GeminiGenerate => true,
        };
        let end = self.frames.iter().position(|frame| frame.sort == Sort::End);
        if let Some(end) = end.filter(|_| !says_why && self.call.is_running()) {
            self.frames.truncate(end);
            self.is_over = true;
            let message = "the provider's stream ended without a reason";
            self.break_off(&ApiError::new(Cause::Upstream, message));
        }
    }

    /// The frames that were read, back to back.
    fn take_frames(&mut self) -> Bytes {
        let hides_usage = self.hides_usage;
        let mut shown = self.frames.drain(..).filter(|frame| !(hides_usage && frame.sort == Sort::UsageOnly));
        let Some(first) = shown.next() else { return Bytes::new() };
        let Some(second) = shown.next() else {
            self.call.count_response(first.bytes.len() as u64);
            return first.bytes;
        };
        let mut joined = BytesMut::from(first.bytes);
        joined.extend_from_slice(&second.bytes);
        shown.for_each(|frame| joined.extend_from_slice(&frame.bytes));
        self.call.count_response(joined.len() as u64);
        joined.freeze()
    }

    /// The same as its guardrails let it go on. Where one refuses, the stream ends with an error, and the provider is left.
    fn take_guarded(&mut self) -> Bytes {
        let Some(guard) = &mut self.guard else { return Bytes::new() };
        let hides_usage = self.hides_usage;
        self.frames.retain(|frame| !(hides_usage && frame.sort == Sort::UsageOnly));
        let passed = match guard.pass(&mut self.frames) {
            Ok(first) if self.is_over => guard.finish().map(|rest| joined(first, &rest)),
            other => other,
        };
        let out = passed.unwrap_or_else(|violation| {
            let error = violation.error();
            self.is_over = true;
            self.chunks = Box::pin(stream::empty());
            self.call.went_wrong(error.message.clone());
            let frame = error.frame(self.dialect, Some(self.call.id()), self.scanner.next_sequence());
            self.settle(Outcome::Blocked);
            self.guard = None;
            frame
        });
        self.call.count_response(out.len() as u64);
        out
    }

    async fn read(&mut self) {
        let is_done = self.scanner.ending() == Ending::Complete;
        let patience = if is_done { PATIENCE_AFTER_END } else { self.idle };
        let until = self.deadline.min(Instant::now() + patience);
        let failure = match timeout_at(until, self.chunks.next()).await {
            Ok(Some(Ok(chunk))) => {
                let known = self.frames.len();
                match self.scanner.feed(&chunk, &mut self.frames) {
                    Ok(()) => return self.record_from(known),
                    Err(too_long) => ApiError::new(Cause::Upstream, too_long.to_string()),
                }
            }
            Ok(None) => return self.end(),
            Ok(Some(Err(error))) => upstream::failure(&error),
            Err(_) => ApiError::new(Cause::Timeout, "the provider's stream stood still for too long"),
        };
        self.is_over = true;
        // What is whole stays whole, however its connection ended.
        if !is_done {
            self.break_off(&failure);
        }
    }

    /// The provider's stream is over.
    fn end(&mut self) {
        self.is_over = true;
        let (ending, last) = self.scanner.end();
        match ending {
            Ending::Complete => {
                let known = self.frames.len();
                self.frames.extend(last.filter(|_| self.call.is_running()));
                self.record_from(known);
                self.settle(Outcome::Answered);
            }
            // The error was passed on as the provider wrote it.
            Ending::Failed => {
                self.frames.extend(last);
                let message = self.scanner.error().map_or_else(String::new, |error| error.message.clone());
                self.call.went_wrong(message);
                self.settle(Outcome::Broken);
            }
            // Also where only the terminator is missing: nobody knows what else is.
            Ending::Unterminated | Ending::Truncated => self.break_off(&ApiError::truncated()),
        }
    }

    /// Says within the stream that it broke.
    fn break_off(&mut self, error: &ApiError) {
        self.call.went_wrong(error.message.clone());
        self.push(error.frame(self.dialect, Some(self.call.id()), self.scanner.next_sequence()));
        self.settle(Outcome::Broken);
    }

    /// Writes the frames down that are new.
    fn record_from(&mut self, known: usize) {
        if let Some(keeper) = &mut self.keeper {
            keeper.recorder.record(self.frames.get(known..).unwrap_or_default());
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.frames.push(Frame { bytes, sort: Sort::Other, has_output: false });
    }

    fn settle(&mut self, outcome: Outcome) {
        if self.call.is_running() {
            self.call.judged(self.guard.as_mut().map(StreamGuard::take_verdicts));
        }
        let (usage, is_estimated) = self.scanner.usage_or_estimate(self.call.input_tokens);
        let charge = if is_estimated { Charge::Estimated(usage) } else { Charge::Stated(usage) };
        self.call.settle(outcome, Some(self.status), charge);
        let is_whole = outcome == Outcome::Answered && self.scanner.ending() == Ending::Complete;
        // Once: whatever comes after the end belongs to no answer.
        if let Some(keeper) = self.keeper.take().filter(|_| is_whole) {
            keeper.keep_stream(&self.call);
        }
    }
}

fn joined(first: Bytes, second: &Bytes) -> Bytes {
    if second.is_empty() {
        return first;
    }
    let mut both = BytesMut::from(first);
    both.extend_from_slice(second);
    both.freeze()
}

impl Drop for Relay {
    /// The caller went away before the end.
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

//! An answer that is neither JSON nor events, such as sound, is passed on as it comes. What breaks ends with its connection: there is no
//! place for an error in it. When the caller goes away, the body is dropped, and with it the connection to the provider.

use std::{io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use shipway_dialects::Usage;
use tokio::time::{Instant, timeout_at};

use super::{
    attempt::{Chunks, Raw},
    charge::{Call, Charge},
};
use crate::ledger::Outcome;

/// The body of the answer. `call` is settled when it is over, or when it is dropped.
pub(super) fn body(raw: Raw, call: Call, idle: Duration) -> Body {
    let Raw { status, headers: _, chunks } = raw;
    let passing = Passing { call, status, chunks, idle, is_over: false };
    Body::from_stream(stream::unfold(passing, |mut passing| async move {
        let next = passing.next().await?;
        Some((next, passing))
    }))
}

struct Passing {
    call: Call,
    status: StatusCode,
    chunks: Chunks,
    idle: Duration,
    is_over: bool,
}

impl Passing {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.is_over {
            return None;
        }
        let until = self.call.deadline().min(Instant::now() + self.idle);
        let message = match timeout_at(until, self.chunks.next()).await {
            Ok(Some(Ok(chunk))) => {
                self.call.count_response(chunk.len() as u64);
                return Some(Ok(chunk));
            }
            Ok(None) => {
                self.settle(Outcome::Answered);
                return None;
            }
            Ok(Some(Err(error))) => error.message,
            Err(_) => "the provider's answer stood still for too long".to_owned(),
        };
        self.call.went_wrong(message.clone());
        self.settle(Outcome::Broken);
        Some(Err(io::Error::other(message)))
    }

    fn settle(&mut self, outcome: Outcome) {
        self.is_over = true;
        let usage = Usage { input: self.call.input_tokens, ..Usage::default() };
        self.call.settle(outcome, Some(self.status), Charge::Estimated(usage));
    }
}

impl Drop for Passing {
    /// The caller went away before the end.
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

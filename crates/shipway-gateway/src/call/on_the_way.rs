//! What is done with a stream besides passing it on: it is written down to be given again, and guardrails look at it. Both see it as its
//! caller gets it, frame by frame, whichever API its provider speaks. Without either its bytes are not touched.

use bytes::{Bytes, BytesMut};
use shipway_dialects::{ApiError, Dialect, Ending, Frame, Scanner};

use super::{cached::Keeper, charge::Call, judging::Asking};
use crate::{
    guard::{StreamGuard, Verdicts, Violation},
    ledger::Outcome,
};

/// A stream between what was read of it and its caller.
pub(super) struct OnTheWay {
    dialect: Dialect,
    keeper: Option<Keeper>,
    guard: Option<StreamGuard>,
    /// Cuts what goes out into its frames.
    scanner: Scanner,
    frames: Vec<Frame>,
    /// Asks models, where guardrails do.
    asking: Option<Asking>,
}

impl OnTheWay {
    /// `dialect` is the caller's.
    pub(super) fn new(
        dialect: Dialect,
        keeper: Option<Keeper>,
        guard: Option<StreamGuard>,
        asking: Option<Asking>,
    ) -> Self {
        Self { dialect, keeper, guard, scanner: Scanner::new(dialect), frames: Vec::new(), asking }
    }

    /// Takes what is to go out, and gives what may; or a guardrail refuses. `is_over`: nothing more comes.
    pub(super) async fn pass(&mut self, out: Bytes, is_over: bool) -> Result<Bytes, Violation> {
        if self.keeper.is_none() && self.guard.is_none() {
            return Ok(out);
        }
        // A frame that is too long was refused when it was read.
        let is_cut = self.scanner.feed(&out, &mut self.frames).is_ok();
        if is_over || !is_cut {
            let (_, last) = self.scanner.end();
            self.frames.extend(last);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.recorder.record(&self.frames);
        }
        let Some(guard) = &mut self.guard else {
            self.frames.clear();
            return Ok(out);
        };
        let passed = guard.pass(&mut self.frames)?;
        let passed = judged(guard, self.asking.as_ref(), passed).await?;
        if !is_over {
            return Ok(passed);
        }
        let rest = guard.finish()?;
        let rest = judged(guard, self.asking.as_ref(), rest).await?;
        Ok(joined(passed, &rest))
    }

    /// A guardrail refused: nothing more goes out but the frame that says so.
    pub(super) fn stop(&mut self, error: &ApiError, call: &str) -> (Dialect, Bytes) {
        (self.keeper, self.guard) = (None, None);
        (self.dialect, error.frame(self.dialect, Some(call), self.scanner.next_sequence()))
    }

    /// What guardrails said so far.
    pub(super) fn take_verdicts(&mut self) -> Option<Verdicts> {
        self.guard.as_mut().map(StreamGuard::take_verdicts)
    }

    /// The call is settled: what was written down is kept if it came to its end.
    pub(super) fn keep(&mut self, outcome: Outcome, call: &Call) {
        let is_whole = outcome == Outcome::Answered && self.scanner.ending() == Ending::Complete;
        // Once: whatever comes after the end belongs to no answer.
        if let Some(keeper) = self.keeper.take().filter(|_| is_whole) {
            keeper.keep_stream(call);
        }
    }
}

/// Asks other models, if all is there that they are asked about. With what goes out after them.
async fn judged(guard: &mut StreamGuard, asking: Option<&Asking>, before: Bytes) -> Result<Bytes, Violation> {
    let Some(asking) = asking else { return Ok(before) };
    let Some((texts, verdicts)) = guard.unjudged() else { return Ok(before) };
    asking.ask(verdicts, &texts).await;
    let after = guard.was_judged()?;
    Ok(joined(before, &after))
}

fn joined(before: Bytes, after: &Bytes) -> Bytes {
    if after.is_empty() {
        return before;
    }
    let mut both = BytesMut::from(before);
    both.extend_from_slice(after);
    both.freeze()
}

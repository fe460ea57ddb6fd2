//! The words of one call, while it runs. They are not read here: a request is held as it came, and so is a whole answer; only of a stream
//! what it says is taken out as it passes.

use std::sync::Arc;

use bytes::Bytes;
use shipway_dialects::{Dialect, said::Answering};

use super::{Contents, held::Held};
use crate::{
    guard::Guardrail,
    model::{ContentKeep, ContentSpec},
    service::Model,
};

/// What is remembered of a call.
#[derive(Debug)]
pub(crate) struct Content {
    pub(super) spec: ContentSpec,
    pub(super) dialect: Dialect,
    /// What is found by these is taken out.
    pub(super) guardrails: Vec<Arc<Guardrail>>,
    pub(super) asked: Bytes,
    pub(super) answered: Answered,
    pub(super) held: Held,
}

/// What was answered so far.
#[derive(Debug)]
pub(super) enum Answered {
    Nothing,
    Whole(Bytes),
    Stream(Box<Answering>),
}

/// Where an answer is looked at: as its provider wrote it, or as its caller gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Written,
    Given,
}

impl Content {
    /// Remembers what is asked; none where there is no room for it.
    pub(crate) fn begin(
        contents: &Contents,
        model: &Model,
        spec: ContentSpec,
        (dialect, asked): (Dialect, Bytes),
    ) -> Option<Self> {
        let held = contents.hold(asked.len())?;
        let guardrails = match spec.keep {
            ContentKeep::Full => Vec::new(),
            ContentKeep::Redacted => {
                let all = model.guards.0.iter().filter(|guardrail| guardrail.spec.detector.reads_texts());
                all.cloned().collect()
            }
        };
        Some(Self { spec, dialect, guardrails, asked, answered: Answered::Nothing, held })
    }

    /// `full` or `redacted`.
    pub(crate) fn word(&self) -> &'static str {
        self.spec.keep.word()
    }

    fn is_at(&self, stage: Stage) -> bool {
        match self.spec.keep {
            ContentKeep::Full => stage == Stage::Given,
            ContentKeep::Redacted => stage == Stage::Written,
        }
    }

    /// A whole answer. False where there is no room for it.
    pub(crate) fn answered(&mut self, stage: Stage, body: &Bytes) -> bool {
        if !self.is_at(stage) {
            return true;
        }
        self.answered = Answered::Whole(body.clone());
        self.held.grow(body.len())
    }

    /// The next of a stream. False where there is no room for it.
    pub(crate) fn passes(&mut self, stage: Stage, chunk: &Bytes) -> bool {
        if !self.is_at(stage) || chunk.is_empty() {
            return true;
        }
        if matches!(self.answered, Answered::Nothing) {
            if !self.held.grow(self.spec.most_bytes) {
                return false;
            }
            let answering = Answering::new(self.dialect, self.spec.most_bytes);
            self.answered = Answered::Stream(Box::new(answering));
        }
        if let Answered::Stream(answering) = &mut self.answered {
            answering.feed(chunk);
        }
        true
    }
}

//! What a call remembers beside what it costs: its words, where the model keeps them, and its span, where its request is sampled. Both are
//! handed on when it is settled.

use bytes::Bytes;

use super::{Asked, charge::Call};
use crate::{
    model::ContentKeep,
    service::Model,
    traces::{Content, Over, Stage, shed},
};

impl Call {
    /// Remembers what is asked, if the model says so: as it was `written`, or as it goes to a provider.
    pub(super) fn remembers(&mut self, model: &Model, asked: &Asked, written: Option<Bytes>) {
        let (Some(spec), Some(written)) = (model.spec.content, written) else { return };
        let together = self.fact.labels.session.as_deref().unwrap_or(&self.fact.call);
        if !spec.share.keeps(together.as_bytes()) {
            return;
        }
        let words = match spec.keep {
            ContentKeep::Full => written,
            ContentKeep::Redacted => asked.body.clone(),
        };
        match Content::begin(self.gateway.contents(), model, spec, (asked.api.dialect, words)) {
            Some(content) => {
                self.fact.content = Some(content.word().to_owned());
                self.content = Some(Box::new(content));
            }
            None => self.sheds(),
        }
    }

    /// There is no room for its words.
    fn sheds(&mut self) {
        self.content = None;
        self.fact.content = Some("shed".to_owned());
        shed("no_room", 1);
    }

    /// Remembers a whole answer.
    pub(super) fn says(&mut self, stage: Stage, body: &Bytes) {
        if self.content.as_mut().is_some_and(|content| !content.answered(stage, body)) {
            self.sheds();
        }
    }

    /// Why its answers ended; asked only where somebody wants to know.
    pub(super) fn finishes(&mut self, reasons: impl FnOnce() -> Vec<String>) {
        if let Some(span) = &mut self.span {
            span.finished(reasons());
        }
    }

    /// Remembers the next of a stream.
    pub(super) fn passes(&mut self, stage: Stage, chunk: &Bytes) {
        if self.content.as_mut().is_some_and(|content| !content.passes(stage, chunk)) {
            self.sheds();
        }
    }

    /// Hands on what it leaves behind: its words, and its span.
    pub(super) fn hands_over(&mut self) {
        let span = self.span.take().map(|span| span.over(&self.fact));
        let ended = std::time::Instant::now();
        let Some(content) = self.content.take() else {
            return span.into_iter().for_each(|span| span.end_at(ended));
        };
        let Self { gateway, fact, .. } = self;
        let (call, model) = (fact.call.clone(), fact.model.clone());
        let over = Over { call, at_us: fact.at_us, model, content, span: span.map(|span| (span, ended)) };
        gateway.contents().put(over);
    }
}

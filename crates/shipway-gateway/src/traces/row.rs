//! The words of a call that is over, as they are kept.

use std::{sync::Arc, time::Instant};

use shipway_dialects::{
    Dialect,
    said::{self, Message, Part},
};
use shipway_web::spans::{Span, SpanAttribute};

use super::{
    content::{Answered, Content},
    held::Held,
    words::words,
};
use crate::guard::{Guardrail, try_text};

/// The words of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContent {
    /// The id of the call.
    pub call: String,
    /// When it began, in microseconds.
    pub at_us: i64,
    /// The model, by its own name.
    pub model: String,
    /// `full` or `redacted`.
    pub keep: String,
    /// The messages that were sent: JSON in the form of OpenTelemetry's `gen_ai.input.messages`. None where they could not be read.
    pub asked: Option<String>,
    /// The messages that came back, in the form of `gen_ai.output.messages`. None where nothing did.
    pub answered: Option<String>,
    /// What of the two is searched.
    pub words: String,
    /// Something is missing, because it was too long.
    pub is_cut: bool,
}

/// A call that is over, whose words are to be kept.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) call: String,
    pub(crate) at_us: i64,
    pub(crate) model: String,
    pub(crate) content: Box<Content>,
    /// Its span, and when it ended: it waits for the words, where they are to be in it.
    pub(crate) span: Option<(Span, Instant)>,
}

impl Over {
    /// Reads the words. Costs as much as they are long: it is not done on the way of a call. What they take in memory is taken until they
    /// are put away.
    pub(super) fn read(self) -> (CallContent, Held) {
        let Self { call, at_us, model, content, span } = self;
        let keep = content.word().to_owned();
        let Content { spec, dialect, guardrails, asked, answered, held } = *content;
        let mut asked = said::asked(dialect, &asked);
        let (mut answered, was_cut) = of_answer(dialect, answered);
        let mut is_cut = was_cut;
        for (messages, newest_first) in [(&mut asked, true), (&mut answered, false)] {
            if let Some(messages) = messages {
                redact(messages, &guardrails);
                is_cut |= said::cut(messages, spec.most_bytes, newest_first);
            }
        }
        let messages = || asked.iter().chain(&answered).flatten();
        let parts = || messages().flat_map(|message| &message.parts);
        let words = words(parts().filter_map(|part| part.text()));
        let json = |messages: &Option<Vec<Message>>| {
            messages.as_ref().and_then(|messages| serde_json::to_string(messages).ok())
        };
        let (asked, answered) = (json(&asked), json(&answered));
        if let Some((span, ended)) = span {
            let said = [("gen_ai.input.messages", &asked), ("gen_ai.output.messages", &answered)];
            let said =
                said.into_iter().filter_map(|(key, text)| Some(SpanAttribute::new(key, text.clone()?)));
            span.set_all(said.collect());
            span.end_at(ended);
        }
        (CallContent { call, at_us, model, keep, asked, answered, words, is_cut }, held)
    }
}

fn of_answer(dialect: Dialect, answered: Answered) -> (Option<Vec<Message>>, bool) {
    match answered {
        Answered::Nothing => (None, false),
        Answered::Whole(body) => (said::answered(dialect, &body), false),
        Answered::Stream(answering) => {
            let (messages, is_cut) = answering.finish();
            (Some(messages), is_cut)
        }
    }
}

/// Takes out whatever any of the guardrails finds, whatever it does about it in calls.
fn redact(messages: &mut [Message], guardrails: &[Arc<Guardrail>]) {
    if guardrails.is_empty() {
        return;
    }
    let parts = messages.iter_mut().flat_map(|message| &mut message.parts);
    // An address may have a secret in it.
    let texts = parts.filter_map(|part| match part {
        Part::Media { uri, .. } => uri.as_mut(),
        part => part.text_mut(),
    });
    for text in texts {
        let (findings, redacted) = try_text(guardrails, text);
        if !findings.is_empty() {
            *text = redacted;
        }
    }
}

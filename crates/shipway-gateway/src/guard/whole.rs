//! An answer as a whole, once all of it is there: whether its texts have the shape that they should have.
//!
//! Of a stream that is at its end. Where a guardrail could refuse it, nothing of it goes out before; the error of a stream that breaks
//! does, and nothing of what it wrote.

use std::sync::Arc;

use shipway_dialects::{
    Dialect, Frame, Sort, decode_text, request_texts,
    said::{Answering, Message, Part, answered},
    wanted_schema,
};
use shipway_guardrails::{Detector, Misfit, TextSchema};

use super::{Guardrail, Verdicts};
use crate::model::GuardrailAction;

/// The most that is looked at of the texts of an answer, and of the frames that hold them.
const MOST_TEXT_BYTES: usize = 4 << 20;
const MOST_FRAME_BYTES: usize = 32 << 20;

/// The shape that a request asks its answer to have.
pub(crate) fn wanted(dialect: Dialect, body: &[u8]) -> Option<Arc<TextSchema>> {
    let schema = wanted_schema(dialect, body)?;
    TextSchema::of_request(&schema).map(Arc::new)
}

/// The texts of an answer: one, or one for each that was asked for. What was thought and which tools are called is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    texts: Vec<String>,
    /// There is more than is looked at.
    is_cut: bool,
}

impl Texts {
    /// All of them as one; none where there is more than is looked at.
    pub(crate) fn joined(&self) -> Option<String> {
        (!self.is_cut).then(|| self.texts.join("\n\n"))
    }

    /// Each of them; none where there is more than is looked at.
    pub(crate) fn each(&self) -> Option<&[String]> {
        (!self.is_cut).then_some(self.texts.as_slice())
    }

    /// Whether nothing is said.
    pub(crate) fn are_empty(&self) -> bool {
        !self.is_cut && self.texts.iter().all(String::is_empty)
    }

    /// The texts of a request.
    pub(crate) fn of_request(dialect: Dialect, body: &[u8]) -> Self {
        let places = request_texts(dialect, body).map(|texts| texts.texts).unwrap_or_default();
        let texts = places.iter().map(|place| decode_text(body.get(place.range.clone()).unwrap_or_default()));
        Self { texts: texts.collect(), is_cut: false }
    }

    /// Of a whole answer.
    pub(crate) fn of_answer(dialect: Dialect, body: &[u8]) -> Self {
        if body.len() > MOST_FRAME_BYTES {
            return Self { texts: Vec::new(), is_cut: true };
        }
        let texts = texts(answered(dialect, body).unwrap_or_default());
        let is_cut = texts.iter().map(String::len).sum::<usize>() > MOST_TEXT_BYTES;
        Self { texts, is_cut }
    }
}

fn texts(messages: Vec<Message>) -> Vec<String> {
    let text = |message: Message| {
        let parts = message.parts.into_iter().filter_map(|part| match part {
            Part::Text { content } => Some(content),
            _ => None,
        });
        parts.reduce(|before, next| before + &next)
    };
    messages.into_iter().filter_map(text).collect()
}

/// Looks at whole texts with the guardrails that are about their shape. `wanted` is what the request asks for.
pub(super) fn look(verdicts: &mut Verdicts, wanted: Option<&TextSchema>, texts: &Texts) {
    for place in 0..verdicts.guardrails().len() {
        let guardrail = Arc::clone(&verdicts.guardrails()[place]);
        let schema = match &guardrail.spec.detector {
            Detector::JsonSchema(_) => guardrail.schema.as_ref(),
            Detector::Fits(_) => wanted,
            _ => None,
        };
        let Some(schema) = schema else { continue };
        verdicts.begins();
        if texts.is_cut {
            verdicts.found(place, Misfit::TooLong.label());
        }
        for text in &texts.texts {
            if let Err(misfit) = schema.check(text) {
                verdicts.found(place, misfit.label());
            }
        }
        verdicts.looked(place);
    }
}

/// A stream whose whole is to be looked at.
#[derive(Debug)]
pub(super) struct WholeStream {
    answering: Option<Answering>,
    bytes: usize,
    /// A guardrail may refuse it, so nothing goes out before its end.
    holds: bool,
    wanted: Option<Arc<TextSchema>>,
    /// What another model is to be asked about.
    unjudged: Option<Texts>,
}

impl WholeStream {
    /// None where no guardrail looks at the whole.
    pub(super) fn new(
        guardrails: &[Arc<Guardrail>],
        dialect: Dialect,
        wanted: Option<Arc<TextSchema>>,
    ) -> Option<Self> {
        let looks = |guardrail: &&Arc<Guardrail>| match guardrail.spec.detector {
            Detector::Fits(_) => wanted.is_some(),
            ref detector => detector.reads_whole_answers(),
        };
        let refuses = |guardrail: &Arc<Guardrail>| {
            matches!(guardrail.spec.action, GuardrailAction::Block | GuardrailAction::Reroute)
        };
        let mut looking = guardrails.iter().filter(looks).peekable();
        looking.peek()?;
        let holds = looking.any(refuses);
        let answering = Some(Answering::new(dialect, MOST_TEXT_BYTES));
        Some(Self { answering, bytes: 0, holds, wanted, unjudged: None })
    }

    /// Whether nothing may go out yet.
    pub(super) fn holds(&self) -> bool {
        self.holds && (self.answering.is_some() || self.unjudged.is_some())
    }

    /// Reads the next frame. Whether all is there that is looked at.
    pub(super) fn reads(&mut self, frame: &Frame) -> bool {
        let Some(answering) = &mut self.answering else { return false };
        self.bytes += frame.bytes.len();
        answering.feed(&frame.bytes);
        frame.sort == Sort::End || self.bytes > MOST_FRAME_BYTES
    }

    /// The stream broke: it is not looked at.
    pub(super) fn breaks(&mut self) {
        self.answering = None;
    }

    /// Looks at what has come, once.
    pub(super) fn settle(&mut self, verdicts: &mut Verdicts) {
        let Some(answering) = self.answering.take() else { return };
        let (messages, is_cut) = answering.finish();
        let is_cut = is_cut || self.bytes > MOST_FRAME_BYTES;
        let texts = Texts { texts: texts(messages), is_cut };
        look(verdicts, self.wanted.as_deref(), &texts);
        if verdicts.ask_models() && verdicts.violation().is_none() {
            self.unjudged = Some(texts);
        }
    }

    /// What another model is to be asked about now.
    pub(super) fn take_unjudged(&mut self) -> Option<Texts> {
        self.unjudged.take()
    }
}

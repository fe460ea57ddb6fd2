//! Guardrails: what is found in requests and answers, and what is done about it.
//!
//! A request is looked at before anything else is done with it: what goes to a provider, into a cache and into no record is what guardrails
//! left. An answer is looked at last, on its way to the caller; a stream frame by frame, where a frame is held until what is written in it
//! cannot become part of a finding. Bytes in which nothing is found stay as they were. What was found is never told, kept or logged: only
//! what kind of thing it was, and how often.
//!
//! - `counts`: how often each guardrail looked and found something, and how long it took
//! - `verdict`: what the guardrails say of one call
//! - `request`: a request
//! - `judged`: what another model says of a text; who asks it is `call/judging.rs`
//! - `answer`: a whole answer
//! - `stream`: a stream; `run`: one text in it
//! - `whole`: an answer as a whole, once all of it is there
//! - `try_text`: a text that is only tried
//! - here: guardrails, compiled

mod answer;
mod counts;
mod judged;
mod request;
mod run;
mod stream;
mod try_text;
mod verdict;
mod whole;

use std::{collections::HashMap, sync::Arc};

use shipway_guardrails::{Detector, Finder, TextSchema};

pub(crate) use answer::{Held, check_answer};
pub(crate) use counts::{Counts, Tally};
pub(crate) use judged::{Judged, question};
pub(crate) use request::{Guarded, Subject, check_request};
pub(crate) use stream::StreamGuard;
pub(crate) use try_text::{Tried, try_text};
pub(crate) use verdict::{Verdicts, Violation};
pub(crate) use whole::{Texts, wanted};

use crate::{
    error::GatewayError,
    model::{GuardrailAction, GuardrailSpec, Side},
};

/// A guardrail, compiled.
#[derive(Debug)]
pub(crate) struct Guardrail {
    pub(crate) spec: GuardrailSpec,
    pub(crate) finder: Finder,
    /// What an answer must fit, where the guardrail itself says it.
    schema: Option<TextSchema>,
    pub(crate) counts: Arc<Counts>,
}

/// All guardrails, by name.
pub(crate) type Guardrails = HashMap<String, Arc<Guardrail>>;

impl Guardrail {
    /// Compiles a guardrail; its counts go on from `before`.
    pub(crate) fn new(spec: GuardrailSpec, before: Option<&Self>) -> Result<Self, GatewayError> {
        let bad = |bad| GatewayError::invalid("guardrails", format!("{}: {bad}", spec.name));
        let finder = Finder::new(&spec.detector).map_err(bad)?;
        let schema = match &spec.detector {
            Detector::JsonSchema(schema) => Some(TextSchema::new(schema).map_err(bad)?),
            _ => None,
        };
        let counts = before.map(|before| Arc::clone(&before.counts)).unwrap_or_default();
        Ok(Self { spec, finder, schema, counts })
    }

    pub(crate) fn looks_at(&self, side: Side) -> bool {
        let is_of = match self.spec.detector.is_of_answers() {
            Some(is_of_answers) => is_of_answers == (side == Side::Output),
            None => true,
        };
        self.spec.on.looks_at(side) && is_of
    }
}

/// The guardrails of a model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guards(pub(crate) Vec<Arc<Guardrail>>);

impl Guards {
    /// Those that look at a side, in the order of the definition.
    pub(crate) fn on(&self, side: Side) -> Vec<Arc<Guardrail>> {
        self.0.iter().filter(|guardrail| guardrail.looks_at(side)).cloned().collect()
    }

    /// Whether one of them asks what the request says of its answer.
    pub(crate) fn ask_what_is_wanted(&self) -> bool {
        self.0.iter().any(|guardrail| matches!(guardrail.spec.detector, Detector::Fits(_)))
    }

    /// Whether one of them sends calls elsewhere for what it finds on this side.
    pub(crate) fn reroute(&self, side: Side) -> bool {
        let reroutes = |guardrail: &Arc<Guardrail>| guardrail.spec.action == GuardrailAction::Reroute;
        self.0.iter().any(|guardrail| reroutes(guardrail) && guardrail.looks_at(side))
    }
}

/// A value out of a text that is JSON itself, without its escapes.
fn unescaped(value: &str, is_json: bool) -> String {
    if !is_json || !value.contains('\\') {
        return value.to_owned();
    }
    shipway_dialects::decode_text(format!("\"{value}\"").as_bytes())
}

/// A value as it stands in a text that is JSON itself.
fn escaped(value: &str, is_json: bool) -> String {
    if !is_json {
        return value.to_owned();
    }
    let text = shipway_dialects::encode_text(value);
    text[1..text.len() - 1].to_owned()
}

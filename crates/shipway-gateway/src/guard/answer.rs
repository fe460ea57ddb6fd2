//! A whole answer is looked at: what must not come back is replaced, and what was taken out of the request is put back.

use std::sync::Arc;

use bytes::Bytes;
use shipway_dialects::{Dialect, answer_texts, decode_text, encode_text, splice};
use shipway_guardrails::{Detector, TextSchema, Vault};

use super::{Guardrail, Verdicts, request::refused_tools, run::Run, verdict::Violation, whole::look};
use crate::model::Side;

/// Why an answer does not go to the caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// A guardrail refuses it.
    Refused(Violation),
    /// This guardrail has another deployment asked.
    Rerouted(String),
}

/// Looks at an answer. `guardrails` are those of the output. The body comes back as it goes to the caller, unless a guardrail holds it.
/// `wanted` is
/// the shape that the request asks for. `may_reroute`: another deployment can still be asked.
pub(crate) fn check_answer(
    guardrails: Vec<Arc<Guardrail>>,
    (dialect, body): (Dialect, &Bytes),
    (mut vault, wanted): (Vault, Option<&TextSchema>),
    may_reroute: bool,
) -> (Result<Bytes, Held>, Verdicts) {
    let texts = answer_texts(dialect, body).unwrap_or_default();
    let mut verdicts = Verdicts::new(Side::Output, guardrails).of_call_that_may_go_elsewhere(may_reroute);
    refuse_tools(&mut verdicts, &texts.tools);
    let mut edits = Vec::new();
    for place in texts.texts {
        let text = decode_text(body.get(place.range.clone()).unwrap_or_default());
        let mut run = Run::new(place.is_json);
        run.push(&text);
        run.settle(&mut verdicts, &mut vault, true);
        if let Some(text) = run.changed(0, &text) {
            edits.push((place.range, encode_text(&text)));
        }
    }
    if verdicts.read_whole_answers() && verdicts.violation().is_none() {
        look(&mut verdicts, wanted, &super::whole::Texts::of_answer(dialect, body));
    }
    match verdicts.held() {
        Some(held) => (Err(held), verdicts),
        None => (Ok(splice(body, edits)), verdicts),
    }
}

/// Judges the tools that an answer calls.
pub(super) fn refuse_tools(verdicts: &mut Verdicts, tools: &[String]) {
    if tools.is_empty() {
        return;
    }
    for place in 0..verdicts.guardrails().len() {
        let guardrail = Arc::clone(&verdicts.guardrails()[place]);
        if let Detector::Tools(names) = &guardrail.spec.detector {
            for label in refused_tools(names, tools) {
                verdicts.found(place, &label);
            }
        }
    }
}

//! A whole answer is looked at: what must not come back is replaced, and what was taken out of the request is put back.

use std::sync::Arc;

use bytes::Bytes;
use shipway_dialects::{Dialect, answer_texts, decode_text, encode_text, splice};
use shipway_guardrails::{Detector, Vault};

use super::{Guardrail, Verdicts, request::refused_tools, run::Run, verdict::Violation};
use crate::model::Side;

/// Looks at an answer. `guardrails` are those of the output. The body comes back as it goes to the caller, or a guardrail refuses it.
pub(crate) fn check_answer(
    guardrails: Vec<Arc<Guardrail>>,
    dialect: Dialect,
    body: &Bytes,
    mut vault: Vault,
) -> (Result<Bytes, Violation>, Verdicts) {
    let texts = answer_texts(dialect, body).unwrap_or_default();
    let mut verdicts = Verdicts::new(Side::Output, guardrails);
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
    match verdicts.violation() {
        Some(violation) => (Err(violation), verdicts),
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

//! A request is looked at, and what must not leave is replaced at its place.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use shipway_dialects::{Dialect, NotJson, Texts, decode_text, encode_text, request_texts, splice};
use shipway_guardrails::{Detector, Finding, Vault};

use super::{Guardrail, Verdicts, unescaped, verdict::Violation};
use crate::model::{GuardrailAction, Side};

/// What is looked at.
pub(crate) struct Subject<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) body: &'a Bytes,
    /// About how many tokens its input has.
    pub(crate) tokens: u64,
    /// It goes on from an answer whose placeholders are not known here.
    pub(crate) goes_on: bool,
}

/// What the guardrails left of a request.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// As it goes to the provider.
    pub(crate) body: Bytes,
    /// What was taken out.
    pub(crate) vault: Vault,
    pub(crate) verdicts: Verdicts,
    /// A guardrail refuses.
    pub(crate) violation: Option<Violation>,
    /// A guardrail sends it elsewhere.
    pub(crate) rerouted: Option<String>,
}

/// A text as it says and how it stands.
struct Read {
    range: Range<usize>,
    is_json: bool,
    text: String,
}

/// Looks at a request. `guardrails` are those of the input. What cannot be read cannot be looked at, and does not go on.
pub(crate) fn check_request(
    guardrails: Vec<Arc<Guardrail>>,
    subject: &Subject<'_>,
) -> Result<Guarded, NotJson> {
    let body = subject.body;
    let texts = request_texts(subject.dialect, body)?;
    let read: Vec<Read> = texts
        .texts
        .iter()
        .map(|place| Read {
            range: place.range.clone(),
            is_json: place.is_json,
            text: decode_text(body.get(place.range.clone()).unwrap_or_default()),
        })
        .collect();
    let mut verdicts = Verdicts::new(Side::Input, guardrails).of_call_that_may_go_elsewhere(true);
    // By text, then by its place: what is to be replaced, and by which guardrail.
    let mut replaced: Vec<Vec<(Finding, usize)>> = read.iter().map(|_| Vec::new()).collect();
    for place in 0..verdicts.guardrails().len() {
        verdicts.begins();
        let guardrail = Arc::clone(&verdicts.guardrails()[place]);
        for label in broken(&guardrail.spec.detector, &texts, subject) {
            verdicts.found(place, &label);
        }
        if guardrail.spec.detector.reads_texts() {
            for (text, replaced) in read.iter().zip(&mut replaced) {
                for finding in guardrail.finder.find(&text.text) {
                    verdicts.found(place, &finding.label);
                    if guardrail.spec.action == GuardrailAction::Redact {
                        replaced.push((finding, place));
                    }
                }
            }
        }
        verdicts.looked(place);
    }
    let (violation, rerouted) = (verdicts.violation(), verdicts.rerouted());
    let mut vault = Vault::behind(if subject.goes_on { offset() } else { 0 });
    if violation.is_some() || replaced.iter().all(Vec::is_empty) {
        return Ok(Guarded { body: body.clone(), vault, verdicts, violation, rerouted });
    }
    for text in &read {
        vault.avoid(&text.text);
    }
    let mut edits = Vec::new();
    for (text, replaced) in read.iter().zip(replaced).filter(|(_, replaced)| !replaced.is_empty()) {
        let text_now = replace(text, replaced, verdicts.guardrails(), &mut vault);
        edits.push((text.range.clone(), encode_text(&text_now)));
    }
    Ok(Guarded { body: splice(body, edits), vault, verdicts, violation, rerouted })
}

/// What breaks a rule that is about the request as a whole.
fn broken(detector: &Detector, texts: &Texts, subject: &Subject<'_>) -> Vec<String> {
    match detector {
        Detector::Tools(names) => refused_tools(names, &texts.tools),
        Detector::Size(limits) => limits
            .broken(subject.body.len() as u64, texts.messages, subject.tokens)
            .into_iter()
            .map(|bound| format!("too many {bound}"))
            .collect(),
        _ => Vec::new(),
    }
}

pub(super) fn refused_tools(names: &shipway_guardrails::Names, tools: &[String]) -> Vec<String> {
    tools.iter().filter(|tool| !names.allow(tool)).map(|_| "a tool that is not allowed".to_owned()).collect()
}

/// The text with placeholders for what was found. Of findings that overlap the first counts.
fn replace(
    text: &Read,
    mut replaced: Vec<(Finding, usize)>,
    guardrails: &[Arc<Guardrail>],
    vault: &mut Vault,
) -> String {
    replaced.sort_by_key(|(finding, _)| (finding.range.start, std::cmp::Reverse(finding.range.end)));
    let mut out = String::with_capacity(text.text.len());
    let mut at = 0;
    for (Finding { range, label }, place) in replaced {
        if range.start < at {
            // Its rest must not stay either.
            at = at.max(range.end);
            continue;
        }
        out.push_str(&text.text[at..range.start]);
        if !guardrails[place].finder.removes() {
            out.push_str(&vault.put(&label, &unescaped(&text.text[range.clone()], text.is_json)));
        }
        at = range.end;
    }
    out.push_str(&text.text[at..]);
    out
}

/// Numbers that an earlier call has hardly used.
fn offset() -> u64 {
    let mut bytes = [0; 4];
    // Without randomness the numbers are at least far from the first.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    10_000 + u64::from(u32::from_le_bytes(bytes) % 900_000_000)
}

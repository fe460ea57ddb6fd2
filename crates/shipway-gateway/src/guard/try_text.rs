//! A text is tried: nothing is counted, and nothing is sent.

use std::{ops::Range, sync::Arc};

use shipway_guardrails::Vault;

use super::Guardrail;

/// Something that a guardrail would find.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) guardrail: Arc<Guardrail>,
    /// Where, in bytes of the text.
    pub(crate) range: Range<usize>,
    pub(crate) label: String,
}

/// Where each guardrail finds what in a text, by its place, and the text with placeholders for all of it.
pub(crate) fn try_text(guardrails: &[Arc<Guardrail>], text: &str) -> (Vec<Tried>, String) {
    let mut findings = Vec::new();
    for guardrail in guardrails {
        let found = guardrail.finder.find(text).into_iter();
        findings.extend(found.map(|finding| Tried {
            guardrail: Arc::clone(guardrail),
            range: finding.range,
            label: finding.label,
        }));
    }
    findings.sort_by_key(|tried| (tried.range.start, std::cmp::Reverse(tried.range.end)));
    let mut vault = Vault::default();
    vault.avoid(text);
    let (mut out, mut at) = (String::new(), 0);
    for Tried { guardrail, range, label } in &findings {
        if range.start >= at {
            out.push_str(&text[at..range.start]);
            if !guardrail.finder.removes() {
                out.push_str(&vault.placeholder(label, &text[range.clone()]));
            }
        }
        at = at.max(range.end);
    }
    out.push_str(&text[at..]);
    (findings, out)
}

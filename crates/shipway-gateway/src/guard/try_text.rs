//! A text is tried: nothing is counted, and nothing is sent.

use std::{ops::Range, sync::Arc};

use shipway_guardrails::Vault;

use super::Guardrail;

/// Where each guardrail finds what in a text, by its place, and the text with placeholders for all of it.
pub(crate) fn try_text(
    guardrails: &[Arc<Guardrail>],
    text: &str,
) -> (Vec<(Arc<Guardrail>, Range<usize>, String)>, String) {
    let mut findings = Vec::new();
    for guardrail in guardrails {
        let found = guardrail.finder.find(text).into_iter();
        findings.extend(found.map(|finding| (Arc::clone(guardrail), finding.range, finding.label)));
    }
    findings.sort_by_key(|(_, range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut vault = Vault::default();
    vault.avoid(text);
    let (mut out, mut at) = (String::new(), 0);
    for (guardrail, range, label) in &findings {
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

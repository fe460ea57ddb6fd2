//! What the guardrails say of one call.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use shipway_dialects::{ApiError, Cause};

use super::Guardrail;
use crate::{
    ledger::VerdictFact,
    model::{GuardrailAction, Side},
};

/// What guardrails found on one side of a call.
#[derive(Debug)]
pub(crate) struct Verdicts {
    side: Side,
    guardrails: Vec<Arc<Guardrail>>,
    found: Vec<Found>,
    mark: Instant,
}

#[derive(Debug, Clone, Default)]
struct Found {
    findings: u64,
    labels: BTreeSet<String>,
    took: Duration,
}

/// A guardrail refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) guardrail: String,
    side: Side,
    labels: Vec<String>,
}

impl Violation {
    /// Our code of the refusal; that of the API names the guardrail.
    pub(crate) const fn code() -> &'static str {
        "gateway.blocked"
    }

    /// What the caller is told: which guardrail and what kind of thing, never what it was.
    pub(crate) fn error(&self) -> ApiError {
        let what = match self.side {
            Side::Input => "request",
            Side::Output => "answer",
        };
        let message = format!(
            "guardrail {} refuses the {what}: it has {} in it",
            self.guardrail,
            self.labels.join(", ")
        );
        let code = Some(format!("guardrail.{}", self.guardrail));
        ApiError { code, ..ApiError::new(Cause::ContentPolicy, message) }
    }
}

impl Verdicts {
    pub(super) fn new(side: Side, guardrails: Vec<Arc<Guardrail>>) -> Self {
        let found = vec![Found::default(); guardrails.len()];
        Self { side, guardrails, found, mark: Instant::now() }
    }

    pub(super) fn guardrails(&self) -> &[Arc<Guardrail>] {
        &self.guardrails
    }

    pub(super) fn action(&self, place: usize) -> GuardrailAction {
        self.guardrails[place].spec.action
    }

    /// Something was found by the guardrail at this place.
    pub(super) fn found(&mut self, place: usize, label: &str) {
        let found = &mut self.found[place];
        found.findings += 1;
        if !found.labels.contains(label) {
            found.labels.insert(label.to_owned());
        }
    }

    /// From here on time counts for the next guardrail that looks.
    pub(super) fn begins(&mut self) {
        self.mark = Instant::now();
    }

    /// The guardrail at this place has looked.
    pub(super) fn looked(&mut self, place: usize) {
        let now = Instant::now();
        self.found[place].took += now - self.mark;
        self.mark = now;
    }

    /// The first guardrail that refuses, if one does.
    pub(super) fn violation(&self) -> Option<Violation> {
        let place = (0..self.found.len())
            .find(|place| self.action(*place) == GuardrailAction::Block && self.found[*place].findings > 0)?;
        Some(Violation {
            guardrail: self.guardrails[place].spec.name.clone(),
            side: self.side,
            labels: self.found[place].labels.iter().cloned().collect(),
        })
    }

    /// Counts, and gives what the record of the call keeps: of those that found something.
    pub(crate) fn close(self) -> Vec<VerdictFact> {
        let mut facts = Vec::new();
        for (guardrail, found) in self.guardrails.iter().zip(self.found) {
            let spec = &guardrail.spec;
            guardrail.counts.add(self.side, found.findings, found.took);
            let verdict = if found.findings > 0 { spec.action.verdict() } else { "passed" };
            metrics::counter!("shipway_llm_guardrail_verdicts_total", "guardrail" => spec.name.clone(), "on" => self.side.word(), "verdict" => verdict)
                .increment(1);
            metrics::histogram!("shipway_llm_guardrail_seconds", "guardrail" => spec.name.clone(), "on" => self.side.word())
                .record(found.took.as_secs_f64());
            if found.findings > 0 {
                facts.push(VerdictFact {
                    guardrail: spec.name.clone(),
                    on: self.side,
                    verdict: verdict.to_owned(),
                    findings: found.findings,
                    labels: found.labels.into_iter().collect(),
                    took_us: u64::try_from(found.took.as_micros()).unwrap_or(u64::MAX),
                });
            }
        }
        facts
    }
}

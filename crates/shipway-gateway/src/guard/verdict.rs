//! What the guardrails say of one call.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use shipway_dialects::{ApiError, Cause};

use super::{Guardrail, Held};
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
    /// The call can still go elsewhere. Where it cannot, who reroutes refuses.
    may_reroute: bool,
}

#[derive(Debug, Clone, Default)]
struct Found {
    findings: u64,
    /// How often who should have judged did not.
    failures: u64,
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
        Self { side, guardrails, found, mark: Instant::now(), may_reroute: false }
    }

    /// The same for a call that can still go elsewhere.
    pub(super) fn of_call_that_may_go_elsewhere(self, may_reroute: bool) -> Self {
        Self { may_reroute, ..self }
    }

    pub(super) fn guardrails(&self) -> &[Arc<Guardrail>] {
        &self.guardrails
    }

    /// Whether one of them asks another model.
    pub(crate) fn ask_models(&self) -> bool {
        self.guardrails.iter().any(|guardrail| guardrail.spec.detector.asks())
    }

    /// Whether one of them looks at whole answers.
    pub(super) fn read_whole_answers(&self) -> bool {
        self.guardrails.iter().any(|guardrail| guardrail.spec.detector.reads_whole_answers())
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

    /// Who should have judged for the guardrail at this place did not. `reason` says nothing of the text.
    pub(super) fn failed(&mut self, place: usize, reason: &str) {
        let found = &mut self.found[place];
        found.failures += 1;
        found.labels.insert(reason.to_owned());
    }

    /// Why the call does not go on as it is.
    pub(crate) fn held(&self) -> Option<Held> {
        let refused = self.violation().map(Held::Refused);
        refused.or_else(|| self.rerouted().map(Held::Rerouted))
    }

    /// From here on time counts for the next guardrail that looks.
    pub(crate) fn begins(&mut self) {
        self.mark = Instant::now();
    }

    /// The guardrail at this place has looked.
    pub(crate) fn looked(&mut self, place: usize) {
        let now = Instant::now();
        self.found[place].took += now - self.mark;
        self.mark = now;
    }

    /// The first guardrail that refuses, if one does.
    pub(crate) fn violation(&self) -> Option<Violation> {
        let place = (0..self.found.len())
            .find(|place| self.refuses(self.action(*place)) && self.found[*place].findings > 0)?;
        Some(Violation {
            guardrail: self.guardrails[place].spec.name.clone(),
            side: self.side,
            labels: self.found[place].labels.iter().cloned().collect(),
        })
    }

    fn refuses(&self, action: GuardrailAction) -> bool {
        match action {
            GuardrailAction::Block => true,
            GuardrailAction::Reroute => !self.may_reroute,
            GuardrailAction::Redact | GuardrailAction::Annotate | GuardrailAction::Shadow => false,
        }
    }

    /// The first guardrail that sends the call elsewhere, if one does and none refuses.
    pub(crate) fn rerouted(&self) -> Option<String> {
        if !self.may_reroute || self.violation().is_some() {
            return None;
        }
        let reroutes = |place: &usize| {
            self.action(*place) == GuardrailAction::Reroute && self.found[*place].findings > 0
        };
        let place = (0..self.found.len()).find(reroutes)?;
        Some(self.guardrails[place].spec.name.clone())
    }

    /// What is said of a guardrail that found something.
    fn word(&self, action: GuardrailAction) -> &'static str {
        if self.refuses(action) { GuardrailAction::Block.verdict() } else { action.verdict() }
    }

    /// Counts, and gives what the record of the call keeps: of those that found something.
    pub(crate) fn close(self) -> Vec<VerdictFact> {
        let mut facts = Vec::new();
        for (guardrail, found) in self.guardrails.iter().zip(&self.found) {
            let spec = &guardrail.spec;
            guardrail.counts.add(self.side, (found.findings, found.failures), found.took);
            let verdict = match (found.findings, found.failures) {
                (0, 0) => "passed",
                (0, _) => "failed",
                _ => self.word(spec.action),
            };
            if found.failures > 0 {
                metrics::counter!("shipway_llm_guardrail_failures_total", "guardrail" => spec.name.clone(), "on" => self.side.word())
                    .increment(found.failures);
            }
            metrics::counter!("shipway_llm_guardrail_verdicts_total", "guardrail" => spec.name.clone(), "on" => self.side.word(), "verdict" => verdict)
                .increment(1);
            metrics::histogram!("shipway_llm_guardrail_seconds", "guardrail" => spec.name.clone(), "on" => self.side.word())
                .record(found.took.as_secs_f64());
            if found.findings > 0 || found.failures > 0 {
                facts.push(VerdictFact {
                    guardrail: spec.name.clone(),
                    on: self.side,
                    verdict: verdict.to_owned(),
                    findings: found.findings,
                    labels: found.labels.iter().cloned().collect(),
                    took_us: u64::try_from(found.took.as_micros()).unwrap_or(u64::MAX),
                });
            }
        }
        facts
    }
}

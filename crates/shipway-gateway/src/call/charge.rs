//! What a call has reserved and what it costs.
//!
//! A call that is dropped before it was settled, because its caller went away, settles by itself: with nothing where nothing was sent to a
//! provider, and with all that it had reserved where nobody will ever say what it used. So no way out of a call is free.

use std::time::Duration;

use http::StatusCode;
use shipway_dialects::{Dialect, Extras, Price, Usage};
use tokio::time::Instant;

use super::Api;
use crate::{
    cache::Kept,
    error::GatewayError,
    guard::Verdicts,
    ledger::{AttemptFact, CallFact, Entry, Opened, Outcome, TokenCounts, new_call_id},
    meter::{Amount, Reservation},
    model::Chain,
    service::Gateway,
};

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charge {
    /// Nothing.
    Nothing,
    /// What the provider said.
    Stated(Usage),
    /// What we counted, since the provider did not say it.
    Estimated(Usage),
    /// All that was reserved, since nobody will say.
    Reserved,
}

/// What is known of a call before it begins.
pub(super) struct Description {
    pub(super) caller: String,
    pub(super) user: Option<String>,
    pub(super) model: String,
    pub(super) asked: String,
    pub(super) api: Dialect,
    pub(super) is_stream: bool,
    pub(super) request_bytes: u64,
    pub(super) input_tokens: u64,
    pub(super) service_tier: Option<String>,
    pub(super) total: Duration,
}

/// A call that has reserved.
pub(super) struct Call {
    gateway: Gateway,
    reservation: Reservation,
    fact: CallFact,
    began: Instant,
    /// About how many tokens its input has.
    pub(super) input_tokens: u64,
    service_tier: Option<String>,
    /// Of the deployment that answers, or that was asked last.
    price: Option<Price>,
    /// What attempts cost that were given up after they were sent.
    lost_nanos: i64,
    is_sent: bool,
    is_settled: bool,
    /// Its answer is one that was kept.
    is_again: bool,
    is_guarded: bool,
    deadline: Instant,
}

impl Call {
    /// Reserves, and enters the call into the ledger. Without `reserved` it is one that uses nothing whatever happens.
    pub(super) fn open(
        gateway: Gateway,
        chain: &Chain,
        reserved: Option<Amount>,
        description: Description,
    ) -> Result<Self, GatewayError> {
        let now = gateway.now();
        let reservation = match reserved {
            Some(reserved) => gateway.meter().reserve(chain, reserved, now),
            None => gateway.meter().reserve_nothing(chain, now),
        };
        let reservation = reservation.map_err(|(scope, bound)| GatewayError::Limit { scope, bound })?;
        let Description {
            caller,
            user,
            model,
            asked,
            api,
            is_stream,
            request_bytes,
            input_tokens,
            service_tier,
            total,
        } = description;
        let opened = Opened {
            call: new_call_id(),
            at_us: now.0,
            chain: chain.clone(),
            caller,
            model,
            api: api.to_string(),
            reserved_nanos: reservation.asked.nanos,
        };
        let fact = CallFact {
            user,
            asked,
            is_stream,
            request_bytes,
            outcome: Outcome::Abandoned,
            error: None,
            cost_nanos: 0,
            is_estimated: false,
            ..CallFact::lost(&opened, now)
        };
        gateway.ledger().ink().enter(&Entry::Opened(opened));
        let began = Instant::now();
        let deadline = began + total;
        Ok(Self {
            gateway,
            reservation,
            fact,
            began,
            input_tokens,
            service_tier,
            price: None,
            lost_nanos: 0,
            is_sent: false,
            is_settled: false,
            is_again: false,
            is_guarded: false,
            deadline,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.fact.call
    }

    pub(super) fn model(&self) -> &str {
        &self.fact.model
    }

    pub(super) fn deployment(&self) -> Option<&str> {
        self.fact.deployment.as_deref()
    }

    pub(super) fn upstream_model(&self) -> Option<&str> {
        self.fact.upstream_model.as_deref()
    }

    /// What guardrails found on one side.
    pub(super) fn judged(&mut self, verdicts: Option<Verdicts>) {
        if let Some(verdicts) = verdicts {
            self.is_guarded = true;
            self.fact.guardrails.extend(verdicts.close());
        }
    }

    /// What guardrails found, as the caller is told it; none where no guardrail looked. What is only counted is not told.
    pub(super) fn guardrails_in_words(&self) -> Option<String> {
        let told = self.fact.guardrails.iter().filter(|fact| fact.verdict != "shadowed");
        let words: Vec<String> = told.map(|fact| format!("{}={}", fact.guardrail, fact.verdict)).collect();
        self.is_guarded.then(|| if words.is_empty() { "passed".to_owned() } else { words.join(", ") })
    }

    /// What the cache of the model did.
    pub(super) fn had_in_cache(&mut self, word: &str) {
        self.fact.cache = Some(word.to_owned());
    }

    /// The answer is one that was kept: it costs nothing, whatever its provider said that it used.
    pub(super) fn answered_again(&mut self, kept: &Kept) {
        self.is_again = true;
        self.fact.saved_nanos = kept.made.cost_nanos;
        self.fact.deployment.clone_from(&kept.made.deployment);
        self.fact.upstream_model.clone_from(&kept.made.upstream_model);
        self.fact.first_token_us = Some(micros(self.began));
    }

    pub(super) fn attempts(&self) -> usize {
        self.fact.attempts.len()
    }

    pub(super) fn chain(&self) -> &Chain {
        &self.reservation.chain
    }

    /// When the call must be over.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether it is not settled yet.
    pub(super) fn is_running(&self) -> bool {
        !self.is_settled
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// What it cost, once it is settled and that is known.
    pub(super) fn cost(&self) -> Option<i64> {
        (self.is_settled && !self.fact.is_unpriced).then_some(self.fact.cost_nanos)
    }

    /// A request goes out now: from here on the call may cost something.
    pub(super) fn is_being_sent(&mut self, price: Option<&Price>) {
        self.is_sent = true;
        self.price = price.cloned();
    }

    /// Notes an attempt that was made.
    pub(super) fn attempted(&mut self, attempt: AttemptFact) {
        self.fact.attempts.push(attempt);
    }

    /// The last attempt failed. `may_have_worked`: it was given up, so its provider may charge what it had read.
    pub(super) fn attempt_is_over(&mut self, may_have_worked: bool) {
        self.is_sent = false;
        if may_have_worked {
            let usage = Usage { input: self.input_tokens, ..Usage::default() };
            self.lost_nanos = self.lost_nanos.saturating_add(self.price_of(&usage));
            self.fact.is_estimated = true;
        }
    }

    /// The deployment that answers.
    pub(super) fn answered_by(
        &mut self,
        deployment: &str,
        upstream_model: &str,
        first_token_us: Option<i64>,
    ) {
        self.fact.deployment = Some(deployment.to_owned());
        self.fact.upstream_model = Some(upstream_model.to_owned());
        self.fact.first_token_us = first_token_us;
    }

    pub(super) fn answers_with(&mut self, status: StatusCode) {
        self.fact.status = Some(status.as_u16());
    }

    pub(super) fn went_wrong(&mut self, message: String) {
        self.fact.error = Some(message);
    }

    pub(super) fn count_response(&mut self, bytes: u64) {
        self.fact.response_bytes += bytes;
    }

    /// What a whole answer used, by what its provider says.
    pub(super) fn charge_of_answer(&self, api: Api, stated: Option<Usage>) -> Charge {
        match stated {
            _ if !api.is_charged => Charge::Nothing,
            Some(usage) => Charge::Stated(usage),
            // An answer that will only be there later says nothing yet.
            None if api.writes => Charge::Reserved,
            None => Charge::Estimated(Usage { input: self.input_tokens, ..Usage::default() }),
        }
    }

    fn price_of(&self, usage: &Usage) -> i64 {
        let extras = Extras { service_tier: self.service_tier.as_deref(), ..Extras::default() };
        self.price.as_ref().map_or(0, |price| price.cost(usage, &extras).0)
    }

    /// Ends the call: gives back what was reserved, charges what was used, and enters it into the ledger. Once; later calls change
    /// nothing.
    pub(super) fn settle(&mut self, outcome: Outcome, status: Option<StatusCode>, charge: Charge) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let asked = self.reservation.asked;
        let charge = if self.is_again { Charge::Nothing } else { charge };
        let (usage, nanos, tokens) = match charge {
            Charge::Nothing => (Usage::default(), 0, 0),
            Charge::Stated(usage) | Charge::Estimated(usage) => {
                (usage, self.price_of(&usage), i64::try_from(usage.total()).unwrap_or(i64::MAX))
            }
            Charge::Reserved => (Usage::default(), asked.nanos, asked.tokens),
        };
        let fact = &mut self.fact;
        fact.is_estimated |= matches!(charge, Charge::Estimated(_) | Charge::Reserved);
        fact.is_unpriced = charge != Charge::Nothing && self.price.is_none();
        fact.cost_nanos = nanos.saturating_add(self.lost_nanos);
        fact.tokens = TokenCounts {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write.saturating_add(usage.cache_write_long),
            output: usage.output,
            reasoning: usage.reasoning,
        };
        fact.outcome = outcome;
        fact.status = status.map(|status| status.as_u16()).or(fact.status);
        fact.took_us = micros(self.began);
        let used = Amount { nanos: fact.cost_nanos, tokens };
        self.gateway.meter().settle(&self.reservation, used);
        metrics::counter!("shipway_llm_calls_total", "model" => fact.model.clone(), "outcome" => outcome.word()).increment(1);
        metrics::counter!("shipway_llm_cost_nanos_total", "model" => fact.model.clone())
            .increment(u64::try_from(fact.cost_nanos).unwrap_or(0));
        self.gateway.ledger().ink().enter(&Entry::Settled(Box::new(fact.clone())));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let charge = if self.is_sent { Charge::Reserved } else { Charge::Nothing };
        self.settle(Outcome::Abandoned, None, charge);
    }
}

/// How long ago that was.
pub(super) fn micros(began: Instant) -> i64 {
    i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX)
}

//! What a batch reserves before its provider is asked to begin it.

use std::time::Instant;

use http::StatusCode;
use shipway_core::Timestamp;
use shipway_dialects::{Made, Usage};

use super::upload::BATCH_TIER;
use crate::{
    error::GatewayError,
    ledger::{AttemptFact, CallFact, Entry, Opened, Outcome, Priced, TokenCounts, new_call_id},
    meter::{Amount, Reservation},
    model::{BatchCharge, BatchPlan},
    service::{Gateway, Principal},
};

/// The API of batches, in records.
pub(super) const API: &str = "open_ai_batches";

/// A batch that is being begun. Dropped before it is settled, it is charged all that its calls may cost: its provider may have begun it.
pub(super) struct Booking {
    gateway: Gateway,
    reservation: Reservation,
    fact: CallFact,
    began: Instant,
    is_settled: bool,
}

impl Booking {
    /// Reserves what the calls may cost; one request, whatever their number.
    pub(super) fn open(
        gateway: &Gateway,
        principal: &Principal,
        plan: &BatchPlan,
    ) -> Result<Self, GatewayError> {
        if !gateway.ledger().ink().flows() {
            return Err(GatewayError::LedgerBehind);
        }
        let now = gateway.now();
        let asked = Amount { nanos: plan.most_nanos.unwrap_or(0), tokens: 0 };
        let reservation = gateway.meter().reserve(&principal.chain, asked, now);
        let reservation = reservation.map_err(|(scope, bound)| GatewayError::Limit { scope, bound })?;
        let opened = Opened {
            call: new_call_id(),
            at_us: now.0,
            chain: principal.chain.clone(),
            caller: principal.name.clone(),
            model: plan.model.clone(),
            api: API.to_owned(),
            reserved_nanos: asked.nanos,
        };
        let fact = CallFact {
            error: None,
            deployment: Some(plan.deployment.clone()),
            ..CallFact::lost(&opened, now)
        };
        gateway.ledger().ink().enter(&Entry::Opened(opened));
        let gateway = gateway.clone();
        Ok(Self { gateway, reservation, fact, began: Instant::now(), is_settled: false })
    }

    pub(super) fn call(&self) -> &str {
        &self.fact.call
    }

    /// The provider has begun it: all that its calls may cost is charged until it is over.
    pub(super) fn begun(mut self, plan: &BatchPlan, status: StatusCode) -> BatchCharge {
        self.settle(Outcome::Answered, Some(status), self.reservation.asked.nanos);
        BatchCharge {
            chain: self.fact.chain.clone(),
            caller: self.fact.caller.clone(),
            at_us: self.fact.at_us,
            nanos: self.fact.cost_nanos,
            plan: plan.clone(),
        }
    }

    /// The provider has not begun it.
    pub(super) fn refused(mut self, status: StatusCode) {
        let outcome = if status.is_client_error() { Outcome::Refused } else { Outcome::Failed };
        self.settle(outcome, Some(status), 0);
    }

    fn settle(&mut self, outcome: Outcome, status: Option<StatusCode>, nanos: i64) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let (fact, took) = (&mut self.fact, self.began.elapsed());
        fact.took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        fact.outcome = outcome;
        fact.status = status.map(|status| status.as_u16());
        fact.cost_nanos = nanos;
        fact.is_estimated = nanos != 0;
        // No tokens say why: nothing was worked off yet.
        fact.priced = Priced { beside_nanos: nanos, ..Priced::default() };
        fact.attempts = vec![AttemptFact {
            deployment: fact.deployment.clone().unwrap_or_default(),
            why: "the file lies there".to_owned(),
            result: if outcome == Outcome::Answered { "answered" } else { outcome.word() }.to_owned(),
            status: fact.status,
            took_us: fact.took_us,
            translated_to: None,
            dropped: Vec::new(),
        }];
        self.gateway.meter().settle(&self.reservation, Amount { nanos, tokens: 0 });
        self.gateway.ledger().ink().enter(&Entry::Settled(Box::new(fact.clone())));
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned, None, self.reservation.asked.nanos);
    }
}

/// The entry that makes of what was charged for a batch what it did cost.
pub(super) fn correction(
    charge: &BatchCharge,
    usage: &Usage,
    cost: Cost,
    as_of: Option<String>,
    took_us: i64,
) -> CallFact {
    let BatchCharge { chain, caller, at_us, nanos, plan } = charge;
    let opened = Opened {
        call: new_call_id(),
        at_us: *at_us,
        chain: chain.clone(),
        caller: caller.clone(),
        model: plan.model.clone(),
        api: API.to_owned(),
        reserved_nanos: 0,
    };
    let cost_nanos = cost.nanos.saturating_sub(*nanos);
    let beside = cost_nanos.saturating_sub(cost.together_nanos);
    let priced = Priced::of(usage, Made::default(), as_of, Some(BATCH_TIER.to_owned()), beside);
    CallFact {
        took_us,
        outcome: Outcome::Answered,
        error: None,
        deployment: Some(plan.deployment.clone()),
        tokens: TokenCounts {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write.saturating_add(usage.cache_write_long),
            output: usage.output,
            reasoning: usage.reasoning,
        },
        priced,
        cost_nanos,
        is_estimated: false,
        is_unpriced: cost.is_unpriced,
        ..CallFact::lost(&opened, Timestamp(*at_us))
    }
}

/// What the calls of a batch did cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Each by itself, as it is charged.
    pub(super) nanos: i64,
    /// As if their tokens were those of one call, as a record's cost is computed again.
    pub(super) together_nanos: i64,
    pub(super) is_unpriced: bool,
}

//! What a call has reserved and what it costs.
//!
//! A call that is dropped before it was settled, because its caller went away, settles by itself: with nothing where nothing was sent to a
//! provider, and with all that it had reserved where nobody will ever say what it used. So no way out of a call is free.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use shipway_dialects::{Dialect, Extras, Made, Price, Usage};
use tokio::time::Instant;

use super::{Api, span::CallSpan};
use crate::{
    cache::Kept,
    figures::{Figures, Waiting},
    guard::Verdicts,
    ledger::{
        AttemptFact, CallFact, Entry, KeptAt, Labels, Opened, Outcome, Priced, TokenCounts, new_call_id,
    },
    meter::{Amount, Reservation},
    model::Chain,
    service::{Deployment, Gateway},
    traces::Content,
};

/// About how many bytes of an answer are a token, where nobody says it.
const BYTES_OF_A_TOKEN: u64 = 4;

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
    /// Its id, where it has one already.
    pub(super) id: Option<String>,
    pub(super) caller: String,
    pub(super) user: Option<String>,
    pub(super) model: String,
    pub(super) asked: String,
    pub(super) api: Dialect,
    pub(super) is_stream: bool,
    pub(super) request_bytes: u64,
    pub(super) input_tokens: u64,
    pub(super) service_tier: Option<String>,
    pub(super) labels: Labels,
    pub(super) total: Duration,
}

/// A call that has reserved.
pub(super) struct Call {
    pub(super) gateway: Gateway,
    reservation: Reservation,
    pub(super) fact: CallFact,
    began: Instant,
    /// About how many tokens its input has.
    pub(super) input_tokens: u64,
    service_tier: Option<String>,
    /// Of the deployment that answers, or that was asked last.
    price: Option<Price>,
    /// What attempts cost that were given up after they were sent.
    lost_nanos: i64,
    /// Tokens of an answer that came and that its caller does not get.
    left_tokens: u64,
    /// The price of a deployment is not known whose answer the caller does not get.
    left_unpriced: bool,
    /// What the answer made beside tokens.
    made: Made,
    /// The prices of attempts that were given up because another one answered first.
    hedged: Vec<Option<Price>>,
    /// Of the deployment that answers: it has one call more until this one is over.
    answering: Option<(Waiting, Arc<Figures>)>,
    is_sent: bool,
    is_settled: bool,
    /// Its answer is one that was kept.
    is_again: bool,
    is_guarded: bool,
    /// Its words, where they are to be kept.
    pub(super) content: Option<Box<Content>>,
    /// Where its request is sampled.
    pub(super) span: Option<Box<CallSpan>>,
    deadline: Instant,
}

impl Call {
    /// Enters a call into the ledger that has reserved.
    pub(super) fn open(gateway: Gateway, reservation: Reservation, description: Description) -> Self {
        let now = reservation.began;
        let Description {
            id,
            caller,
            user,
            model,
            asked,
            api,
            is_stream,
            request_bytes,
            input_tokens,
            service_tier,
            labels,
            total,
        } = description;
        let span = CallSpan::begin(api, &asked);
        let opened = Opened {
            call: id.unwrap_or_else(new_call_id),
            at_us: now.0,
            chain: reservation.chain.clone(),
            caller,
            model,
            api: api.to_string(),
            reserved_nanos: reservation.asked.nanos,
        };
        let fact = CallFact {
            user,
            asked,
            is_stream,
            labels,
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
        Self {
            gateway,
            reservation,
            fact,
            began,
            input_tokens,
            service_tier,
            price: None,
            lost_nanos: 0,
            left_tokens: 0,
            left_unpriced: false,
            made: Made::default(),
            hedged: Vec::new(),
            answering: None,
            is_sent: false,
            is_settled: false,
            is_again: false,
            is_guarded: false,
            content: None,
            span,
            deadline,
        }
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

    /// What it cost, once it is settled and that is known.
    pub(super) fn cost(&self) -> Option<i64> {
        (self.is_settled && !self.fact.is_unpriced).then_some(self.fact.cost_nanos)
    }

    /// A request goes out now: from here on the call may cost something.
    pub(super) fn is_being_sent(&mut self, price: Option<&Price>) {
        self.is_sent = true;
        self.price = price.cloned();
    }

    /// Another request is on its way, whatever became of the last one.
    pub(super) fn is_also_sent(&mut self) {
        self.is_sent = true;
    }

    /// Notes an attempt that was made.
    pub(super) fn attempted(&mut self, attempt: AttemptFact) {
        if let Some(span) = &self.span {
            span.attempted(&attempt);
        }
        self.fact.attempts.push(attempt);
    }

    /// An attempt at a deployment of this price failed. `may_have_worked`: it was given up, so its provider may charge what it had read.
    pub(super) fn attempt_is_over(&mut self, price: Option<&Price>, may_have_worked: bool) {
        self.is_sent = false;
        if may_have_worked {
            let usage = Usage { input: self.input_tokens, ..Usage::default() };
            self.lost_nanos = self.lost_nanos.saturating_add(self.price_of(price, &usage));
            self.fact.is_estimated = true;
        }
    }

    /// An attempt at a deployment of this price was given up because another one answered first.
    pub(super) fn was_hedged_at(&mut self, price: Option<&Price>) {
        self.hedged.push(price.cloned());
    }

    /// An attempt at a deployment of this price came to nothing after its provider had said what it used.
    pub(super) fn attempt_used(&mut self, price: Option<&Price>, usage: &Usage) {
        self.is_sent = false;
        self.lost_nanos = self.lost_nanos.saturating_add(self.price_of(price, usage));
    }

    /// The answer that came does not go to the caller, and another deployment is asked: what it used is charged beside. `bytes` of it are
    /// what tokens are counted by where its provider does not say them.
    pub(super) fn leaves_answer(&mut self, charge: Charge, bytes: usize) {
        let usage = match charge {
            Charge::Nothing => Usage::default(),
            Charge::Stated(usage) | Charge::Estimated(usage) => usage,
            Charge::Reserved => {
                let output = bytes as u64 / BYTES_OF_A_TOKEN;
                Usage { input: self.input_tokens, output, ..Usage::default() }
            }
        };
        self.fact.is_estimated |= matches!(charge, Charge::Estimated(_) | Charge::Reserved);
        let price = self.price.take();
        self.left_unpriced |= price.is_none() && charge != Charge::Nothing;
        self.attempt_used(price.as_ref(), &usage);
        self.left_tokens = self.left_tokens.saturating_add(usage.total());
        self.answering = None;
        self.made = Made::default();
    }

    /// The members that were left out of the call, or changed, for the deployment that answers.
    pub(super) fn dropped(&self) -> &[String] {
        let answered = self.fact.attempts.iter().rev().find(|attempt| attempt.result == "answered");
        answered.map_or(&[], |attempt| &attempt.dropped)
    }

    /// The deployment that answers.
    pub(super) fn answered_by(&mut self, deployment: &Deployment, waiting: Waiting) {
        self.is_sent = true;
        self.price = deployment.spec.price.clone();
        self.fact.priced.as_of = deployment.spec.price_as_of.clone();
        self.fact.deployment = Some(deployment.spec.name.clone());
        self.fact.upstream_model = Some(deployment.spec.model.clone());
        self.fact.first_token_us = Some(micros(self.began));
        if let (Some(span), Some(provider)) = (&mut self.span, &deployment.provider) {
            span.answered_by(provider.kind());
        }
        self.answering = Some((waiting, Arc::clone(&deployment.figures)));
    }

    /// The first of its answer is there, later than the deployment took it on.
    pub(super) fn begins_to_be_answered(&mut self) {
        self.fact.first_token_us = Some(micros(self.began));
    }

    /// A model of this server answers.
    pub(super) fn answered_here(&mut self, name: &str) {
        self.fact.deployment = Some("here".to_owned());
        self.fact.upstream_model = Some(name.to_owned());
    }

    /// The answer says at which tier of service it was served; where it does not, the one that was asked for counts.
    pub(super) fn was_served_at(&mut self, service_tier: Option<&str>) {
        if let Some(tier) = service_tier {
            self.service_tier = Some(tier.to_owned());
        }
    }

    /// The provider keeps the answer under this id, for later calls.
    pub(super) fn is_kept(&mut self, provider: &str, id: String) {
        self.fact.kept = Some(KeptAt { provider: provider.to_owned(), id });
        if let Some(kept) = self.fact.kept_response() {
            self.gateway.kept().remember(kept, self.gateway.now());
        }
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
            None if self.made != Made::default() => Charge::Stated(Usage::default()),
            None if api.dialect == Dialect::OpenAiMedia => {
                Charge::Estimated(Usage { input: self.input_tokens, ..Usage::default() })
            }
            // An answer that will only be there later says nothing yet.
            None if api.writes => Charge::Reserved,
            None => Charge::Estimated(Usage { input: self.input_tokens, ..Usage::default() }),
        }
    }

    /// Notes what the answer made beside tokens.
    pub(super) fn made(&mut self, made: Made) {
        self.made = made;
    }

    fn price_of(&self, price: Option<&Price>, usage: &Usage) -> i64 {
        let Made { images, milliseconds } = self.made;
        let extras = Extras { service_tier: self.service_tier.as_deref(), images, milliseconds };
        price.map_or(0, |price| price.cost(usage, &extras).0)
    }

    /// What attempts are taken to have used that were given up because another one answered first: as much as that one where the answer was
    /// whole, since nobody knows how far they were; of a stream, which had not begun, its input. Money and tokens.
    fn hedges(&self, usage: &Usage) -> (i64, u64) {
        let input = Usage { input: usage.total_input(), ..Usage::default() };
        let taken = if self.fact.is_stream { input } else { *usage };
        let nanos = self.hedged.iter().map(|price| self.price_of(price.as_ref(), &taken));
        let tokens = taken.total().saturating_mul(self.hedged.len() as u64);
        (nanos.fold(0, i64::saturating_add), tokens)
    }

    /// What the call is charged.
    fn bill(&self, charge: Charge) -> Bill {
        let whole = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
        let asked = self.reservation.asked;
        match charge {
            Charge::Nothing => {
                let tokens = whole(self.left_tokens);
                Bill { usage: Usage::default(), own: 0, beside: self.lost_nanos, tokens }
            }
            Charge::Stated(usage) | Charge::Estimated(usage) => {
                let (hedged_nanos, hedged_tokens) = self.hedges(&usage);
                Bill {
                    usage,
                    own: self.price_of(self.price.as_ref(), &usage),
                    beside: self.lost_nanos.saturating_add(hedged_nanos),
                    tokens: whole(
                        usage.total().saturating_add(hedged_tokens).saturating_add(self.left_tokens),
                    ),
                }
            }
            Charge::Reserved => Bill {
                usage: Usage::default(),
                own: 0,
                beside: self.lost_nanos.saturating_add(asked.nanos),
                tokens: asked.tokens.saturating_add(whole(self.left_tokens)),
            },
        }
    }

    /// Tells how fast the deployment wrote that answered, and that it has one call less.
    fn leaves_the_deployment(&mut self, outcome: Outcome, output: u64) {
        let Some((_waiting, figures)) = self.answering.take() else { return };
        if outcome == Outcome::Answered {
            let first_us = self.fact.first_token_us.filter(|_| self.fact.is_stream).unwrap_or(0);
            figures.wrote(output, micros(self.began).saturating_sub(first_us), self.gateway.now());
        }
    }

    /// Ends the call: gives back what was reserved, charges what was used, and enters it into the ledger. Once; later calls change
    /// nothing.
    pub(super) fn settle(&mut self, outcome: Outcome, status: Option<StatusCode>, charge: Charge) {
        if std::mem::replace(&mut self.is_settled, true) {
            return;
        }
        let charge = if self.is_again { Charge::Nothing } else { charge };
        let Bill { usage, own, beside, tokens } = self.bill(charge);
        self.leaves_the_deployment(outcome, usage.output);
        let is_hedged = charge != Charge::Nothing && !self.hedged.is_empty();
        let is_unpriced = self.price.is_none() || self.hedged.iter().any(Option::is_none);
        let service_tier = self.service_tier.take();
        let fact = &mut self.fact;
        fact.is_estimated |= is_hedged || matches!(charge, Charge::Estimated(_) | Charge::Reserved);
        fact.is_unpriced = (charge != Charge::Nothing && is_unpriced) || self.left_unpriced;
        fact.cost_nanos = own.saturating_add(beside);
        fact.tokens = TokenCounts {
            input: usage.input,
            cache_read: usage.cache_read,
            cache_write: usage.cache_write.saturating_add(usage.cache_write_long),
            output: usage.output,
            reasoning: usage.reasoning,
        };
        fact.priced = Priced::of(&usage, self.made, fact.priced.as_of.take(), service_tier, beside);
        fact.outcome = outcome;
        fact.status = status.map(|status| status.as_u16()).or(fact.status);
        fact.took_us = micros(self.began);
        let used = Amount { nanos: fact.cost_nanos, tokens };
        self.gateway.meter().settle(&self.reservation, used);
        metrics::counter!("shipway_llm_calls_total", "model" => fact.model.clone(), "outcome" => outcome.word()).increment(1);
        metrics::counter!("shipway_llm_cost_nanos_total", "model" => fact.model.clone())
            .increment(u64::try_from(fact.cost_nanos).unwrap_or(0));
        self.gateway.ledger().ink().enter(&Entry::Settled(Box::new(fact.clone())));
        self.hands_over();
    }
}

/// What a call is charged.
struct Bill {
    usage: Usage,
    /// What the usage costs, in billionths of a dollar.
    own: i64,
    /// What is charged beside that: for attempts that did not answer, or because nobody says what was used.
    beside: i64,
    tokens: i64,
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

//! One attempt at one deployment, and what is noted of it: in the record of the call, in the health and the figures of the deployment.

use shipway_dialects::{BadRequest, Cause};
use tokio::{sync::OnceCell, time::Instant};

use super::{
    Asked,
    attempt::{self, Began, Outgoing, Stopped},
    charge::{Call, micros},
    in_full::{self, Words},
    saying::{Said, say},
    spoken::{How, Spoken},
    telling::Telling,
};
use crate::{
    error::GatewayError,
    figures::Waiting,
    health::Turn,
    ledger::AttemptFact,
    model::ProviderKind,
    retry,
    service::{Deployment, Gateway, Model},
};

/// What every attempt of a call shares.
pub(super) struct Sending<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) model: &'a Model,
    pub(super) asked: &'a Asked,
    pub(super) deadline: Instant,
    call_id: String,
    input_tokens: u64,
    /// What was fetched of it, once a deployment needed that; none: it has nothing by its address.
    in_full: OnceCell<Result<Option<Words>, BadRequest>>,
}

/// An attempt that is over, or has begun to be answered.
pub(super) struct Sent {
    pub(super) place: usize,
    why: String,
    result: Result<Began, Stopped>,
    took_us: i64,
    /// The API that it was asked in, where that is not the caller's.
    translated_to: Option<String>,
    /// Members of the call that were left out or changed.
    dropped: Vec<String>,
    waiting: Waiting,
    _turn: Turn,
}

impl Sent {
    pub(super) fn is_answer(&self) -> bool {
        self.result.is_ok()
    }
}

impl<'a> Sending<'a> {
    pub(super) fn of(gateway: &'a Gateway, model: &'a Model, asked: &'a Asked, call: &Call) -> Self {
        let (call_id, input_tokens) = (call.id().to_owned(), call.input_tokens);
        let in_full = OnceCell::new();
        Self { gateway, model, asked, deadline: call.deadline(), call_id, input_tokens, in_full }
    }

    pub(super) fn deployment(&self, place: usize) -> &'a Deployment {
        &self.model.deployments[place]
    }

    /// Sends the call. When what is returned is dropped before its end, the request is given up.
    pub(super) async fn send(&self, place: usize, why: String, turn: Turn) -> Sent {
        let deployment = self.deployment(place);
        // Before the deployment's time begins: what is fetched for it is none of it.
        let said = self.in_its_words(deployment).await;
        let waiting = deployment.figures.wait();
        let began = Instant::now();
        let (asked, timeouts) = (self.asked, &self.model.spec.timeouts);
        let mut sent = Sent {
            place,
            why,
            result: Err(Stopped::nothing()),
            took_us: 0,
            translated_to: None,
            dropped: Vec::new(),
            waiting,
            _turn: turn,
        };
        let said = match said {
            Ok(said) => said,
            Err(why) => {
                sent.result = Err(Stopped::unsaid(&why));
                return sent;
            }
        };
        sent.translated_to = said.telling.is_some().then(|| said.target.dialect.to_string());
        sent.dropped.clone_from(&said.dropped);
        let hides_usage = !asked.head.stream_usage;
        let outgoing = Outgoing { said, headers: &asked.headers, hides_usage, now: self.gateway.now() };
        let first_by =
            if asked.head.stream { self.deadline.min(began + timeouts.first_token) } else { self.deadline };
        sent.result = attempt::begin(deployment, outgoing, first_by).await;
        sent.took_us = micros(began);
        sent
    }

    /// The call in the words of the deployment's API.
    async fn in_its_words(&self, deployment: &'a Deployment) -> Result<Said<'a>, GatewayError> {
        let asked = self.asked;
        // Only those are tried that can be spoken to.
        let as_it_is = Spoken { dialect: asked.api.dialect, path: asked.api.path, how: How::Passing };
        let spoken = deployment.spoken_to(asked.api).unwrap_or(as_it_is);
        let kind = deployment.provider.as_ref().map_or(ProviderKind::OpenAi, |provider| provider.kind());
        let call = (self.call_id.as_str(), self.input_tokens);
        let telling = |told| Telling::new((spoken.dialect, told), asked, call, self.gateway.now());
        let in_full = match in_full::wants(&deployment.spec, kind, spoken) {
            true => self.in_full().await?,
            false => None,
        };
        let words = in_full.map_or((&asked.body, &asked.head), |words| (&words.body, &words.head));
        if deployment.spec.fetch_media == Some(true) {
            in_full::refuse_addresses(asked.api.dialect, words.0).map_err(GatewayError::NotFetched)?;
        }
        say((asked, words), spoken, (&self.model.spec, kind), &deployment.spec, telling)
            .map_err(GatewayError::NotTranslatable)
    }

    /// The call with what lies elsewhere in it.
    async fn in_full(&self) -> Result<Option<&Words>, GatewayError> {
        // Boxed: few calls have anything elsewhere, and all of them would move the state of this.
        let fetching = || Box::pin(in_full::in_full((self.gateway, self.model), self.asked, self.deadline));
        match self.in_full.get_or_init(fetching).await {
            Ok(words) => Ok(words.as_ref()),
            Err(bad) => Err(GatewayError::NotFetched(bad.clone())),
        }
    }

    /// Notes what came of an attempt, and hands it on.
    #[expect(
        clippy::result_large_err,
        reason = "a failure with its answer is handed on once and kept in one place"
    )]
    pub(super) fn note(&self, sent: Sent, call: &mut Call) -> Result<Began, Stopped> {
        let Sent { place, why, result, took_us, translated_to, dropped, waiting, _turn } = sent;
        let is_translated = translated_to.is_some();
        let deployment = self.deployment(place);
        let (spec, now) = (&deployment.spec, self.gateway.now());
        let attempt = |result: &str, status| AttemptFact {
            deployment: spec.name.clone(),
            why,
            result: result.to_owned(),
            status,
            took_us,
            translated_to,
            dropped,
        };
        match &result {
            Ok(answer) => {
                deployment.health.answered();
                deployment.figures.took(took_us, self.asked.head.stream, now);
                call.attempted(attempt("answered", Some(answer.status().as_u16())));
                call.answered_by(deployment, waiting);
                if let Some(id) = answer.response_id().filter(|_| self.asked.head.is_kept && !is_translated) {
                    call.is_kept(&spec.provider, id);
                }
            }
            Err(stopped) if stopped.is_unsaid => {
                call.attempt_is_over(None, false);
                let code = stopped.error.code.as_deref().unwrap_or_default();
                call.attempted(attempt(code.strip_prefix("gateway.").unwrap_or(code), None));
            }
            Err(stopped) => {
                let error = &stopped.error;
                match &stopped.used {
                    Some(usage) => call.attempt_used(spec.price.as_ref(), usage),
                    None => call.attempt_is_over(spec.price.as_ref(), stopped.may_have_worked),
                }
                // A server that counts no tokens may well write.
                let knows_no_count = self.asked.api.counts() && error.cause == Cause::NotFound;
                if retry::blames_deployment(error.cause) && !knows_no_count {
                    let asked_us = stopped.retry_after.and_then(|wait| i64::try_from(wait.as_micros()).ok());
                    deployment.health.failed(&self.model.spec.cooldown, asked_us, now);
                }
                if error.cause == Cause::Timeout {
                    deployment.figures.kept_waiting(took_us, self.asked.head.stream, now);
                }
                tracing::debug!(
                    model = self.model.spec.name,
                    deployment = spec.name,
                    cause = error.cause.as_str(),
                    status = error.upstream_status,
                    message = error.message,
                    "an attempt failed"
                );
                metrics::counter!("shipway_llm_attempts_failed_total", "model" => self.model.spec.name.clone(), "deployment" => spec.name.clone(), "cause" => error.cause.as_str()).increment(1);
                call.attempted(attempt(error.cause.as_str(), error.upstream_status));
            }
        }
        result
    }

    /// Notes an attempt that was given up because another one answered first.
    pub(super) fn note_cancelled(&self, place: usize, why: String, began: Instant, call: &mut Call) {
        let (spec, took_us) = (&self.deployment(place).spec, micros(began));
        let now = self.gateway.now();
        self.deployment(place).figures.kept_waiting(took_us, self.asked.head.stream, now);
        call.attempted(AttemptFact {
            deployment: spec.name.clone(),
            why,
            result: "cancelled".to_owned(),
            status: None,
            took_us,
            translated_to: None,
            dropped: Vec::new(),
        });
        call.was_hedged_at(spec.price.as_ref());
    }
}

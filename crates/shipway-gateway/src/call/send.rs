//! One attempt at one deployment, and what is noted of it: in the record of the call, in the health and the figures of the deployment.

use shipway_dialects::{Cause, Changes, rewrite};
use tokio::time::Instant;

use super::{
    Asked,
    attempt::{self, Began, Outgoing, Stopped},
    charge::{Call, micros},
};
use crate::{
    figures::Waiting,
    health::Turn,
    ledger::AttemptFact,
    retry,
    service::{Deployment, Gateway, Model},
};

/// What every attempt of a call shares.
pub(super) struct Sending<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) model: &'a Model,
    pub(super) asked: &'a Asked,
    pub(super) deadline: Instant,
}

/// An attempt that is over, or has begun to be answered.
pub(super) struct Sent {
    pub(super) place: usize,
    why: String,
    result: Result<Began, Stopped>,
    took_us: i64,
    waiting: Waiting,
    _turn: Turn,
}

impl Sent {
    pub(super) fn is_answer(&self) -> bool {
        self.result.is_ok()
    }
}

impl<'a> Sending<'a> {
    pub(super) fn deployment(&self, place: usize) -> &'a Deployment {
        &self.model.deployments[place]
    }

    /// Sends the call. When what is returned is dropped before its end, the request is given up.
    pub(super) async fn send(&self, place: usize, why: String, turn: Turn) -> Sent {
        let deployment = self.deployment(place);
        let waiting = deployment.figures.wait();
        let began = Instant::now();
        let (asked, timeouts) = (self.asked, &self.model.spec.timeouts);
        let changes = Changes { model: Some(&deployment.spec.model), stream_usage: true };
        let body = rewrite(asked.api.dialect, asked.body.clone(), &asked.head, &changes);
        let outgoing = Outgoing {
            api: asked.api,
            headers: &asked.headers,
            body,
            is_stream: asked.head.stream,
            now: self.gateway.now(),
        };
        let first_by =
            if asked.head.stream { self.deadline.min(began + timeouts.first_token) } else { self.deadline };
        let result = attempt::begin(deployment, outgoing, first_by).await;
        Sent { place, why, result, took_us: micros(began), waiting, _turn: turn }
    }

    /// Notes what came of an attempt, and hands it on.
    #[expect(
        clippy::result_large_err,
        reason = "a failure with its answer is handed on once and kept in one place"
    )]
    pub(super) fn note(&self, sent: Sent, call: &mut Call) -> Result<Began, Stopped> {
        let Sent { place, why, result, took_us, waiting, _turn } = sent;
        let deployment = self.deployment(place);
        let (spec, now) = (&deployment.spec, self.gateway.now());
        let attempt = |result: &str, status| AttemptFact {
            deployment: spec.name.clone(),
            why,
            result: result.to_owned(),
            status,
            took_us,
        };
        match &result {
            Ok(answer) => {
                deployment.health.answered();
                deployment.figures.took(took_us, self.asked.head.stream, now);
                call.attempted(attempt("answered", Some(answer.status().as_u16())));
                call.answered_by(deployment, waiting);
                if let Some(id) = answer.response_id().filter(|_| self.asked.head.is_kept) {
                    call.is_kept(&spec.provider, id);
                }
            }
            Err(stopped) => {
                let error = &stopped.error;
                call.attempt_is_over(spec.price.as_ref(), stopped.may_have_worked);
                if retry::blames_deployment(error.cause) {
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
        });
        call.was_hedged_at(spec.price.as_ref());
    }
}

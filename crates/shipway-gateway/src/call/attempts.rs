//! Deployments are tried in order, until one begins to answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use shipway_dialects::{ApiError, Cause, Changes, rewrite};
use tokio::time::Instant;

use super::{
    Asked,
    attempt::{self, Began, Outgoing, Stopped},
    charge::{Call, micros},
};
use crate::{
    ledger::AttemptFact,
    retry::{self, Then},
    service::{Deployment, Gateway, Model},
};

/// No deployment answered: what the last one said.
pub(super) struct Failed {
    pub(super) error: ApiError,
    /// Its answer as it wrote it, if it wrote one.
    pub(super) answer: Option<(StatusCode, HeaderMap, Bytes)>,
    /// How long it asks to wait.
    pub(super) wait: Option<Duration>,
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        Self { error: stopped.error, answer: stopped.answer, wait: stopped.retry_after }
    }
}

/// The beginning of an answer of the first deployment that gives one.
pub(super) async fn first_answer(
    gateway: &Gateway,
    model: &Arc<Model>,
    places: &[usize],
    asked: &Asked,
    call: &mut Call,
) -> Result<Began, Failed> {
    let deadline = call.deadline();
    let mut failed = None;
    for place in places {
        let deployment = &model.deployments[*place];
        let mut tried = 0;
        loop {
            if Instant::now() >= deadline {
                return Err(failed.unwrap_or_else(out_of_time));
            }
            tried += 1;
            let stopped = match try_once(gateway, (model, deployment), asked, deadline, call).await {
                Ok(began) => return Ok(began),
                Err(stopped) => stopped,
            };
            let then = retry::judge(&stopped.error, tried, &model.spec.retries, stopped.retry_after);
            failed = Some(Failed::from(stopped));
            match then {
                Then::Again(wait) => tokio::time::sleep_until((Instant::now() + wait).min(deadline)).await,
                Then::Next => break,
                Then::GiveUp => return Err(failed.unwrap_or_else(out_of_time)),
            }
        }
    }
    Err(failed.unwrap_or_else(out_of_time))
}

fn out_of_time() -> Failed {
    let error = ApiError::new(Cause::Timeout, "no provider answered in time");
    Failed { error, answer: None, wait: None }
}

async fn try_once(
    gateway: &Gateway,
    (model, deployment): (&Model, &Deployment),
    asked: &Asked,
    deadline: Instant,
    call: &mut Call,
) -> Result<Began, Stopped> {
    let began = Instant::now();
    let changes = Changes { model: Some(&deployment.spec.model), stream_usage: true };
    let body = rewrite(asked.api.dialect, asked.body.clone(), &asked.head, &changes);
    call.is_being_sent(deployment.spec.price.as_ref());
    let outgoing = Outgoing {
        api: asked.api,
        headers: &asked.headers,
        body,
        is_stream: asked.head.stream,
        now: gateway.now(),
    };
    let first_by =
        if asked.head.stream { deadline.min(began + model.spec.timeouts.first_token) } else { deadline };
    let result = attempt::begin(deployment, outgoing, first_by).await;
    let took_us = micros(began);
    match &result {
        Ok(answer) => {
            deployment.health.answered();
            call.attempted(AttemptFact {
                deployment: deployment.spec.name.clone(),
                result: "answered".to_owned(),
                status: Some(answer.status().as_u16()),
                took_us,
            });
            call.answered_by(&deployment.spec.name, &deployment.spec.model, Some(micros(call.began())));
            if let Some(id) = answer.response_id().filter(|_| asked.head.is_kept) {
                call.is_kept(&deployment.spec.provider, id);
            }
        }
        Err(stopped) => {
            call.attempt_is_over(stopped.may_have_worked);
            if retry::blames_deployment(stopped.error.cause) {
                let asked_us = stopped.retry_after.and_then(|wait| i64::try_from(wait.as_micros()).ok());
                deployment.health.failed(&model.spec.cooldown, asked_us, gateway.now());
            }
            let error = &stopped.error;
            tracing::debug!(
                model = model.spec.name,
                deployment = deployment.spec.name,
                cause = error.cause.as_str(),
                status = error.upstream_status,
                message = error.message,
                "an attempt failed"
            );
            metrics::counter!("shipway_llm_attempts_failed_total", "model" => model.spec.name.clone(), "deployment" => deployment.spec.name.clone(), "cause" => error.cause.as_str()).increment(1);
            call.attempted(AttemptFact {
                deployment: deployment.spec.name.clone(),
                result: error.cause.as_str().to_owned(),
                status: error.upstream_status,
                took_us,
            });
        }
    }
    result
}

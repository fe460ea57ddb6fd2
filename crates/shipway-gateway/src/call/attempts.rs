//! Deployments are tried in order, until one begins to answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use shipway_dialects::{ApiError, BadRequest, Cause};
use tokio::time::Instant;

use super::{
    Asked,
    attempt::{self, Began, Outgoing, Stopped},
    charge::{Call, micros},
    saying::{Said, say},
    telling::Telling,
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
    /// It was asked nothing: its API has no words for the call.
    pub(super) is_unsaid: bool,
}

impl From<Stopped> for Failed {
    fn from(stopped: Stopped) -> Self {
        let Stopped { error, answer, retry_after, is_unsaid, .. } = stopped;
        Self { error, answer, wait: retry_after, is_unsaid }
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
    let mut failed: Option<Failed> = None;
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
            if stopped.is_unsaid {
                // Another deployment may have the words. What a provider said goes before what was not said to one.
                failed.get_or_insert(Failed::from(stopped));
                break;
            }
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
    Failed { error, answer: None, wait: None, is_unsaid: false }
}

async fn try_once(
    gateway: &Gateway,
    (model, deployment): (&Model, &Deployment),
    asked: &Asked,
    deadline: Instant,
    call: &mut Call,
) -> Result<Began, Stopped> {
    let began = Instant::now();
    let said = match in_its_words(gateway, (model, deployment), asked, call) {
        Ok(said) => said,
        Err(bad) => {
            call.attempted(AttemptFact { result: "not_translatable".to_owned(), ..fact(deployment, began) });
            return Err(Stopped::unsaid(bad));
        }
    };
    let translated_to = said.telling.is_some().then(|| said.target.dialect.to_string());
    let dropped = said.dropped.clone();
    call.is_being_sent(deployment.spec.price.as_ref());
    let outgoing =
        Outgoing { said, headers: &asked.headers, hides_usage: !asked.head.stream_usage, now: gateway.now() };
    let first_by =
        if asked.head.stream { deadline.min(began + model.spec.timeouts.first_token) } else { deadline };
    let result = attempt::begin(deployment, outgoing, first_by).await;
    let attempt = AttemptFact { translated_to, dropped, ..fact(deployment, began) };
    match &result {
        Ok(answer) => {
            deployment.health.answered();
            call.attempted(AttemptFact { status: Some(answer.status().as_u16()), ..attempt });
            call.answered_by(&deployment.spec.name, &deployment.spec.model, Some(micros(call.began())));
        }
        Err(stopped) => failed(gateway, (model, deployment), stopped, call, attempt),
    }
    result
}

fn fact(deployment: &Deployment, began: Instant) -> AttemptFact {
    AttemptFact {
        deployment: deployment.spec.name.clone(),
        result: "answered".to_owned(),
        status: None,
        took_us: micros(began),
        translated_to: None,
        dropped: Vec::new(),
    }
}

/// The call in the words of the deployment's API.
fn in_its_words<'a>(
    gateway: &Gateway,
    (model, deployment): (&Model, &'a Deployment),
    asked: &Asked,
    call: &Call,
) -> Result<Said<'a>, BadRequest> {
    // Only those are tried that can be spoken to.
    let way = deployment.spoken_to(asked.api).unwrap_or((asked.api.dialect, asked.api.path));
    let telling = || Telling::new(way.0, asked, call, gateway.now());
    say(asked, way, &model.spec, &deployment.spec, telling)
}

/// Notes an attempt that came to nothing.
fn failed(
    gateway: &Gateway,
    (model, deployment): (&Model, &Deployment),
    stopped: &Stopped,
    call: &mut Call,
    attempt: AttemptFact,
) {
    match &stopped.used {
        Some(usage) => call.attempt_used(usage),
        None => call.attempt_is_over(stopped.may_have_worked),
    }
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
    let (result, status) = (error.cause.as_str().to_owned(), error.upstream_status);
    call.attempted(AttemptFact { result, status, ..attempt });
}

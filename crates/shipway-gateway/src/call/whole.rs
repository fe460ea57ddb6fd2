//! A whole answer is carried out. Where a guardrail that reroutes finds something in it, it is left, and the deployments that the model
//! has for that are asked, once.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use shipway_dialects::{ApiError, Cause, Dialect, Made};

use super::{
    After, Asked, Failed,
    attempt::{Began, Whole},
    attempts,
    charge::Call,
    finish_reasons,
    judging::Asking,
    put_cost, put_headers, refuse_blocked, refused, respond,
    way::Way,
};
use crate::{
    cache::is_complete,
    guard::{Held, Texts},
    ledger::Outcome,
    service::{Gateway, Model},
    traces::Stage,
    upstream,
};

/// The answer to the caller.
pub(super) async fn carry_out(
    gateway: &Gateway,
    model: &Arc<Model>,
    (asked, mut whole): (&Asked, Whole),
    mut call: Call,
    after: After<'_>,
) -> Response {
    let dialect = asked.api.dialect;
    // Once: what is found in the second answer refuses it.
    let mut elsewhere = after.way.filter(|way| way.goes_elsewhere());
    loop {
        call.was_served_at(whole.service_tier.as_deref());
        if dialect == Dialect::OpenAiMedia {
            call.made(Made::of_answer(&whole.body));
        }
        let charge = call.charge_of_answer(asked.api, whole.usage);
        let (mut shown, mut verdicts) = after.screened.answer(model, asked, &whole.body, elsewhere.is_some());
        if let Some(verdicts) = verdicts.as_mut().filter(|verdicts| shown.is_ok() && verdicts.ask_models()) {
            let texts = Texts::of_answer(dialect, &whole.body);
            Asking::of(gateway, asked, call.id()).ask(verdicts, &texts).await;
            if let Some(held) = verdicts.held() {
                shown = Err(held);
            }
        }
        call.judged(verdicts);
        let shown = match (shown, elsewhere) {
            (Err(Held::Rerouted(guardrail)), Some(way)) => {
                call.leaves_answer(charge, whole.body.len());
                elsewhere = None;
                match ask_again(gateway, model, asked, &way.elsewhere(&guardrail), &mut call).await {
                    Ok(next) => whole = next,
                    Err(failed) => return refused(gateway, dialect, failed, call),
                }
                continue;
            }
            (shown, _) => shown,
        };
        call.says(Stage::Written, &whole.body);
        call.finishes(|| finish_reasons(dialect, &whole.body));
        let shown = match shown {
            Ok(shown) => shown,
            Err(Held::Refused(violation)) => {
                return refuse_blocked(gateway, dialect, &violation, call, charge);
            }
            // Guardrails reroute only what may go elsewhere.
            Err(Held::Rerouted(_)) => return refused(gateway, dialect, unheard(), call),
        };
        call.says(Stage::Given, &shown);
        call.count_response(shown.len() as u64);
        call.settle(Outcome::Answered, Some(whole.status), charge);
        // What was asked as a stream is kept as a stream or not at all.
        let keeper = after.cached.and_then(|cached| cached.recorder(gateway, whole.status, &whole.headers));
        if let Some(keeper) = keeper.filter(|_| !asked.head.stream && is_complete(dialect, &whole.body)) {
            keeper.keep_whole(&whole.body, &call);
        }
        let mut headers = upstream::answer_headers(&whole.headers);
        put_cost(&mut headers, &call);
        put_headers(&mut headers, gateway, dialect, &call);
        return respond(whole.status, headers, Body::from(shown));
    }
}

/// Asks the deployments of `way` for the same.
async fn ask_again(
    gateway: &Gateway,
    model: &Arc<Model>,
    asked: &Asked,
    way: &Way,
    call: &mut Call,
) -> Result<Whole, Failed> {
    match attempts::first_answer(gateway, model, way, asked, call).await? {
        Began::Whole(whole) => Ok(*whole),
        Began::Stream(_) | Began::Raw(_) | Began::Socket(_) => Err(unheard()),
    }
}

fn unheard() -> Failed {
    let error = ApiError::new(Cause::Upstream, "the answer is none that guardrails can look at");
    Failed { error, answer: None, wait: None, is_unsaid: false }
}

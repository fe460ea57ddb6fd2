//! One call, from its body to its answer.
//!
//! The way is straight: head → model → may the caller → guardrails of the request → is the answer kept → reserve → attempts → the first event is looked at → answer or stream → settle.
//! Guardrails of the answer look at it last. Until the answer begins, another deployment can still give it; from then on what goes wrong is said within the stream.
//!
//! - `cached`: an answer that is kept is given again
//! - `charge`: what a call has reserved and what it costs; settles by itself when the call is dropped
//! - `attempts`: deployments are tried in order
//! - `attempt`: one request to one deployment, up to the beginning of its answer
//! - `guarded`: the guardrails of a call
//! - `relay`: a stream is passed on, byte for byte
//! - here: what comes before and after

mod attempt;
mod attempts;
mod cached;
mod charge;
mod guarded;
mod relay;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shipway_core::Permission;
use shipway_dialects::{ApiError, Cause, Dialect, Extras, Head, Nanos};
use shipway_web::Caller;

pub(crate) use charge::Charge;
use charge::{Call, Description};

use crate::{
    cache::is_complete,
    error::{GatewayError, Thing},
    guard::Violation,
    ledger::Outcome,
    meter::Amount,
    model::UnknownPrice,
    order, retry,
    service::{Deployment, Gateway, Model, Principal},
    upstream, wire,
};
use attempt::{Began, Whole};
use attempts::Failed;
use cached::Keeper;
use guarded::Screened;
use relay::Manner;

/// How much more than estimated an input may have when money and tokens are reserved for it.
const INPUT_MARGIN: u64 = 2;
/// How long a model of this server may take; what it serves has bounds of its own.
const LOCAL_TOTAL: Duration = Duration::from_secs(600);

/// Which API a call comes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api {
    pub(crate) dialect: Dialect,
    /// Where it lies behind the address of a provider.
    pub(crate) path: &'static str,
    /// Tokens are written, and charged.
    pub(crate) writes: bool,
    /// Providers charge for it.
    pub(crate) is_charged: bool,
}

/// A call as it came.
pub(crate) struct Request {
    pub(crate) api: Api,
    pub(crate) caller: Caller,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A call that is known to be readable.
struct Asked {
    api: Api,
    principal: Principal,
    headers: HeaderMap,
    head: Head,
    body: Bytes,
}

/// Answers a call, in the words of its API whatever happens.
pub(crate) async fn answer(gateway: &Gateway, request: Request) -> Response {
    let dialect = request.api.dialect;
    match begin(gateway, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.answer(dialect),
    }
}

/// Why a call does not begin.
enum Refusal {
    Ours(GatewayError),
    Theirs(ApiError),
}

impl From<GatewayError> for Refusal {
    fn from(error: GatewayError) -> Self {
        Self::Ours(error)
    }
}

impl Refusal {
    fn answer(self, dialect: Dialect) -> Response {
        match self {
            Self::Ours(error) => wire::refuse_ours(dialect, &error, None),
            Self::Theirs(error) => wire::refuse(dialect, &error, None, None),
        }
    }
}

async fn begin(gateway: &Gateway, request: Request) -> Result<Response, Refusal> {
    let Request { api, caller, headers, body } = request;
    let principal = gateway.principal(caller, &headers).await?;
    let head = Head::read(api.dialect, &body).map_err(|bad| Refusal::Theirs(ApiError::from(&bad)))?;
    let asked = Asked { api, principal, headers, head, body };
    let installed = gateway.installed();
    if let Some(model) = installed.find(&asked.head.model) {
        return call_model(gateway, Arc::clone(model), asked).await;
    }
    let is_local = |local: &&Arc<_>| {
        asked.api.dialect == Dialect::OpenAiEmbeddings && local_has(local, &asked.head.model)
    };
    match gateway.local().filter(is_local) {
        Some(local) => {
            let local = Arc::clone(local);
            call_local(gateway, &*local, asked).await
        }
        None => Err(GatewayError::missing(Thing::Model, &asked.head.model).into()),
    }
}

fn local_has(local: &Arc<dyn crate::ports::LocalModels>, name: &str) -> bool {
    local.has(name)
}

/// A model that this server serves itself: limits hold, and it costs nothing.
async fn call_local(
    gateway: &Gateway,
    local: &dyn crate::ports::LocalModels,
    asked: Asked,
) -> Result<Response, Refusal> {
    let name = asked.head.model.clone();
    if !asked.principal.may_use_local(&name, Permission::Use) {
        return Err(GatewayError::ModelNotAllowed { key: asked.principal.name, model: name }.into());
    }
    let tokens = asked.head.estimated_input_tokens();
    let reserved = Amount { nanos: 0, tokens: i64::try_from(tokens).unwrap_or(i64::MAX) };
    let mut call = open(gateway, &asked, &name, Some(reserved), LOCAL_TOTAL)?;
    let response = local.embeddings(asked.body).await;
    let outcome = if response.status().is_success() { Outcome::Answered } else { Outcome::Refused };
    call.answered_by("here", &name, None);
    call.settle(outcome, Some(response.status()), Charge::Nothing);
    Ok(response)
}

async fn call_model(gateway: &Gateway, model: Arc<Model>, mut asked: Asked) -> Result<Response, Refusal> {
    if !asked.principal.may_use(&asked.head.model, &model.spec.name) {
        let (key, model) = (asked.principal.name, asked.head.model);
        return Err(GatewayError::ModelNotAllowed { key, model }.into());
    }
    let mut screened = guarded::screen(&model, &mut asked)?;
    if let Some(violation) = screened.violation.take() {
        return blocked(gateway, &model, &asked, screened, &violation);
    }
    let cached = cached::look(gateway, &model, &asked).await?;
    let hit = cached.as_ref().and_then(|cached| cached.hit.clone());
    let (places, reserved) = match &hit {
        Some(_) => (Vec::new(), None),
        None => {
            let places = candidates(gateway, &model, asked.api)?;
            let reserved = reserve(&model, &places, &asked)?;
            (places, Some(reserved))
        }
    };
    let mut call = open(gateway, &asked, &model.spec.name, reserved, model.spec.timeouts.total)?;
    call.judged(screened.verdicts.take());
    if let Some(cached) = &cached {
        call.had_in_cache(cached.word());
    }
    let began = match hit {
        Some(kept) => {
            call.answered_again(&kept);
            Ok(cached::began(&kept, &asked))
        }
        None => attempts::first_answer(gateway, &model, &places, &asked, &mut call).await,
    };
    let mut response = match began {
        Ok(began) => {
            let keeper = cached.as_ref().and_then(|cached| cached.recorder(gateway, &began));
            let after = After { keeper, screened };
            carry_out(gateway, &model, (&asked, began), call, after)
        }
        Err(failed) => refused(gateway, asked.api.dialect, failed, call),
    };
    if let Some(cached) = &cached {
        cached.put_headers(response.headers_mut(), gateway.now());
    }
    Ok(response)
}

/// The deployments that may answer, in the order in which they are tried: those that failed lately last.
fn candidates(gateway: &Gateway, model: &Model, api: Api) -> Result<Vec<usize>, GatewayError> {
    let mut places = order::order(&model.spec.route, &mut chance);
    let is_there = |place: &usize| model.deployments.get(*place).is_some_and(|one| one.provider.is_some());
    places.retain(is_there);
    if places.is_empty() {
        return Err(GatewayError::NoProvider { model: model.spec.name.clone() });
    }
    places.retain(|place| model.deployments[*place].speaks(api.dialect));
    if places.is_empty() {
        let (model, api) = (model.spec.name.clone(), api.dialect.to_string());
        return Err(GatewayError::NoSuchApi { model, api });
    }
    let now = gateway.now();
    // Stable: within those that are well, and within those that are not, the order is that of the route.
    places.sort_by_key(|place| model.deployments[*place].health.paused_until(now));
    Ok(places)
}

fn chance(below: u64) -> u64 {
    let mut bytes = [0; 8];
    // Without randomness the first in line is as good as any.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    u64::from_le_bytes(bytes) % below.max(1)
}

/// What the call may cost at most, at the dearest of the deployments that may answer.
fn reserve(model: &Model, places: &[usize], asked: &Asked) -> Result<Amount, GatewayError> {
    let (api, head) = (asked.api, &asked.head);
    if !api.is_charged {
        return Ok(Amount::default());
    }
    let input = head.estimated_input_tokens().saturating_mul(INPUT_MARGIN);
    let mut most = Amount::default();
    for place in places {
        let deployment: &Deployment = &model.deployments[*place];
        let output = match (api.writes, head.max_output_tokens) {
            (false, _) => 0,
            (true, Some(most)) => most.saturating_mul(head.choices),
            (true, None) => deployment.spec.max_output_tokens.saturating_mul(head.choices),
        };
        let tokens = i64::try_from(input.saturating_add(output)).unwrap_or(i64::MAX);
        most.tokens = most.tokens.max(tokens);
        match &deployment.spec.price {
            Some(price) => {
                let extras = Extras { service_tier: head.service_tier.as_deref(), ..Extras::default() };
                most.nanos = most.nanos.max(price.reserve(input, output, &extras).0);
            }
            None if model.spec.unknown_price == UnknownPrice::Block => {
                let (model, deployment) = (model.spec.name.clone(), deployment.spec.name.clone());
                return Err(GatewayError::NoPrice { model, deployment });
            }
            None => {}
        }
    }
    Ok(most)
}

fn open(
    gateway: &Gateway,
    asked: &Asked,
    model: &str,
    reserved: Option<Amount>,
    total: Duration,
) -> Result<Call, GatewayError> {
    if !gateway.ledger().ink().flows() {
        return Err(GatewayError::LedgerBehind);
    }
    let description = Description {
        caller: asked.principal.name.clone(),
        user: asked.head.user.clone(),
        model: model.to_owned(),
        asked: asked.head.model.clone(),
        api: asked.api.dialect,
        is_stream: asked.head.stream,
        request_bytes: asked.body.len() as u64,
        input_tokens: asked.head.estimated_input_tokens(),
        service_tier: asked.head.service_tier.clone(),
        total,
    };
    Call::open(gateway.clone(), &asked.principal.chain, reserved, description)
}

/// What is done with an answer besides passing it on.
struct After {
    keeper: Option<Keeper>,
    screened: Screened,
}

/// A guardrail refuses the request: nothing is sent, and nothing is charged.
fn blocked(
    gateway: &Gateway,
    model: &Model,
    asked: &Asked,
    mut screened: Screened,
    violation: &Violation,
) -> Result<Response, Refusal> {
    let mut call = open(gateway, asked, &model.spec.name, None, model.spec.timeouts.total)?;
    call.judged(screened.verdicts.take());
    Ok(refuse_blocked(gateway, asked.api.dialect, violation, call, Charge::Nothing))
}

/// What the caller is told whose request or answer a guardrail refuses.
fn refuse_blocked(
    gateway: &Gateway,
    dialect: Dialect,
    violation: &Violation,
    mut call: Call,
    charge: Charge,
) -> Response {
    let error = violation.error();
    call.went_wrong(error.message.clone());
    let mut response = wire::refuse(dialect, &error, Some(call.id()), None);
    call.settle(Outcome::Blocked, Some(response.status()), charge);
    wire::put(response.headers_mut(), wire::OUR_CODE, "gateway.blocked");
    put_cost(response.headers_mut(), &call);
    put_headers(response.headers_mut(), gateway, dialect, &call);
    response
}

/// The answer, once it began.
fn carry_out(
    gateway: &Gateway,
    model: &Model,
    (asked, began): (&Asked, Began),
    mut call: Call,
    after: After,
) -> Response {
    let After { keeper, screened } = after;
    let dialect = asked.api.dialect;
    match began {
        Began::Whole(whole) => {
            let Whole { status, headers, body, usage } = *whole;
            let charge = call.charge_of_answer(asked.api, usage);
            let (shown, verdicts) = screened.answer(model, asked, &body);
            call.judged(verdicts);
            let shown = match shown {
                Ok(shown) => shown,
                Err(violation) => return refuse_blocked(gateway, dialect, &violation, call, charge),
            };
            call.count_response(shown.len() as u64);
            let mut headers = upstream::answer_headers(&headers);
            call.settle(Outcome::Answered, Some(status), charge);
            // What was asked as a stream is kept as a stream or not at all.
            if let Some(keeper) = keeper.filter(|_| !asked.head.stream && is_complete(dialect, &body)) {
                keeper.keep_whole(&body, &call);
            }
            put_cost(&mut headers, &call);
            put_headers(&mut headers, gateway, dialect, &call);
            respond(status, headers, Body::from(shown))
        }
        Began::Stream(first) => {
            let mut headers = upstream::answer_headers(&first.headers);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            put_headers(&mut headers, gateway, dialect, &call);
            let status = first.status;
            call.answers_with(status);
            let hides_usage = !asked.head.stream_usage;
            let guard = screened.stream(model, asked);
            let manner = Manner { dialect, hides_usage, idle: model.spec.timeouts.idle, keeper, guard };
            respond(status, headers, relay::body(*first, call, manner))
        }
    }
}

/// What the caller is told when no deployment answered. An error that is about the call itself goes through as its provider wrote it.
fn refused(gateway: &Gateway, dialect: Dialect, failed: Failed, mut call: Call) -> Response {
    let Failed { error, answer, wait } = failed;
    let is_about_the_call = !retry::blames_deployment(error.cause) || error.cause == Cause::RateLimit;
    let outcome = if retry::blames_deployment(error.cause) { Outcome::Failed } else { Outcome::Refused };
    let told = retry::for_the_caller(error);
    call.went_wrong(told.message.clone());
    let mut response = match answer.filter(|_| is_about_the_call) {
        Some((status, headers, body)) => {
            let mut kept = upstream::answer_headers(&headers);
            if let Some(wait) = wait {
                for (name, value) in shipway_dialects::retry_headers(dialect, wait) {
                    wire::put(&mut kept, name, &value);
                }
            }
            respond(status, kept, Body::from(body))
        }
        None => wire::refuse(dialect, &told, Some(call.id()), wait),
    };
    call.settle(outcome, Some(response.status()), Charge::Nothing);
    put_headers(response.headers_mut(), gateway, dialect, &call);
    response
}

fn put_cost(headers: &mut HeaderMap, call: &Call) {
    if let Some(cost) = call.cost() {
        wire::put(headers, "x-shipway-cost", &Nanos(cost).to_string());
    }
}

fn put_headers(headers: &mut HeaderMap, gateway: &Gateway, dialect: Dialect, call: &Call) {
    wire::identify(headers, dialect, Some(call.id()));
    wire::put(headers, "x-shipway-model", call.model());
    if let Some(deployment) = call.deployment() {
        wire::put(headers, "x-shipway-deployment", deployment);
    }
    if let Some(words) = call.guardrails_in_words() {
        wire::put(headers, "x-shipway-guardrails", &words);
    }
    wire::put(headers, "x-shipway-attempts", &call.attempts().to_string());
    let now = gateway.now();
    wire::put_limits(headers, dialect, gateway.meter().standing(call.chain(), now), now);
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

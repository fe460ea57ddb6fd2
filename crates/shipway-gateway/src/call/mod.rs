//! One call, from its body to its answer.
//!
//! The way is straight: head → model → may the caller → guardrails of the request → is the answer kept → reserve → attempts → the first event is looked at → answer or stream → settle.
//! Guardrails of the answer look at it last. Until the answer begins, another deployment can still give it; from then on what goes wrong is said within the stream.
//!
//! - `api`: which API it comes by
//! - `guarded`: the guardrails of a call
//! - `judging`: those that ask another model
//! - `cached`: an answer that is kept is given again
//! - `similar`: an answer to a question that is about the same
//! - `beside`: what the gateway asks by itself
//! - `charge`: what a call has reserved and what it costs; settles by itself when the call is dropped
//! - `way`: who may answer, in which order, and what is reserved for that; `outlook` is what the strategies look at
//! - `attempts`: deployments are tried in order
//! - `send`: one attempt, and what is noted of it
//! - `spoken`: in which API a deployment is asked; `saying`: how a call is said to it: as it came, or translated
//! - `in_full`: what a call has by its address is fetched, for deployments that take data only
//! - `attempt`: one request to one deployment, up to the beginning of its answer
//! - `embedding`: the requests for the embeddings of one call
//! - `telling`: how the answer of one API is told in the words of another
//! - `reading`: a stream as it is read, and what of it goes to the caller
//! - `raw`: an answer that is neither JSON nor events
//! - `on_the_way`: what is done with a stream besides passing it on
//! - `relay`: a stream is passed on
//! - `whole`: a whole answer is carried out, or left for another one where a guardrail says so
//! - `ask`: one provider is asked about what lies there
//! - `realtime`: a connection over which both sides speak
//! - `kept`: what is asked about a response that its provider keeps
//! - `remembering`: its words and its span
//! - `tools`: which tools a call may offer; `labels`: what a caller says about it
//! - `span`: the span of a call that is sampled
//! - here: what comes before and after

mod api;
mod ask;
mod attempt;
mod attempts;
mod beside;
mod cached;
mod charge;
mod embedding;
mod guarded;
mod in_full;
mod judging;
mod kept;
mod labels;
mod on_the_way;
mod outlook;
mod raw;
mod reading;
mod realtime;
mod relay;
mod remembering;
mod saying;
mod send;
mod similar;
mod span;
mod spoken;
mod telling;
mod tools;
mod way;
mod whole;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shipway_core::Permission;
use shipway_dialects::{ApiError, Cause, Dialect, Head, Made, Nanos, take_preferences};
use shipway_web::Caller;

pub(crate) use api::Api;
pub(crate) use ask::{Question, TOTAL, ask, passing, read, told, who_takes};
pub(crate) use charge::Charge;
use charge::{Call, Description};
pub(crate) use kept::{FollowUp, follow_up};
pub(crate) use labels::charged_tags;
pub(crate) use realtime::{Connect, connect, unmetered};

use crate::{
    cache::Kept,
    error::{GatewayError, Thing},
    guard::{StreamGuard, Violation},
    ledger::Outcome,
    meter::Amount,
    retry,
    service::{Gateway, Model, Principal},
    upstream, wire,
};
use attempt::Began;
use attempts::Failed;
use beside::Own;
use cached::Cached;
use guarded::Screened;
use judging::Asking;
use on_the_way::OnTheWay;
use way::Way;

/// Of sound that is sent, at 128 kbit/s.
const USUAL_BYTES_PER_MILLISECOND: u64 = 16;
/// How long a model of this server may take; what it serves has bounds of its own.
const LOCAL_TOTAL: Duration = Duration::from_secs(600);

/// A call as it came.
pub(crate) struct Request {
    pub(crate) api: Api,
    pub(crate) caller: Caller,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The model, and whether the answer is streamed, where the path says so and not the body.
    pub(crate) said_by_path: Option<(String, bool)>,
}

/// A call that is known to be readable.
struct Asked {
    api: Api,
    principal: Principal,
    headers: HeaderMap,
    head: Head,
    body: Bytes,
    /// The gateway asks it by itself.
    own: Option<Own>,
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
    fn message(&self) -> String {
        match self {
            Self::Ours(error) => error.to_string(),
            Self::Theirs(error) => error.message.clone(),
        }
    }

    fn answer(self, dialect: Dialect) -> Response {
        match self {
            Self::Ours(error) => wire::refuse_ours(dialect, &error, None),
            Self::Theirs(error) => wire::refuse(dialect, &error, None, None),
        }
    }
}

async fn begin(gateway: &Gateway, request: Request) -> Result<Response, Refusal> {
    let Request { api, caller, headers, body, said_by_path } = request;
    let mut principal = gateway.principal(caller, &headers).await?;
    principal.may_ask(api.route())?;
    let bad = |bad| Refusal::Theirs(ApiError::from(&bad));
    let head = match form(&headers) {
        Some(content_type) if api.dialect == Dialect::OpenAiMedia => Head::read_form(content_type, &body),
        _ => Head::read(api.dialect, &body),
    };
    let (body, mut head) = take_preferences(api.dialect, body, head.map_err(bad)?).map_err(bad)?;
    if let Some((model, is_stream)) = said_by_path {
        (head.model, head.stream) = (model, is_stream);
    }
    tools::may_offer(&principal, api, &body)?;
    if let Some(user) = principal.user() {
        head.user = Some(user.to_owned());
    }
    gateway.charge_labels(&mut principal, head.user.as_deref(), (&headers, &head.metadata)).await?;
    let asked = Asked { api, principal, headers, head, body, own: None };
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

/// The content type of a body that is a form.
fn form(headers: &HeaderMap) -> Option<&str> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("multipart/form-data").then_some(content_type)
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
    if asked.own.is_none() && !asked.principal.may_use_local(&name, Permission::Use) {
        return Err(GatewayError::ModelNotAllowed { key: asked.principal.name, model: name }.into());
    }
    let tokens = asked.head.estimated_input_tokens();
    let reserved = Amount { nanos: 0, tokens: i64::try_from(tokens).unwrap_or(i64::MAX) };
    let mut call = open(gateway, (&asked, None), &name, Some(reserved), LOCAL_TOTAL).await?;
    let response = local.embeddings(asked.body).await;
    let outcome = if response.status().is_success() { Outcome::Answered } else { Outcome::Refused };
    call.answered_here(&name);
    call.settle(outcome, Some(response.status()), Charge::Nothing);
    Ok(response)
}

/// Where an answer comes from.
enum Source {
    Kept(Arc<Kept>),
    Way(Box<Way>),
}

async fn call_model(gateway: &Gateway, model: Arc<Model>, mut asked: Asked) -> Result<Response, Refusal> {
    // Whoever may ask a model may have asked what its definition says.
    if asked.own.is_none() && !asked.principal.may_use(&asked.head.model, &model.spec.name) {
        let (key, model) = (asked.principal.name, asked.head.model);
        return Err(GatewayError::ModelNotAllowed { key, model }.into());
    }
    let kept = match &asked.head.previous_response {
        Some(id) => Some(kept::previous(gateway, &asked.principal, id).await?),
        None => None,
    };
    // As it was written; guardrails may change what is sent.
    let written = model.spec.content.map(|_| asked.body.clone());
    let mut screened = guarded::screen(&model, &mut asked)?;
    screened.ask_models(gateway, &asked).await;
    if let Some(violation) = screened.violation.take() {
        return blocked(gateway, &model, (&asked, written), screened, &violation).await;
    }
    let mut cached = cached::look(gateway, &model, &asked).await?;
    let (source, reserved) = match cached.as_ref().and_then(|cached| cached.hit.clone()) {
        Some(answer) => (Source::Kept(answer), None),
        None => {
            let way = Way::of(gateway, &model, &asked, (kept.as_ref(), screened.rerouted.as_deref()))?;
            let reserved = way.reserve(&model, &asked)?;
            (Source::Way(Box::new(way)), Some(reserved))
        }
    };
    let id = screened.take_id();
    let mut call = open(gateway, (&asked, id), &model.spec.name, reserved, model.spec.timeouts.total).await?;
    call.remembers(&model, &asked, written);
    call.judged(screened.verdicts.take());
    if let Some(cached) = &cached {
        call.had_in_cache(cached.word());
    }
    let began = match &source {
        Source::Kept(answer) => {
            call.answered_again(answer);
            Ok(cached::began(answer, &asked))
        }
        Source::Way(way) => attempts::first_answer(gateway, &model, way, &asked, &mut call).await,
    };
    let mut response = match began {
        Ok(began) => {
            let way = match &source {
                Source::Way(way) => Some(&**way),
                Source::Kept(_) => None,
            };
            let after = After { cached: cached.as_mut(), way, screened };
            carry_out(gateway, &model, (&asked, began), call, after).await
        }
        Err(failed) => refused(gateway, asked.api.dialect, failed, call),
    };
    if let Some(cached) = &cached {
        cached.put_headers(response.headers_mut(), gateway.now());
    }
    Ok(response)
}

/// Reserves, and enters the call into the ledger, under `id` if it has one already. Without `reserved` it is one that uses nothing whatever happens.
async fn open(
    gateway: &Gateway,
    (asked, id): (&Asked, Option<String>),
    model: &str,
    reserved: Option<Amount>,
    total: Duration,
) -> Result<Call, GatewayError> {
    if !gateway.ledger().ink().flows() {
        return Err(GatewayError::LedgerBehind);
    }
    let description = Description {
        id,
        caller: asked.principal.name.clone(),
        user: asked.head.user.clone(),
        model: model.to_owned(),
        asked: asked.head.model.clone(),
        api: asked.api.dialect,
        is_stream: asked.head.stream,
        request_bytes: asked.body.len() as u64,
        input_tokens: asked.head.estimated_input_tokens(),
        service_tier: asked.head.service_tier.clone(),
        labels: labels::labels(asked),
        total,
    };
    let reservation = gateway.reserve(&asked.principal.chain, reserved).await?;
    Ok(Call::open(gateway.clone(), reservation, description))
}

/// What is done with an answer besides passing it on.
struct After<'a> {
    cached: Option<&'a mut Cached>,
    /// None: the answer is one that was kept.
    way: Option<&'a Way>,
    screened: Screened,
}

/// A guardrail refuses the request: nothing is sent, and nothing is charged.
async fn blocked(
    gateway: &Gateway,
    model: &Model,
    (asked, written): (&Asked, Option<Bytes>),
    mut screened: Screened,
    violation: &Violation,
) -> Result<Response, Refusal> {
    let id = screened.take_id();
    let mut call = open(gateway, (asked, id), &model.spec.name, None, model.spec.timeouts.total).await?;
    call.remembers(model, asked, written);
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
    wire::put(response.headers_mut(), wire::OUR_CODE, Violation::code());
    put_cost(response.headers_mut(), &call);
    put_headers(response.headers_mut(), gateway, dialect, &call);
    response
}

/// The answer, once it began.
async fn carry_out(
    gateway: &Gateway,
    model: &Arc<Model>,
    (asked, began): (&Asked, Began),
    mut call: Call,
    after: After<'_>,
) -> Response {
    let dialect = asked.api.dialect;
    match began {
        Began::Whole(whole) => whole::carry_out(gateway, model, (asked, *whole), call, after).await,
        Began::Raw(answer) => {
            let mut headers = upstream::answer_headers(&answer.headers);
            put_headers(&mut headers, gateway, dialect, &call);
            let status = answer.status;
            call.answers_with(status);
            // It says nothing of what was used; of sound that came, its bytes say about how long it is.
            let milliseconds = asked.head.media_bytes / USUAL_BYTES_PER_MILLISECOND;
            call.made(Made { milliseconds, images: 0 });
            respond(status, headers, raw::body(*answer, call, model.spec.timeouts.idle))
        }
        // Only `realtime` asks for one, and carries it out itself.
        Began::Socket(_) => {
            let error = ApiError::new(Cause::Internal, "a connection came where an answer was asked for");
            wire::refuse(dialect, &error, Some(call.id()), None)
        }
        Began::Stream(first) => {
            let mut headers = upstream::answer_headers(&first.headers);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            put_headers(&mut headers, gateway, dialect, &call);
            let status = first.status;
            call.answers_with(status);
            let recorder = |cached: &mut Cached| cached.recorder(gateway, status, &first.headers);
            let keeper = after.cached.and_then(recorder);
            let guard = after.screened.stream(model, asked);
            let asks = guard.as_ref().is_some_and(StreamGuard::asks);
            let asking = asks.then(|| Asking::of(gateway, asked, call.id()));
            let on_the_way = OnTheWay::new(dialect, keeper, guard, asking);
            let body = relay::body(*first, call, model.spec.timeouts.idle, on_the_way);
            respond(status, headers, body)
        }
    }
}

/// Why each of the answers ended, in the words of the API.
fn finish_reasons(dialect: Dialect, body: &[u8]) -> Vec<String> {
    let messages = shipway_dialects::said::answered(dialect, body).unwrap_or_default();
    messages.into_iter().filter_map(|message| message.finish_reason).collect()
}

/// What the caller is told when no deployment answered. An error that is about the call itself goes through as its provider wrote it.
fn refused(gateway: &Gateway, dialect: Dialect, failed: Failed, mut call: Call) -> Response {
    let Failed { error, answer, wait, is_unsaid } = failed;
    let is_about_the_call = !retry::blames_deployment(error.cause) || error.cause == Cause::RateLimit;
    let outcome = if retry::blames_deployment(error.cause) { Outcome::Failed } else { Outcome::Refused };
    let told = retry::for_the_caller(error);
    call.went_wrong(told.message.clone());
    let mut response = match answer.filter(|_| is_about_the_call) {
        Some(answer) => as_it_was_written(dialect, answer, wait),
        None => wire::refuse(dialect, &told, Some(call.id()), wait),
    };
    if is_unsaid {
        wire::put(response.headers_mut(), wire::OUR_CODE, told.code.as_deref().unwrap_or_default());
    }
    call.settle(outcome, Some(response.status()), Charge::Nothing);
    put_headers(response.headers_mut(), gateway, dialect, &call);
    response
}

/// What a caller is told who asked one provider only.
fn refuse_stopped(dialect: Dialect, stopped: attempt::Stopped) -> Response {
    let attempt::Stopped { error, answer, retry_after, .. } = stopped;
    // A name that the provider does not know is the caller's here, not the operator's.
    let is_about_the_call =
        matches!(error.cause, Cause::NotFound | Cause::RateLimit) || !retry::blames_deployment(error.cause);
    match answer.filter(|_| is_about_the_call) {
        Some(answer) => as_it_was_written(dialect, answer, retry_after),
        None => wire::refuse(dialect, &retry::for_the_caller(error), None, retry_after),
    }
}

/// An error as its provider wrote it.
fn as_it_was_written(
    dialect: Dialect,
    (status, headers, body): (StatusCode, HeaderMap, Bytes),
    wait: Option<Duration>,
) -> Response {
    let mut kept = upstream::answer_headers(&headers);
    if let Some(wait) = wait {
        for (name, value) in shipway_dialects::retry_headers(dialect, wait) {
            wire::put(&mut kept, name, &value);
        }
    }
    respond(status, kept, Body::from(body))
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
    wire::put_dropped(headers, call.dropped());
    let now = gateway.now();
    wire::put_limits(headers, dialect, gateway.meter().standing(call.chain(), now), now);
}

fn respond(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

//! A connection of OpenAI's realtime API: passed on, and metered.
//!
//! The provider is asked first. Only when it has opened its side is the caller's opened, so that until then another deployment can be
//! asked, and what goes wrong is a status and an error as of any other call. From then on messages pass as they are, and what the provider
//! says of responses is read along.
//!
//! - `handshake`: what a caller asks for, and what it is answered
//! - `opening`: the WebSocket of a provider
//! - `books`: what is reserved ahead for responses, and what they cost
//! - `session`: both sides, until one of them ends
//! - `closing`: how it ends, and what each side is told
//! - here: from the request to the connection

mod books;
mod closing;
mod handshake;
mod opening;
mod session;

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use shipway_dialects::{ApiError, BadRequest, Cause, Dialect, Head};
use shipway_web::Caller;

pub(super) use opening::{Socket, open_socket};

use super::{
    Api, Asked, Refusal,
    attempt::Began,
    attempts,
    charge::{Call, Charge, Description},
    put_headers, refused, respond,
    way::Way,
};
use crate::{
    error::{GatewayError, Thing},
    ledger::{Labels, Outcome},
    service::{Gateway, Model},
    upstream, wire,
};
use books::{Ahead, Books, FIRST_INPUT_BYTES, Terms};
use handshake::Wish;
use session::{Session, Standing};

const REALTIME: Api =
    Api { dialect: Dialect::OpenAiRealtime, path: "realtime", writes: true, is_charged: true };

/// A connection as it is asked for.
pub(crate) struct Connect {
    pub(crate) caller: Caller,
    pub(crate) request: Request,
}

/// Answers who asks for a connection: with one, or in the words of OpenAI's API with why there is none.
pub(crate) async fn connect(gateway: &Gateway, asked: Connect) -> Response {
    match begin(gateway, asked).await {
        Ok(response) => response,
        Err(refusal) => refusal.answer(REALTIME.dialect),
    }
}

async fn begin(gateway: &Gateway, asked: Connect) -> Result<Response, Refusal> {
    let Connect { caller, mut request } = asked;
    let wish = Wish::read(&request)?;
    let upgrade = hyper::upgrade::on(&mut request);
    let headers = std::mem::take(request.headers_mut());
    let mut principal = gateway.principal(caller.clone(), &headers).await?;
    principal.may_ask(REALTIME.route())?;
    principal.may_offer_unseen("a connection")?;
    // No browser asks before it opens a WebSocket to another site: what a page may do, its key must say.
    if headers.contains_key(header::ORIGIN) && principal.key.is_none() {
        return Err(GatewayError::PageWithoutKey.into());
    }
    let model = gateway.installed().find(&wish.model).cloned();
    let model = model.ok_or_else(|| GatewayError::missing(Thing::Model, &wish.model))?;
    if !principal.may_use(&wish.model, &model.spec.name) {
        return Err(GatewayError::ModelNotAllowed { key: principal.name, model: wish.model }.into());
    }
    if !model.spec.guardrails.is_empty() {
        return Err(GatewayError::RealtimeUnguarded { model: model.spec.name.clone() }.into());
    }
    let mut head = head(&wish.model);
    head.user = principal.user().map(str::to_owned);
    gateway.charge_labels(&mut principal, head.user.as_deref(), (&headers, &[])).await?;
    let asked =
        Asked { api: REALTIME, principal, headers, head, body: Bytes::from(wish.query.clone()), own: None };
    let way = Way::of(gateway, &model, &asked, (None, None))?;
    let (mut call, ahead) = reserve(gateway, &model, &asked, &way)?;
    let began = attempts::first_answer(gateway, &model, &way, &asked, &mut call).await;
    let socket = match began {
        Ok(Began::Socket(socket)) => socket,
        Ok(_) => {
            let error = ApiError::new(Cause::Internal, "an answer came where a connection was asked for");
            let response = wire::refuse(REALTIME.dialect, &error, Some(call.id()), None);
            call.settle(Outcome::Failed, Some(response.status()), Charge::Nothing);
            return Ok(response);
        }
        Err(failed) => return Ok(refused(gateway, REALTIME.dialect, failed, call)),
    };
    let mut headers = upstream::answer_headers(&socket.headers);
    headers.remove(header::CONTENT_TYPE);
    wish.answer(socket.protocol.as_deref(), &mut headers);
    put_headers(&mut headers, gateway, REALTIME.dialect, &call);
    call.answers_with(StatusCode::SWITCHING_PROTOCOLS);
    let standing = Standing::new(caller, &asked, &model.spec.name);
    carry_out(gateway, model, (asked, call, ahead), (upgrade, *socket), standing);
    Ok(respond(StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()))
}

/// What strategies and reservations look at.
fn head(model: &str) -> Head {
    let mut head = Head::default();
    head.model = model.to_owned();
    head.stream = true;
    head.choices = 1;
    head.input_bytes = FIRST_INPUT_BYTES;
    head
}

/// Reserves for the first response, and for the connection itself.
fn reserve(
    gateway: &Gateway,
    model: &Model,
    asked: &Asked,
    way: &Way,
) -> Result<(Call, Ahead), GatewayError> {
    if gateway.shares_limits() {
        return Err(GatewayError::RealtimeShared);
    }
    let chain = &asked.principal.chain;
    let ahead = Ahead::reserve(gateway, chain, way.reserve(model, asked)?)?;
    let reservation = gateway.meter().connect(chain, gateway.now());
    let reservation = reservation.map_err(|(scope, bound)| GatewayError::Limit { scope, bound })?;
    let description = Description {
        id: None,
        caller: asked.principal.name.clone(),
        user: asked.head.user.clone(),
        model: model.spec.name.clone(),
        asked: asked.head.model.clone(),
        api: REALTIME.dialect,
        is_stream: true,
        request_bytes: 0,
        input_tokens: 0,
        service_tier: None,
        labels: Labels::default(),
        total: model.spec.timeouts.total,
    };
    Ok((Call::open(gateway.clone(), reservation, description), ahead))
}

/// Passes on what both sides say, once the caller's is open.
fn carry_out(
    gateway: &Gateway,
    model: Arc<Model>,
    (asked, call, ahead): (Asked, Call, Ahead),
    (upgrade, socket): (OnUpgrade, Socket),
    standing: Standing,
) {
    let place = model.deployments.iter().position(|one| Some(one.spec.name.as_str()) == call.deployment());
    let timeouts = model.spec.timeouts;
    let terms = Terms {
        gateway: gateway.clone(),
        chain: asked.principal.chain.clone(),
        place: place.unwrap_or_default(),
        model,
        caller: asked.principal.name.clone(),
        asked: asked.head.model,
        connection: call.id().to_owned(),
    };
    let session = Session::new(gateway.clone(), Books::new(terms, ahead), standing, timeouts);
    gateway.spawn_connection(Box::pin(session.run(upgrade, socket.stream, call)));
}

/// Why something of the API is not passed on that would go past the books.
pub(crate) fn unmetered(what: &'static str) -> Response {
    wire::refuse_ours(REALTIME.dialect, &GatewayError::RealtimeUnmetered { what }, None)
}

/// A request that a WebSocket cannot be made of.
fn no_socket(problem: &str) -> Refusal {
    let field = BadRequest::Field { field: "upgrade".to_owned(), problem: problem.to_owned() };
    Refusal::Theirs(ApiError { param: None, ..ApiError::from(&field) })
}

/// The headers that say who somebody is.
fn credentials(headers: &HeaderMap) -> HeaderMap {
    let names = [header::AUTHORIZATION.as_str(), "x-api-key", "x-goog-api-key"];
    let mut kept = HeaderMap::new();
    for name in names {
        if let Some(value) = headers.get(name) {
            kept.insert(name, value.clone());
        }
    }
    kept
}

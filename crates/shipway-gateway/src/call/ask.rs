//! One provider is asked about something that lies there, or given something to keep. Nobody else is asked when it fails.

use std::{io, time::Duration};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::{HeaderMap, Method, header};
use shipway_dialects::{Dialect, Head};
use tokio::time::{Instant, timeout_at};

use super::{Api, Asked, attempt, refuse_stopped, respond, spoken::How, way::Way};
use crate::{
    address::Target,
    error::GatewayError,
    service::{Gateway, Model, Principal},
    unpacking::{self, Packing},
    upstream, wire,
};

/// How long it may take.
pub(crate) const TOTAL: Duration = Duration::from_secs(600);
/// The most that is read of an answer that is not passed on as it comes.
const MOST_BYTES: usize = 64 << 20;

/// What a provider is asked.
pub(crate) struct Question<'a> {
    pub(crate) dialect: Dialect,
    /// The name of the provider.
    pub(crate) provider: &'a str,
    pub(crate) method: Method,
    /// The path behind its address.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// What is sent; none: nothing.
    pub(crate) body: Option<Bytes>,
}

/// Asks, and waits for the head of the answer. Another answer than a good one is what the caller is told.
pub(crate) async fn ask(
    gateway: &Gateway,
    headers: &HeaderMap,
    question: Question<'_>,
    by: Instant,
) -> Result<reqwest::Response, Response> {
    let Question { dialect, provider: name, method, path, query, body } = question;
    let installed = gateway.installed();
    let Some(provider) = installed.provider(name) else {
        let gone = GatewayError::ProviderGone { provider: name.to_owned() };
        return Err(wire::refuse_ours(dialect, &gone, None));
    };
    let target = Target { dialect, path, model: "", is_stream: false };
    let mut passed_on = upstream::passed_on(headers, true);
    let asking = async {
        match body {
            Some(body) => {
                if let Some(form) = headers.get(header::CONTENT_TYPE) {
                    passed_on.insert(header::CONTENT_TYPE, form.clone());
                }
                provider.send(&target, passed_on, body).await
            }
            None => provider.ask(method, &target, query, passed_on).await,
        }
    };
    match timeout_at(by, asking).await {
        Ok(Ok(response)) if !response.status().is_success() => {
            Err(refuse_stopped(dialect, attempt::failed(response, None, by, gateway.now()).await))
        }
        Ok(Ok(response)) if Packing::of(response.headers()) == Packing::Unknown => {
            Err(wire::refuse(dialect, &unpacking::unknown(), None, None))
        }
        Ok(Ok(response)) => Ok(response),
        Ok(Err((error, _))) => Err(wire::refuse(dialect, &error, None, None)),
        Err(_) => Err(refuse_stopped(dialect, attempt::too_late())),
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(
    dialect: Dialect,
    response: reqwest::Response,
    by: Instant,
) -> Result<Bytes, Response> {
    attempt::whole(response, MOST_BYTES, by).await.map_err(|stopped| refuse_stopped(dialect, stopped))
}

/// The answer to a caller with this body, under the headers of a provider's answer.
pub(crate) fn told(status: http::StatusCode, headers: &HeaderMap, body: Bytes) -> Response {
    respond(status, upstream::answer_headers(headers), Body::from(body))
}

/// A provider's answer as it comes. What breaks ends with its connection.
pub(crate) fn passing(response: reqwest::Response) -> Response {
    let (status, headers) = (response.status(), upstream::answer_headers(response.headers()));
    let plain = unpacking::body(response).map_err(|error| io::Error::other(error.message));
    respond(status, headers, Body::from_stream(plain))
}

/// The deployment that takes calls which are not sent now: the first of the route that speaks their API as it is.
pub(crate) fn who_takes(
    gateway: &Gateway,
    model: &Model,
    (principal, headers): (&Principal, &HeaderMap),
    api: Api,
    head: Head,
) -> Result<usize, GatewayError> {
    let (principal, headers) = (principal.clone(), headers.clone());
    let asked = Asked { api, principal, headers, head, body: Bytes::new(), own: None };
    let way = Way::of(gateway, model, &asked, (None, None))?;
    let speaks = |place: &usize| {
        let spoken = model.deployments[*place].spoken_to(api);
        spoken.is_some_and(|spoken| spoken.how == How::Passing)
    };
    let no_such_api = || GatewayError::NoSuchApi {
        model: model.spec.name.clone(),
        api: format!("{} of files", api.dialect),
    };
    way.first.iter().map(|candidate| candidate.place).find(speaks).ok_or_else(no_such_api)
}

//! One request to one deployment, up to the beginning of its answer.

use std::{
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::Response;
use shipway_core::Timestamp;
use shipway_dialects::{ApiError, Cause, Dialect, Usage, response_id, retry_after};
use tokio::time::{Instant, timeout_at};

use super::{
    embedding::{Asking, embed},
    reading::Reading,
    realtime::{Socket, open_socket},
    saying::Said,
    telling::{Telling, Told},
};
use crate::{
    address::Target,
    error::GatewayError,
    event_stream,
    service::Deployment,
    unpacking::{self, Packing},
    upstream::{self, Provider},
};

/// The longest whole answer that is taken.
pub(super) const MOST_ANSWER_BYTES: usize = 64 << 20;
/// The most that is read of an answer that says that it failed.
const MOST_ERROR_BYTES: usize = 1 << 20;
/// What a stream of events says that it is.
const EVENTS: &str = "text/event-stream";
/// Where AWS names what went wrong.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// The rest of a stream, as it comes.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>;

/// The plain body of an answer, with what breaks it in our words. A binary stream is read as events.
pub(super) fn chunks(response: Response) -> Chunks {
    let is_binary = has_type(response.headers(), event_stream::CONTENT_TYPE);
    let chunks = Box::pin(unpacking::body(response));
    if is_binary { event_stream::as_events(chunks) } else { chunks }
}

/// What is sent.
pub(super) struct Outgoing<'a> {
    pub(super) said: Said<'a>,
    pub(super) headers: &'a HeaderMap,
    /// Usage that the caller did not ask for is left out of a stream that passes.
    pub(super) hides_usage: bool,
    pub(super) now: Timestamp,
}

/// The beginning of an answer.
pub(super) enum Began {
    /// All of it.
    Whole(Box<Whole>),
    /// A stream, whose first event is no error.
    Stream(Box<First>),
    /// Something that is neither JSON nor events, such as sound.
    Raw(Box<Raw>),
    /// A connection over which both sides speak.
    Socket(Box<Socket>),
}

impl Began {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Whole(whole) => whole.status,
            Self::Stream(first) => first.status,
            Self::Raw(raw) => raw.status,
            Self::Socket(_) => StatusCode::SWITCHING_PROTOCOLS,
        }
    }

    /// The id under which the provider may keep the answer.
    pub(super) fn response_id(&self) -> Option<String> {
        match self {
            Self::Whole(whole) => response_id(&whole.body),
            Self::Stream(first) => first.reading.scanner().response_id().map(str::to_owned),
            Self::Raw(_) | Self::Socket(_) => None,
        }
    }
}

/// An answer that is not streamed, and what its provider says that it used.
pub(super) struct Whole {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) usage: Option<Usage>,
    /// The tier of service that it says it was served at.
    pub(super) service_tier: Option<String>,
}

/// The beginning of a stream.
pub(super) struct First {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What was read of it, and is to go out.
    pub(super) reading: Reading,
    pub(super) chunks: Chunks,
}

/// The beginning of an answer that is neither JSON nor events.
pub(super) struct Raw {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) chunks: Chunks,
}

/// Why no answer began.
pub(super) struct Stopped {
    pub(super) error: ApiError,
    /// The answer as the provider wrote it, or as it is told in the caller's API.
    pub(super) answer: Option<(StatusCode, HeaderMap, Bytes)>,
    /// How long the provider asks to wait.
    pub(super) retry_after: Option<Duration>,
    /// It was given up after it was sent, so the provider may have worked.
    pub(super) may_have_worked: bool,
    /// What it used, where the provider has said so.
    pub(super) used: Option<Usage>,
    /// Nothing was sent: the deployment's API has no words for the call.
    pub(super) is_unsaid: bool,
}

impl Stopped {
    pub(super) fn given_up(error: ApiError) -> Self {
        Self { error, answer: None, retry_after: None, may_have_worked: true, used: None, is_unsaid: false }
    }

    /// A stream that says as its first word that it failed.
    pub(super) fn said(error: ApiError) -> Self {
        let retry_after = error.retry_after;
        Self { retry_after, may_have_worked: false, ..Self::given_up(error) }
    }

    /// Nothing has come of it yet.
    pub(super) fn nothing() -> Self {
        Self::said(ApiError::new(Cause::Upstream, "the provider was not asked"))
    }

    /// A call that cannot be said to the deployment.
    pub(super) fn unsaid(why: &GatewayError) -> Self {
        Self { is_unsaid: true, ..Self::said(ApiError::from(why)) }
    }
}

pub(super) fn too_late() -> Stopped {
    Stopped::given_up(ApiError::new(Cause::Timeout, "the provider did not answer in time"))
}

/// Sends a call, and waits until `first_by` for the beginning of its answer.
pub(super) async fn begin(
    deployment: &Deployment,
    outgoing: Outgoing<'_>,
    first_by: Instant,
) -> Result<Began, Stopped> {
    let Some(provider) = &deployment.provider else {
        return Err(Stopped::said(ApiError::new(Cause::Upstream, "the provider is not configured")));
    };
    let Outgoing { said: Said { target, body, more, telling, .. }, headers, hides_usage, now } = outgoing;
    if target.dialect == Dialect::OpenAiRealtime {
        let socket = open_socket(provider, &target, (headers, &body), first_by, now).await?;
        return Ok(Began::Socket(Box::new(socket)));
    }
    let form = headers.get(header::CONTENT_TYPE).filter(|_| target.dialect == Dialect::OpenAiMedia);
    let form = form.filter(|content| content.as_bytes().starts_with(b"multipart/")).cloned();
    let mut headers = upstream::passed_on(headers, telling.is_none());
    if let Some(form) = form {
        headers.insert(header::CONTENT_TYPE, form);
    }
    if let Some((telling, Told::Embeddings(embedder, shape))) =
        telling.as_ref().map(|telling| (telling, telling.told))
    {
        let asking = Asking { provider, target, headers, telling, by: first_by, now };
        let bodies = std::iter::once(body).chain(more);
        return embed(&asking, bodies.collect(), (embedder, shape)).await;
    }
    let asking = Sending { provider, target: &target, telling: telling.as_ref(), by: first_by, now };
    let response = send(&asking, headers, body).await?;
    let status = response.status();
    if target.is_stream && is_events(response.headers()) {
        let reading = match telling {
            None => Reading::passing(target.dialect, hides_usage),
            Some(telling) => Reading::telling(telling).map_err(Stopped::given_up)?,
        };
        return first_event(reading, response, first_by).await.map(|first| Began::Stream(Box::new(first)));
    }
    let headers = response.headers().clone();
    if target.dialect == Dialect::OpenAiMedia && !is_json(&headers) {
        return Ok(Began::Raw(Box::new(Raw { status, headers, chunks: chunks(response) })));
    }
    let body = whole(response, MOST_ANSWER_BYTES, first_by).await?;
    let no_answer = |_| broken("the provider answered with something that is no answer");
    let usage = Usage::of_answer(target.dialect, &body).map_err(no_answer)?;
    let service_tier = Usage::service_tier_of_answer(target.dialect, &body).map_err(no_answer)?;
    let body = match telling {
        None => body,
        Some(telling) => telling
            .whole(&body)
            .and_then(|told| if target.is_stream { Err(no_stream()) } else { Ok(told) })
            .map_err(|error| Stopped { used: usage, ..Stopped::given_up(error) })?,
    };
    Ok(Began::Whole(Box::new(Whole { status, headers, body, usage, service_tier })))
}

/// To whom a request goes, and how its failure is told.
pub(super) struct Sending<'a> {
    pub(super) provider: &'a Provider,
    pub(super) target: &'a Target<'a>,
    pub(super) telling: Option<&'a Telling>,
    /// Until when is waited.
    pub(super) by: Instant,
    pub(super) now: Timestamp,
}

/// Sends a request, and waits for the head of a good answer.
pub(super) async fn send(
    sending: &Sending<'_>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Stopped> {
    let Sending { provider, target, telling, by, now } = *sending;
    let response = match timeout_at(by, provider.send(target, headers, body)).await {
        Ok(Ok(response)) => response,
        Ok(Err((error, may_have_worked))) => {
            return Err(Stopped { may_have_worked, ..Stopped::given_up(error) });
        }
        Err(_) => return Err(too_late()),
    };
    if !response.status().is_success() {
        return Err(failed(response, telling, by, now).await);
    }
    if Packing::of(response.headers()) == Packing::Unknown {
        return Err(Stopped::given_up(unpacking::unknown()));
    }
    Ok(response)
}

/// Clients that wait for events would take a whole answer for none at all.
fn no_stream() -> ApiError {
    ApiError::new(Cause::Upstream, "the provider did not stream its answer although it was asked to")
}

fn broken(message: &str) -> Stopped {
    Stopped::given_up(ApiError::new(Cause::Upstream, message))
}

/// Whether it is a stream of events.
pub(super) fn is_events(headers: &HeaderMap) -> bool {
    has_type(headers, EVENTS) || has_type(headers, event_stream::CONTENT_TYPE)
}

fn has_type(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|content| content.as_bytes().starts_with(kind.as_bytes()))
}

/// An answer whose status says that it failed.
pub(super) async fn failed(
    response: Response,
    telling: Option<&Telling>,
    by: Instant,
    now: Timestamp,
) -> Stopped {
    let (status, headers) = (response.status(), response.headers().clone());
    let wait = retry_after(|name| headers.get(name)?.to_str().ok(), now);
    let body = whole(response, MOST_ERROR_BYTES, by).await.unwrap_or_default();
    // A redirect is no answer, and is not followed.
    let error = if status.is_redirection() {
        ApiError {
            upstream_status: Some(status.as_u16()),
            ..ApiError::new(Cause::Upstream, "the provider sent the call elsewhere")
        }
    } else {
        let name = headers.get(ERROR_TYPE).and_then(|name| name.to_str().ok());
        ApiError::of_named_answer(status.as_u16(), name, &body)
    };
    let retry_after = wait.or(error.retry_after);
    let answer = match telling {
        Some(telling) => told(telling, &error, headers),
        None => (is_json(&headers) && status.is_client_error()).then_some((status, headers, body)),
    };
    Stopped { answer, retry_after, may_have_worked: false, ..Stopped::given_up(error) }
}

fn is_json(headers: &HeaderMap) -> bool {
    has_type(headers, "application/json")
}

/// A failure in the caller's API, beside the headers that the provider said it with.
fn told(
    telling: &Telling,
    error: &ApiError,
    mut headers: HeaderMap,
) -> Option<(StatusCode, HeaderMap, Bytes)> {
    let (status, body) = telling.failure(error);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some((StatusCode::from_u16(status).ok()?, headers, body))
}

/// Reads an answer to its end.
pub(super) async fn whole(response: Response, most_bytes: usize, by: Instant) -> Result<Bytes, Stopped> {
    let mut chunks = pin!(unpacking::body(response));
    let mut body = BytesMut::new();
    loop {
        match timeout_at(by, chunks.next()).await {
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(Ok(chunk))) if body.len() + chunk.len() <= most_bytes => body.extend_from_slice(&chunk),
            Ok(Some(Ok(_))) => return Err(broken("the provider's answer is too long")),
            Ok(Some(Err(error))) => return Err(Stopped::given_up(error)),
            Err(_) => return Err(too_late()),
        }
    }
}

/// Reads a stream until it says something: an error then still leads to another deployment.
async fn first_event(mut reading: Reading, response: Response, by: Instant) -> Result<First, Stopped> {
    let (status, mut headers) = (response.status(), response.headers().clone());
    if !has_type(&headers, EVENTS) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(EVENTS));
    }
    let mut chunks = chunks(response);
    loop {
        match timeout_at(by, chunks.next()).await {
            Ok(Some(Ok(chunk))) => {
                reading
                    .feed(&chunk)
                    .map_err(|error| Stopped::given_up(ApiError::new(Cause::Upstream, error.to_string())))?;
            }
            Ok(Some(Err(error))) => return Err(Stopped::given_up(error)),
            Ok(None) => return Err(ended(reading)),
            Err(_) => return Err(too_late()),
        }
        if let Some((error, is_theirs)) = reading.failed_at_once() {
            return Err(if is_theirs { Stopped::said(error) } else { Stopped::given_up(error) });
        }
        if reading.has_begun() {
            return Ok(First { status, headers, reading, chunks });
        }
    }
}

/// A stream that ended before its first event.
fn ended(mut reading: Reading) -> Stopped {
    let _ = reading.end(true);
    match reading.scanner().error() {
        Some(error) => Stopped::said(error.clone()),
        None => Stopped::given_up(ApiError::truncated()),
    }
}

//! What is asked about a response that its provider keeps. It goes to where the response lies, as it is, and costs nothing: the response
//! was charged when it was made.

use std::time::Duration;

use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method};
use shipway_dialects::{ApiError, Cause, Dialect, Ending, Frame, Scanner};
use shipway_web::Caller;
use tokio::time::{Instant, timeout_at};

use super::{
    ask::{Question, TOTAL, ask, read, told},
    attempt::{self, Chunks},
    respond,
};
use crate::{
    error::{GatewayError, Thing},
    model::{KeptResponse, KeyRoute, owner},
    service::{Gateway, Principal},
    upstream, wire,
};

const IDLE: Duration = Duration::from_secs(60);
const DIALECT: Dialect = Dialect::OpenAiResponses;
/// The longest id that is looked up.
const LONGEST_ID: usize = 256;

/// What is asked about a response.
pub(crate) struct FollowUp {
    pub(crate) method: Method,
    pub(crate) id: String,
    /// What stands behind the id, with its slash.
    pub(crate) tail: &'static str,
    pub(crate) query: Option<String>,
    pub(crate) caller: Caller,
    pub(crate) headers: HeaderMap,
}

/// Passes the question on, in the words of the API whatever happens.
pub(crate) async fn follow_up(gateway: &Gateway, asked: FollowUp) -> Response {
    match pass_on(gateway, asked).await {
        Ok(response) => response,
        Err(error) => wire::refuse_ours(DIALECT, &error, None),
    }
}

/// The response that a call goes on from.
pub(super) async fn previous(
    gateway: &Gateway,
    principal: &Principal,
    id: &str,
) -> Result<KeptResponse, GatewayError> {
    let unknown = || GatewayError::UnknownPrevious { id: id.to_owned() };
    find(gateway, principal, id).await?.ok_or_else(unknown)
}

async fn find(
    gateway: &Gateway,
    principal: &Principal,
    id: &str,
) -> Result<Option<KeptResponse>, GatewayError> {
    // It becomes a part of an address.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(is_plain) {
        return Ok(None);
    }
    gateway.kept().find(id, &owner(&principal.chain, &principal.name)).await
}

async fn pass_on(gateway: &Gateway, asked: FollowUp) -> Result<Response, GatewayError> {
    let FollowUp { method, id, tail, query, caller, headers } = asked;
    let principal = gateway.principal(caller, &headers).await?;
    principal.may_ask(KeyRoute::Responses)?;
    let kept = find(gateway, &principal, &id).await?;
    let kept = kept.ok_or_else(|| GatewayError::missing(Thing::Response, &id))?;
    let by = Instant::now() + TOTAL;
    let is_over = method == Method::DELETE;
    let question = Question {
        dialect: DIALECT,
        provider: &kept.provider,
        method,
        path: &format!("responses/{id}{tail}"),
        query: query.as_deref(),
        body: None,
    };
    let response = match ask(gateway, &headers, question, by).await {
        Ok(response) => response,
        Err(told) => return Ok(told),
    };
    let (status, answered) = (response.status(), response.headers().clone());
    if attempt::is_events(&answered) {
        let events = watched(attempt::chunks(response), by);
        return Ok(respond(status, upstream::answer_headers(&answered), events));
    }
    match read(DIALECT, response, by).await {
        Ok(body) => {
            if is_over {
                gateway.kept().forget(&id).await?;
            }
            Ok(told(status, &answered, body))
        }
        Err(told) => Ok(told),
    }
}

/// A stream of events as it comes, which never ends as if it were whole when it is not.
fn watched(chunks: Chunks, by: Instant) -> Body {
    let watch = Watch { scanner: Scanner::new(DIALECT), chunks, by, is_over: false };
    Body::from_stream(stream::unfold(watch, |mut watch| async move {
        let bytes = watch.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), watch))
    }))
}

struct Watch {
    scanner: Scanner,
    chunks: Chunks,
    by: Instant,
    is_over: bool,
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        let mut frames = Vec::new();
        while frames.is_empty() && !self.is_over {
            let until = self.by.min(Instant::now() + IDLE);
            let error = match timeout_at(until, self.chunks.next()).await {
                Ok(Some(Ok(chunk))) => match self.scanner.feed(&chunk, &mut frames) {
                    Ok(()) => continue,
                    Err(too_long) => ApiError::new(Cause::Upstream, too_long.to_string()),
                },
                Ok(None) => {
                    self.is_over = true;
                    let (ending, last) = self.scanner.end();
                    frames.extend(last);
                    match ending {
                        Ending::Complete | Ending::Failed => break,
                        Ending::Unterminated | Ending::Truncated => ApiError::truncated(),
                    }
                }
                Ok(Some(Err(error))) => error,
                Err(_) => ApiError::new(Cause::Timeout, "the provider's stream stood still for too long"),
            };
            self.is_over = true;
            if self.scanner.ending() != Ending::Complete {
                let bytes = error.frame(DIALECT, None, self.scanner.next_sequence());
                frames.push(Frame { bytes, sort: shipway_dialects::Sort::Error, has_output: false });
            }
        }
        let mut joined = BytesMut::new();
        frames.iter().for_each(|frame| joined.extend_from_slice(&frame.bytes));
        (!joined.is_empty()).then(|| joined.freeze())
    }
}

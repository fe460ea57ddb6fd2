//! The requests for the embeddings of one call: one, or one for each text where the provider takes one at a time. All of them are answered,
//! or the call is not; what those used that were answered is charged.

use bytes::Bytes;
use futures::{StreamExt as _, stream::FuturesUnordered};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use shipway_core::Timestamp;
use shipway_dialects::{
    Usage,
    translate::{self, Embedder, Shape},
};
use tokio::time::Instant;

use super::{
    attempt::{Began, MOST_ANSWER_BYTES, Sending, Stopped, Whole, send, whole},
    telling::Telling,
};
use crate::{address::Target, upstream::Provider};

/// How many requests of one call are on their way at once.
const AT_ONCE: usize = 8;
/// Where Bedrock tells how many tokens a request had.
const TOKENS_OF_BEDROCK: &str = "x-amzn-bedrock-input-token-count";

/// Who is asked, and how that is told.
pub(super) struct Asking<'a> {
    pub(super) provider: &'a Provider,
    pub(super) target: Target<'a>,
    pub(super) headers: HeaderMap,
    pub(super) telling: &'a Telling,
    /// Until when is waited.
    pub(super) by: Instant,
    pub(super) now: Timestamp,
}

/// The answer to one request.
struct Answered {
    headers: HeaderMap,
    body: Bytes,
    usage: Option<Usage>,
}

/// Asks for all of `bodies`, and tells their answers as one.
pub(super) async fn embed(
    asking: &Asking<'_>,
    bodies: Vec<Bytes>,
    (embedder, shape): (Embedder, Shape),
) -> Result<Began, Stopped> {
    let mut waiting = bodies.into_iter().enumerate();
    let mut running = FuturesUnordered::new();
    let (mut answered, mut failed) = (Vec::new(), None);
    loop {
        // After a failure none is begun; those on their way are waited for, since what they use is charged.
        while failed.is_none() && running.len() < AT_ONCE {
            let Some((place, body)) = waiting.next() else { break };
            running.push(async move { (place, one(asking, embedder, body).await) });
        }
        match running.next().await {
            None => break,
            Some((place, Ok(answer))) => answered.push((place, answer)),
            Some((_, Err(stopped))) => drop(failed.get_or_insert(stopped)),
        }
    }
    answered.sort_by_key(|(place, _)| *place);
    let usage = answered.iter().map(|(_, answer)| answer.usage).reduce(both).flatten();
    if let Some(stopped) = failed {
        let has_worked = !answered.is_empty();
        let may_have_worked = stopped.may_have_worked || has_worked;
        // Where it is not known what a request used, the whole of the call is taken for it.
        let used = usage.filter(|_| !stopped.may_have_worked);
        return Err(Stopped { may_have_worked, used, ..stopped });
    }
    let headers = answered.first().map(|(_, answer)| answer.headers.clone()).unwrap_or_default();
    let bodies: Vec<Bytes> = answered.into_iter().map(|(_, answer)| answer.body).collect();
    let told = asking.telling.embeddings((embedder, shape), &bodies, usage);
    let body = told.map_err(|error| Stopped { used: usage, ..Stopped::given_up(error) })?;
    let mut headers = headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Began::Whole(Box::new(Whole { status: StatusCode::OK, headers, body, usage, service_tier: None })))
}

/// What two requests used, if both are known.
fn both(one: Option<Usage>, other: Option<Usage>) -> Option<Usage> {
    let (mut sum, other) = (one?, other?);
    sum.add(&other);
    Some(sum)
}

async fn one(asking: &Asking<'_>, embedder: Embedder, body: Bytes) -> Result<Answered, Stopped> {
    let Asking { provider, target, headers, telling, by, now } = asking;
    let sending = Sending { provider, target, telling: Some(telling), by: *by, now: *now };
    let response = send(&sending, headers.clone(), body).await?;
    let headers = response.headers().clone();
    let tokens = headers.get(TOKENS_OF_BEDROCK).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = whole(response, MOST_ANSWER_BYTES, *by).await?;
    let usage = translate::embed_usage(embedder, &body, tokens);
    Ok(Answered { headers, body, usage })
}

//! An answer that is kept is given again, and one that comes is kept.

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use shipway_core::Timestamp;

use super::{
    Asked,
    attempt::{Began, First, Whole},
    charge::Call,
    reading::Reading,
};
use crate::{
    cache::{Kept, Key, Made, Origin, Question, Recorder, Word, cache_word, key},
    error::GatewayError,
    service::{Gateway, Model},
    wire,
};
use std::sync::Arc;

/// What the cache has to do with a call.
pub(super) struct Cached {
    /// Under which an answer is kept; none: it is not.
    key: Option<Key>,
    /// The answer, if it is kept.
    pub(super) hit: Option<Arc<Kept>>,
    word: &'static str,
    time_us: i64,
}

/// Looks for an answer; none where the model keeps none.
pub(super) async fn look(
    gateway: &Gateway,
    model: &Model,
    asked: &Asked,
) -> Result<Option<Cached>, GatewayError> {
    let Some(spec) = model.spec.cache.filter(|_| asked.api.is_charged) else { return Ok(None) };
    let tenant = gateway.tenant(&asked.principal, spec.scope).await?;
    let question = Question {
        model: &model.spec,
        dialect: asked.api.dialect,
        path: asked.api.path,
        is_stream: asked.head.stream,
        has_usage: asked.head.stream && asked.head.stream_usage,
        tenant: &tenant,
        headers: &asked.headers,
    };
    let word = cache_word(&asked.headers);
    let key = if word == Word::Leave { None } else { key(&question, &asked.body) };
    let hit = match (&key, word) {
        (Some(key), Word::Nothing) => gateway.answers().get(key, gateway.now()),
        _ => None,
    };
    let word = match (&hit, word) {
        (Some(_), _) => "hit",
        (None, Word::Nothing) if key.is_some() => "miss",
        _ => "bypass",
    };
    metrics::counter!("shipway_llm_cache_total", "model" => model.spec.name.clone(), "result" => word)
        .increment(1);
    let time_us = i64::try_from(spec.time.as_micros()).unwrap_or(i64::MAX);
    Ok(Some(Cached { key, hit, word, time_us }))
}

impl Cached {
    /// `hit`, `miss` or `bypass`.
    pub(super) fn word(&self) -> &'static str {
        self.word
    }

    /// Writes the answer down that is about to come, if it is to be kept.
    pub(super) fn recorder(
        &self,
        gateway: &Gateway,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<Keeper> {
        let key = self.key.filter(|_| self.hit.is_none())?;
        let now = gateway.now();
        let origin = Origin {
            status,
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            began: now,
            until: Timestamp(now.0.saturating_add(self.time_us)),
        };
        let recorder = Recorder::new(origin, gateway.answers().most_bytes());
        Some(Keeper { gateway: gateway.clone(), key, recorder })
    }

    pub(super) fn put_headers(&self, headers: &mut HeaderMap, now: Timestamp) {
        wire::put(headers, "x-shipway-cache", self.word);
        if let Some(hit) = &self.hit {
            wire::put(headers, "age", &hit.age_seconds(now).to_string());
        }
    }
}

/// An answer that is being written down.
pub(super) struct Keeper {
    gateway: Gateway,
    key: Key,
    pub(super) recorder: Recorder,
}

impl Keeper {
    /// A stream that came to its end.
    pub(super) fn keep_stream(self, call: &Call) {
        if let Some(kept) = self.recorder.finish(made(call)) {
            self.gateway.answers().put(self.key, kept);
        }
    }

    /// A whole answer.
    pub(super) fn keep_whole(self, body: &Bytes, call: &Call) {
        if let Some(kept) = self.recorder.finish_whole(body, made(call)) {
            self.gateway.answers().put(self.key, kept);
        }
    }
}

fn made(call: &Call) -> Made {
    Made {
        deployment: call.deployment().map(str::to_owned),
        upstream_model: call.upstream_model().map(str::to_owned),
        cost_nanos: call.cost().unwrap_or(0),
    }
}

/// The answer that is kept, as if it came just now.
pub(super) fn began(kept: &Kept, asked: &Asked) -> Began {
    let (status, headers) = (kept.status(), kept.headers());
    let parts = kept.parts();
    if kept.is_stream {
        let first = First {
            status,
            headers,
            // It is kept as it went out.
            reading: Reading::passing(asked.api.dialect, false),
            chunks: Box::pin(stream::iter(parts.into_iter().map(Ok))),
        };
        return Began::Stream(Box::new(first));
    }
    let body = parts.into_iter().next().unwrap_or_default();
    Began::Whole(Box::new(Whole { status, headers, body, usage: None, service_tier: None }))
}

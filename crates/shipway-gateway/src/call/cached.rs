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
    similar::{self, Similar},
};
use crate::{
    cache::{Boarding, Flight, Kept, Key, Made, Origin, Question, Recorder, Word, cache_word, key},
    error::GatewayError,
    model::CacheSpec,
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
    /// How alike the question of the answer is, in millionths, where it is another one.
    similarity: Option<u32>,
    /// What the question means, where its answer is to be given to others who ask about the same.
    similar: Option<Similar>,
    /// Others wait for the answer until this is dropped.
    _flight: Option<Flight>,
    word: &'static str,
    time_us: i64,
}

/// Looks for an answer; none where the model keeps none.
pub(super) async fn look(
    gateway: &Gateway,
    model: &Arc<Model>,
    asked: &Asked,
) -> Result<Option<Cached>, GatewayError> {
    let Some(spec) = model.spec.cache.as_ref().filter(|_| asked.api.is_charged) else { return Ok(None) };
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
    let mut cached = Cached {
        key,
        hit: None,
        similarity: None,
        similar: None,
        _flight: None,
        word: "bypass",
        time_us: i64::try_from(spec.time.as_micros()).unwrap_or(i64::MAX),
    };
    if let (Some(key), Word::Nothing) = (key, word) {
        cached.look(gateway, (model, spec), asked, (&question, key)).await;
    }
    metrics::counter!("shipway_llm_cache_total", "model" => model.spec.name.clone(), "result" => cached.word)
        .increment(1);
    Ok(Some(cached))
}

impl Cached {
    /// Looks for an answer to the same question, on its way to somebody else, and to one that is about the same.
    async fn look(
        &mut self,
        gateway: &Gateway,
        (model, spec): (&Arc<Model>, &CacheSpec),
        asked: &Asked,
        (question, key): (&Question<'_>, Key),
    ) {
        self.word = "miss";
        let kept = || gateway.answers().get(&key, gateway.now());
        self.hit = kept();
        if self.hit.is_some() {
            self.word = "hit";
            return;
        }
        // A stream is wanted as it comes: who waited for its end would get it late, or broken off by who left first.
        if spec.together && !asked.head.stream {
            match gateway.answers().flights.board(key) {
                Boarding::First(flight) => self._flight = Some(flight),
                Boarding::Wait(over) => {
                    // Whatever came of it: who finds no answer then asks alone, and not one after the other.
                    let _ = tokio::time::timeout(model.spec.timeouts.total, over.cancelled()).await;
                }
            }
            self.hit = kept();
            if self.hit.is_some() {
                self.word = "together";
                return;
            }
        }
        let Some(found) = similar::look(gateway, model, asked, question).await else { return };
        self.similar = Some(found.similar);
        if let Some((kept, similarity)) = found.hit {
            (self.hit, self.similarity, self.word) = (Some(kept), Some(similarity), "similar");
        }
    }

    /// `hit`, `together`, `similar`, `miss` or `bypass`.
    pub(super) fn word(&self) -> &'static str {
        self.word
    }

    /// Writes the answer down that is about to come, if it is to be kept.
    pub(super) fn recorder(
        &mut self,
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
        let until = Timestamp(now.0.saturating_add(self.time_us));
        Some(Keeper { gateway: gateway.clone(), key, recorder, until, similar: self.similar.take() })
    }

    pub(super) fn put_headers(&self, headers: &mut HeaderMap, now: Timestamp) {
        wire::put(headers, "x-shipway-cache", self.word);
        if let Some(hit) = &self.hit {
            wire::put(headers, "age", &hit.age_seconds(now).to_string());
        }
        if let Some(similarity) = self.similarity {
            wire::put(headers, "x-shipway-similarity", &format!("{:.3}", f64::from(similarity) / 1e6));
        }
    }
}

/// An answer that is being written down.
pub(super) struct Keeper {
    gateway: Gateway,
    key: Key,
    pub(super) recorder: Recorder,
    until: Timestamp,
    similar: Option<Similar>,
}

impl Keeper {
    /// A stream that came to its end.
    pub(super) fn keep_stream(self, call: &Call) {
        let Self { gateway, key, recorder, until, similar } = self;
        if let Some(kept) = recorder.finish(made(call)) {
            keep(&gateway, (key, until), kept, similar);
        }
    }

    /// A whole answer.
    pub(super) fn keep_whole(self, body: &Bytes, call: &Call) {
        let Self { gateway, key, recorder, until, similar } = self;
        if let Some(kept) = recorder.finish_whole(body, made(call)) {
            keep(&gateway, (key, until), kept, similar);
        }
    }
}

fn keep(gateway: &Gateway, answer: (Key, Timestamp), kept: Kept, similar: Option<Similar>) {
    gateway.answers().put(answer.0, kept);
    if let Some(similar) = similar {
        similar.came(gateway, answer);
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

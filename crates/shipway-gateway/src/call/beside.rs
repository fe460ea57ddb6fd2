//! Calls that the gateway makes by itself for one of a caller's: to a judge, to embeddings that tell whether two questions are alike. Each is
//! routed, limited, charged and written down like a call of that caller, in a row of its own whose tags say what it was for.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::json;
use shipway_dialects::{ApiError, Dialect, Head};

use super::{Api, Asked, Refusal, call_local, call_model, judging::Judging};
use crate::{
    cache::normalised,
    error::{GatewayError, Thing},
    model::Embedder,
    service::{Gateway, Model, Principal},
};

/// How long is waited for vectors: whoever asks has waited for nothing yet.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_ANSWER_BYTES: usize = 32 << 20;

const EMBEDDINGS: Api =
    Api { dialect: Dialect::OpenAiEmbeddings, path: "embeddings", writes: false, is_charged: true };

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response, Refusal>> + Send + 'a>>;

/// What the gateway asks by itself.
#[derive(Debug, Clone)]
pub(super) enum Own {
    /// A judgement of another call.
    Judges(Judging),
    /// Vectors of questions and answers of this model.
    Compares(String),
}

/// A call within a call: of a type that does not hold itself.
pub(super) fn begin(gateway: &Gateway, model: Arc<Model>, asked: Asked) -> Answer<'_> {
    Box::pin(call_model(gateway, model, asked))
}

/// Vectors for one caller.
#[derive(Clone)]
pub(super) struct Beside {
    gateway: Gateway,
    principal: Principal,
    /// The model whose questions are compared.
    model: String,
}

#[derive(Deserialize)]
struct Vectors {
    data: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    index: usize,
    embedding: Vec<f32>,
}

impl Beside {
    /// For the caller of a call of this model.
    pub(super) fn of(gateway: &Gateway, asked: &Asked, model: &str) -> Self {
        Self { gateway: gateway.clone(), principal: asked.principal.clone(), model: model.to_owned() }
    }

    /// A vector of length 1 for each text, in their order. Fails with the reason where one cannot be had in time.
    pub(super) async fn embed(&self, by: &Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>, String> {
        let (Embedder::Model(name) | Embedder::Served(name)) = by;
        let body = json!({ "model": name, "input": texts, "encoding_format": "float" });
        let answer = tokio::time::timeout(PATIENCE, self.ask(by, Bytes::from(body.to_string())));
        let response = answer.await.map_err(|_| format!("{name} took longer than {PATIENCE:?}"))?;
        let response = response.map_err(|refusal| format!("{name}: {}", refusal.message()))?;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), MOST_ANSWER_BYTES).await;
        let body = body.map_err(|error| format!("{name}: {error}"))?;
        if !status.is_success() {
            let error = ApiError::of_answer(status.as_u16(), &body);
            return Err(format!("{name}: {}", error.message));
        }
        let Vectors { mut data } =
            serde_json::from_slice(&body).map_err(|error| format!("{name} answered no vectors: {error}"))?;
        data.sort_by_key(|vector| vector.index);
        let vectors: Option<Vec<_>> = data.into_iter().map(|vector| normalised(vector.embedding)).collect();
        vectors
            .filter(|vectors| vectors.len() == texts.len())
            .ok_or_else(|| format!("{name} answered other vectors than were asked for"))
    }

    async fn ask(&self, by: &Embedder, body: Bytes) -> Result<Response, Refusal> {
        let head = Head::read(Dialect::OpenAiEmbeddings, &body)
            .map_err(|bad| Refusal::Theirs(ApiError::from(&bad)))?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (principal, own) = (self.principal.clone(), Some(Own::Compares(self.model.clone())));
        let asked = Asked { api: EMBEDDINGS, principal, headers, head, body, own };
        match by {
            Embedder::Model(name) => {
                let missing = || GatewayError::missing(Thing::Model, name);
                let model = self.gateway.installed().find(name).cloned().ok_or_else(missing)?;
                begin(&self.gateway, model, asked).await
            }
            Embedder::Served(name) => {
                let local = self.gateway.local().filter(|local| local.has(name)).map(Arc::clone);
                let local = local.ok_or_else(|| GatewayError::missing(Thing::Model, name))?;
                call_local(&self.gateway, &*local, asked).await
            }
        }
    }
}

//! Which deployments can be asked.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use super::Refusal;
use crate::service::{Embedder, Serving};

fn shown(name: &str, embedder: &Embedder) -> Value {
    let created = embedder.since().0.div_euclid(1_000_000);
    json!({ "id": name, "object": "model", "created": created, "owned_by": "shipway" })
}

/// The deployments that embed and are loaded, by name.
pub(super) fn list(serving: &Serving) -> Vec<Value> {
    let deployments = serving.all().into_iter().map(|deployment| deployment.name.to_string());
    let models = deployments.filter_map(|name| Some(shown(&name, &serving.loaded_embedder(&name).ok()?)));
    models.collect()
}

/// One of them.
pub(super) async fn show(serving: &Serving, name: &str) -> Response {
    match serving.embedder(name).await {
        Ok(embedder) => Json(shown(name, &embedder)).into_response(),
        Err(error) => Refusal::from(error).answer(),
    }
}

//! Answers that are given to who asks about the same: how often, and how often they would have been wrong.

use axum::extract::State;
use serde_json::{Value, json};
use shipway_core::Sampling;
use shipway_web::Json;

use crate::{
    cache::{Compared, Measure, Tally},
    model::{CacheScope, Embedder, SimilarSpec},
    service::{Gateway, Model},
};

/// Every model that keeps answers, with what was measured since the server started.
pub(super) async fn list(State(gateway): State<Gateway>) -> Json<Value> {
    let installed = gateway.installed();
    let models = installed.models().iter().filter_map(|model| view(model));
    let questions = gateway.answers().shelves.len();
    Json(json!({ "models": models.collect::<Value>(), "questions": questions }))
}

fn view(model: &Model) -> Option<Value> {
    let cache = model.spec.cache.as_ref()?;
    let similar = cache.similar.as_ref().map(|similar| similar_view(similar, &model.likeness));
    let scope = match cache.scope {
        CacheScope::Key => "key",
        CacheScope::Project => "project",
        CacheScope::Team => "team",
        CacheScope::Organisation => "organisation",
    };
    Some(json!({
        "model": model.spec.name,
        "time_seconds": cache.time.as_secs(),
        "scope": scope,
        "together": cache.together,
        "similar": similar,
    }))
}

fn part(millionths: u32) -> f64 {
    f64::from(millionths) / 1e6
}

fn similar_view(spec: &SimilarSpec, likeness: &Measure) -> Value {
    let (Embedder::Model(embeddings) | Embedder::Served(embeddings)) = &spec.embeddings;
    let check = match spec.check {
        Sampling::All => 1.0,
        Sampling::PerMillion(share) => part(share),
        Sampling::Off => 0.0,
    };
    let Tally { given, checked, other_words, failed } = likeness.tally();
    let is_trusted = likeness.is_trusted(spec.least, spec.wrong);
    let steps = likeness.steps().into_iter().map(|(similarity, compared)| {
        let Compared { same, different } = compared;
        json!({ "similarity": part(similarity), "same": same, "different": different })
    });
    json!({
        "embeddings": embeddings,
        "mode": if spec.is_shadow { "shadow" } else { "serve" },
        "least": part(spec.least),
        "same": part(spec.same),
        "wrong": part(spec.wrong),
        "check": check,
        "gives": !spec.is_shadow && is_trusted,
        "given": given,
        "checked": checked,
        "other_words": other_words,
        "failed": failed,
        "from_least": compared_view(likeness.from(spec.least)),
        "advised_least": likeness.advises(spec.wrong).map(part),
        "steps": steps.collect::<Value>(),
    })
}

fn compared_view(compared: Compared) -> Value {
    let (low, high) = compared.wrong_within();
    json!({ "same": compared.same, "different": compared.different, "wrong_from": low, "wrong_to": high })
}

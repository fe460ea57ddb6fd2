//! Models that tests ask for, and what they cost.

use std::time::Duration;

use serde_json::{Value, json};
use shipway_dialects::{
    Nanos, Price, Rates,
    translate::{Lossy, OutputLimit},
};
use shipway_gateway::{Cooldown, DeploymentSpec, Detours, ModelSpec, Retries, Route, Timeouts, UnknownPrice};
use shipway_outbound::{Allowed, Bounds, Fetcher};

/// 2 dollars for a million tokens in, 10 out: 2,000 and 10,000 nanos for one.
fn price() -> Price {
    let rates = Rates {
        input: Nanos(2_000_000_000),
        output: Nanos(10_000_000_000),
        cache_read: Some(Nanos(200_000_000)),
        ..Rates::default()
    };
    Price { per_million_tokens: rates, ..Price::default() }
}

pub(crate) fn deployment(name: &str, provider: &str) -> DeploymentSpec {
    DeploymentSpec {
        name: name.to_owned(),
        provider: provider.to_owned(),
        model: format!("up-{name}"),
        price: Some(price()),
        price_as_of: None,
        max_output_tokens: 1_000,
        output_limit: OutputLimit::default(),
        apis: Vec::new(),
        fetch_media: None,
    }
}

/// A deployment at a provider, which is called as that, of a model that it knows by this name.
pub(crate) fn deployment_of(provider: &str, model: &str) -> DeploymentSpec {
    DeploymentSpec { model: model.to_owned(), ..deployment(provider, provider) }
}

pub(crate) fn model(name: &str, deployments: Vec<DeploymentSpec>) -> ModelSpec {
    let route = Route::Fallback((0..deployments.len()).map(Route::Deployment).collect());
    ModelSpec {
        name: name.to_owned(),
        called: vec![format!("{name}-latest")],
        deployments,
        route,
        hedge: None,
        detours: Detours::default(),
        timeouts: Timeouts {
            first_token: Duration::from_secs(5),
            idle: Duration::from_secs(5),
            total: Duration::from_secs(20),
        },
        retries: Retries::default(),
        cooldown: Cooldown { failures: 2, pause: Duration::from_secs(30) },
        unknown_price: UnknownPrice::Block,
        cache: None,
        guardrails: Vec::new(),
        lossy: Lossy::default(),
        content: None,
    }
}

/// A question of one word.
pub(crate) fn question(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 100 })
}

/// The answer of OpenAI to it: 12 tokens in, 4 of them out of the cache, 7 out. It costs 8 × 2,000 + 4 × 200 + 7 × 10,000.
pub(crate) fn completion() -> Value {
    json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "up-one",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" }],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 7,
            "total_tokens": 19,
            "prompt_tokens_details": { "cached_tokens": 4 }
        }
    })
}

pub(crate) const COST: i64 = 8 * 2_000 + 4 * 200 + 7 * 10_000;

/// Fetches what calls have by their address from the name `localhost`, and from nowhere else on this machine.
pub(crate) fn fetcher() -> Fetcher {
    let bounds = Bounds { bytes: 1 << 20, patience: Duration::from_secs(2), held_bytes: 8 << 20 };
    Fetcher::new(Allowed::new(&["localhost".to_owned()], true), bounds).unwrap()
}

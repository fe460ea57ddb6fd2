//! The paths under `/_mock/`: what arrived, and scripts for what comes.
//!
//! - `GET health`
//! - `GET counters`
//! - `GET journal?since=N&ended=N&wait_ms=N`: the requests after the one numbered `since`, once `ended` of them have ended or `wait_ms` are over
//! - `GET journal/N/body`: the bytes of a request's body
//! - `GET service_account`: the file of a service account whose access tokens Vertex asks for from then on
//! - `DELETE journal`: forgets requests, counters, queued scripts and responses
//! - `PUT scripts`: `{"model": "*", "scripts": ["status=429", ""]}`: the next requests for a model (`*`: for any) have these, one each

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    provider::Provider,
    wire::{Answer, Request},
};

/// Nobody is kept waiting longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Queue {
    #[serde(default = "any")]
    model: String,
    scripts: Vec<String>,
}

fn any() -> String {
    "*".to_owned()
}

/// The answer to a request whose path is `rest` after `/_mock/`.
pub(crate) async fn answer(provider: &Provider, request: &Request, rest: &str) -> Answer {
    match (request.method.as_str(), rest) {
        ("GET", "health") => Answer::json(200, &json!({"status": "ok"})),
        ("GET", "counters") => Answer::json(200, &provider.journal().counters()),
        ("GET", "service_account") => {
            let host = request.header("host").unwrap_or_default();
            match provider.google().service_account(host) {
                Some(account) => Answer::json(200, &account),
                None => wrong(500, "no key could be made"),
            }
        }
        ("GET", "journal") => journal(provider, request).await,
        ("DELETE", "journal") => {
            provider.forget();
            Answer::json(200, &json!({}))
        }
        ("PUT", "scripts") => queue(provider, request),
        ("GET", rest) => {
            let number =
                rest.strip_prefix("journal/").and_then(|rest| rest.strip_suffix("/body")?.parse().ok());
            match number.and_then(|number| provider.journal().body(number)) {
                Some(body) => Answer::whole(200, "application/octet-stream", body),
                None => wrong(404, "nothing is kept there"),
            }
        }
        (_, _) => wrong(404, "no such control path: health, counters, journal, journal/N/body, scripts"),
    }
}

async fn journal(provider: &Provider, request: &Request) -> Answer {
    let asked = |name: &str| {
        let given =
            request.query().split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        given.map_or(Ok(0), |(_, value)| value.parse::<u64>())
    };
    let (Ok(since), Ok(ended), Ok(wait)) = (asked("since"), asked("ended"), asked("wait_ms")) else {
        return wrong(400, "since, ended and wait_ms are numbers");
    };
    let patience = Duration::from_millis(wait).min(PATIENCE);
    let entries =
        provider.journal().read(since, usize::try_from(ended).unwrap_or(usize::MAX), patience).await;
    let shown: Vec<Value> = entries.iter().map(|entry| provider.journal().shown(entry)).collect();
    Answer::json(200, &json!({"requests": shown}))
}

fn queue(provider: &Provider, request: &Request) -> Answer {
    let queued = serde_json::from_slice::<Queue>(&request.body).map_err(|error| error.to_string());
    match queued.and_then(|queue| provider.scripts().queue(&queue.model, queue.scripts)) {
        Ok(()) => Answer::json(200, &json!({})),
        Err(error) => wrong(400, &error),
    }
}

fn wrong(status: u16, message: &str) -> Answer {
    Answer::json(status, &json!({"error": message}))
}

//! What callers see of the gateway, and what its ledger says of them, with providers that answer as they are told to.
//!
//! - `world`: a gateway over a folder of its own, and providers
//! - `models`: models, what they cost, a question and its answer
//! - `cache`: answers that are given again; `alike`: to who asks the same at once, or about the same
//! - `apis`: servers that have some of OpenAI's APIs only
//! - `calls`: whole answers: what passes through, fallback, errors
//! - `completions`: prompts and their texts, across APIs
//! - `contents`: what is kept of what is asked and answered
//! - `counting`: the counting of tokens, across APIs
//! - `embeddings`: embeddings, across APIs
//! - `streams`: streams: bytes, hidden usage, honest ends, callers who leave
//! - `guardrails`: what requests and answers must not hold; `guardrails_kept`: also of answers that are kept or translated;
//!   `guardrails_classifier`, `guardrails_judge`: as models judge; `guardrails_shape`: as a schema says; `guardrails_reroute`: elsewhere
//! - `in_full`: what lies elsewhere and is sent in full
//! - `labels`: users and tags with limits, keys that are bound to them
//! - `limits`: keys, budgets, rates
//! - `secrets`: secrets of providers that are kept
//! - `servers`: several servers that share keys and limits, on both engines of the database
//! - `media`: images, sound, moderations
//! - `packed`: answers that a provider packs, or that are none
//! - `realtime`: connections over which both sides speak; `realtime_world`: both sides
//! - `responses`: responses that providers keep
//! - `routing`: strategies, detours, hedges, breakers, what callers wish of providers
//! - `translation`, `translated_streams`: calls and answers of one API in the words of another
//! - `gemini`: Google's API, as clients and as providers speak it; Azure's paths
//! - `ledger`: what is charged, also after a crash

#![expect(clippy::duplicate_mod, reason = "several servers are tried over both engines")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop with the error")]

mod alike;
mod apis;
mod cache;
mod calls;
mod completions;
mod contents;
mod counting;
mod embeddings;
mod gemini;
mod guardrails;
mod guardrails_classifier;
mod guardrails_judge;
mod guardrails_kept;
mod guardrails_reroute;
mod guardrails_shape;
mod in_full;
mod labels;
mod ledger;
mod limits;
mod media;
mod models;
mod packed;
mod realtime;
mod realtime_world;
mod responses;
mod routing;
mod secrets;
mod streams;
mod translated_streams;
mod translation;
mod world;

/// Every test in this file runs over both engines.
macro_rules! over {
    ($engine:ident, $store:expr) => {
        #[path = "."]
        mod $engine {
            #[path = "servers.rs"]
            mod servers;

            async fn empty_store() -> shipway_store::Store {
                $store
            }
        }
    };
}

over!(sqlite, shipway_store::Store::in_memory().await.unwrap());
over!(postgres, crate::new_postgres().await);

async fn new_postgres() -> shipway_store::Store {
    let url = shipway_testkit::Postgres::shared().await.new_database();
    shipway_store::Store::open_postgres(&url, 8).await.unwrap()
}

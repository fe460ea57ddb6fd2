//! What a writer of definitions sees.
//!
//! - `aggregations`: operations with parameters, buckets, and columns of lists
//! - `chains`: views that stand on other views
//! - `decimals`: columns, keys and features of decimals
//! - `demo`: the definitions of the demo
//! - `errors`: every error in the words a person reads
//! - `expressions`: `where`, `derive` and `compute`
//! - `hashes`: what a version depends on and what not
//! - `laws`: properties of any text and any order
//! - `litellm`: a configuration of LiteLLM as definitions
//! - `llm_guardrails`: what calls of models must not hold, and answers that models keep
//! - `llm_models`: models of language: what answers, in which order, at which price
//! - `metadata`: what is said about features
//! - `selections`: sources that are selected from other ones
//! - `sets`: overlaying, storing and restoring
//! - `sinks`: what is sent, and where to

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop with the error")]

mod aggregations;
mod batch;
mod chains;
mod corrections;
mod decimals;
mod demo;
mod errors;
mod expressions;
mod hashes;
mod laws;
mod litellm;
mod llm_guardrails;
mod llm_models;
mod metadata;
mod selections;
mod sets;
mod sinks;

use shipway_definitions::{DefinitionFile, DefinitionSet};

/// Entities and sources to build on.
const BASE: &str = "
kind: entity
name: origin
keys: { origin: text }
---
kind: entity
name: route
keys: { origin: text, dest: text }
---
kind: source
name: departures
event_time: departed_at
event_id: flight_id
columns: { flight_id: text, departed_at: timestamp, origin: text, dest: text, dep_delay: float, gate: text, delayed: bool }
";

const VIEW: &str = "
kind: view
name: origin_traffic
entity: origin
source: departures
aggregate:
  - operations: [count]
    windows: [30m, 1h]
  - column: dep_delay
    operations: [avg]
    windows: [1h]
freshness: { objective: 1h, beyond: serve }
";

const SERVICE: &str = "
kind: service
name: late_arrivals
views: [origin_traffic]
request: { month: int }
";

fn parse(texts: &[&str]) -> Result<DefinitionSet, String> {
    let files: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            DefinitionFile::new(format!("{}.yaml", (b'a' + index as u8) as char), text.trim_start())
        })
        .collect();
    DefinitionSet::parse(&files).map_err(|errors| {
        let lines: Vec<_> = errors
            .list()
            .iter()
            .map(|error| match &error.hint {
                Some(hint) => format!("{error}\n  hint: {hint}"),
                None => error.to_string(),
            })
            .collect();
        lines.join("\n")
    })
}

fn valid(texts: &[&str]) -> DefinitionSet {
    parse(texts).unwrap()
}

/// The errors of `text` beside the base.
fn refused(text: &str) -> String {
    parse(&[text, BASE]).unwrap_err()
}

//! The catalog over a real database in memory.
//!
//! - `planning`: what a plan says, and what it refuses
//! - `applying`: all or nothing, once, audited, remembered
//! - `impact`: what a plan costs and whom it touches
//! - `dropping`: what may go, and what keeps it
//! - `features`: every feature, found by what is known about it
//! - `sinks`: what a plan says of them, and of what they send
//! - `http`: the native API

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop with the error")]

mod applying;
mod dropping;
mod features;
mod http;
mod impact;
mod planning;
mod sinks;

use std::{fmt::Write as _, sync::Arc};

use shipway_catalog::{Catalog, CatalogError, Plan, Proposal, Rebuild};
use shipway_core::{Failure as _, ManualClock, Timestamp};
use shipway_definitions::DefinitionFile;
use shipway_store::Store;

pub(crate) const BASE: &str = "kind: entity
name: origin
keys: { origin: text }
---
kind: source
name: departures
event_time: departed_at
event_id: flight_id
columns: { flight_id: text, departed_at: timestamp, origin: text, dep_delay: float, gate: text }
";

pub(crate) const VIEW: &str = "kind: view
name: origin_traffic
entity: origin
source: departures
aggregate:
  - operations: [count]
    windows: [30m, 1h]
  - { column: dep_delay, operations: [avg], windows: [1h] }
";

pub(crate) const SERVICE: &str = "kind: service
name: late_arrivals
views: [origin_traffic]
request: { month: int }
";

pub(crate) async fn catalog() -> Catalog {
    open(Store::in_memory().await.unwrap()).await
}

pub(crate) async fn open(store: Store) -> Catalog {
    let clock = ManualClock::at(Timestamp::parse("2013-11-01T00:00:00Z").unwrap());
    Catalog::open(store, Arc::new(clock)).await.unwrap()
}

pub(crate) fn proposal(texts: &[&str]) -> Proposal {
    let files =
        texts.iter().enumerate().map(|(index, text)| DefinitionFile::new(format!("{index}.yaml"), *text));
    Proposal { files: files.collect(), prune: false }
}

pub(crate) fn pruning(texts: &[&str]) -> Proposal {
    Proposal { prune: true, ..proposal(texts) }
}

pub(crate) async fn apply(catalog: &Catalog, texts: &[&str]) -> Plan {
    catalog.apply("ada", &proposal(texts)).await.unwrap()
}

/// A plan as text: a line per definition, what changed below it.
pub(crate) fn pretty(plan: &Result<Plan, CatalogError>) -> String {
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            let hint = error.hint().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
            return format!("{error}{hint}");
        }
    };
    let mut text = String::new();
    for change in &plan.changes {
        let is_same = change.before.is_some() && change.before == change.after;
        let version = if is_same { " same version" } else { "" };
        writeln!(text, "{:?} {}{version}", change.action, change.subject).unwrap();
        for field in &change.fields {
            let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
            writeln!(text, "  {}: {} => {}", field.field, side(&field.before), side(&field.after)).unwrap();
        }
        for consequence in &change.consequences {
            writeln!(text, "  * {consequence}").unwrap();
        }
        if let Some(rebuild) = &change.rebuild {
            let Rebuild { rows, files, bytes, seconds, .. } = rebuild;
            writeln!(text, "  reads {rows} rows, {bytes} bytes in {files} files, {seconds} s").unwrap();
        }
        for data in &change.personal {
            writeln!(text, "  {} is {}", data.name, data.pii.word()).unwrap();
        }
        for consumer in &change.consumers {
            writeln!(text, "  > {consumer} {}", consumer.effect).unwrap();
        }
        for warning in &change.warnings {
            writeln!(text, "  ! {warning}").unwrap();
        }
    }
    for subject in &plan.unchanged {
        writeln!(text, "unchanged {subject}").unwrap();
    }
    for subject in &plan.kept {
        writeln!(text, "kept {subject}").unwrap();
    }
    text
}

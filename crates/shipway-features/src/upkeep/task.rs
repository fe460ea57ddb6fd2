//! Looks at the tables on a schedule. One table at a time, in one partition: the upkeep is never urgent.

use std::{collections::HashMap, sync::Arc, time::Duration};

use shipway_core::failure::chain;
use shipway_lake::{Effort, Maintained};
use tokio::time::Instant;

use crate::{error::FeaturesError, features::Inner};

/// How long a table that failed is left alone, doubled with each further failure.
const BACK_OFF: Duration = Duration::from_secs(60);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(3_600);
/// How often old files and log entries are looked for in a table that needs nothing else.
const EXPIRY_EVERY: Duration = Duration::from_secs(6 * 3_600);

/// What the schedule remembers of a table.
#[derive(Debug, Default, Clone, Copy)]
struct Turn {
    failures: u32,
    not_before: Option<Instant>,
    expired: Option<Instant>,
}

/// Runs until the server stops. A rewrite under way is given up then; nothing of it is listed.
pub(crate) async fn run(inner: Arc<Inner>, every: Duration) {
    let mut turns: HashMap<String, Turn> = HashMap::new();
    loop {
        tokio::select! {
            () = inner.cancel.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        tokio::select! {
            () = inner.cancel.cancelled() => return,
            () = Box::pin(round(&inner, &mut turns)) => {}
        }
    }
}

async fn round(inner: &Inner, turns: &mut HashMap<String, Turn>) {
    let tables = match inner.lake.tables().await {
        Ok(tables) => tables,
        Err(error) => {
            tracing::warn!(error = chain(&error), "the tables cannot be listed for their upkeep");
            return;
        }
    };
    metrics::gauge!("shipway_tables").set(tables.len() as f64);
    metrics::gauge!("shipway_table_files").set(tables.iter().map(|table| table.files).sum::<u64>() as f64);
    metrics::gauge!("shipway_table_bytes").set(tables.iter().map(|table| table.bytes).sum::<u64>() as f64);
    turns.retain(|name, _| tables.iter().any(|table| table.name == *name));
    for table in tables {
        let turn = turns.entry(table.name.clone()).or_default();
        if turn.not_before.is_some_and(|moment| Instant::now() < moment) {
            continue;
        }
        let upkeep = inner.upkeep_of(&table.name, Effort::WhatPays);
        let is_expiry_due = turn.expired.is_none_or(|last| last.elapsed() >= EXPIRY_EVERY);
        let is_needed = is_expiry_due
            || inner.lake.needs_compaction(&table.name, &upkeep).await.is_ok_and(|needed| needed);
        if !is_needed {
            continue;
        }
        match inner.maintain(&table.name, Effort::WhatPays).await {
            Ok(_) => *turn = Turn { expired: Some(Instant::now()), ..Turn::default() },
            Err(error) => {
                turn.failures = turn.failures.saturating_add(1);
                turn.not_before = Some(Instant::now() + back_off(turn.failures));
                tracing::warn!(table = table.name, error = chain(&error), "the upkeep of a table failed");
            }
        }
    }
}

fn back_off(failures: u32) -> Duration {
    BACK_OFF.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_BACK_OFF)
}

impl Inner {
    /// The upkeep of one table; one at a time in the whole server.
    pub(crate) async fn maintain(&self, table: &str, effort: Effort) -> Result<Maintained, FeaturesError> {
        let _one_at_a_time = self.maintaining.lock().await;
        let upkeep = self.upkeep_of(table, effort);
        let done = Box::pin(self.lake.maintain(table, &upkeep)).await.map_err(FeaturesError::from);
        if !matches!(&done, Err(FeaturesError::Lake(shipway_lake::LakeError::UnknownTable { .. }))) {
            self.upkeep.note(table, done.as_ref(), self.clock.now());
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_fails_is_left_alone_longer_and_longer_up_to_an_hour() {
        let seconds: Vec<u64> = (1..9).map(|failures| back_off(failures).as_secs()).collect();
        assert_eq!(seconds, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(back_off(u32::MAX), LONGEST_BACK_OFF);
    }
}

//! Carries settled calls out of the ledger into a table, in order, each once: the table says how far it has come.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use shipway_core::Failure;

use super::{BYTES_AT_ONCE, CallFact, Entry, Ledger};

/// How often what was settled since is carried over, at most.
const EVERY: Duration = Duration::from_secs(1);
/// After a round that took its time this many times as long is waited, so that calls have the processors and the disk.
const PAUSE: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const RECORDS_AT_ONCE: usize = 20_000;

/// Why a table could not take calls.
pub type CarryError = Box<dyn Failure + Send + Sync>;

/// A table of calls.
#[async_trait]
pub trait CallTable: Send + Sync {
    /// The offset of the ledger up to which calls are in the table.
    async fn carried(&self) -> Result<u64, CarryError>;

    /// Appends calls, and that the table has come to offset `next` with them, both or neither. What it has already is left out.
    async fn append(&self, calls: Vec<CallFact>, next: u64) -> Result<(), CarryError>;
}

impl Ledger {
    /// Carries until the ledger is closed, and once more then.
    pub(crate) async fn carry_to(self, table: std::sync::Arc<dyn CallTable>) {
        let mut pause = EVERY;
        loop {
            let is_last = tokio::select! {
                () = self.stop.cancelled() => true,
                () = tokio::time::sleep(pause) => false,
            };
            let began = Instant::now();
            if let Err(error) = self.carry_once(&*table).await {
                tracing::warn!(error = %shipway_core::failure::chain(&*error), "calls could not be carried into their table; it is tried again");
            }
            if is_last {
                return;
            }
            pause = began.elapsed().saturating_mul(PAUSE).clamp(EVERY, LONGEST_PAUSE);
        }
    }

    async fn carry_once(&self, table: &dyn CallTable) -> Result<(), CarryError> {
        let mut next = table.carried().await?.max(self.topic.start());
        // What comes meanwhile is the next round's: otherwise a round under load would never end, and each of its commits would be smaller
        // than the one before.
        let end = self.topic.end();
        while next < end {
            let records = self
                .topic
                .read(next, RECORDS_AT_ONCE, BYTES_AT_ONCE)
                .await
                .map_err(|error| Box::new(error) as CarryError)?;
            let Some(last) = records.last() else { break };
            next = last.offset + 1;
            let mut calls = Vec::new();
            for record in &records {
                match Entry::read(&record.payload) {
                    Ok(Entry::Settled(fact)) => calls.push(*fact),
                    Ok(Entry::Opened(_)) => {}
                    Err(source) => {
                        return Err(Box::new(crate::error::GatewayError::Entry {
                            offset: record.offset,
                            source,
                        }));
                    }
                }
            }
            table.append(calls, next).await?;
        }
        // What is in the table and in the books is not needed here any more.
        let kept_from = next.min(self.snapshot.load(std::sync::atomic::Ordering::Acquire));
        self.topic.trim(kept_from).await.map_err(|error| Box::new(error) as CarryError)
    }
}

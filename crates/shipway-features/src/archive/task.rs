//! Follows the log of one source and appends it to the source's tables, by number of rows or by age.
//!
//! Each append makes a file. So the age follows the flow: while few events come it grows, step by step, and history lags a
//! little instead of falling into dust; whoever needs it complete has it written at once.

use std::{sync::Arc, time::Duration};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use shipway_core::failure::chain;
use shipway_lake::{AppTransaction, AppendOptions};
use tokio::time::Instant;

use crate::{
    archive::rows,
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{begin_anew, off_the_executor},
    model::{
        dead_letter::DeadLetter,
        event::{SourceEvent, Standing},
        record::{self, Record},
        schema::SourceSchema,
    },
    options::Limits,
    source::SourceRuntime,
};

const RECORDS_PER_READ: usize = 8_192;
const BYTES_PER_READ: usize = 16 << 20;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// An append of fewer rows is small: the next one waits longer.
const SMALL_APPEND_ROWS: usize = 1_000;
/// The log is trimmed after that many appends,
const APPENDS_PER_TRIM: u32 = 16;
/// or after that many records: what it has more than it must is read again where states are lost.
const RECORDS_PER_TRIM: u64 = 1 << 20;

/// The archiver of one source.
pub(crate) struct Archiver {
    inner: Arc<Inner>,
    runtime: Arc<SourceRuntime>,
    /// Events read and not yet written.
    pending: Vec<(u64, SourceEvent)>,
    /// Messages that are no events, likewise.
    dead: Vec<(u64, DeadLetter)>,
    /// Behind the last record read.
    read_to: u64,
    /// When the oldest pending event was read.
    since: Option<Instant>,
    /// The age at which pending events are written.
    age: Duration,
    /// Since the log was trimmed last.
    appends: u32,
    /// Where `read_to` stood then.
    trimmed_at: u64,
}

impl Archiver {
    /// Takes up where the table stands.
    pub(crate) async fn open(inner: Arc<Inner>, runtime: Arc<SourceRuntime>) -> Result<Self, FeaturesError> {
        let written = inner.lake.transaction_version(runtime.name.as_str(), &application(&runtime)).await?;
        let read_to = written.unwrap_or(0).unsigned_abs().max(runtime.topic.start());
        runtime.archived.send_replace(read_to);
        let age = inner.limits.archive_age;
        Ok(Self {
            inner,
            runtime,
            pending: Vec::new(),
            dead: Vec::new(),
            read_to,
            since: None,
            age,
            appends: 0,
            trimmed_at: read_to,
        })
    }

    /// Runs until the server stops, and then writes what is left.
    pub(crate) async fn run(mut self) {
        let cancel = self.inner.cancel.clone();
        while !cancel.is_cancelled() {
            if let Err(error) = self.step().await {
                self.report(&error);
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                }
            }
        }
        // Ingest has ended by now. What cannot be written stays in the log, and is written after the restart.
        let last = async {
            while self.read_to < self.runtime.topic.end() {
                self.read().await?;
                if self.waiting() >= self.inner.limits.archive_rows {
                    self.flush().await?;
                }
            }
            self.flush().await
        };
        let outcome: Result<(), FeaturesError> = last.await;
        if let Err(error) = outcome {
            self.report(&error);
        }
    }

    fn report(&self, error: &FeaturesError) {
        tracing::error!(source = %self.runtime.name, error = chain(error), "the archiver cannot go on");
    }

    /// Waits for records, for the age of the pending ones, or for somebody who needs them written.
    async fn step(&mut self) -> Result<(), FeaturesError> {
        let limits = &self.inner.limits;
        let mut flush_to = self.runtime.flush_to.subscribe();
        let wanted = *flush_to.borrow_and_update();
        let is_wanted = wanted > *self.runtime.archived.borrow() && self.read_to >= wanted;
        if is_wanted || self.waiting() >= limits.archive_rows {
            return self.flush().await;
        }
        let age = self.since.map_or(Duration::MAX, |since| self.age.saturating_sub(since.elapsed()));
        let age = age.min(Duration::from_secs(3_600));
        tokio::select! {
            biased;
            () = self.inner.cancel.cancelled() => Ok(()),
            () = self.runtime.topic.wait_beyond(self.read_to) => self.read().await,
            _ = flush_to.changed() => Ok(()),
            () = tokio::time::sleep(age) => {
                self.age = next_age(self.age, self.waiting(), limits);
                self.flush().await
            }
        }
    }

    async fn read(&mut self) -> Result<(), FeaturesError> {
        let room = self.inner.limits.archive_rows.saturating_sub(self.waiting()).clamp(1, RECORDS_PER_READ);
        let shape = self.runtime.shape();
        for logged in self.runtime.topic.read(self.read_to, room, BYTES_PER_READ).await? {
            let decoded = record::decode(&logged.payload);
            let decoded = decoded.ok_or_else(|| {
                damaged(format!("record {} in the log of source {}", logged.offset, self.runtime.name))
            })?;
            match decoded {
                Record::Event { fingerprint, event, .. } => {
                    let event = shape.book.align(fingerprint, event, &shape.schema)?;
                    self.pending.push((logged.offset, event));
                    self.since.get_or_insert_with(Instant::now);
                }
                Record::Dead(letter) => {
                    self.dead.push((logged.offset, letter));
                    self.since.get_or_insert_with(Instant::now);
                }
                Record::Passed(_) | Record::Load(_) | Record::View(_) => {}
            }
            self.read_to = logged.offset + 1;
        }
        if self.waiting() == 0 {
            self.runtime.archived.send_replace(self.read_to);
        }
        Ok(())
    }

    /// Rows that wait to be written.
    fn waiting(&self) -> usize {
        self.pending.len() + self.dead.len()
    }

    async fn flush(&mut self) -> Result<(), FeaturesError> {
        if self.waiting() > 0 {
            let shape = self.runtime.shape();
            let schema = &shape.schema;
            self.append_dead(schema).await?;
            // The main table comes last: its transaction is where a restart continues.
            for (standing, table) in [
                (Standing::Quarantined, schema.quarantine_table()),
                (Standing::Late, schema.late_table()),
                (Standing::Regular, schema.name.to_string()),
            ] {
                self.append(schema, standing, &table).await?;
            }
        }
        self.pending.clear();
        self.dead.clear();
        self.since = None;
        self.runtime.archived.send_replace(self.read_to);
        self.appends += 1;
        if self.appends >= APPENDS_PER_TRIM || self.read_to - self.trimmed_at >= RECORDS_PER_TRIM {
            (self.appends, self.trimmed_at) = (0, self.read_to);
            self.trim().await?;
        }
        Ok(())
    }

    async fn append(
        &self,
        schema: &SourceSchema,
        standing: Standing,
        table: &str,
    ) -> Result<(), FeaturesError> {
        let is_main = standing == Standing::Regular;
        if !is_main && self.pending.iter().all(|(_, event)| event.standing != standing) {
            return Ok(());
        }
        let written = self.ensure(table, schema.history()).await?;
        let events: Vec<&(u64, SourceEvent)> = self
            .pending
            .iter()
            .filter(|(offset, event)| table_of(event.standing) == standing && *offset >= written)
            .collect();
        if events.is_empty() && !is_main {
            return Ok(());
        }
        self.write(table, rows::history(schema, &events)?).await
    }

    async fn append_dead(&self, schema: &SourceSchema) -> Result<(), FeaturesError> {
        if self.dead.is_empty() {
            return Ok(());
        }
        let table = schema.dead_letter_table();
        let written = self.ensure(&table, rows::dead_letter_schema()).await?;
        let letters: Vec<_> = self.dead.iter().filter(|(offset, _)| *offset >= written).collect();
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&table, rows::dead_letters(&letters)?).await
    }

    /// Makes sure of a table; the offset up to which the log is in it. A side table may be ahead of the main one, if a crash came
    /// between the two.
    async fn ensure(&self, table: &str, schema: SchemaRef) -> Result<u64, FeaturesError> {
        let lake = &self.inner.lake;
        lake.ensure_table(table, schema).await?;
        Ok(lake.transaction_version(table, &application(&self.runtime)).await?.unwrap_or(0).unsigned_abs())
    }

    async fn write(&self, table: &str, rows: RecordBatch) -> Result<(), FeaturesError> {
        let transaction =
            AppTransaction { id: application(&self.runtime), version: self.read_to.cast_signed() };
        let options = AppendOptions { transaction: Some(transaction) };
        self.inner.lake.append_batches(table, vec![rows], options).await?;
        Ok(())
    }

    /// Drops log segments that both consumers have behind them for good, and every sink that is not too far behind.
    async fn trim(&self) -> Result<(), FeaturesError> {
        let Some(published) = self.runtime.published() else { return Ok(()) };
        let online = self.inner.online.clone();
        // Before the states are safe from a loss of power the log must still have what they were made of.
        off_the_executor(&self.inner, move || Ok(online.persist()?)).await?;
        let done = published.applied.min(*self.runtime.archived.borrow());
        let selected = self.inner.selected_up_to(&self.runtime).await;
        let done = selected.map_or(done, |selected| done.min(selected));
        let limits = &self.inner.limits;
        let before = done.saturating_sub(limits.log_retention_records);
        let end = self.runtime.topic.end();
        let before = before.min(self.inner.sinks.may_trim(&self.runtime.name, end, limits.sink_records));
        if before > self.runtime.topic.start() {
            begin_anew::note(&self.inner, &self.runtime, &published.snapshot).await?;
            self.runtime.topic.trim(before).await?;
        }
        Ok(())
    }
}

/// The age to wait for after an append of `rows`: twice as long after a small one, half as long after one that is not.
fn next_age(age: Duration, rows: usize, limits: &Limits) -> Duration {
    let most = limits.archive_age_most.max(limits.archive_age);
    if rows < SMALL_APPEND_ROWS { age.saturating_mul(2).min(most) } else { (age / 2).max(limits.archive_age) }
}

/// The standing after which the table of an event is called.
const fn table_of(standing: Standing) -> Standing {
    match standing {
        Standing::Deletion => Standing::Regular,
        other => other,
    }
}

/// The Delta application whose transactions say how far the archiver has come.
fn application(runtime: &SourceRuntime) -> String {
    format!("archiver-{}", runtime.topic.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_of_events_is_written_less_and_less_often_and_a_flood_more_often() {
        let limits = Limits::default();
        let mut age = limits.archive_age;
        let mut seen = Vec::new();
        for rows in [1, 1, 1, 1, 1, 1, 50_000, 50_000, 50_000, 50_000, 50_000] {
            age = next_age(age, rows, &limits);
            seen.push(age.as_secs());
        }
        assert_eq!(seen, [4, 8, 16, 32, 60, 60, 30, 15, 7, 3, 2]);
    }
}

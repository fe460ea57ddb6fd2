//! Follows the log of the source that another one is selected from.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use shipway_core::failure::chain;
use shipway_definitions::DefinitionSet;
use shipway_log::Record as LogRecord;

use crate::{
    deliver::{Delivery, Message},
    error::{FeaturesError, damaged},
    features::{Features, Inner},
    model::{
        event::{SourceEvent, Standing},
        origin::Feed,
        record::{self, LoadMarker, Record},
    },
    select::{
        LOG, history, join,
        plan::SelectPlan,
        status::{SelectionBoard, SelectionState},
    },
    source::{SourceRuntime, SourceShape},
};

const RECORDS_PER_BATCH: usize = 8_192;
const BYTES_PER_BATCH: usize = 16 << 20;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Definitions are looked at anew so often while no event comes.
const LOOK_AFTER: Duration = Duration::from_secs(1);
/// Nobody else reads for this source, so there are no later generations.
const GENERATION: u64 = 0;

/// Follows a source for one that is selected from it.
pub(super) struct Selector {
    pub(super) inner: Arc<Inner>,
    /// The selected source.
    pub(super) runtime: Arc<SourceRuntime>,
    /// As the definitions say that it was made of.
    plan: Option<(Arc<DefinitionSet>, Arc<SelectPlan>)>,
}

/// Records up to the next load.
struct Batch {
    /// Each record's offset, and the event that it is, if it is one that counts.
    records: Vec<(u64, Option<SourceEvent>)>,
    /// The load behind them.
    load: Option<(u64, LoadMarker)>,
}

impl Selector {
    pub(super) fn new(inner: Arc<Inner>, runtime: Arc<SourceRuntime>) -> Self {
        Self { inner, runtime, plan: None }
    }

    /// Runs until the server stops, or the source is selected no more.
    pub(super) async fn run(mut self) {
        let cancel = self.inner.cancel.clone();
        loop {
            let outcome = tokio::select! {
                biased;
                () = cancel.cancelled() => return,
                outcome = self.step() => outcome,
            };
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if self.board(|board| board.failed(&error)) {
                        tracing::warn!(source = %self.runtime.name, error = chain(&error), "a selection cannot go on");
                    }
                    tokio::select! {
                        () = cancel.cancelled() => return,
                        () = tokio::time::sleep(RETRY_AFTER) => {}
                    }
                }
            }
        }
    }

    /// One batch; `false` when the source is selected no more.
    async fn step(&mut self) -> Result<bool, FeaturesError> {
        let Some(plan) = self.plan()? else { return Ok(false) };
        join::ready(&self.inner, &plan).await?;
        let from = self.inner.source(plan.from.as_str())?;
        let shape = from.shape();
        if shape.schema.columns != plan.from_columns {
            // Definitions and what runs by them change one after the other.
            tokio::time::sleep(LOOK_AFTER).await;
            return Ok(true);
        }
        let feed = Feed::of_log(plan.from.as_str());
        let position = self.runtime.feeds.lock().await.next(feed, LOG);
        let next = position.unwrap_or(0);
        // What came before is in history: all of it for a source that is new, and what was trimmed while nobody followed.
        let begin = if position.is_none() { from.topic.end() } else { from.topic.start() };
        if next < begin {
            self.board(|board| board.is(SelectionState::Loading, next));
            let end = history::catch_up(self, &plan, (&from, &shape), next..begin).await?;
            self.pass_to(feed, end).await?;
            return Ok(true);
        }
        self.board(|board| board.is(SelectionState::Following, next));
        tokio::select! {
            () = from.topic.wait_beyond(next) => {}
            () = tokio::time::sleep(LOOK_AFTER) => return Ok(true),
        }
        let records = from.topic.read(next, RECORDS_PER_BATCH, BYTES_PER_BATCH).await?;
        let batch = Batch::of(records, &shape)?;
        if !batch.records.is_empty() {
            self.deliver(&plan, feed, batch.records).await?;
        }
        if let Some((offset, marker)) = batch.load {
            self.board(|board| board.is(SelectionState::Loading, offset));
            history::load(self, &plan, &shape, (offset, &marker)).await?;
            self.pass_to(feed, offset + 1).await?;
        }
        Ok(true)
    }

    /// The selection as the definitions in force have it.
    fn plan(&mut self) -> Result<Option<Arc<SelectPlan>>, FeaturesError> {
        let definitions = self.inner.definitions();
        if let Some((held, plan)) = &self.plan
            && Arc::ptr_eq(held, &definitions)
        {
            return Ok(Some(Arc::clone(plan)));
        }
        let Some(plan) = SelectPlan::of(&definitions, &self.runtime.name)? else { return Ok(None) };
        let plan = Arc::new(plan);
        self.plan = Some((definitions, Arc::clone(&plan)));
        Ok(Some(plan))
    }

    async fn deliver(
        &self,
        plan: &Arc<SelectPlan>,
        feed: Feed,
        records: Vec<(u64, Option<SourceEvent>)>,
    ) -> Result<(), FeaturesError> {
        let (mut places, mut events) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
        for (offset, event) in records {
            places.push((offset, event.is_some()));
            events.extend(event);
        }
        let events = Arc::new(events);
        let joined = join::joined(&self.inner, plan, &events).await?;
        let mut rows =
            events.iter().zip(&joined).map(|(event, joined)| (event.received, plan.row(event, joined)));
        let messages = places.into_iter().map(|(offset, is_event)| {
            let (sent, row) = if is_event { rows.next().unzip() } else { (None, None) };
            Message { partition: LOG, offset, sent, key: None, message: None, content: Ok(row.flatten()) }
        });
        let delivery = Delivery {
            feed,
            topic: plan.from.to_string(),
            generation: GENERATION,
            columns: plan.columns.clone(),
            messages: messages.collect(),
        };
        self.features().deliver(self.runtime.name.as_str(), delivery).await?;
        Ok(())
    }

    async fn pass_to(&self, feed: Feed, position: u64) -> Result<(), FeaturesError> {
        self.features().pass_to(self.runtime.name.as_str(), feed, GENERATION, (LOG, position)).await
    }

    fn features(&self) -> Features {
        Features { inner: Arc::clone(&self.inner) }
    }

    pub(super) fn board<T>(&self, change: impl FnOnce(&mut SelectionBoard) -> T) -> T {
        change(&mut self.runtime.selection.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Batch {
    fn of(records: Vec<LogRecord>, shape: &SourceShape) -> Result<Self, FeaturesError> {
        let mut batch = Self { records: Vec::with_capacity(records.len()), load: None };
        for logged in records {
            let decoded = record::decode(&logged.payload);
            let decoded = decoded.ok_or_else(|| {
                damaged(format!("record {} in the log of source {}", logged.offset, shape.schema.name))
            })?;
            let event = match decoded {
                Record::Event { fingerprint, event, .. } if event.standing == Standing::Regular => {
                    Some(shape.book.align(fingerprint, event, &shape.schema)?)
                }
                Record::Load(marker) => {
                    batch.load = Some((logged.offset, marker));
                    break;
                }
                Record::Event { .. } | Record::Dead(_) | Record::Passed(_) | Record::View(_) => None,
            };
            batch.records.push((logged.offset, event));
        }
        Ok(batch)
    }
}

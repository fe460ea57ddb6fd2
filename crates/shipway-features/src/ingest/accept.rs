//! The way of an ingest request: parse, claim ids, append, acknowledge.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use shipway_core::{Name, Timestamp, nearest};

use crate::{
    error::FeaturesError,
    features::{Features, Inner},
    ingest::{
        dedupe::{Claim, IdDigest, Outcome, ended},
        parse::{Events, Intake, Parsed},
    },
    materialise::seen,
    model::{
        event::{SourceEvent, Standing},
        record,
        token::Token,
    },
    source::{SourceRuntime, SourceShape},
};

/// Bodies from here up are parsed off the async executor.
const LARGE_BYTES: usize = 64 << 10;

/// What became of the events of one request. `refused` and `acknowledged` together are all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngestAnswer {
    /// Events that are durable now, whatever became of them below.
    pub acknowledged: usize,
    /// Of these, events whose id was there before: they count once.
    pub duplicates: usize,
    /// Of these, events too far in the future: they are in the table `<source>__quarantine`.
    pub quarantined: usize,
    /// Of these, events older than the retention: they are in the table `<source>__late`.
    pub late: usize,
    /// Events that do not fit the source, by their position in the request.
    pub refused: Vec<Refused>,
    /// Give it to a read or a prediction that must see these events.
    pub token: String,
}

/// An event that does not fit its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its position in the request, from 0; blank lines do not count.
    pub index: usize,
    /// Why.
    pub reason: String,
}

#[derive(Default)]
struct Tally {
    duplicates: usize,
    quarantined: usize,
    late: usize,
    end: u64,
}

impl Features {
    /// Takes in events of a source. Returns when all that fit are durable: they survive a crash from then on.
    ///
    /// Sending the same events again is safe where the source declares an event id. An error means that nothing is known
    /// to be durable: send them again.
    pub async fn ingest(&self, source: &str, events: Events) -> Result<IngestAnswer, FeaturesError> {
        let runtime = self.inner.source_to_fill(source)?;
        self.inner.has_room(&runtime)?;
        let limit = self.inner.limits.ingest_bytes_at_once;
        let bytes = u32::try_from(events.bytes()).unwrap_or(u32::MAX).min(limit);
        let room = Arc::clone(&self.inner.ingest_room).try_acquire_many_owned(bytes);
        let room = room.map_err(|_| FeaturesError::Crowded { limit })?;
        let inner = Arc::clone(&self.inner);
        // On its own task: a caller that goes away must not leave claimed ids behind while the append is on its way.
        let work = self.inner.tracker.spawn(async move {
            let _room = room;
            inner.accept(runtime, events).await
        });
        work.await.map_err(|_| FeaturesError::Stopped { what: "ingest" })?
    }
}

impl Inner {
    /// A source that takes events. One that was dropped keeps running for what still reads it, and takes nothing in.
    pub(crate) fn source_in_force(&self, name: &str) -> Result<Arc<SourceRuntime>, FeaturesError> {
        let definitions = self.definitions();
        if definitions.sources.contains_key(name) {
            return self.source(name);
        }
        let nearest = nearest(name, definitions.sources.keys().map(Name::as_str)).map(str::to_owned);
        Err(FeaturesError::UnknownSource { name: name.to_owned(), nearest })
    }

    /// The same, and it takes events from others: one that is selected from another source has no other events.
    pub(crate) fn source_to_fill(&self, name: &str) -> Result<Arc<SourceRuntime>, FeaturesError> {
        let runtime = self.source_in_force(name)?;
        let definitions = self.definitions();
        let select = definitions.sources.get(name).and_then(|source| source.definition.select.as_ref());
        match select {
            Some(select) => {
                let from = select.from.to_string();
                Err(FeaturesError::Selected { source_name: name.to_owned(), from })
            }
            None => Ok(runtime),
        }
    }
}

impl Inner {
    async fn accept(
        self: Arc<Self>,
        runtime: Arc<SourceRuntime>,
        events: Events,
    ) -> Result<IngestAnswer, FeaturesError> {
        if self.cancel.is_cancelled() {
            return Err(FeaturesError::Stopped { what: "the server" });
        }
        let shape = runtime.shape();
        let received = self.clock.now();
        let Parsed { events, refused } = self.parse(&runtime, &shape, received, events).await?;
        let acknowledged = events.len();
        let events: Vec<SourceEvent> = events.into_iter().map(|(_, event)| event).collect();
        let tally = self.append(&runtime, &shape, events).await?;
        let answer = IngestAnswer {
            acknowledged,
            duplicates: tally.duplicates,
            quarantined: tally.quarantined,
            late: tally.late,
            refused,
            token: Token::new(runtime.name.as_str(), tally.end).to_string(),
        };
        count(&runtime, &answer);
        Ok(answer)
    }

    async fn parse(
        self: &Arc<Self>,
        runtime: &SourceRuntime,
        shape: &Arc<SourceShape>,
        received: Timestamp,
        events: Events,
    ) -> Result<Parsed, FeaturesError> {
        let watermark = runtime.ingest_watermark();
        if events.bytes() < LARGE_BYTES {
            return Intake { schema: &shape.schema, limits: &self.limits, received, watermark }.parse(events);
        }
        let (inner, shape) = (Arc::clone(self), Arc::clone(shape));
        let work = tokio::task::spawn_blocking(move || {
            Intake { schema: &shape.schema, limits: &inner.limits, received, watermark }.parse(events)
        });
        work.await.map_err(|_| FeaturesError::Stopped { what: "ingest" })?
    }

    /// Appends the events that are new, and waits for the appends of others that hold the ids of the rest.
    async fn append(
        &self,
        runtime: &Arc<SourceRuntime>,
        shape: &SourceShape,
        mut events: Vec<SourceEvent>,
    ) -> Result<Tally, FeaturesError> {
        let mut tally = Tally::default();
        loop {
            let mut ticket = runtime.dedupe.ticket();
            let mut fresh = Vec::with_capacity(events.len());
            let mut waiting = VecDeque::new();
            for event in events {
                if !shape.schema.has_ids_once() {
                    fresh.push(event);
                    continue;
                }
                let seen =
                    || seen::end_of(&self.online, &runtime.name, &event.id, event.received, &shape.schema);
                match ticket.claim(IdDigest::of(&event.id), seen)? {
                    Claim::Ours => fresh.push(event),
                    Claim::Repeated => tally.duplicates += 1,
                    Claim::Durable(end) => {
                        tally.duplicates += 1;
                        tally.end = tally.end.max(end);
                    }
                    Claim::InFlight(outcome) => waiting.push_back((event, outcome)),
                }
            }
            let payloads: Vec<Bytes> = fresh
                .iter()
                .map(|event| Bytes::from(record::encode_event(shape.schema.fingerprint, event)))
                .collect();
            // An empty append still waits until everything before it is durable.
            let range = runtime.topic.append(payloads).await?;
            ticket.settle(range.end);
            tally.end = tally.end.max(range.end);
            for event in &fresh {
                match event.standing {
                    Standing::Regular => runtime.advance_ingest_watermark(event.time),
                    Standing::Quarantined => tally.quarantined += 1,
                    Standing::Late => tally.late += 1,
                    Standing::Deletion => {}
                }
            }
            events = Vec::new();
            for (event, outcome) in waiting {
                let outcome: Outcome = ended(outcome).await;
                match outcome {
                    Some(end) => {
                        tally.duplicates += 1;
                        tally.end = tally.end.max(end);
                    }
                    None => events.push(event),
                }
            }
            if events.is_empty() {
                return Ok(tally);
            }
        }
    }
}

fn count(runtime: &SourceRuntime, answer: &IngestAnswer) {
    let source = runtime.name.to_string();
    let regular = answer.acknowledged - answer.duplicates - answer.quarantined - answer.late;
    runtime.tally.received(|received| {
        received.events += regular as u64;
        received.duplicates += answer.duplicates as u64;
        received.quarantined += answer.quarantined as u64;
        received.late += answer.late as u64;
        received.refused += answer.refused.len() as u64;
    });
    for (outcome, count) in [
        ("acknowledged", regular),
        ("duplicate", answer.duplicates),
        ("quarantined", answer.quarantined),
        ("late", answer.late),
        ("refused", answer.refused.len()),
    ] {
        if count > 0 {
            metrics::counter!("shipway_ingest_events_total", "source" => source.clone(), "outcome" => outcome)
                .increment(count as u64);
        }
    }
    if answer.late > 0 {
        metrics::counter!("shipway_late_events_total", "source" => source).increment(answer.late as u64);
    }
}

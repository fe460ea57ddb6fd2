//! The way of a delivery: claim the partitions, leave out what was taken in before, claim ids, append, move on.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use shipway_core::{Timestamp, Value};

use crate::{
    deliver::{Delivery, Message, Rejection, TakenIn},
    error::FeaturesError,
    features::{Features, Inner},
    ingest::{
        Intake,
        dedupe::{Claim, IdDigest, Outcome, Ticket, ended},
    },
    materialise::{off_the_executor, seen},
    model::{
        dead_letter::DeadLetter,
        event::{SourceEvent, Standing},
        origin::{Feed, Origin},
        record,
        schema::SourceSchema,
        token::Token,
    },
    source::{SourceRuntime, SourceShape},
};

/// A longer message is not kept: a record of the log has a bound of its own.
const LONGEST_MESSAGE: usize = 8 << 20;

/// A message on its way into the log.
enum Coming {
    Event(SourceEvent),
    Dead(DeadLetter),
    /// There is nothing to keep of it but its position.
    Nothing,
}

impl Features {
    /// Takes over a partition of a feed: from now on deliveries of it under an earlier generation are refused, so that a reader
    /// that does not know of its end cannot write. Answers with the next message, if any was ever read.
    pub async fn claim_partition(
        &self,
        source: &str,
        feed: Feed,
        generation: u64,
        partition: u32,
    ) -> Result<Option<u64>, FeaturesError> {
        let runtime = self.inner.source_in_force(source)?;
        let mut feeds = runtime.feeds.lock().await;
        feeds.claim(feed, generation, partition)?;
        Ok(feeds.next(feed, partition))
    }

    /// Notes that a partition is read from `position` on, so that a crash before its first message changes nothing about that. Also
    /// the way over messages that nobody wants: a position only moves on, never back.
    pub async fn pass_to(
        &self,
        source: &str,
        feed: Feed,
        generation: u64,
        (partition, position): (u32, u64),
    ) -> Result<(), FeaturesError> {
        let runtime = self.inner.source_in_force(source)?;
        let mut feeds = runtime.feeds.lock().await;
        feeds.check(feed, generation, partition)?;
        let stands = feeds.next(feed, partition).unwrap_or(0);
        let Some(last) = position.checked_sub(1).filter(|_| position > stands) else { return Ok(()) };
        let origin = Origin { feed, partition, offset: last };
        runtime.topic.append(vec![Bytes::from(record::encode_passed(origin))]).await?;
        feeds.pass(origin);
        Ok(())
    }

    /// Takes in messages of a broker. Returns when they are durable, together with their positions.
    ///
    /// A message that was taken in before is left out, so delivering again is always safe. An error means that the positions
    /// have not moved: deliver again. Waits while the states are too far behind the log.
    pub async fn deliver(&self, source: &str, delivery: Delivery) -> Result<TakenIn, FeaturesError> {
        let runtime = self.inner.source_in_force(source)?;
        self.inner.wait_for_room(&runtime).await?;
        let inner = Arc::clone(&self.inner);
        // On its own task: a caller that goes away must not leave claimed ids behind while the append is on its way.
        let work = self.inner.tracker.spawn(async move { inner.take_in(&runtime, delivery).await });
        work.await.map_err(|_| FeaturesError::Stopped { what: "a delivery" })?
    }
}

impl Inner {
    async fn take_in(
        self: Arc<Self>,
        runtime: &Arc<SourceRuntime>,
        delivery: Delivery,
    ) -> Result<TakenIn, FeaturesError> {
        if self.cancel.is_cancelled() {
            return Err(FeaturesError::Stopped { what: "the server" });
        }
        let mut feeds = runtime.feeds.lock().await;
        let Delivery { feed, topic, generation, columns, messages } = delivery;
        let shape = runtime.shape();
        let places = shape.schema.places_in(&columns);
        let mut taken = TakenIn::default();
        let mut next = BTreeMap::new();
        let mut fresh = Vec::with_capacity(messages.len());
        for message in messages {
            let partition = message.partition;
            feeds.check(feed, generation, partition)?;
            let next = next.entry(partition).or_insert_with(|| feeds.next(feed, partition).unwrap_or(0));
            if message.offset < *next {
                taken.repeated += 1;
                continue;
            }
            *next = message.offset + 1;
            fresh.push(message);
        }
        if fresh.is_empty() {
            taken.token = Token::new(runtime.name.as_str(), runtime.topic.end()).to_string();
            return Ok(taken);
        }
        let received = self.clock.now();
        let judge =
            Judge { feed, topic: topic.into(), received, watermark: runtime.ingest_watermark(), places };
        let (inner, judged_shape) = (Arc::clone(&self), Arc::clone(&shape));
        let coming =
            off_the_executor(&self, move || Ok(judge.all(&inner, &judged_shape.schema, fresh))).await?;
        let end = self.append_delivery(runtime, &shape, &coming, &mut taken).await?;
        coming.iter().for_each(|(origin, _)| feeds.pass(*origin));
        taken.token = Token::new(runtime.name.as_str(), end).to_string();
        count(runtime, &taken);
        Ok(taken)
    }

    /// Appends in one piece, in the order of the messages: of whatever a crash leaves of it, the positions say how much that is.
    async fn append_delivery(
        &self,
        runtime: &Arc<SourceRuntime>,
        shape: &SourceShape,
        coming: &[(Origin, Coming)],
        taken: &mut TakenIn,
    ) -> Result<u64, FeaturesError> {
        let (ticket, is_new) = self.claim_ids(runtime, &shape.schema, coming).await?;
        let mut payloads = Vec::with_capacity(coming.len());
        let mut passed = BTreeMap::new();
        for ((origin, coming), is_new) in coming.iter().zip(is_new) {
            // A position that has a record of its own needs no other; the last of each partition without one gets a note.
            let payload = match coming {
                Coming::Event(event) if is_new => {
                    Some(record::encode_delivered(shape.schema.fingerprint, event, *origin))
                }
                Coming::Dead(letter) => Some(record::encode_dead(letter)),
                Coming::Event(_) | Coming::Nothing => None,
            };
            match payload {
                Some(payload) => {
                    passed.remove(&origin.partition);
                    payloads.push(Bytes::from(payload));
                }
                None => drop(passed.insert(origin.partition, *origin)),
            }
            match coming {
                Coming::Event(_) if !is_new => taken.duplicates += 1,
                Coming::Event(event) => match event.standing {
                    Standing::Regular | Standing::Deletion => taken.events += 1,
                    Standing::Quarantined => taken.quarantined += 1,
                    Standing::Late => taken.late += 1,
                },
                Coming::Dead(_) => taken.dead += 1,
                Coming::Nothing => taken.empty += 1,
            }
        }
        payloads.extend(passed.into_values().map(|origin| Bytes::from(record::encode_passed(origin))));
        let range = runtime.topic.append(payloads).await?;
        ticket.settle(range.end);
        for (_, coming) in coming {
            if let Coming::Event(event) = coming
                && event.standing == Standing::Regular
            {
                runtime.advance_ingest_watermark(event.time);
            }
        }
        Ok(range.end)
    }

    /// Claims the ids of all events at once, so that the append keeps the order of the messages; says which are new.
    async fn claim_ids(
        &self,
        runtime: &Arc<SourceRuntime>,
        schema: &SourceSchema,
        coming: &[(Origin, Coming)],
    ) -> Result<(Ticket, Vec<bool>), FeaturesError> {
        loop {
            let mut ticket = runtime.dedupe.ticket();
            let mut is_new = Vec::with_capacity(coming.len());
            let mut held = None;
            for (_, coming) in coming {
                let Coming::Event(event) = coming else {
                    is_new.push(true);
                    continue;
                };
                if !schema.has_ids_once() {
                    is_new.push(true);
                    continue;
                }
                let seen = || seen::end_of(&self.online, &runtime.name, &event.id, event.received, schema);
                match ticket.claim(IdDigest::of(&event.id), seen)? {
                    Claim::Ours => is_new.push(true),
                    Claim::Repeated | Claim::Durable(_) => is_new.push(false),
                    Claim::InFlight(outcome) => {
                        held = Some(outcome);
                        break;
                    }
                }
            }
            let Some(outcome) = held else { return Ok((ticket, is_new)) };
            // Whoever holds the id may wait for one of ours: ours are given back before we wait.
            drop(ticket);
            let _: Outcome = ended(outcome).await;
        }
    }
}

/// What every message of a delivery shares.
struct Judge {
    feed: Feed,
    topic: Box<str>,
    received: Timestamp,
    watermark: Timestamp,
    /// Where the value of each column of the source is among those of a message.
    places: Vec<Option<usize>>,
}

impl Judge {
    fn all(&self, inner: &Inner, schema: &SourceSchema, messages: Vec<Message>) -> Vec<(Origin, Coming)> {
        let intake =
            Intake { schema, limits: &inner.limits, received: self.received, watermark: self.watermark };
        messages.into_iter().map(|message| self.one(&intake, message)).collect()
    }

    fn one(&self, intake: &Intake<'_>, mut message: Message) -> (Origin, Coming) {
        let origin = Origin { feed: self.feed, partition: message.partition, offset: message.offset };
        let content = std::mem::replace(&mut message.content, Ok(None));
        let bytes =
            message.message.as_ref().map_or(0, Bytes::len) + message.key.as_ref().map_or(0, Bytes::len);
        if bytes > LONGEST_MESSAGE {
            (message.message, message.key) = (None, None);
            return (origin, self.dead(origin, message, Fault::TooLong { bytes }.into()));
        }
        let values = match content {
            Ok(None) => return (origin, Coming::Nothing),
            Ok(Some(values)) => values,
            Err(rejection) => return (origin, self.dead(origin, message, rejection)),
        };
        let value =
            |place: &Option<usize>| place.and_then(|place| values.get(place)).cloned().unwrap_or(Value::Null);
        let id = || format!("{}/{}/{}", self.topic, origin.partition, origin.offset).into();
        match intake.event(self.places.iter().map(value).collect(), id) {
            Ok(event) => (origin, Coming::Event(event)),
            Err(reason) => (origin, self.dead(origin, message, Fault::NoEvent { reason }.into())),
        }
    }

    fn dead(&self, origin: Origin, message: Message, rejection: Rejection) -> Coming {
        Coming::Dead(DeadLetter {
            origin,
            topic: self.topic.clone(),
            sent: message.sent,
            received: self.received,
            key: message.key,
            message: message.message,
            code: rejection.code.into(),
            reason: rejection.reason.into(),
        })
    }
}

/// Why a message that could be read is no event.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{reason}")]
    NoEvent { reason: String },
    #[error("key and message have {bytes} bytes, the limit is {LONGEST_MESSAGE}; they are not kept")]
    TooLong { bytes: usize },
}

impl Fault {
    const fn code(&self) -> &'static str {
        match self {
            Self::NoEvent { .. } => "features.event_refused",
            Self::TooLong { .. } => "features.message_too_long",
        }
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self { code: fault.code().to_owned(), reason: fault.to_string() }
    }
}

fn count(runtime: &SourceRuntime, taken: &TakenIn) {
    let source = runtime.name.to_string();
    runtime.tally.received(|received| {
        received.events += taken.events as u64;
        received.duplicates += (taken.duplicates + taken.repeated) as u64;
        received.quarantined += taken.quarantined as u64;
        received.late += taken.late as u64;
        received.dead_letters += taken.dead as u64;
    });
    for (outcome, count) in [
        ("acknowledged", taken.events),
        ("duplicate", taken.duplicates + taken.repeated),
        ("quarantined", taken.quarantined),
        ("late", taken.late),
        ("dead_letter", taken.dead),
        ("empty", taken.empty),
    ] {
        if count > 0 {
            metrics::counter!("shipway_ingest_events_total", "source" => source.clone(), "outcome" => outcome)
                .increment(count as u64);
        }
    }
    if taken.late > 0 {
        metrics::counter!("shipway_late_events_total", "source" => source).increment(taken.late as u64);
    }
}

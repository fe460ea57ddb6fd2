//! One source: reads, decodes, delivers; after any failure again, from the positions that are kept with the events.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use shipway_broker::{
    Broker, BrokerError, Event, Message, Positions, PositionsFailure, Start, Subscribe, Subscription,
};
use shipway_core::{Clock, Name, failure::chain};
use shipway_definitions::{Source, Stream, StreamStart};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    connections::Connections,
    decoding::SourceDecoder,
    error::StreamsError,
    port::{Delivered, Feed, SharedIntake},
    status::Board,
    streams::feed_of,
};

const MESSAGES_AT_ONCE: usize = 8_192;
const BYTES_AT_ONCE: usize = 16 << 20;
/// How long a reader waits for messages before it looks whether it should do something else.
const WAIT: Duration = Duration::from_millis(500);
/// How often the broker is told how far we are, and asked how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long leaving a group may take. A broker that is gone while it is told how far we are does not answer; the group then finds
/// out by itself that we left.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The reader of one source.
pub(crate) struct Reader {
    pub(crate) source: Arc<Source>,
    pub(crate) stream: Stream,
    pub(crate) connections: Arc<Connections>,
    pub(crate) intake: SharedIntake,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) board: Arc<Board>,
    pub(crate) cancel: CancellationToken,
}

impl Reader {
    /// Reads until it is cancelled.
    pub(crate) async fn run(self) {
        let mut pause = FIRST_PAUSE;
        while !self.cancel.is_cancelled() {
            let began = Instant::now();
            let Err(error) = self.session().await else { return };
            self.failed(&error);
            // A session that lasted was no part of the same trouble.
            if began.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Shows a failure, and tells of it unless it was told before.
    fn failed(&self, error: &StreamsError) {
        if self.board.failed(error, self.clock.now()) {
            let (source, topic) = (&self.source.name, &self.stream.topic);
            tracing::warn!(%source, topic, error = chain(error), "a stream cannot go on; it tries again");
        }
    }

    /// One membership of the group, from joining to leaving; `Ok` when it was cancelled.
    async fn session(&self) -> Result<(), StreamsError> {
        let options = self.connections.options(&self.stream.broker)?;
        let decoder = SourceDecoder::new(&self.source, &self.stream, options.registry.as_ref())?;
        let group = format!("{}-{}", options.settings.group, self.source.name);
        let broker = self.connections.broker(&self.stream.broker).await?;
        let feed = feed_of(&self.connections, &self.stream)?;
        let positions = KeptPositions {
            intake: Arc::clone(&self.intake),
            source: self.source.name.clone(),
            feed: feed.clone(),
        };
        let subscribe = Subscribe {
            topic: self.stream.topic.clone(),
            group: Some(group),
            start: match self.stream.start {
                StreamStart::Earliest => Start::Earliest,
                StreamStart::Latest => Start::Latest,
            },
            positions: Arc::new(positions),
        };
        let subscription = broker.subscribe(subscribe).await?;
        let membership = Membership {
            reader: self,
            broker,
            feed,
            decoder,
            generations: BTreeMap::new(),
            stuck: BTreeMap::new(),
            untold: BTreeMap::new(),
            told: Instant::now(),
            asked: None,
        };
        membership.read(subscription).await
    }
}

/// What a reader knows while it is a member of the group.
struct Membership<'r> {
    reader: &'r Reader,
    broker: Arc<dyn Broker>,
    feed: Feed,
    decoder: SourceDecoder,
    /// Under which generation each partition was assigned.
    generations: BTreeMap<u32, u64>,
    /// Partitions that stand still, with the position that the broker keeps no more. The others are read on.
    stuck: BTreeMap<u32, u64>,
    /// Positions that the broker was not told of.
    untold: BTreeMap<u32, u64>,
    told: Instant,
    asked: Option<Instant>,
}

impl Membership<'_> {
    async fn read(mut self, mut subscription: Box<dyn Subscription>) -> Result<(), StreamsError> {
        let cancel = self.reader.cancel.clone();
        let outcome = loop {
            let event = tokio::select! {
                biased;
                () = cancel.cancelled() => break Ok(()),
                event = subscription.next(MESSAGES_AT_ONCE, BYTES_AT_ONCE, WAIT) => event,
            };
            let handled = match event {
                Ok(event) => self.handle(event, subscription.as_mut()).await,
                Err(BrokerError::PositionGone { partition, position, topic, low, high }) => {
                    self.stuck.insert(partition, position);
                    Err(StreamsError::from(BrokerError::PositionGone {
                        partition,
                        position,
                        topic,
                        low,
                        high,
                    }))
                }
                Err(error) => Err(error.into()),
            };
            match handled {
                Err(error @ StreamsError::Broker(BrokerError::PositionGone { .. })) => {
                    self.reader.failed(&error)
                }
                Err(error) => break Err(error),
                Ok(()) => {}
            }
        };
        // After a failure nothing more is asked of a broker that may not be there: dropping leaves the group without waiting.
        outcome?;
        self.tell(subscription.as_mut()).await;
        // What was delivered is kept; to leave in order only lets others begin sooner.
        match tokio::time::timeout(LEAVE_WITHIN, subscription.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(source = %self.reader.source.name, error = chain(&error), "a group was not left in order");
            }
            Err(_) => {
                tracing::debug!(source = %self.reader.source.name, "the broker does not hear that a group is left")
            }
        }
        Ok(())
    }

    /// Whether a partition that stands still was told to go on elsewhere.
    async fn unstick(&mut self, subscription: &mut dyn Subscription) -> Result<(), StreamsError> {
        for (partition, stood_at) in self.stuck.clone() {
            let Some(generation) = self.generations.get(&partition).copied() else {
                self.stuck.remove(&partition);
                continue;
            };
            let source = &self.reader.source.name;
            let kept = self.reader.intake.claim(source, &self.feed, generation, partition).await?;
            if let Some(position) = kept.filter(|position| *position > stood_at) {
                subscription.seek(partition, position).await?;
                self.stuck.remove(&partition);
                let positions = self.stuck.is_empty().then_some((partition, position));
                self.reader.board.assigned(positions);
            }
        }
        Ok(())
    }

    async fn handle(
        &mut self,
        event: Event,
        subscription: &mut dyn Subscription,
    ) -> Result<(), StreamsError> {
        let board = &self.reader.board;
        match event {
            Event::Assigned { partitions, generation } => {
                self.generations.extend(partitions.iter().map(|partition| (partition.partition, generation)));
                for partition in &partitions {
                    let place = (partition.partition, partition.position);
                    let source = &self.reader.source.name;
                    self.reader.intake.pass_to(source, &self.feed, generation, place).await?;
                }
                board.assigned(partitions.iter().map(|partition| (partition.partition, partition.position)));
            }
            Event::Revoked { partitions, lost } => {
                tracing::info!(source = %self.reader.source.name, ?partitions, lost, "partitions go to another reader");
                // Each delivery ended before this was heard, so there is nothing left to write.
                self.generations.retain(|partition, _| !partitions.contains(partition));
                board.revoked(&partitions);
                if !lost {
                    self.tell(subscription).await;
                }
                self.untold.retain(|partition, _| !partitions.contains(partition));
                subscription.revoked_done().await?;
            }
            Event::Messages(messages) => self.deliver(messages).await?,
            Event::Idle => {}
        }
        if self.told.elapsed() >= TELL_EVERY {
            self.tell(subscription).await;
            self.unstick(subscription).await?;
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            self.asked = Some(Instant::now());
            board.ends(&self.broker.ends(&self.feed.topic).await?);
        }
        Ok(())
    }

    async fn deliver(&mut self, messages: Vec<Message>) -> Result<(), StreamsError> {
        // Usually all partitions were assigned in one step.
        let mut by_generation: BTreeMap<u64, Vec<Message>> = BTreeMap::new();
        for message in messages {
            let generation = self.generations.get(&message.partition).copied().unwrap_or_default();
            by_generation.entry(generation).or_default().push(message);
        }
        for (generation, messages) in by_generation {
            let mut positions = BTreeMap::new();
            for message in &messages {
                positions.insert(message.partition, message.offset + 1);
            }
            let delivered = Delivered {
                feed: self.feed.clone(),
                generation,
                columns: self.decoder.columns.clone(),
                messages: self.decoder.all(messages).await?,
            };
            let counts = self.reader.intake.deliver(&self.reader.source.name, delivered).await?;
            self.reader.board.took(&counts, &positions, self.reader.clock.now());
            self.untold.extend(positions);
        }
        Ok(())
    }

    /// Tells the broker how far we are, for its own tools. That it may fail harms nothing: the positions are kept here.
    async fn tell(&mut self, subscription: &mut dyn Subscription) {
        self.told = Instant::now();
        let positions: Vec<(u32, u64)> = std::mem::take(&mut self.untold).into_iter().collect();
        if positions.is_empty() {
            return;
        }
        if let Err(error) = subscription.commit(&positions).await {
            tracing::debug!(source = %self.reader.source.name, error = chain(&error), "the broker was not told how far we are");
        }
    }
}

/// The number of the next owner of a partition, where its broker numbers none.
static OWNERS: AtomicU64 = AtomicU64::new(1);

/// The positions that are kept with the events of a source.
struct KeptPositions {
    intake: SharedIntake,
    source: Name,
    feed: Feed,
}

impl fmt::Debug for KeptPositions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeptPositions").field("source", &self.source).finish_non_exhaustive()
    }
}

#[async_trait]
impl Positions for KeptPositions {
    async fn position(&self, partition: u32, generation: u64) -> Result<Option<u64>, PositionsFailure> {
        let position = self.intake.claim(&self.source, &self.feed, generation, partition).await;
        position.map_err(|failure| StreamsError::from(failure).into())
    }

    /// Claims are kept in this process, and end with it. So a number that this process never gave before is higher than every other.
    async fn next_generation(&self, _partition: u32) -> Result<u64, PositionsFailure> {
        Ok(OWNERS.fetch_add(1, Ordering::Relaxed))
    }
}

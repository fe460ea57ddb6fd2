//! The task that owns one partition for a subscription, as long as it can.
//!
//! It holds two consumers. The *holder* has the group's lasting subscription, which the broker gives to one member at a time; it takes
//! no message. The *reader* is made anew for each place to read from, and leaves nothing behind at the broker. So where reading
//! begins is said by our position alone. What is committed is acknowledged by the holder, up to the entry before the last one that
//! was read: that one stays, and its coming again proves that nothing behind it was removed.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use shipway_core::Failure;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    cluster::{Cluster, Extent, Part},
    commands::MessageId,
    connection::{Connection, ToConsumer},
    consumer::{Consumer, Reads},
    entry,
    failure::Asked,
    place::Place,
    track::{Arrived, Track},
    window::Window,
};
use crate::{BrokerError, Message, Positions, Start, batch::message_bytes};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often we ask whether the member that has a partition has left.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long a broker may be unready without a word.
const BORNE: Duration = Duration::from_secs(1);

/// What the subscription wants.
#[derive(Debug)]
pub(super) enum Command {
    Seek {
        position: u64,
        /// What follows carries this number, so that what came before is told from it.
        epoch: u64,
    },
    Commit {
        position: u64,
    },
    /// The caller has heard that the partition was lost.
    Done,
}

/// What the subscription hears.
#[derive(Debug)]
pub(super) enum Happening {
    Assigned {
        partition: u32,
        position: u64,
        generation: u64,
    },
    Messages {
        partition: u32,
        epoch: u64,
        messages: VecDeque<Message>,
        room: OwnedSemaphorePermit,
    },
    Lost {
        partition: u32,
    },
    Failed {
        partition: u32,
        epoch: u64,
        failure: BrokerError,
    },
    /// The topic has so many partitions by now.
    Grown {
        partitions: u32,
    },
}

/// What an owner needs.
pub(super) struct Owner {
    pub(super) cluster: Arc<Cluster>,
    pub(super) part: Part,
    pub(super) group: String,
    pub(super) start: Start,
    pub(super) positions: Arc<dyn Positions>,
    /// Bytes that may wait for the caller, of all partitions together.
    pub(super) room: Arc<Semaphore>,
    /// This partition's share of what the broker may send ahead, in bytes.
    pub(super) share: u64,
    pub(super) happenings: mpsc::UnboundedSender<Happening>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
    pub(super) leaving: CancellationToken,
    pub(super) epoch: u64,
    /// The failure that was told last, and lasts.
    pub(super) told: Option<&'static str>,
    /// Since when nothing goes well.
    pub(super) failing_since: Option<Instant>,
}

/// How an ownership ended.
enum End {
    /// Another member has the partition.
    Busy,
    /// It was ours, and is not any more.
    Lost,
    /// It could not be taken.
    Failed(BrokerError),
}

impl From<BrokerError> for End {
    fn from(failure: BrokerError) -> Self {
        Self::Failed(failure)
    }
}

/// Why reading ended.
enum Stop {
    Lost,
    Sought(u64),
    /// It may be ours, and still cannot be read.
    Failed(BrokerError),
    /// The partition stands still until somebody says where to read on.
    Stuck(BrokerError),
}

/// A partition that is ours.
struct Held {
    connection: Arc<Connection>,
    holder: Consumer,
    is_told: bool,
}

impl Owner {
    /// Owns the partition whenever it can, until the subscription leaves.
    pub(super) async fn run(mut self) {
        let leaving = self.leaving.clone();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut held = None;
            let end = tokio::select! {
                biased;
                () = leaving.cancelled() => None,
                end = self.own(&mut held) => Some(end),
            };
            let was_told = held.as_ref().is_some_and(|held: &Held| held.is_told);
            if let Some(held) = held {
                if end.is_none() {
                    self.commit_the_last(&held.holder);
                }
                held.holder.close(&self.cluster.settings).await;
            }
            let Some(end) = end else { return };
            if was_told {
                pause = FIRST_PAUSE;
                self.tell(Happening::Lost { partition: self.part.partition });
                tokio::select! {
                    biased;
                    () = leaving.cancelled() => return,
                    () = self.done() => {}
                }
            }
            let wait = match end {
                End::Busy => ASK_EVERY,
                End::Lost => FIRST_PAUSE,
                End::Failed(failure) => {
                    self.failed(failure);
                    pause
                }
            };
            tokio::select! {
                biased;
                () = leaving.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One ownership, from its beginning to its end.
    async fn own(&mut self, held: &mut Option<Held>) -> End {
        match self.take(held).await {
            Ok((begin, extent)) => match held {
                Some(held) => self.read_on(held, begin, extent).await,
                None => End::Lost,
            },
            Err(end) => end,
        }
    }

    /// Takes the partition, claims it at the store, and tells where it begins.
    async fn take(&mut self, held: &mut Option<Held>) -> Result<(u64, Extent), End> {
        let partition = self.part.partition;
        let settings = &self.cluster.settings;
        let connection = self.cluster.broker_of(&self.part).await?;
        let reads = Reads::holding(&self.group);
        let holder = Consumer::subscribe(&connection, settings, &self.part, reads).await;
        let holder = holder.map_err(|fault| match fault.is_busy() {
            true => End::Busy,
            false => End::Failed(fault.of(self.asked("join a group"))),
        })?;
        let held = held.insert(Held { connection, holder, is_told: false });
        let failed =
            |source| BrokerError::PositionsFailed { topic: self.part.called.clone(), partition, source };
        let generation = self.positions.next_generation(partition).await.map_err(failed)?;
        let kept = self.positions.position(partition, generation).await.map_err(failed)?;
        let extent = self.cluster.extent(&self.part).await?;
        let position = kept.unwrap_or(match self.start {
            Start::Earliest => extent.low,
            Start::Latest => extent.high,
        });
        // What was wanted before this is heard was wanted of an earlier ownership.
        while let Ok(command) = self.commands.try_recv() {
            self.adopt(&command);
        }
        self.told = None;
        self.failing_since = None;
        held.is_told = true;
        metrics::counter!("shipway_broker_rebalances_total", "topic" => self.part.called.clone())
            .increment(1);
        self.tell(Happening::Assigned { partition, position, generation });
        Ok((position, extent))
    }

    async fn read_on(&mut self, held: &mut Held, begin: u64, extent: Extent) -> End {
        let (mut position, mut known) = (begin, Some(extent));
        loop {
            let stuck = match self.read(held, position, known.take()).await {
                Stop::Lost => return End::Lost,
                Stop::Failed(failure) => return End::Failed(failure),
                Stop::Sought(sought) => {
                    position = sought;
                    continue;
                }
                Stop::Stuck(failure) => failure,
            };
            let partition = self.part.partition;
            self.tell(Happening::Failed { partition, epoch: self.epoch, failure: stuck });
            match self.stand_still(held).await {
                Some(sought) => position = sought,
                None => return End::Lost,
            }
        }
    }

    /// Reads from `position` on, until something else is wanted.
    async fn read(&mut self, held: &mut Held, position: u64, known: Option<Extent>) -> Stop {
        let extent = match known {
            Some(extent) => extent,
            None => match self.extent().await {
                Ok(extent) => extent,
                Err(stop) => return stop,
            },
        };
        if !extent.has(position) {
            return Stop::Stuck(self.gone(position, extent));
        }
        let reads = Reads::reading(&self.group, position);
        let reader = Consumer::subscribe(&held.connection, &self.cluster.settings, &self.part, reads).await;
        let mut reader = match reader {
            Ok(reader) => reader,
            Err(fault) => return self.failed_to(fault.of(self.asked("read a topic"))),
        };
        let mut track = Track::at(position);
        let mut window = Window::new(self.share);
        let mut waiting: Option<(VecDeque<Message>, u32)> = None;
        loop {
            if waiting.is_none()
                && let Some(more) = window.more()
            {
                reader.permit(more);
            }
            let bytes = waiting.as_ref().map_or(0, |(_, bytes)| *bytes);
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    None => return Stop::Lost,
                    Some(command) => {
                        self.adopt(&command);
                        match command {
                            Command::Seek { position, .. } => return Stop::Sought(position),
                            Command::Commit { position } => acknowledge(&held.holder, position),
                            Command::Done => {}
                        }
                    }
                },
                what = held.holder.next() => {
                    if !matches!(what, Some(ToConsumer::Entry { .. })) {
                        return self.lost(&held.holder);
                    }
                }
                room = Arc::clone(&self.room).acquire_many_owned(bytes), if waiting.is_some() => {
                    let Ok(room) = room else { return Stop::Lost };
                    if let Some((messages, _)) = waiting.take() {
                        let (partition, epoch) = (self.part.partition, self.epoch);
                        self.tell(Happening::Messages { partition, epoch, messages, room });
                    }
                }
                what = reader.next(), if waiting.is_none() => {
                    let Some(ToConsumer::Entry { id, entry }) = what else { return self.lost(&reader) };
                    let length = entry.len();
                    let (messages, sent) = match self.arrived(&mut track, &id, entry).await {
                        Ok(arrived) => arrived,
                        Err(stop) => return stop,
                    };
                    window.used(sent, length);
                    if !messages.is_empty() {
                        let bytes = messages.iter().map(message_bytes).sum();
                        waiting = Some((messages, self.room_for(bytes)));
                    }
                }
            }
        }
    }

    /// The messages of an entry that are new, and how many the broker counts it as.
    async fn arrived(
        &self,
        track: &mut Track,
        id: &MessageId,
        sent: Bytes,
    ) -> Result<(VecDeque<Message>, u32), Stop> {
        let Some(place) = Place::named(id) else { return Ok((VecDeque::new(), 1)) };
        match track.arrives(place) {
            Arrived::InOrder => {}
            Arrived::BehindAGap => {
                let extent = self.extent().await?;
                return Err(Stop::Stuck(self.gone(track.next(), extent)));
            }
            Arrived::InAnotherLedger { left } => {
                // Ledgers are removed from the oldest on. The one that was left is still there: so are all behind it.
                let extent = self.extent().await?;
                if Place::at(extent.low).ledger > left {
                    return Err(Stop::Stuck(self.gone(track.next(), extent)));
                }
                track.enters(place.ledger);
            }
        }
        let partition = self.part.partition;
        let offset = |place: Place| place.offset().unwrap_or(u64::MAX);
        if offset(Place::new(place.ledger, place.entry + 1, 0)) <= track.next() {
            // Read before, or passed over, perhaps because it cannot be read.
            return Ok((VecDeque::new(), entry::count(sent)));
        }
        let opened = entry::open(sent).map_err(|error| {
            Stop::Stuck(BrokerError::MessageUnreadable {
                topic: self.part.called.clone(),
                partition,
                position: offset(Place { batch: 0, ..place }).max(track.next()),
                behind: offset(Place::new(place.ledger, place.entry + 1, 0)),
                reason: error.to_string(),
            })
        })?;
        let mut messages = VecDeque::with_capacity(opened.pieces.len());
        for piece in opened.pieces {
            let place = Place { batch: piece.batch, ..place };
            let offset = self.cluster.placed(&self.part, place).map_err(Stop::Stuck)?;
            if track.is_new(offset) {
                messages.push_back(piece.placed(partition, offset));
            }
        }
        Ok((messages, opened.messages))
    }

    /// Keeps the partition without reading, until somebody says where to read on. `None` when it is lost.
    async fn stand_still(&mut self, held: &mut Held) -> Option<u64> {
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let command = command?;
                    self.adopt(&command);
                    match command {
                        Command::Seek { position, .. } => return Some(position),
                        Command::Commit { position } => acknowledge(&held.holder, position),
                        Command::Done => {}
                    }
                }
                what = held.holder.next() => {
                    if !matches!(what, Some(ToConsumer::Entry { .. })) {
                        return None;
                    }
                }
            }
        }
    }

    /// What was committed before the subscription left.
    fn commit_the_last(&mut self, holder: &Consumer) {
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Commit { position } = command {
                acknowledge(holder, position);
            }
        }
    }

    /// Waits until the caller has heard that the partition was lost.
    async fn done(&mut self) {
        while let Some(command) = self.commands.recv().await {
            self.adopt(&command);
            if matches!(command, Command::Done) {
                return;
            }
        }
        // Nobody commands any more: the subscription is gone, and the next look finds that it leaves.
        self.leaving.cancelled().await;
    }

    async fn extent(&self) -> Result<Extent, Stop> {
        self.cluster.extent(&self.part).await.map_err(|failure| self.failed_to(failure))
    }

    /// What to do about a failure while the partition is ours.
    fn failed_to(&self, failure: BrokerError) -> Stop {
        if matches!(failure, BrokerError::Unreachable { .. }) {
            // Whoever takes the partition again meets the same, and tells it if it lasts.
            tracing::debug!(topic = self.part.whole, %failure, "a partition was lost");
            return Stop::Lost;
        }
        Stop::Failed(failure)
    }

    fn asked(&self, action: &'static str) -> Asked<'_> {
        self.cluster.asked(Some(&self.part.called), action)
    }

    fn gone(&self, position: u64, extent: Extent) -> BrokerError {
        let Extent { low, high } = extent;
        let (topic, partition) = (self.part.called.clone(), self.part.partition);
        BrokerError::PositionGone { topic, partition, position, low, high }
    }

    fn lost(&self, consumer: &Consumer) -> Stop {
        tracing::debug!(topic = self.part.whole, reason = ?consumer.failure(), "a partition was lost");
        Stop::Lost
    }

    fn adopt(&mut self, command: &Command) {
        if let Command::Seek { epoch, .. } = command {
            self.epoch = *epoch;
        }
    }

    /// How much room messages take: never more than there is.
    fn room_for(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.cluster.settings.limits.fetched_bytes)
    }

    /// Tells a failure, unless the same was told before and nothing has gone well since. That a broker is not ready is told only when it
    /// lasts: it is so whenever a topic moves.
    fn failed(&mut self, failure: BrokerError) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if matches!(failure, BrokerError::Unreachable { .. }) && since.elapsed() < BORNE {
            return;
        }
        if self.told != Some(failure.code()) {
            self.told = Some(failure.code());
            metrics::counter!("shipway_broker_errors_total").increment(1);
            self.tell(Happening::Failed { partition: self.part.partition, epoch: self.epoch, failure });
        }
    }

    fn tell(&self, happening: Happening) {
        // A subscription that is gone hears nothing, and its owners leave.
        let _ = self.happenings.send(happening);
    }
}

/// Acknowledges what lies before the last entry that was read before `position`.
fn acknowledge(holder: &Consumer, position: u64) {
    let place = Place::at(position);
    // At the beginning of a ledger, the entry before is in another one, which nobody names here. The next commit takes it along.
    if let Some(before) = place.entry.checked_sub(1) {
        holder.acknowledge(place.ledger, before);
    }
}

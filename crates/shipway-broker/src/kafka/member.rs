//! The thread that polls for a member of a group.
//!
//! It polls when the caller asks for more, so nothing waits in a queue of ours: what was fetched ahead lies in
//! librdkafka, within its bound. While nobody asks, it pauses the partitions and goes on polling, so that a caller who
//! takes his time stays in the group. A rebalance is told to the caller and carried out only when he has answered;
//! the group waits for that as long as `max.poll.interval.ms` allows.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, KafkaResult},
    message::BorrowedMessage,
    types::RDKafkaErrorCode,
};
use tokio::sync::oneshot;

use super::{
    context::{Rebalance, Watching},
    failure::{self, Asked},
    generation, headers,
};
use crate::{
    BrokerError, Message, Partition, Settings, Start,
    batch::{Batch, Most},
};

/// How long a poll may take before the thread looks whether the subscription is still wanted.
const POLL: Duration = Duration::from_millis(100);
/// How many polls take in what waits while the caller is away. A poll does not say whether it took something in.
const POLLS_AWAY: usize = 16;

/// What the caller wants.
pub(super) enum Command {
    Next { most: Most, wait: Duration, answer: oneshot::Sender<Result<Happening, BrokerError>> },
    Begin { from: Vec<(u32, Option<u64>)>, answer: oneshot::Sender<Result<Vec<Partition>, BrokerError>> },
    Release { answer: oneshot::Sender<Result<(), BrokerError>> },
    Seek { partition: u32, position: u64, answer: oneshot::Sender<Result<(), BrokerError>> },
    Commit { positions: Vec<(u32, u64)>, answer: oneshot::Sender<Result<(), BrokerError>> },
}

/// What happened, as the thread sees it: an assignment has no positions yet.
#[derive(Debug)]
pub(super) enum Happening {
    Assigning { partitions: Vec<u32>, generation: u64 },
    Revoked { partitions: Vec<u32>, lost: bool },
    Messages(Vec<Message>),
    Idle,
}

/// A rebalance that was told and that the caller has not answered yet.
enum Told {
    Assigning { partitions: Vec<u32>, generation: u64 },
    Revoked { partitions: TopicPartitionList },
}

pub(super) struct Member {
    consumer: BaseConsumer<Watching>,
    settings: Settings,
    topic: String,
    start: Start,
    /// The next position of each partition that is ours.
    positions: BTreeMap<u32, u64>,
    told: Option<Told>,
    /// Read and not handed on yet: what did not fit any more.
    held: VecDeque<Message>,
    failures: VecDeque<BrokerError>,
    paused: bool,
    leaving: Arc<AtomicBool>,
}

impl Member {
    pub(super) fn new(
        consumer: BaseConsumer<Watching>,
        settings: Settings,
        (topic, start): (String, Start),
        leaving: Arc<AtomicBool>,
    ) -> Self {
        Self {
            consumer,
            settings,
            topic,
            start,
            positions: BTreeMap::new(),
            told: None,
            held: VecDeque::new(),
            failures: VecDeque::new(),
            paused: false,
            leaving,
        }
    }

    /// Serves the caller until he is gone; then leaves the group. `away` is how long he may be silent before the
    /// partitions are paused.
    pub(super) fn run(mut self, commands: &Receiver<Command>, away: Duration) {
        loop {
            match commands.recv_timeout(away) {
                Ok(command) => self.obey(command),
                Err(RecvTimeoutError::Timeout) => self.stay(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.leave();
    }

    // An answer that nobody takes any more is one whose subscription is gone, so it is not missed.
    fn obey(&mut self, command: Command) {
        match command {
            Command::Next { most, wait, answer } => drop(answer.send(self.next(most, wait))),
            Command::Begin { from, answer } => drop(answer.send(self.begin(&from))),
            Command::Release { answer } => drop(answer.send(self.release())),
            Command::Seek { partition, position, answer } => {
                drop(answer.send(self.seek(partition, position)))
            }
            Command::Commit { positions, answer } => drop(answer.send(self.commit(&positions))),
        }
    }

    fn next(&mut self, most: Most, wait: Duration) -> Result<Happening, BrokerError> {
        self.release()?;
        if let Some(Told::Assigning { partitions, generation }) = &self.told {
            return Ok(Happening::Assigning { partitions: partitions.clone(), generation: *generation });
        }
        self.resume()?;
        let deadline = Instant::now() + wait;
        let mut batch = Batch::new(most);
        loop {
            while let Some(message) = self.held.pop_front() {
                if let Err(message) = batch.add(message) {
                    self.held.push_front(message);
                    return Ok(Happening::Messages(batch.read_of(&self.topic)));
                }
            }
            let has_news = !self.failures.is_empty() || self.consumer.context().has_rebalance();
            let is_over = has_news || batch.is_full() || self.leaving.load(Ordering::Acquire);
            if is_over && !batch.is_empty() {
                return Ok(Happening::Messages(batch.read_of(&self.topic)));
            }
            if let Some(failure) = self.failures.pop_front() {
                return Err(failure);
            }
            if let Some(happening) = self.rebalanced()? {
                return Ok(happening);
            }
            // The clock is asked only where there is something to wait for.
            let left = if batch.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let patience = left.min(POLL);
            let polled = self.poll(patience);
            if polled || self.consumer.context().has_rebalance() {
                continue;
            }
            if !batch.is_empty() {
                return Ok(Happening::Messages(batch.read_of(&self.topic)));
            }
            if left.is_zero() || self.leaving.load(Ordering::Acquire) {
                return Ok(Happening::Idle);
            }
        }
    }

    /// Takes one thing from librdkafka, if there is one within `patience`: a message into what is held, a failure into
    /// the failures, a rebalance into the context.
    fn poll(&mut self, patience: Duration) -> bool {
        let error = match self.consumer.poll(patience) {
            None => return false,
            Some(Ok(message)) => {
                let partition = message.partition().cast_unsigned();
                let offset = message.offset().cast_unsigned();
                // What was fetched for a partition that is given up, or before a seek, is not ours any more.
                let next = self.positions.get_mut(&partition).filter(|next| offset >= **next);
                if let Some(next) = next {
                    *next = offset + 1;
                    self.held.push_back(owned(&message));
                }
                return true;
            }
            Some(Err(error)) => error,
        };
        self.failed(error);
        true
    }

    fn failed(&mut self, error: KafkaError) {
        let asked = Asked { bootstrap: &self.settings.bootstrap, topic: Some(&self.topic) };
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                self.failures.push_back(BrokerError::ClientBroken { reason: code.to_string() });
            }
            _ if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => self.find_gone(),
            _ if failure::mends_itself(&error) => {
                tracing::debug!(topic = self.topic, %error, "reading a topic was disturbed");
            }
            error => {
                let context = self.consumer.context();
                self.failures.push_back(asked.failed("read a topic", error, || context.said()));
            }
        }
    }

    /// Finds the partitions whose position the broker does not have. The library tells that there is one, and not which.
    fn find_gone(&mut self) {
        let within = self.settings.limits.request_within();
        for (&partition, &position) in &self.positions {
            let ends = self.consumer.fetch_watermarks(&self.topic, partition.cast_signed(), within);
            let Ok((low, high)) = ends else { continue };
            let (low, high) = (low.cast_unsigned(), high.cast_unsigned());
            if !(low..=high).contains(&position) {
                let topic = self.topic.clone();
                self.failures.push_back(BrokerError::PositionGone { topic, partition, position, low, high });
            }
        }
    }

    /// The next rebalance that concerns the caller. Those that do not are carried out at once.
    fn rebalanced(&mut self) -> Result<Option<Happening>, BrokerError> {
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            metrics::counter!("shipway_broker_rebalances_total", "topic" => self.topic.clone()).increment(1);
            match rebalance {
                Rebalance::Assign(list) => {
                    let number = generation::of(&self.consumer);
                    let (Some(number), true) = (number, list.count() > 0) else {
                        // Nothing new, or the member has just been put out of its group, which takes it all back.
                        self.tried("take partitions", self.consumer.incremental_assign(&list))?;
                        continue;
                    };
                    let generation = generation::in_era(self.settings.era, number);
                    let partitions = numbers(&list);
                    self.told = Some(Told::Assigning { partitions: partitions.clone(), generation });
                    return Ok(Some(Happening::Assigning { partitions, generation }));
                }
                Rebalance::Revoke { partitions: list, lost } => {
                    let mut partitions = numbers(&list);
                    partitions.retain(|partition| self.positions.remove(partition).is_some());
                    self.held.retain(|message| !partitions.contains(&message.partition));
                    self.told = Some(Told::Revoked { partitions: list });
                    if partitions.is_empty() {
                        self.release()?;
                        continue;
                    }
                    return Ok(Some(Happening::Revoked { partitions, lost }));
                }
            }
        }
        Ok(None)
    }

    /// Takes the partitions that were told, from the caller's positions on.
    fn begin(&mut self, from: &[(u32, Option<u64>)]) -> Result<Vec<Partition>, BrokerError> {
        let mut partitions = Vec::with_capacity(from.len());
        for &(partition, position) in from {
            let position = match position {
                Some(position) => position,
                None => self.start_of(partition)?,
            };
            partitions.push(Partition { partition, position });
        }
        let list = self.list(partitions.iter().map(|begun| (begun.partition, Some(begun.position))))?;
        self.tried("take partitions", self.consumer.incremental_assign(&list))?;
        self.positions.extend(partitions.iter().map(|begun| (begun.partition, begun.position)));
        self.told = None;
        Ok(partitions)
    }

    /// A number, and not "the end": a caller who keeps it finds what came between two starts.
    fn start_of(&self, partition: u32) -> Result<u64, BrokerError> {
        let within = self.settings.limits.request_within();
        let ends = self.consumer.fetch_watermarks(&self.topic, partition.cast_signed(), within);
        let (low, high) = self.tried("ask for the ends of a topic", ends)?;
        Ok(match self.start {
            Start::Earliest => low.cast_unsigned(),
            Start::Latest => high.cast_unsigned(),
        })
    }

    /// Gives up the partitions whose revocation was told. Nothing happens where none was.
    fn release(&mut self) -> Result<(), BrokerError> {
        if let Some(Told::Revoked { partitions }) = &self.told {
            self.tried("give up partitions", self.consumer.incremental_unassign(partitions))?;
            self.told = None;
        }
        Ok(())
    }

    /// By giving the partition up and taking it again, which also revives one that stands still after an error.
    fn seek(&mut self, partition: u32, position: u64) -> Result<(), BrokerError> {
        if !self.positions.contains_key(&partition) {
            return Err(BrokerError::NotAssigned { topic: self.topic.clone(), partition });
        }
        self.resume()?;
        let list = self.list([(partition, Some(position))])?;
        self.tried("give up partitions", self.consumer.incremental_unassign(&list))?;
        self.tried("take partitions", self.consumer.incremental_assign(&list))?;
        self.held.retain(|message| message.partition != partition);
        self.positions.insert(partition, position);
        Ok(())
    }

    fn commit(&self, positions: &[(u32, u64)]) -> Result<(), BrokerError> {
        let ours = positions.iter().filter(|(partition, _)| self.positions.contains_key(partition));
        let list = self.list(ours.map(|&(partition, position)| (partition, Some(position))))?;
        if list.count() == 0 {
            return Ok(());
        }
        self.tried("note positions at the broker", self.consumer.commit(&list, CommitMode::Async))
    }

    /// Stays in the group while the caller is away.
    fn stay(&mut self) {
        if !self.paused {
            let paused = self.list(self.ours()).map(|list| self.consumer.pause(&list));
            self.paused = matches!(paused, Ok(Ok(())));
        }
        for _ in 0..POLLS_AWAY {
            self.poll(Duration::ZERO);
        }
    }

    fn resume(&mut self) -> Result<(), BrokerError> {
        if self.paused {
            let list = self.list(self.ours())?;
            self.tried("go on reading", self.consumer.resume(&list))?;
            self.paused = false;
        }
        Ok(())
    }

    /// Carries out what was decided and not answered, and leaves: the caller has written his last. The consumer itself
    /// leaves when it is dropped.
    fn leave(mut self) {
        self.consumer.context().leave();
        let told = match self.told.take() {
            Some(Told::Revoked { partitions }) => self.consumer.incremental_unassign(&partitions),
            Some(Told::Assigning { partitions, .. }) => {
                let list = self.list(partitions.into_iter().map(|partition| (partition, None)));
                list.map_or(Ok(()), |list| self.consumer.incremental_assign(&list))
            }
            None => Ok(()),
        };
        if let Err(error) = told {
            tracing::warn!(topic = self.topic, %error, "a rebalance failed while the member leaves its group");
        }
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            let _ = match rebalance {
                Rebalance::Assign(list) => self.consumer.incremental_assign(&list),
                Rebalance::Revoke { partitions, .. } => self.consumer.incremental_unassign(&partitions),
            };
        }
    }

    fn ours(&self) -> impl Iterator<Item = (u32, Option<u64>)> {
        self.positions.keys().map(|&partition| (partition, None))
    }

    fn list(
        &self,
        partitions: impl IntoIterator<Item = (u32, Option<u64>)>,
    ) -> Result<TopicPartitionList, BrokerError> {
        let mut list = TopicPartitionList::new();
        for (partition, position) in partitions {
            let offset = position.map_or(Offset::Invalid, |position| Offset::Offset(position.cast_signed()));
            let added = list.add_partition_offset(&self.topic, partition.cast_signed(), offset);
            self.tried("name a position", added)?;
        }
        Ok(list)
    }

    fn tried<T>(&self, action: &'static str, result: KafkaResult<T>) -> Result<T, BrokerError> {
        let asked = Asked { bootstrap: &self.settings.bootstrap, topic: Some(&self.topic) };
        result.map_err(|error| asked.failed(action, error, || self.consumer.context().said()))
    }
}

fn owned(message: &BorrowedMessage<'_>) -> Message {
    Message {
        partition: message.partition().cast_unsigned(),
        offset: message.offset().cast_unsigned(),
        key: message.key().map(Bytes::copy_from_slice),
        value: message.payload().map(Bytes::copy_from_slice),
        timestamp_us: message.timestamp().to_millis().map(|milliseconds| milliseconds.saturating_mul(1000)),
        headers: headers::of(message),
    }
}

fn numbers(list: &TopicPartitionList) -> Vec<u32> {
    let mut numbers: Vec<_> =
        list.elements().iter().map(|element| element.partition().cast_unsigned()).collect();
    numbers.sort_unstable();
    numbers
}

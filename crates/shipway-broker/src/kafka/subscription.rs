//! The caller's side of a member of a group.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::sync::oneshot;

use super::{
    configuration,
    context::Watching,
    failure::Asked,
    member::{Command, Happening, Member},
};
use crate::{BrokerError, Event, Partition, Positions, Settings, Subscribe, Subscription, batch::Most};

/// How long a caller may be silent before his partitions are paused, unless the group allows less.
const AWAY: Duration = Duration::from_secs(5);

pub(super) struct KafkaSubscription {
    topic: String,
    positions: Arc<dyn Positions>,
    commands: mpsc::Sender<Command>,
    leaving: Arc<AtomicBool>,
    /// Ends when the thread does.
    left: oneshot::Receiver<()>,
    /// What a call that was dropped had asked for: its answer must not get lost.
    asked: Option<oneshot::Receiver<Result<Happening, BrokerError>>>,
    assigning: Option<(Vec<u32>, u64)>,
    beginning: Option<oneshot::Receiver<Result<Vec<Partition>, BrokerError>>>,
}

impl fmt::Debug for KafkaSubscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KafkaSubscription").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl KafkaSubscription {
    pub(super) fn join(settings: &Settings, subscribe: Subscribe) -> Result<Self, BrokerError> {
        let Subscribe { topic, group, start, positions } = subscribe;
        let group = group.as_deref().unwrap_or(&settings.group);
        let configuration = configuration::member(settings, group);
        let consumer: BaseConsumer<Watching> =
            configuration::client(settings, &configuration, Watching::default())?;
        let asked = Asked { bootstrap: &settings.bootstrap, topic: Some(&topic) };
        let subscribed = consumer.subscribe(&[&topic]);
        subscribed.map_err(|error| asked.failed("join a group", error, || consumer.context().said()))?;

        let (commands, to_obey) = mpsc::channel();
        let (leaves, left) = oneshot::channel();
        let leaving = Arc::new(AtomicBool::new(false));
        let member = Member::new(consumer, settings.clone(), (topic.clone(), start), Arc::clone(&leaving));
        let away = AWAY.min(Duration::from_millis(configuration::max_poll_interval_ms(settings) / 4));
        let run = move || {
            member.run(&to_obey, away);
            drop(leaves);
        };
        // A thread of its own: librdkafka's polls block. It ends with the subscription.
        let started = thread::Builder::new().name("broker-member".to_owned()).spawn(run);
        started.map_err(|error| BrokerError::ClientBroken { reason: format!("no thread: {error}") })?;
        Ok(Self { topic, positions, commands, leaving, left, asked: None, assigning: None, beginning: None })
    }

    fn closed(&self) -> BrokerError {
        BrokerError::Closed { topic: self.topic.clone() }
    }

    fn command<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<oneshot::Receiver<T>, BrokerError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).map_err(|_| self.closed())?;
        Ok(answered)
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, BrokerError>>) -> Command,
    ) -> Result<T, BrokerError> {
        self.command(command)?.await.unwrap_or_else(|_| Err(self.closed()))
    }

    /// Asks the caller's store where to begin, and begins there.
    async fn begin(&mut self) -> Result<Event, BrokerError> {
        if self.beginning.is_none() {
            let (partitions, generation) = self.assigning.clone().unwrap_or_default();
            let mut from = Vec::with_capacity(partitions.len());
            for partition in partitions {
                let position = self.positions.position(partition, generation).await;
                let failed =
                    |source| BrokerError::PositionsFailed { topic: self.topic.clone(), partition, source };
                from.push((partition, position.map_err(failed)?));
            }
            self.beginning = Some(self.command(|answer| Command::Begin { from, answer })?);
        }
        let begun = answer_of(&mut self.beginning).await.unwrap_or_else(|| Err(self.closed()))?;
        let generation = self.assigning.take().map_or(0, |(_, generation)| generation);
        Ok(Event::Assigned { partitions: begun, generation })
    }
}

/// Waits for an answer, which stays where it is when the wait is dropped. `None` when nobody will answer.
async fn answer_of<T>(asked: &mut Option<oneshot::Receiver<T>>) -> Option<T> {
    let answer = asked.as_mut()?.await.ok();
    *asked = None;
    answer
}

#[async_trait]
impl Subscription for KafkaSubscription {
    async fn next(
        &mut self,
        max_messages: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Event, BrokerError> {
        if self.assigning.is_none() {
            if self.asked.is_none() {
                let most = Most { messages: max_messages, bytes: max_bytes };
                self.asked = Some(self.command(|answer| Command::Next { most, wait, answer })?);
            }
            let happened = answer_of(&mut self.asked).await.unwrap_or_else(|| Err(self.closed()))?;
            match happened {
                Happening::Messages(messages) => return Ok(Event::Messages(messages)),
                Happening::Revoked { partitions, lost } => return Ok(Event::Revoked { partitions, lost }),
                Happening::Idle => return Ok(Event::Idle),
                Happening::Assigning { partitions, generation } => {
                    self.assigning = Some((partitions, generation));
                }
            }
        }
        self.begin().await
    }

    async fn revoked_done(&mut self) -> Result<(), BrokerError> {
        self.ask(|answer| Command::Release { answer }).await
    }

    async fn seek(&mut self, partition: u32, position: u64) -> Result<(), BrokerError> {
        self.ask(|answer| Command::Seek { partition, position, answer }).await
    }

    async fn commit(&mut self, positions: &[(u32, u64)]) -> Result<(), BrokerError> {
        let positions = positions.to_vec();
        self.ask(|answer| Command::Commit { positions, answer }).await
    }

    async fn close(mut self: Box<Self>) -> Result<(), BrokerError> {
        self.leaving.store(true, Ordering::Release);
        // The thread leaves when nobody can command it any more.
        let (nobody, _) = mpsc::channel();
        self.commands = nobody;
        // It never answers: its end is what is waited for.
        let _ = (&mut self.left).await;
        Ok(())
    }
}

impl Drop for KafkaSubscription {
    fn drop(&mut self) {
        self.leaving.store(true, Ordering::Release);
    }
}

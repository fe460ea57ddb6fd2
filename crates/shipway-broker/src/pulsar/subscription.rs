//! The caller's side of a subscription: what the owners of its partitions say, one thing at a time.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    cluster::{Cluster, Topic},
    owner::{Command, Happening, Owner},
};
use crate::{
    BrokerError, Event, Message, Partition, Positions, Start, Subscribe, Subscription,
    batch::{Batch, Most},
};

/// How often the cluster is asked whether the topic has more partitions by now.
const GROWN_EVERY: Duration = Duration::from_secs(10);

pub(super) struct PulsarSubscription {
    cluster: Arc<Cluster>,
    topic: Topic,
    group: String,
    start: Start,
    positions: Arc<dyn Positions>,
    room: Arc<Semaphore>,
    /// By partition.
    owners: Vec<Owned>,
    happened: mpsc::UnboundedReceiver<Happening>,
    happenings: mpsc::UnboundedSender<Happening>,
    /// Taken from the channel and not answered yet.
    held: VecDeque<Happening>,
    /// The partitions of the last revocation, until the caller has said that he wrote his last.
    revoked: Vec<u32>,
    leaving: CancellationToken,
    tasks: TaskTracker,
}

/// The owner of a partition, as seen from here.
struct Owned {
    commands: mpsc::UnboundedSender<Command>,
    is_ours: bool,
    epoch: u64,
}

impl fmt::Debug for PulsarSubscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PulsarSubscription").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl PulsarSubscription {
    pub(super) fn join(cluster: Arc<Cluster>, topic: Topic, subscribe: Subscribe) -> Self {
        let Subscribe { group, start, positions, .. } = subscribe;
        let (happenings, happened) = mpsc::unbounded_channel();
        let group = group.unwrap_or_else(|| cluster.settings.group.clone());
        let room = Arc::new(Semaphore::new(cluster.settings.limits.fetched_bytes as usize));
        let mut joined = Self {
            cluster,
            topic,
            group,
            start,
            positions,
            room,
            owners: Vec::new(),
            happened,
            happenings,
            held: VecDeque::new(),
            revoked: Vec::new(),
            leaving: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        joined.own(joined.topic.partitions());
        if joined.topic.is_partitioned() {
            joined.tasks.spawn(joined.watch());
        }
        joined
    }

    /// Starts an owner for each partition up to the number of them that has none.
    fn own(&mut self, partitions: u32) {
        let share = u64::from(self.cluster.settings.limits.fetched_bytes) / u64::from(partitions.max(1));
        let first = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        for partition in first..partitions {
            let (commands, commanded) = mpsc::unbounded_channel();
            let owner = Owner {
                cluster: Arc::clone(&self.cluster),
                part: self.topic.part(partition),
                group: self.group.clone(),
                start: self.start,
                positions: Arc::clone(&self.positions),
                room: Arc::clone(&self.room),
                share,
                happenings: self.happenings.clone(),
                commands: commanded,
                leaving: self.leaving.clone(),
                epoch: 0,
                told: None,
                failing_since: None,
            };
            self.tasks.spawn(owner.run());
            self.owners.push(Owned { commands, is_ours: false, epoch: 0 });
        }
    }

    /// Tells when the topic has more partitions.
    fn watch(&self) -> impl Future<Output = ()> + Send + use<> {
        let (cluster, called) = (Arc::clone(&self.cluster), self.topic.called.clone());
        let (happenings, leaving) = (self.happenings.clone(), self.leaving.clone());
        let mut partitions = self.topic.partitions();
        async move {
            let watches = async {
                loop {
                    tokio::time::sleep(GROWN_EVERY).await;
                    // A cluster that does not answer is told by whoever reads.
                    let Ok(topic) = cluster.named(&called).await else { continue };
                    if topic.partitions() > partitions {
                        partitions = topic.partitions();
                        if happenings.send(Happening::Grown { partitions }).is_err() {
                            return;
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                () = leaving.cancelled() => {}
                () = watches => {}
            }
        }
    }

    fn owned(&mut self, partition: u32) -> Option<&mut Owned> {
        self.owners.get_mut(partition as usize)
    }

    fn command(&self, partition: u32, command: Command) {
        if let Some(owned) = self.owners.get(partition as usize) {
            // An owner ends only when the subscription leaves.
            let _ = owned.commands.send(command);
        }
    }

    /// The caller has heard of the revocation and writes no more.
    fn say_done(&mut self) {
        for partition in std::mem::take(&mut self.revoked) {
            self.command(partition, Command::Done);
        }
    }

    /// The next happening that is there, without waiting.
    fn take(&mut self) -> Option<Happening> {
        self.held.pop_front().or_else(|| self.happened.try_recv().ok())
    }

    /// Whether a happening was overtaken by a seek.
    fn is_past(&self, partition: u32, epoch: u64) -> bool {
        self.owners.get(partition as usize).is_none_or(|owned| owned.epoch != epoch)
    }

    /// What the caller hears of a happening that is no message; `None` where it is nothing for him.
    fn event_of(&mut self, happening: Happening) -> Option<Result<Event, BrokerError>> {
        match happening {
            Happening::Assigned { partition, position, generation } => {
                self.owned(partition)?.is_ours = true;
                let partitions = vec![Partition { partition, position }];
                Some(Ok(Event::Assigned { partitions, generation }))
            }
            Happening::Lost { partition } => {
                self.owned(partition)?.is_ours = false;
                self.revoked.push(partition);
                Some(Ok(Event::Revoked { partitions: vec![partition], lost: true }))
            }
            Happening::Failed { partition, epoch, failure } => {
                (!self.is_past(partition, epoch)).then_some(Err(failure))
            }
            Happening::Grown { partitions } => {
                self.own(partitions);
                None
            }
            Happening::Messages { .. } => None,
        }
    }

    /// What is there to answer without waiting.
    fn ready(&mut self, most: Most) -> Option<Result<Event, BrokerError>> {
        let mut batch = Batch::new(most);
        while let Some(happening) = self.take() {
            match happening {
                Happening::Messages { partition, epoch, messages, room } => {
                    if self.is_past(partition, epoch) {
                        continue;
                    }
                    if let Some(left) = fill(&mut batch, messages) {
                        self.held.push_front(Happening::Messages { partition, epoch, messages: left, room });
                        break;
                    }
                    if batch.is_full() {
                        break;
                    }
                }
                happening if !batch.is_empty() => {
                    self.held.push_front(happening);
                    break;
                }
                happening => {
                    if let Some(event) = self.event_of(happening) {
                        return Some(event);
                    }
                }
            }
        }
        (!batch.is_empty()).then(|| Ok(Event::Messages(batch.read_of(&self.topic.called))))
    }
}

/// Moves messages into a batch, and gives back those that do not fit.
fn fill(batch: &mut Batch, mut messages: VecDeque<Message>) -> Option<VecDeque<Message>> {
    while let Some(message) = messages.pop_front() {
        if let Err(message) = batch.add(message) {
            messages.push_front(message);
            return Some(messages);
        }
    }
    None
}

#[async_trait]
impl Subscription for PulsarSubscription {
    async fn next(
        &mut self,
        max_messages: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Event, BrokerError> {
        self.say_done();
        let most = Most { messages: max_messages, bytes: max_bytes };
        let deadline = Instant::now() + wait;
        loop {
            if let Some(answer) = self.ready(most) {
                return answer;
            }
            // Dropped while it waits, this has taken nothing.
            match timeout_at(deadline, self.happened.recv()).await {
                Ok(Some(happening)) => self.held.push_back(happening),
                Ok(None) => return Err(BrokerError::Closed { topic: self.topic.called.clone() }),
                Err(_) => return Ok(Event::Idle),
            }
        }
    }

    async fn revoked_done(&mut self) -> Result<(), BrokerError> {
        self.say_done();
        Ok(())
    }

    async fn seek(&mut self, partition: u32, position: u64) -> Result<(), BrokerError> {
        let topic = self.topic.called.clone();
        let Some(owned) = self.owned(partition).filter(|owned| owned.is_ours) else {
            return Err(BrokerError::NotAssigned { topic, partition });
        };
        owned.epoch += 1;
        let epoch = owned.epoch;
        self.command(partition, Command::Seek { position, epoch });
        Ok(())
    }

    async fn commit(&mut self, positions: &[(u32, u64)]) -> Result<(), BrokerError> {
        for &(partition, position) in positions {
            if self.owners.get(partition as usize).is_some_and(|owned| owned.is_ours) {
                self.command(partition, Command::Commit { position });
            }
        }
        Ok(())
    }

    async fn close(self: Box<Self>) -> Result<(), BrokerError> {
        self.leaving.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }
}

impl Drop for PulsarSubscription {
    fn drop(&mut self) {
        self.leaving.cancel();
    }
}

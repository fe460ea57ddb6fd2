//! The handle: a reader for each source that has a topic, started and stopped as definitions change.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard, PoisonError},
};

use shipway_core::{Clock, Name, nearest};
use shipway_definitions::{DefinitionSet, Source, Stream};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connections::Connections,
    decoding::SourceDecoder,
    error::StreamsError,
    options::StreamsOptions,
    port::{Feed, SharedIntake},
    reader::Reader,
    status::{Board, StreamStatus},
};

/// All streams of this server. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Arc<Connections>,
    intake: SharedIntake,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    running: std::sync::Mutex<BTreeMap<Name, Running>>,
    /// One change of definitions at a time.
    installing: tokio::sync::Mutex<()>,
    /// One replay at a time.
    replaying: tokio::sync::Mutex<()>,
}

/// A reader and what it reads.
struct Running {
    source: Arc<Source>,
    stream: Stream,
    board: Arc<Board>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Streams {
    /// Without a stream yet: [`Self::installed`] starts them.
    pub fn new(options: StreamsOptions) -> Self {
        let StreamsOptions { brokers, intake, clock, tracker } = options;
        let inner = Inner {
            connections: Arc::new(Connections::new(brokers)),
            intake,
            clock,
            tracker,
            cancel: CancellationToken::new(),
            running: std::sync::Mutex::default(),
            installing: tokio::sync::Mutex::default(),
            replaying: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes over definitions: starts what is new, ends what is gone, and has what changed read anew from where it stands. To be
    /// called when the sources themselves are there.
    pub async fn installed(&self, definitions: &DefinitionSet) {
        let _one_at_a_time = self.inner.installing.lock().await;
        let wanted: BTreeMap<Name, (Arc<Source>, Stream)> = definitions
            .sources
            .values()
            .filter_map(|source| {
                let stream = source.definition.stream.clone()?;
                Some((source.definition.name.clone(), (Arc::new(source.definition.clone()), stream)))
            })
            .collect();
        let ended: Vec<Running> = {
            let mut running = self.running();
            let is_ended = |name: &Name, held: &Running| {
                wanted.get(name).is_none_or(|(source, stream)| {
                    *stream != held.stream || source.columns != held.source.columns
                })
            };
            let names: Vec<Name> = running
                .iter()
                .filter(|(name, held)| is_ended(name, held))
                .map(|(name, _)| name.clone())
                .collect();
            names.iter().filter_map(|name| running.remove(name)).collect()
        };
        end(ended).await;
        let mut running = self.running();
        for (name, (source, stream)) in wanted {
            running.entry(name).or_insert_with(|| self.start(source, stream));
        }
    }

    /// How every stream is, by the name of its source.
    pub fn status(&self) -> Vec<StreamStatus> {
        self.running().values().map(|running| running.board.show()).collect()
    }

    /// How many dead letters of a source were not replayed yet.
    pub async fn waiting_letters(&self, source: &str) -> Result<u64, StreamsError> {
        let (source, _) = self.find(source)?;
        Ok(self.inner.intake.count_letters(&source.name).await?)
    }

    /// Passes over the messages of a partition before `position`: for a partition that stands still because the broker keeps them no
    /// more. What was passed over is not counted in any feature. A position before the present one changes nothing.
    pub async fn skip_to(&self, source: &str, partition: u32, position: u64) -> Result<(), StreamsError> {
        let (source, stream) = self.find(source)?;
        let feed = feed_of(&self.inner.connections, &stream)?;
        // Whoever reads the partition now is not in the way: positions only move on.
        Ok(self.inner.intake.pass_to(&source.name, &feed, u64::MAX, (partition, position)).await?)
    }

    /// Stops reading. What was delivered is kept, the rest stays at the brokers.
    pub async fn shutdown(&self) {
        self.inner.cancel.cancel();
        let ended = std::mem::take(&mut *self.running());
        end(ended.into_values().collect()).await;
    }

    fn start(&self, source: Arc<Source>, stream: Stream) -> Running {
        let board = Arc::new(Board::new(&source.name, &stream.broker, &stream.topic, stream.format.word()));
        let cancel = self.inner.cancel.child_token();
        let reader = Reader {
            source: Arc::clone(&source),
            stream: stream.clone(),
            connections: Arc::clone(&self.inner.connections),
            intake: Arc::clone(&self.inner.intake),
            clock: Arc::clone(&self.inner.clock),
            board: Arc::clone(&board),
            cancel: cancel.clone(),
        };
        let task = self.inner.tracker.spawn(reader.run());
        Running { source, stream, board, cancel, task }
    }

    /// What reads the messages of a source now.
    pub(crate) fn decoder_of(&self, source: &str) -> Result<(Name, SourceDecoder), StreamsError> {
        let (source, stream) = self.find(source)?;
        let registry = self.inner.connections.options(&stream.broker)?.registry.as_ref();
        Ok((source.name.clone(), SourceDecoder::new(&source, &stream, registry)?))
    }

    /// The brokers, for whoever writes to them.
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.inner.connections
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.inner.tracker
    }

    pub(crate) fn intake(&self) -> &SharedIntake {
        &self.inner.intake
    }

    pub(crate) fn replaying(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.replaying
    }

    fn find(&self, source: &str) -> Result<(Arc<Source>, Stream), StreamsError> {
        let running = self.running();
        match running.get(source) {
            Some(found) => Ok((Arc::clone(&found.source), found.stream.clone())),
            None => Err(StreamsError::UnknownStream {
                name: source.to_owned(),
                nearest: nearest(source, running.keys().map(Name::as_str)).map(str::to_owned),
            }),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Name, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the positions of a stream belong to.
pub(crate) fn feed_of(connections: &Connections, stream: &Stream) -> Result<Feed, StreamsError> {
    let era = connections.options(&stream.broker)?.settings.era;
    Ok(Feed { broker: Some(stream.broker.clone()), era, topic: stream.topic.clone() })
}

/// Ends readers, all at once, and waits for each.
async fn end(ended: Vec<Running>) {
    ended.iter().for_each(|running| running.cancel.cancel());
    for Running { source, task, board, .. } in ended {
        if task.await.is_err() {
            tracing::error!(source = %source.name, "a stream ended in a panic");
        }
        board.ended();
    }
}

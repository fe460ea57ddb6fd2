//! The handle: a runner for each sink, started and stopped as definitions change.

use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard, PoisonError},
};

use shipway_core::{Clock, Name, nearest};
use shipway_definitions::{DefinitionSet, Sink};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    board::{Board, SinkStatus},
    port::Outflow,
    producers::Producers,
    runner::Runner,
};
use crate::{error::StreamsError, streams::Streams};

/// All sinks of this server. Cheap to clone.
#[derive(Clone)]
pub struct Sinks {
    inner: Arc<Inner>,
}

struct Inner {
    outflow: Arc<dyn Outflow>,
    producers: Arc<Producers>,
    clock: Arc<dyn Clock>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    running: std::sync::Mutex<BTreeMap<Name, Running>>,
    /// One change of definitions at a time.
    installing: tokio::sync::Mutex<()>,
}

/// A runner and what it sends.
struct Running {
    sink: Arc<Sink>,
    board: Arc<Board>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Sinks {
    /// Without a sink yet: [`Self::installed`] starts them. They write to the brokers that the streams read from.
    pub fn new(streams: &Streams, outflow: Arc<dyn Outflow>) -> Self {
        let inner = Inner {
            outflow,
            producers: Arc::new(Producers::new(Arc::clone(streams.connections()))),
            clock: Arc::clone(streams.clock()),
            tracker: streams.tracker().clone(),
            cancel: CancellationToken::new(),
            running: std::sync::Mutex::default(),
            installing: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes over definitions: ends what is gone or has changed, and starts what is new. What comes after this is sent. To be called when
    /// views and sources are there.
    pub async fn installed(&self, definitions: &DefinitionSet) -> Result<(), StreamsError> {
        let _one_at_a_time = self.inner.installing.lock().await;
        let wanted: BTreeMap<Name, Arc<Sink>> = definitions
            .sinks
            .iter()
            .map(|(name, sink)| (name.clone(), Arc::new(sink.definition.clone())))
            .collect();
        let ended: Vec<Running> = {
            let mut running = self.running();
            let is_ended =
                |name: &Name, held: &Running| wanted.get(name).is_none_or(|sink| *sink != held.sink);
            let names = running.iter().filter(|(name, held)| is_ended(name, held));
            let names: Vec<Name> = names.map(|(name, _)| name.clone()).collect();
            names.iter().filter_map(|name| running.remove(name)).collect()
        };
        end(ended).await;
        self.inner.producers.retain(|sink| wanted.contains_key(sink)).await;
        let sinks: Vec<Arc<Sink>> = wanted.values().cloned().collect();
        self.inner.outflow.keep(&sinks).await?;
        let mut running = self.running();
        for (name, sink) in wanted {
            running.entry(name).or_insert_with(|| self.start(sink));
        }
        Ok(())
    }

    /// How every sink is, by name.
    pub fn status(&self) -> Vec<SinkStatus> {
        let shown = |running: &Running| running.board.show(self.inner.outflow.standing(&running.sink.name));
        self.running().values().map(shown).collect()
    }

    /// Has the row of every key sent once more, beside what comes.
    pub async fn resend(&self, sink: &str) -> Result<SinkStatus, StreamsError> {
        let (sink, board) = self.find(sink)?;
        self.inner.outflow.resend(&sink).await?;
        Ok(board.show(self.inner.outflow.standing(&sink.name)))
    }

    /// Tells no more of what a sink has skipped.
    pub async fn acknowledge(&self, sink: &str) -> Result<SinkStatus, StreamsError> {
        let (sink, board) = self.find(sink)?;
        self.inner.outflow.acknowledge(&sink.name).await?;
        Ok(board.show(self.inner.outflow.standing(&sink.name)))
    }

    /// Stops sending. What was not sent is sent after the next start.
    pub async fn shutdown(&self) {
        self.inner.cancel.cancel();
        let ended = std::mem::take(&mut *self.running());
        end(ended.into_values().collect()).await;
    }

    fn start(&self, sink: Arc<Sink>) -> Running {
        let board = Arc::new(Board::new(Arc::clone(&sink)));
        let cancel = self.inner.cancel.child_token();
        let runner = Runner {
            sink: Arc::clone(&sink),
            producers: Arc::clone(&self.inner.producers),
            outflow: Arc::clone(&self.inner.outflow),
            clock: Arc::clone(&self.inner.clock),
            board: Arc::clone(&board),
            cancel: cancel.clone(),
        };
        let task = self.inner.tracker.spawn(runner.run());
        Running { sink, board, cancel, task }
    }

    fn find(&self, name: &str) -> Result<(Arc<Sink>, Arc<Board>), StreamsError> {
        let running = self.running();
        match running.get(name) {
            Some(found) => Ok((Arc::clone(&found.sink), Arc::clone(&found.board))),
            None => Err(StreamsError::UnknownSink {
                name: name.to_owned(),
                nearest: nearest(name, running.keys().map(Name::as_str)).map(str::to_owned),
            }),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Name, Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends runners, all at once, and waits for each.
async fn end(ended: Vec<Running>) {
    ended.iter().for_each(|running| running.cancel.cancel());
    for Running { sink, task, board, .. } in ended {
        if task.await.is_err() {
            tracing::error!(sink = %sink.name, "a sink ended in a panic");
        }
        board.ended();
    }
}

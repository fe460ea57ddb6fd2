//! What others ask of the one writer of a source's states. It is done between two runs of events, so whoever asked knows
//! that exactly the events before the applied offset are in every state.

use bytes::Bytes;
use shipway_core::Digest;
use tokio::sync::{mpsc, oneshot};

use crate::{error::FeaturesError, materialise::progress::BuildProgress, state::KeyState};

/// So many may wait; each is small, or one part of a bucket.
const WAITING: usize = 16;

/// One state of one view that is being built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BuildId {
    pub(crate) view: Digest,
    pub(crate) generation: u32,
}

/// Some keys of one bucket of a build, with what history makes of them.
pub(crate) struct Part {
    pub(crate) bucket: u32,
    /// How many keys of the bucket come before it.
    pub(crate) from: u64,
    pub(crate) is_last: bool,
    pub(crate) states: Vec<(Bytes, KeyState)>,
    /// How long it took to make them.
    pub(crate) spent_us: u64,
}

/// What the writer can be asked to do.
pub(crate) enum Command {
    /// Begin a new state of a view, from the history that has arrived by now; one that is under way goes on.
    Begin(Digest),
    /// Note in how many buckets a build goes, and about how many rows there are.
    Divide { build: BuildId, buckets: u32, rows: u64 },
    /// Merge a part of a bucket, unless it is merged already.
    Merge { build: BuildId, part: Part },
    /// Merge what is known of keys of which history says nothing any more. Doing it twice does no harm.
    Carry { build: BuildId, states: Vec<(Bytes, KeyState)> },
    /// From now on the state is read; the one that was read before is left over.
    Finish(BuildId),
    /// Forget a build; what there is of its state is left over.
    Abandon(BuildId),
    /// Forget all states of a view.
    Retire(Digest),
}

/// A command, and who waits for its outcome: how far the build is then, if it is still under way.
pub(crate) struct Order {
    pub(crate) command: Command,
    pub(crate) answer: oneshot::Sender<Result<Option<BuildProgress>, FeaturesError>>,
}

/// The way to the writer of one source.
pub(crate) struct Orders(mpsc::Sender<Order>);

impl Orders {
    pub(crate) fn channel() -> (Self, mpsc::Receiver<Order>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    /// Has the writer carry out `command`, and waits until it has.
    pub(crate) async fn give(&self, command: Command) -> Result<Option<BuildProgress>, FeaturesError> {
        let stopped = || FeaturesError::Stopped { what: "the materialiser" };
        let (answer, outcome) = oneshot::channel();
        self.0.send(Order { command, answer }).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}

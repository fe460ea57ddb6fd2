//! What is running for one source: its log, who holds which event ids, and how far each consumer has come.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use shipway_core::{Digest, Name, Timestamp};
use shipway_log::Topic;
use tokio::sync::{mpsc, watch};

use crate::{
    deliver::Feeds,
    error::FeaturesError,
    ingest::dedupe::{Dedupe, Ticket},
    materialise::{
        Published,
        order::{Order, Orders},
        progress::BuildProgress,
    },
    model::schema::{SchemaBook, SourceSchema},
    read_copy::Outbox,
    select::SelectionBoard,
    tally::Tally,
};

/// The present schema of a source, and all that its events were logged with.
pub(crate) struct SourceShape {
    pub(crate) schema: SourceSchema,
    pub(crate) book: SchemaBook,
}

/// One running source.
pub(crate) struct SourceRuntime {
    pub(crate) name: Name,
    pub(crate) topic: Topic,
    pub(crate) dedupe: Arc<Dedupe>,
    /// One load at a time goes into a table.
    pub(crate) loading: tokio::sync::Mutex<()>,
    /// What brokers have delivered; one delivery at a time goes into the log.
    pub(crate) feeds: tokio::sync::Mutex<Feeds>,
    /// What came since the server started.
    pub(crate) tally: Tally,
    /// How far it is in the source that it is selected from, if it is.
    pub(crate) selection: Mutex<SelectionBoard>,
    /// Held from before a load's marker goes into the log until its offset is noted.
    pub(crate) marking: tokio::sync::Mutex<()>,
    pub(crate) published: watch::Sender<Option<Arc<Published>>>,
    /// How far the states are that are built beside the published ones.
    pub(crate) builds: watch::Sender<Arc<BTreeMap<Digest, BuildProgress>>>,
    /// The way to the materialiser.
    pub(crate) orders: Orders,
    /// The way to the read copy.
    pub(crate) outbox: Outbox,
    /// Every event before this offset is in the Delta tables.
    pub(crate) archived: watch::Sender<u64>,
    /// Raised to make the archiver write what it has at once.
    pub(crate) flush_to: watch::Sender<u64>,
    /// Claims of loads whose rows are in the table while their marker is not in the log yet.
    stranded: Mutex<HashMap<String, Ticket>>,
    shape: RwLock<Arc<SourceShape>>,
    newest: AtomicI64,
}

impl SourceRuntime {
    /// The source, and what its materialiser is asked to do.
    pub(crate) fn new(topic: Topic, shape: SourceShape, outbox: Outbox) -> (Self, mpsc::Receiver<Order>) {
        let (orders, receiver) = Orders::channel();
        let runtime = Self {
            name: shape.schema.name.clone(),
            topic,
            dedupe: Arc::default(),
            loading: tokio::sync::Mutex::new(()),
            feeds: tokio::sync::Mutex::default(),
            tally: Tally::default(),
            selection: Mutex::default(),
            marking: tokio::sync::Mutex::new(()),
            published: watch::Sender::new(None),
            builds: watch::Sender::default(),
            orders,
            outbox,
            archived: watch::Sender::new(0),
            flush_to: watch::Sender::new(0),
            stranded: Mutex::default(),
            shape: RwLock::new(Arc::new(shape)),
            newest: AtomicI64::new(i64::MIN),
        };
        (runtime, receiver)
    }

    pub(crate) fn shape(&self) -> Arc<SourceShape> {
        Arc::clone(&self.shape.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn reshape(&self, shape: SourceShape) {
        *self.shape.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(shape);
    }

    /// Keeps the claims of a load until its marker is in the log.
    pub(crate) fn strand(&self, load_id: &str, ticket: Option<Ticket>) {
        let mut stranded = self.stranded.lock().unwrap_or_else(PoisonError::into_inner);
        ticket.into_iter().for_each(|ticket| drop(stranded.insert(load_id.to_owned(), ticket)));
    }

    /// Gives the claims of a load back.
    pub(crate) fn take_stranded(&self, load_id: &str) -> Option<Ticket> {
        self.stranded.lock().unwrap_or_else(PoisonError::into_inner).remove(load_id)
    }

    /// The newest regular event time that was ever accepted.
    pub(crate) fn ingest_watermark(&self) -> Timestamp {
        Timestamp(self.newest.load(Ordering::Relaxed))
    }

    pub(crate) fn advance_ingest_watermark(&self, time: Timestamp) {
        self.newest.fetch_max(time.micros(), Ordering::Relaxed);
    }

    /// What readers see now; `None` while the first state is still being built.
    pub(crate) fn published(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }

    /// How far a build of `view` is, if one is under way.
    pub(crate) fn build(&self, view: &Digest) -> Option<BuildProgress> {
        self.builds.borrow().get(view).copied()
    }

    /// Whether readers get the state of `view`.
    pub(crate) fn is_ready(&self, view: &Digest) -> bool {
        self.published.borrow().as_ref().is_some_and(|published| published.views.contains_key(view))
    }

    /// What readers see; after a load that was cut off, as soon as it is whole.
    pub(crate) async fn first_published(&self) -> Result<Arc<Published>, FeaturesError> {
        let mut published = self.published.subscribe();
        let first = published.wait_for(Option::is_some).await.ok().and_then(|first| first.clone());
        first.ok_or(FeaturesError::Stopped { what: "the materialiser" })
    }

    /// Waits until every event before `offset` is visible to readers.
    pub(crate) async fn wait_visible(&self, offset: u64, limit: Duration) -> Result<(), FeaturesError> {
        let mut published = self.published.subscribe();
        let visible = published
            .wait_for(|published| published.as_ref().is_some_and(|published| published.applied >= offset));
        match tokio::time::timeout(limit, visible).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(FeaturesError::NotVisible { source_name: self.name.to_string() }),
        }
    }

    /// Has the archiver write everything before `offset`, and waits until it has.
    pub(crate) async fn archive_up_to(&self, offset: u64) -> Result<(), FeaturesError> {
        self.flush_to.send_if_modified(|wanted| {
            let is_later = offset > *wanted;
            *wanted = offset.max(*wanted);
            is_later
        });
        let mut archived = self.archived.subscribe();
        let reached = archived.wait_for(|archived| *archived >= offset).await;
        reached.map(|_| ()).map_err(|_| FeaturesError::Stopped { what: "the archiver" })
    }
}

//! The handle of the feature platform: opens it, follows the definitions, stops it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;
use shipway_core::{Clock, Digest, Name, nearest};
use shipway_definitions::{DefinitionSet, Source};
use shipway_lake::Lake;
use shipway_log::EventLog;
use shipway_online::OnlineStore;
use shipway_store::{Store, jobs::Jobs};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    archive::Archiver,
    backfill::{self, ServiceDemand},
    batch,
    error::FeaturesError,
    ingest::dedupe::IdDigest,
    load,
    materialise::{
        Materialiser, Published, begin_anew::begin_anew, off_the_executor, progress::SourceProgress,
    },
    model::{
        event::Standing,
        record::{self, Record},
        schema::{SchemaBook, SourceSchema},
    },
    options::{FeaturesOptions, Limits},
    read::hot::HotKeys,
    read::version::Plans,
    read_copy::{CopyOwner, Outbox},
    select,
    sink::SinkBook,
    source::{SourceRuntime, SourceShape},
    state::cache::StateCache,
    store::{
        self, schemas,
        versions::{self, Kind, Versions},
        views,
    },
    upkeep::{self, UpkeepBook},
    verification::ServedVectorLog,
};

const RECORDS_PER_READ: usize = 8_192;
const BYTES_PER_READ: usize = 16 << 20;
/// How long a start waits at most until the states have taken in what is in the log.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(10);

/// A marker in the log of a source.
type Marked = (Arc<SourceRuntime>, u64);

/// The feature platform of one server. Cheap to clone.
#[derive(Clone)]
pub struct Features {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) log: EventLog,
    pub(crate) online: OnlineStore,
    pub(crate) lake: Lake,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tracker: TaskTracker,
    pub(crate) limits: Limits,
    pub(crate) cancel: CancellationToken,
    pub(crate) cache: StateCache,
    /// A permit for each byte of events that may be taken in at a time.
    pub(crate) ingest_room: Arc<Semaphore>,
    pub(crate) hot_keys: HotKeys,
    /// How many reads there were, and how long they took.
    pub(crate) reads: AtomicU64,
    pub(crate) read_seconds: metrics::Histogram,
    /// One load at a time goes into plain tables.
    pub(crate) loading_tables: tokio::sync::Mutex<()>,
    /// What the upkeep did; and its turn, which one table has at a time.
    pub(crate) upkeep: UpkeepBook,
    pub(crate) maintaining: tokio::sync::Mutex<()>,
    pub(crate) plans: Plans,
    /// The versions of services and views, in the order in which they came into force.
    pub(crate) versions: RwLock<Versions>,
    /// Where served vectors are logged, once serving is plugged in.
    pub(crate) served: OnceLock<Arc<dyn ServedVectorLog>>,
    /// The jobs of this server, once they are plugged in.
    pub(crate) jobs: OnceLock<Jobs>,
    /// What needs versions that are out of force, once it is plugged in.
    pub(crate) demand: OnceLock<Arc<dyn ServiceDemand>>,
    /// A state has begun to be built, or does not any more.
    pub(crate) builds_changed: Notify,
    /// States are left over that nobody reads.
    pub(crate) leftovers: Notify,
    /// The builds that a task of this platform drives, without a job.
    pub(crate) driven: Mutex<HashSet<Digest>>,
    /// Raised when a batch source may have a look to make.
    pub(crate) batch_due: Notify,
    /// Raised when sources may have to be selected from others.
    pub(crate) selections_due: Notify,
    /// Where each sink stands.
    pub(crate) sinks: SinkBook,
    /// The read copy, where this server owns one.
    pub(crate) copy: Option<Arc<CopyOwner>>,
    data_dir: PathBuf,
    /// The tasks of this platform, for a shutdown of its own.
    pub(crate) tasks: TaskTracker,
    pub(crate) installing: tokio::sync::Mutex<()>,
    definitions: RwLock<Arc<DefinitionSet>>,
    sources: RwLock<BTreeMap<Name, Arc<SourceRuntime>>>,
}

impl Features {
    /// Opens the platform: finishes what a crash left half-way, and starts the consumers of every source.
    ///
    /// When it returns, nothing that was ever acknowledged is missing from the logs, and reads are answered as far as the
    /// states stand.
    pub async fn open(options: FeaturesOptions) -> Result<Self, FeaturesError> {
        store::migrate(&options.store).await?;
        let definitions = options.definitions.borrow().clone();
        let versions = Versions::read(&options.store).await?;
        let sinks = SinkBook::read(&options.store).await?;
        let copy = own_copy(&options)?;
        let inner = Arc::new(Inner {
            log: options.log,
            online: options.online,
            lake: options.lake,
            store: options.store,
            clock: options.clock,
            tracker: options.tracker,
            cancel: CancellationToken::new(),
            cache: StateCache::new(options.limits.state_cache_bytes),
            hot_keys: HotKeys::default(),
            ingest_room: Arc::new(Semaphore::new(options.limits.ingest_bytes_at_once as usize)),
            reads: AtomicU64::new(0),
            limits: options.limits,
            loading_tables: tokio::sync::Mutex::new(()),
            upkeep: UpkeepBook::default(),
            maintaining: tokio::sync::Mutex::new(()),
            plans: Plans::default(),
            read_seconds: metrics::histogram!("shipway_feature_read_seconds"),
            versions: RwLock::new(versions),
            served: OnceLock::new(),
            jobs: OnceLock::new(),
            demand: OnceLock::new(),
            builds_changed: Notify::new(),
            leftovers: Notify::new(),
            driven: Mutex::default(),
            batch_due: Notify::new(),
            selections_due: Notify::new(),
            sinks,
            copy,
            data_dir: options.data_dir,
            tasks: TaskTracker::new(),
            installing: tokio::sync::Mutex::new(()),
            definitions: RwLock::new(Arc::default()),
            sources: RwLock::default(),
        });
        load::clear(&inner.spool_folder()).await?;
        load::clear(&inner.builds_folder()).await?;
        let features = Self { inner };
        features.install(&definitions).await?;
        let inner = &features.inner;
        inner.tracker.spawn(inner.tasks.track_future(backfill::foreman(Arc::clone(inner))));
        inner.tracker.spawn(inner.tasks.track_future(backfill::clear_leftovers(Arc::clone(inner))));
        if let Some(every) = inner.limits.upkeep_every {
            inner.tracker.spawn(inner.tasks.track_future(upkeep::run(Arc::clone(inner), every)));
        }
        inner.tracker.spawn(inner.tasks.track_future(batch::run(Arc::clone(inner))));
        inner.tracker.spawn(inner.tasks.track_future(select::run(Arc::clone(inner))));
        if let Some(copy) = &inner.copy {
            copy.start(inner);
        }
        features.catch_up().await;
        Ok(features)
    }

    /// Reads begin where they ended: what a kill took back from the states is still in the log. Whoever has more to catch up with is read
    /// as it is meanwhile, and shows by how much it lags.
    async fn catch_up(&self) {
        let sources = self.inner.sources();
        let visible =
            sources.iter().map(|runtime| runtime.wait_visible(runtime.topic.end(), CATCH_UP_WITHIN));
        futures::future::join_all(visible).await;
    }

    /// Takes over definitions that were applied: starts new sources, follows added columns, and puts a marker for every new
    /// view into the log of its source. From there on its state is built in the background; the job that does it is recorded
    /// when this returns, unless the materialiser is far behind.
    pub async fn installed(&self, definitions: &DefinitionSet) -> Result<(), FeaturesError> {
        let marked = self.install(definitions).await?;
        // The last marker of each source is enough. One that is busy with a load comes to it later, and the jobs with it.
        let last: BTreeMap<&Name, &Marked> = marked.iter().map(|marked| (&marked.0.name, marked)).collect();
        let limit = self.inner.limits.token_wait;
        let visible = last.values().map(|(runtime, offset)| runtime.wait_visible(offset + 1, limit));
        futures::future::join_all(visible).await;
        self.inner.see_to_builds().await
    }

    /// Waits until every view in force has its state and none is being built, beside another state or because of a new version.
    /// One whose job was cancelled is waited for until it is taken up again.
    pub async fn built(&self) -> Result<(), FeaturesError> {
        let definitions = self.inner.definitions();
        for view in definitions.views.values() {
            let runtime = self.inner.source(view.definition.source.as_str())?;
            let mut published = runtime.published.subscribe();
            let is_ready = |published: &Option<Arc<Published>>| {
                published.as_ref().is_some_and(|published| published.views.contains_key(&view.hash))
            };
            let stopped = |_| FeaturesError::Stopped { what: "the materialiser" };
            published.wait_for(is_ready).await.map_err(stopped)?;
        }
        for runtime in self.inner.sources() {
            let stopped = |_| FeaturesError::Stopped { what: "the materialiser" };
            runtime.builds.subscribe().wait_for(|builds| builds.is_empty()).await.map_err(stopped)?;
        }
        Ok(())
    }

    /// The same without waiting; answers with the markers that were put.
    async fn install(&self, definitions: &DefinitionSet) -> Result<Vec<Marked>, FeaturesError> {
        let _one_at_a_time = self.inner.installing.lock().await;
        let definitions = Arc::new(definitions.clone());
        self.inner.note_versions(&definitions).await?;
        *self.inner.definitions.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&definitions);
        self.inner.plans.forget();
        for source in definitions.sources.values() {
            match self.inner.source(source.definition.name.as_str()) {
                Ok(runtime) => {
                    let schema = SourceSchema::new(&source.definition)?;
                    if runtime.shape().schema != schema {
                        runtime.reshape(self.inner.shape(&source.definition).await?);
                    }
                }
                Err(_) => self.start(&source.definition).await?,
            }
        }
        let marked = self.mark_views(&self.inner.needed(Vec::new())).await?;
        self.inner.batch_due.notify_one();
        self.inner.selections_due.notify_one();
        self.inner.copy.iter().for_each(|copy| copy.look());
        Ok(marked)
    }

    /// Stops: takes in nothing more, writes to history what is in the log, and makes the states safe. Loses nothing.
    pub async fn shutdown(&self) {
        self.inner.cancel.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        if let Some(copy) = &self.inner.copy {
            copy.finish(&self.inner).await;
        }
        let online = self.inner.online.clone();
        let persisted = off_the_executor(&self.inner, move || Ok(online.persist()?)).await;
        if let Err(error) = persisted {
            tracing::warn!(%error, "the online store could not be made safe; it will be caught up from the log");
        }
    }

    /// The bounds that this server keeps.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The tables.
    pub fn lake(&self) -> &Lake {
        &self.inner.lake
    }

    async fn start(&self, source: &Source) -> Result<(), FeaturesError> {
        let inner = &self.inner;
        let topic = inner.log.topic(source.name.as_str())?;
        let outbox = inner.copy.as_ref().map_or_else(Outbox::default, |copy| copy.outbox(topic.end()));
        let (runtime, orders) = SourceRuntime::new(topic, inner.shape(source).await?, outbox);
        let runtime = Arc::new(runtime);
        begin_anew(inner, &runtime).await?;
        let materialiser = Materialiser::open(Arc::clone(inner), Arc::clone(&runtime), orders)?;
        let archiver = Archiver::open(Arc::clone(inner), Arc::clone(&runtime)).await?;
        inner.note_tail(&runtime, materialiser.applied()).await?;
        load::recover(inner, &runtime).await?;
        let mut sources = inner.sources.write().unwrap_or_else(PoisonError::into_inner);
        sources.insert(runtime.name.clone(), Arc::clone(&runtime));
        drop(sources);
        inner.tracker.spawn(inner.tasks.track_future(materialiser.run()));
        inner.tracker.spawn(inner.tasks.track_future(archiver.run()));
        Ok(())
    }

    /// Puts a marker for each of `views` that has none into the log of its source.
    pub(crate) async fn mark_views(&self, views: &BTreeSet<Digest>) -> Result<Vec<Marked>, FeaturesError> {
        let definitions = self.inner.definitions();
        let mut marked = BTreeMap::new();
        let mut markers = Vec::new();
        let mut views: Vec<&Digest> = views.iter().collect();
        let depth = |hash: &&Digest| {
            definitions.views_by_hash.get(*hash).map(|view| definitions.depth(&view.definition))
        };
        // A view is built sooner when those that it stands on are.
        views.sort_by_key(depth);
        for hash in views {
            let Some(view) = definitions.views_by_hash.get(hash) else { continue };
            let Ok(runtime) = self.inner.source(view.definition.source.as_str()) else { continue };
            if !marked.contains_key(&runtime.name) {
                let known = views::marked(&self.inner.store, runtime.name.as_str()).await?;
                marked.insert(runtime.name.clone(), known);
            }
            if marked.get(&runtime.name).is_some_and(|known| known.contains(hash)) {
                continue;
            }
            // After a crash between the two steps there is a second marker, which changes nothing.
            let range = runtime.topic.append(vec![Bytes::from(record::encode_view(hash))]).await?;
            views::mark(&self.inner.store, runtime.name.as_str(), hash, range.start).await?;
            markers.push((runtime, range.start));
        }
        Ok(markers)
    }
}

/// The read copy, where this server is to own one.
fn own_copy(options: &FeaturesOptions) -> Result<Option<Arc<CopyOwner>>, FeaturesError> {
    let note = options.data_dir.join("read-copy.json");
    let Some(store) = &options.read_copy else {
        // What a server without a copy does, no later owner can know.
        if note.exists() {
            fs_err::remove_file(&note)?;
        }
        return Ok(None);
    };
    let (most, now) = (options.limits.remembered_keys, options.clock.now());
    let owner = CopyOwner::open(store.clone(), &options.online, note, most, now)?;
    Ok(Some(Arc::new(owner)))
}

impl Inner {
    /// The definitions in force.
    pub(crate) fn definitions(&self) -> Arc<DefinitionSet> {
        Arc::clone(&self.definitions.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The versions of one definition, the newest first.
    pub(crate) fn versions(&self, kind: Kind, name: &Name) -> Arc<[Digest]> {
        self.versions.read().unwrap_or_else(PoisonError::into_inner).of(kind, name)
    }

    /// Notes what has come into force.
    async fn note_versions(&self, definitions: &DefinitionSet) -> Result<(), FeaturesError> {
        let services = definitions.services.values();
        let services = services.map(|service| (Kind::Service, &service.definition.name, service.hash));
        let views = definitions.views.values().map(|view| (Kind::View, &view.definition.name, view.hash));
        for (kind, name, hash) in services.chain(views) {
            if self.versions(kind, name).first() != Some(&hash) {
                let all = versions::record(&self.store, kind, name, &hash).await?;
                self.versions.write().unwrap_or_else(PoisonError::into_inner).set(kind, name, all);
            }
        }
        Ok(())
    }

    /// A running source, or the nearest name.
    pub(crate) fn source(&self, name: &str) -> Result<Arc<SourceRuntime>, FeaturesError> {
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner);
        sources.get(name).map(Arc::clone).ok_or_else(|| FeaturesError::UnknownSource {
            name: name.to_owned(),
            nearest: nearest(name, sources.keys().map(Name::as_str)).map(str::to_owned),
        })
    }

    /// All running sources, by name.
    pub(crate) fn sources(&self) -> Vec<Arc<SourceRuntime>> {
        self.sources.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Where files wait while they are loaded.
    pub(crate) fn spool_folder(&self) -> PathBuf {
        self.data_dir.join("spool")
    }

    /// Where the rows of builds wait for their turn.
    pub(crate) fn builds_folder(&self) -> PathBuf {
        self.data_dir.join("builds")
    }

    /// Where answers of training sets are kept for the next one.
    pub(crate) fn kept_answers_folder(&self) -> PathBuf {
        self.data_dir.join("training")
    }

    /// The shape of a source, remembered before any event is logged with it; its tables have the columns.
    async fn shape(&self, source: &Source) -> Result<SourceShape, FeaturesError> {
        let schema = SourceSchema::new(source)?;
        let name = schema.name.as_str();
        schemas::remember(&self.store, name, schema.fingerprint, &schema.columns).await?;
        self.lake.ensure_table(name, schema.history()).await?;
        let book = SchemaBook::new(schemas::of_source(&self.store, name).await?);
        Ok(SourceShape { schema, book })
    }

    /// Notes the event ids, the newest time and the broker's positions of what is in the log and not yet in the states.
    async fn note_tail(&self, runtime: &SourceRuntime, applied: u64) -> Result<(), FeaturesError> {
        let has_ids = runtime.shape().schema.has_ids_once();
        let mut feeds = runtime.feeds.lock().await;
        feeds.stand_at(SourceProgress::read(&self.online, &runtime.name)?.positions);
        let mut from = applied.max(runtime.topic.start());
        while from < runtime.topic.end() {
            for logged in runtime.topic.read(from, RECORDS_PER_READ, BYTES_PER_READ).await? {
                from = logged.offset + 1;
                match record::decode(&logged.payload) {
                    Some(Record::Event { event, origin, .. }) => {
                        origin.into_iter().for_each(|origin| feeds.pass(origin));
                        if has_ids {
                            runtime.dedupe.note_durable(vec![IdDigest::of(&event.id)], from);
                        }
                        if event.standing == Standing::Regular {
                            runtime.advance_ingest_watermark(event.time);
                        }
                    }
                    Some(Record::Load(marker)) => {
                        load::note_ids(self, runtime, &marker.load_id, from).await?;
                        marker.newest.iter().for_each(|newest| runtime.advance_ingest_watermark(*newest));
                    }
                    Some(Record::Dead(letter)) => feeds.pass(letter.origin),
                    Some(Record::Passed(origin)) => feeds.pass(origin),
                    Some(Record::View(_)) | None => {}
                }
            }
        }
        Ok(())
    }
}

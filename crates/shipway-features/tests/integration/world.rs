//! One server of the feature platform in a temporary folder; it can die and come back.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::Int64Type,
};
use bytes::Bytes;
use futures::TryStreamExt as _;
use serde_json::{Map, Value as Json, json};
use shipway_core::{Clock, Digest, ManualClock, Name, Timestamp};
use shipway_definitions::{DefinitionFile, DefinitionKind, DefinitionSet};
use shipway_features::{
    Events, Features, FeaturesError, FeaturesOptions, IngestAnswer, Limits, LoadAnswer, LoadRequest,
    ReadAnswer, ReadRequest,
};
use shipway_lake::{Lake, LakeOptions, OutsideOptions, files::FileFormat};
use shipway_log::{EventLog, LogOptions};
use shipway_online::{
    OnlineStore,
    copy::{CopyOptions, CopyStore},
};
use shipway_store::Store;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::watch};
use tokio_util::task::TaskTracker;

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

pub(crate) const DEFINITIONS: &str = "
kind: entity
name: shop
keys: { country: text, number: int }
---
kind: source
name: sales
event_time: sold_at
event_id: sale_id
columns: { sale_id: text, sold_at: timestamp, country: text, number: int, amount: float, items: int, product: text, prices: list(float), tags: list(text) }
max_ahead: 5m
dedupe: 7d
retention: 30d
---
kind: view
name: shop_sales
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [10s, 10m, 1h, 12h, 14d, lifetime]
  - column: amount
    operations: [sum, avg, stddev, min, max]
    windows: [10m, 1h, 14d]
  - column: items
    operations: [sum, var]
    windows: [10s, 12h, lifetime]
  - column: product
    operations: [first, last, distinct_count]
    windows: [1h, 12h]
  - column: amount
    operations: [skew, kurtosis, first_k(3), last_k(2), top_k(3), bottom_k(2), approx_distinct, approx_quantile(0.5), histogram(4)]
    windows: [1h, lifetime]
  - { operations: [count], windows: [1h, 14d], by: product }
  - { column: amount, operations: [sum, last_k(2), approx_quantile(0.9)], windows: [12h], by: product }
  - { column: product, operations: [histogram(10), last_k(2)], windows: [12h] }
  - { column: tags, operations: [distinct_count, last, count], windows: [1h, 14d], over: elements }
  - { column: prices, operations: [avg, max, count], windows: [1h, lifetime], over: positions }
  - { column: prices, operations: [last_k(2)], windows: [1h] }
---
kind: view
name: shop_last
entity: shop
source: sales
latest: [amount, product, tags]
ttl: 1h
---
kind: service
name: shop_features
views: [shop_sales, shop_last]
request: { basket: int }
";

/// A server that runs in `folder`.
pub(crate) struct World {
    pub(crate) folder: Arc<TempDir>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) definitions: String,
    /// What is in force, and every older version.
    set: DefinitionSet,
    limits: Limits,
    log: LogOptions,
    /// Where the states are copied, if they are.
    copy: Option<CopyOptions>,
    running: Option<Running>,
}

struct Running {
    features: Features,
    lake: Lake,
    log: EventLog,
    online: OnlineStore,
    store: Store,
    sender: watch::Sender<Arc<DefinitionSet>>,
    runtime: Runtime,
}

pub(crate) fn parse(definitions: &str) -> DefinitionSet {
    let file = DefinitionFile { path: "definitions.yaml".into(), text: definitions.to_owned() };
    DefinitionSet::parse(&[file]).unwrap()
}

pub(crate) fn limits() -> Limits {
    let (token_wait, age) = (Duration::from_secs(60), Duration::from_millis(50));
    Limits { archive_age: age, archive_age_most: age, bulk_rows: 100, token_wait, ..Limits::default() }
}

impl World {
    pub(crate) fn new(definitions: &str) -> Self {
        Self::with_limits(definitions, limits())
    }

    pub(crate) fn with_limits(definitions: &str, limits: Limits) -> Self {
        Self::with_log(definitions, limits, LogOptions::default())
    }

    pub(crate) fn with_log(definitions: &str, limits: Limits, log: LogOptions) -> Self {
        Self::with(definitions, limits, log, None)
    }

    /// The owner of a read copy.
    pub(crate) fn with_copy(definitions: &str, copy: CopyOptions) -> Self {
        Self::with(definitions, limits(), LogOptions::default(), Some(copy))
    }

    /// One that remembers few changed keys.
    pub(crate) fn with_copy_and_few_keys(definitions: &str, copy: CopyOptions) -> Self {
        let limits = Limits { remembered_keys: 20, ..limits() };
        Self::with(definitions, limits, LogOptions::default(), Some(copy))
    }

    fn with(definitions: &str, limits: Limits, log: LogOptions, copy: Option<CopyOptions>) -> Self {
        let mut world = Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            clock: Arc::new(ManualClock::at(Timestamp(100 * DAY))),
            definitions: definitions.to_owned(),
            set: parse(definitions),
            limits,
            log,
            copy,
            running: None,
        };
        world.start();
        world
    }

    pub(crate) fn start(&mut self) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.block_on(open(
            self.folder.path().to_owned(),
            self.clock.clone(),
            (self.limits.clone(), self.log.clone(), self.copy.clone()),
            Arc::new(self.set.clone()),
        ));
        let (features, lake, log, online, store, sender) = running.unwrap();
        self.running = Some(Running { features, lake, log, online, store, sender, runtime });
    }

    /// The process dies: nothing is flushed, no task comes to its end.
    pub(crate) fn die(&mut self) {
        let Running { features, lake, log, online, store, sender, runtime } = self.running.take().unwrap();
        online.abandon();
        drop((features, lake, online, store, sender));
        runtime.shutdown_timeout(Duration::from_secs(30));
        drop(log);
    }

    pub(crate) fn dies_and_returns(&mut self) {
        self.die();
        self.start();
    }

    /// The process dies, and the states that it has stored are gone.
    pub(crate) fn loses_its_states(&mut self) {
        self.die();
        fs_err::remove_dir_all(self.folder.path().join("online")).unwrap();
        self.start();
    }

    /// Where the log of a source begins.
    pub(crate) fn log_start(&self, source: &str) -> u64 {
        self.running().log.topic(source).unwrap().start()
    }

    /// The server stops in order and starts again.
    pub(crate) fn restarts(&mut self) {
        let running = self.running();
        running.runtime.block_on(running.features.shutdown());
        running.runtime.block_on(running.log.close());
        self.dies_and_returns();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub(crate) fn features(&self) -> &Features {
        &self.running().features
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.running().runtime.block_on(future)
    }

    /// Applies `more` on top of what is defined, and waits until its views are built.
    pub(crate) fn applies(&mut self, more: &str) {
        self.begins_to_apply(more);
        self.block_on(self.features().built()).unwrap();
    }

    /// Applies `more` on top of what is defined; its views are built beside whatever comes.
    pub(crate) fn begins_to_apply(&mut self, more: &str) {
        self.replaces(&format!("{}\n---\n{more}", self.definitions));
    }

    /// Applies `definitions` in the place of those of the same names.
    pub(crate) fn replaces(&mut self, definitions: &str) {
        self.defines(definitions);
        self.block_on(self.features().installed(&self.set)).unwrap();
    }

    /// Has `definitions` in force at the next start.
    pub(crate) fn defines(&mut self, definitions: &str) {
        self.definitions = definitions.to_owned();
        self.set = self.set.overlaid(&parse(definitions), false);
    }

    /// The version in force of a view.
    pub(crate) fn view(&self, name: &str) -> Digest {
        self.set.view(name).unwrap().hash
    }

    /// The version in force of a service.
    pub(crate) fn service(&self, name: &str) -> Digest {
        self.set.service(name).unwrap().hash
    }

    /// The lake.
    pub(crate) fn lake(&self) -> &Lake {
        &self.running().lake
    }

    /// The store of the online states.
    pub(crate) fn online(&self) -> &OnlineStore {
        &self.running().online
    }

    /// Takes a definition out of force, as a drop does.
    pub(crate) fn drops(&mut self, kind: DefinitionKind, name: &str) {
        self.set = self.set.without(kind, &Name::new(name).unwrap());
        self.block_on(self.features().installed(&self.set)).unwrap();
    }

    pub(crate) fn ingests(&self, source: &str, events: &[Json]) -> IngestAnswer {
        self.tries_to_ingest(source, events).unwrap()
    }

    pub(crate) fn tries_to_ingest(
        &self,
        source: &str,
        events: &[Json],
    ) -> Result<IngestAnswer, FeaturesError> {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        self.block_on(self.features().ingest(source, Events::JsonLines(Bytes::from(lines))))
    }

    pub(crate) fn loads(&self, table: &str, load_id: Option<&str>, rows: &[Json]) -> LoadAnswer {
        self.tries_to_load(table, load_id, rows).unwrap()
    }

    pub(crate) fn tries_to_load(
        &self,
        table: &str,
        load_id: Option<&str>,
        rows: &[Json],
    ) -> Result<LoadAnswer, FeaturesError> {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        let body = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(lines))]);
        let request = LoadRequest {
            table: table.to_owned(),
            format: FileFormat::JsonLines,
            load_id: load_id.map(str::to_owned),
            wait: true,
        };
        self.block_on(self.features().load(request, body))
    }

    pub(crate) fn reads(
        &self,
        rows: &[Json],
        at: Timestamp,
        token: Option<&str>,
    ) -> Result<ReadAnswer, FeaturesError> {
        self.reads_service("shop_features", rows, at, token)
    }

    pub(crate) fn reads_service(
        &self,
        service: &str,
        rows: &[Json],
        at: Timestamp,
        token: Option<&str>,
    ) -> Result<ReadAnswer, FeaturesError> {
        let rows: Vec<Map<String, Json>> = rows.iter().map(|row| row.as_object().unwrap().clone()).collect();
        let request = ReadRequest {
            service: service.to_owned(),
            service_hash: None,
            rows,
            at: Some(at),
            token: token.map(str::to_owned),
        };
        self.block_on(self.features().read(request))
    }

    /// Waits until every view has its state: an event of a shop that nobody asks for is taken in and becomes visible.
    pub(crate) fn settles(&self) {
        let mut event = sale("settles", 99 * DAY, 1.0);
        event["country"] = "nowhere".into();
        let token = self.ingests("sales", &[event]).token;
        self.block_on(self.features().built()).unwrap();
        self.reads(&[shop()], Timestamp(100 * DAY), Some(&token)).unwrap();
    }

    /// Whether the lake has a table.
    pub(crate) fn has_table(&self, name: &str) -> bool {
        self.block_on(self.running().lake.schema(name)).is_ok()
    }

    /// The number that a query gives.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let batches: Vec<RecordBatch> =
            self.block_on(async { self.running().lake.sql(sql).await.unwrap().try_collect().await.unwrap() });
        batches
            .iter()
            .find(|batch| batch.num_rows() > 0)
            .unwrap()
            .column(0)
            .as_primitive::<Int64Type>()
            .value(0)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.die();
        }
    }
}

type Opened = (Features, Lake, EventLog, OnlineStore, Store, watch::Sender<Arc<DefinitionSet>>);

async fn open(
    folder: PathBuf,
    clock: Arc<ManualClock>,
    (limits, log_options, copy): (Limits, LogOptions, Option<CopyOptions>),
    definitions: Arc<DefinitionSet>,
) -> Result<Opened, Box<dyn std::error::Error>> {
    let at = |name: &str| -> PathBuf { Path::new(&folder).join(name) };
    let log = EventLog::open(&at("log"), log_options)?;
    let online = OnlineStore::open(&at("online"))?;
    let outside = OutsideOptions { folders: vec![at("in")], ..OutsideOptions::default() };
    let lake =
        Lake::open(LakeOptions { target_partitions: Some(2), outside, ..LakeOptions::new(at("lake")) })?;
    let store = Store::open(&at("meta.db")).await?;
    let (sender, receiver) = watch::channel(definitions);
    let options = FeaturesOptions {
        log: log.clone(),
        online: online.clone(),
        lake: lake.clone(),
        store: store.clone(),
        definitions: receiver,
        clock: clock as Arc<dyn Clock>,
        tracker: TaskTracker::new(),
        data_dir: at("data"),
        limits,
        read_copy: copy.as_ref().map(CopyStore::new).transpose()?,
    };
    let features = Features::open(options).await?;
    Ok((features, lake, log, online, store, sender))
}

/// A sale in shop 1 of the Netherlands.
pub(crate) fn sale(id: &str, time_us: i64, amount: f64) -> Json {
    json!({
        "sale_id": id, "sold_at": Timestamp(time_us).to_string(), "country": "nl", "number": 1,
        "amount": amount, "items": 1, "product": "tea",
    })
}

/// The shop of [`sale`] in a read.
pub(crate) fn shop() -> Json {
    json!({ "country": "nl", "number": 1, "basket": 3 })
}

/// The value of a column in the first row.
pub(crate) fn value(answer: &ReadAnswer, column: &str) -> Json {
    let at = answer.columns.iter().position(|held| held == column);
    let at = at.unwrap_or_else(|| panic!("{column} is not among {:?}", answer.columns));
    answer.rows[0].values[at].to_json()
}

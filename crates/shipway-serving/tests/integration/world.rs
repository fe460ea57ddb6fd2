//! A server's worth of serving: real tables, real SQL, and the two ports in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value as Json, json};
use shipway_core::{DataType, Digest, Failure, Kind, ManualClock, Name, Sampling, Timestamp, Value};
use shipway_lake::{Lake, LakeOptions};
use shipway_runtime::RuntimeOptions;
use shipway_serving::{
    BatchingSettings, CacheSettings, DeploymentSpec, FeatureAnswer, FeatureQuery, FeatureRow, FeatureSource,
    ModelFile, ModelSource, PortFailure, PredictRequest, QueueSettings, ResolvedModel, SERVICE_HASH_TAG,
    ServiceShape, Serving, ServingOptions, ServingPorts, ViewFreshness,
};
use shipway_store::Store;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::library::library;

/// 2013-11-01T00:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_383_264_000_000_000);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct FakeFailure(pub(crate) String);

impl Failure for FakeFailure {
    fn kind(&self) -> Kind {
        Kind::NotFound
    }

    fn code(&self) -> &'static str {
        "fake.not_found"
    }
}

/// A model of LightGBM that answers `low` for rows whose first column is at most 10, else `high`.
pub(crate) fn model_text(columns: &[&str], low: f64, high: f64) -> String {
    let infos = vec!["[0:1]"; columns.len()].join(" ");
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={}\n\
         objective=regression\nfeature_names={}\nfeature_infos={infos}\ntree_sizes=1\n\n\
         Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=0\nsplit_gain=1\nthreshold=10\ndecision_type=8\n\
         left_child=-1\nright_child=-2\nleaf_value={low} {high}\nleaf_count=10 30\n\
         internal_count=40\nis_linear=0\nshrinkage=1\n\n\nend of trees\n\n\
         parameters:\nend of parameters\n\npandas_categorical:null\n",
        columns.len() - 1,
        columns.join(" "),
    )
}

const DESCRIPTION: &str =
    "flavors:\n  lightgbm:\n    data: model.lgb\n    model_class: lightgbm.basic.Booster\n";

struct Version {
    files: BTreeMap<String, Bytes>,
    tags: BTreeMap<String, String>,
}

#[derive(Default)]
struct Models {
    versions: BTreeMap<u64, Version>,
    aliases: BTreeMap<String, u64>,
}

/// One registered model, `late`.
pub(crate) struct FakeModels {
    models: Mutex<Models>,
    changes: watch::Sender<u64>,
    /// Why promotions are refused, if they are.
    gate: Mutex<Option<String>>,
    reads: std::sync::atomic::AtomicUsize,
}

impl FakeModels {
    fn new() -> Self {
        Self {
            models: Mutex::default(),
            changes: watch::channel(0).0,
            gate: Mutex::default(),
            reads: Default::default(),
        }
    }

    /// An ONNX model as a version, as MLflow logs one.
    pub(crate) fn register_onnx(&self, version: u64, model: &'static [u8]) {
        let description: &[u8] = b"flavors:\n  onnx:\n    data: model.onnx\n";
        let files = [("MLmodel", description), ("model.onnx", model)]
            .map(|(path, content)| (path.to_owned(), Bytes::from_static(content)));
        let version_files = Version { files: files.into_iter().collect(), tags: BTreeMap::new() };
        self.models.lock().unwrap().versions.insert(version, version_files);
    }

    /// One more file in the folder of a version.
    pub(crate) fn add_file(&self, version: u64, path: &str, content: &str) {
        let mut models = self.models.lock().unwrap();
        let files = &mut models.versions.get_mut(&version).unwrap().files;
        files.insert(path.to_owned(), Bytes::from(content.to_owned()));
    }

    pub(crate) fn register(&self, version: u64, model: &str, service_hash: Option<Digest>) {
        let files = [("MLmodel", DESCRIPTION), ("model.lgb", model)]
            .map(|(path, content)| (path.to_owned(), Bytes::from(content.to_owned())));
        let tags = service_hash.map(|hash| (SERVICE_HASH_TAG.to_owned(), hash.to_string()));
        self.models.lock().unwrap().versions.insert(
            version,
            Version { files: files.into_iter().collect(), tags: tags.into_iter().collect() },
        );
    }

    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the port has it")]
    fn found(&self, models: &Models, version: u64) -> Result<ResolvedModel, PortFailure> {
        let Version { files, tags } = &models.versions[&version];
        let listed: Vec<ModelFile> = files
            .iter()
            .map(|(path, content)| ModelFile {
                path: path.clone(),
                digest: Digest::of(content),
                bytes: content.len() as u64,
            })
            .collect();
        let artifact = Digest::of(listed.iter().map(|file| file.digest.to_string()).collect::<String>());
        Ok(ResolvedModel { name: "late".to_owned(), version, artifact, files: listed, tags: tags.clone() })
    }

    /// From now on promotions are refused for this reason.
    pub(crate) fn close_gate(&self, reason: &str) {
        *self.gate.lock().unwrap() = Some(reason.to_owned());
    }

    /// The size of a version's files.
    pub(crate) fn bytes(&self, version: u64) -> u64 {
        let models = self.models.lock().unwrap();
        models.versions[&version].files.values().map(|content| content.len() as u64).sum()
    }

    /// How often the file of a model was read.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The version that an alias names.
    pub(crate) fn holder(&self, alias: &str) -> u64 {
        self.models.lock().unwrap().aliases[alias]
    }

    /// Moves the alias and tells nobody.
    pub(crate) fn move_silently(&self, alias: &str, version: u64) {
        self.models.lock().unwrap().aliases.insert(alias.to_owned(), version);
    }

    /// Moves the alias and tells whoever follows.
    pub(crate) fn move_alias(&self, alias: &str, version: u64) {
        self.move_silently(alias, version);
        self.changes.send_modify(|change| *change += 1);
    }
}

#[async_trait]
impl ModelSource for FakeModels {
    async fn resolve(&self, model: &str, alias: &str) -> Result<ResolvedModel, PortFailure> {
        let models = self.models.lock().unwrap();
        let version =
            *models.aliases.get(alias).filter(|_| model == "late").ok_or_else(|| {
                PortFailure::new(FakeFailure(format!("model {model} has no alias {alias}")))
            })?;
        self.found(&models, version)
    }

    async fn resolve_version(&self, model: &str, version: u64) -> Result<ResolvedModel, PortFailure> {
        let models = self.models.lock().unwrap();
        if model != "late" || !models.versions.contains_key(&version) {
            return Err(PortFailure::new(FakeFailure(format!("model {model} has no version {version}"))));
        }
        self.found(&models, version)
    }

    async fn promote(&self, _: &str, _: &str, alias: &str, version: u64) -> Result<(), PortFailure> {
        if let Some(reason) = self.gate.lock().unwrap().clone() {
            return Err(PortFailure::new(FakeFailure(reason)));
        }
        self.move_alias(alias, version);
        Ok(())
    }

    async fn read(&self, model: &ResolvedModel, file: &ModelFile) -> Result<Bytes, PortFailure> {
        if file.path == "model.lgb" {
            self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        Ok(self.models.lock().unwrap().versions[&model.version].files[&file.path].clone())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// One feature service, `traffic`, that knows how many flights each origin had.
pub(crate) struct FakeFeatures {
    shapes: Mutex<Vec<ServiceShape>>,
    log: Mutex<Sampling>,
}

/// A version of the service; the extra columns come after the count.
pub(crate) fn shape(version: &str, extra: &[(&str, DataType)]) -> ServiceShape {
    let column = |(name, data_type): &(&str, DataType)| ((*name).to_owned(), *data_type);
    let mut columns = vec![("origin_traffic__count_1d".to_owned(), DataType::Int)];
    columns.extend(extra.iter().map(column));
    columns.push(("month".to_owned(), DataType::Int));
    ServiceShape {
        hash: Digest::of(version),
        keys: vec![("origin".to_owned(), DataType::Text)],
        request: vec![("month".to_owned(), DataType::Int)],
        columns,
    }
}

impl FakeFeatures {
    fn new() -> Self {
        Self { shapes: Mutex::new(vec![shape("v1", &[])]), log: Mutex::default() }
    }

    /// From now on only these keys are logged.
    pub(crate) fn logs(&self, keys: Sampling) {
        *self.log.lock().unwrap() = keys;
    }

    pub(crate) fn apply(&self, shape: ServiceShape) {
        self.shapes.lock().unwrap().push(shape);
    }

    fn find(&self, service: &str, hash: Option<Digest>) -> Result<ServiceShape, PortFailure> {
        let shapes = self.shapes.lock().unwrap();
        let found = match hash {
            Some(hash) => shapes.iter().find(|shape| shape.hash == hash),
            None => shapes.last(),
        };
        found
            .filter(|_| service == "traffic")
            .cloned()
            .ok_or_else(|| PortFailure::new(FakeFailure(format!("service {service} does not exist"))))
    }
}

#[async_trait]
impl FeatureSource for FakeFeatures {
    async fn shape(&self, service: &str, service_hash: Option<Digest>) -> Result<ServiceShape, PortFailure> {
        self.find(service, service_hash)
    }

    async fn read(&self, query: FeatureQuery<'_>) -> Result<FeatureAnswer, PortFailure> {
        let shape = self.find(query.service, query.service_hash)?;
        let mut rows = Vec::new();
        for row in query.rows {
            let origin = row
                .get("origin")
                .and_then(Json::as_str)
                .ok_or_else(|| PortFailure::new(FakeFailure("key origin is missing".to_owned())))?;
            let count = match origin {
                "JFK" => Value::Int(30),
                "LGA" => Value::Int(5),
                _ => Value::Null,
            };
            let values = shape
                .columns
                .iter()
                .map(|(name, data_type)| {
                    Ok(match name.as_str() {
                        "origin_traffic__count_1d" => count.clone(),
                        "month" => {
                            row.get("month").map_or(Value::Null, |month| Value::Int(month.as_i64().unwrap()))
                        }
                        other if row.contains_key(other) => Value::from_json(&row[other], *data_type)
                            .map_err(|mismatch| {
                                PortFailure::new(FakeFailure(format!("{other}: {mismatch}")))
                            })?,
                        _ => Value::float(0.25),
                    })
                })
                .collect::<Result<_, PortFailure>>()?;
            let views = vec![ViewFreshness {
                view: "origin_traffic".to_owned(),
                event_time: Some(Timestamp(NOW.micros() - 7)),
                age_us: Some(7),
                fresh: true,
            }];
            rows.push(FeatureRow { values, views });
        }
        Ok(FeatureAnswer {
            service_hash: shape.hash,
            at: query.at.unwrap_or(NOW),
            columns: shape.columns.into_iter().map(|(name, _)| name).collect(),
            rows,
            watermarks: BTreeMap::from([("departures".to_owned(), 42)]),
            log: *self.log.lock().unwrap(),
        })
    }
}

/// Serving and everything around it.
pub(crate) struct World {
    pub(crate) serving: Serving,
    pub(crate) models: Arc<FakeModels>,
    pub(crate) features: Arc<FakeFeatures>,
    pub(crate) store: Store,
    pub(crate) lake: Lake,
    pub(crate) tracker: TaskTracker,
    memory: Option<u64>,
    _folder: tempfile::TempDir,
}

/// The columns of the models of these tests.
pub(crate) const COLUMNS: [&str; 2] = ["origin_traffic__count_1d", "month"];

impl World {
    /// A model `late` with versions 1 and 2, which answer 1.1 or 1.9 and 2.1 or 2.9; alias `champion` names version 1.
    pub(crate) async fn new() -> Self {
        Self::with_memory(None).await
    }

    /// The same with so many bytes of models at most.
    pub(crate) async fn with_memory(memory: Option<u64>) -> Self {
        let models = Arc::new(FakeModels::new());
        models.register(1, &model_text(&COLUMNS, 1.1, 1.9), None);
        models.register(2, &model_text(&COLUMNS, 2.1, 2.9), None);
        models.move_silently("champion", 1);
        let features = Arc::new(FakeFeatures::new());
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_memory().await.unwrap();
        let lake = Lake::open(LakeOptions::new(folder.path().join("lake"))).unwrap();
        let tracker = TaskTracker::new();
        let serving = open(&store, &lake, (&models, &features), &tracker, memory).await;
        Self { serving, models, features, store, lake, tracker, memory, _folder: folder }
    }

    /// Shuts down and opens again on what was written.
    pub(crate) async fn restart(mut self) -> Self {
        self.serving.shutdown().await.unwrap();
        self.tracker.close();
        self.tracker.wait().await;
        self.tracker = TaskTracker::new();
        let ports = (&self.models, &self.features);
        self.serving = open(&self.store, &self.lake, ports, &self.tracker, self.memory).await;
        self
    }

    pub(crate) async fn deploys(&self, name: &str, service: Option<&str>) {
        self.serving.deploy("tester", name, spec(service)).await.unwrap();
    }
}

async fn open(
    store: &Store,
    lake: &Lake,
    (models, features): (&Arc<FakeModels>, &Arc<FakeFeatures>),
    tracker: &TaskTracker,
    model_memory: Option<u64>,
) -> Serving {
    let ports = ServingPorts { models: models.clone(), features: features.clone() };
    let clock = Arc::new(ManualClock::at(NOW));
    let runtime = RuntimeOptions { onnx_library: Some(library()), ..RuntimeOptions::default() };
    let options = ServingOptions { runtime, triton_metrics: true, model_memory };
    Serving::open(store.clone(), lake.clone(), ports, options, clock, tracker.clone()).await.unwrap()
}

pub(crate) fn spec(service: Option<&str>) -> DeploymentSpec {
    DeploymentSpec {
        model: "late".to_owned(),
        alias: "champion".to_owned(),
        service: service.map(|service| Name::new(service).unwrap()),
        batching: BatchingSettings::default(),
        queue: QueueSettings::default(),
        cache: CacheSettings::default(),
        log_share: None,
        is_step: false,
    }
}

pub(crate) fn rows(rows: Json) -> PredictRequest {
    let rows: Vec<Map<String, Json>> = serde_json::from_value(rows).unwrap();
    PredictRequest { rows, ..PredictRequest::default() }
}

pub(crate) fn one_flight() -> PredictRequest {
    rows(json!([{ "origin": "JFK", "month": 11 }]))
}

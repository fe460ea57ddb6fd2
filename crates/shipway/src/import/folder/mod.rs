//! A folder in which MLflow keeps what it records, as `mlruns`: read as it lies there, while no server runs over it.
//!
//! `<experiment>/meta.yaml`, `<experiment>/<run>/{meta.yaml,params,tags,metrics,inputs,outputs,artifacts}`,
//! `<experiment>/models/<model>/…`, `models/<registered model>/…`, and deleted experiments in `.trash`.
//!
//! - `layout`: folders, files and keys; no link is followed
//! - `meta`: YAML files as items; pure
//! - `metrics`: lines of histories; pure
//! - `places`: where the files of a run or a model are

mod layout;
mod meta;
mod metrics;
mod places;

use std::{
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::StreamExt;
use serde_json::Value as Json;
use tokio_util::io::ReaderStream;

use super::{
    http::Trouble,
    item::{Experiment, Inputs, LoggedModel, Point, Registration, Run, Version},
    report::Remark,
    source::{Content, FileEntry, Owner, Page, Source},
};
use crate::failure::CommandFailure;

const RUNS: usize = 500;
const MODELS: usize = 100;
const POINTS: usize = 10_000;
const TRASH: &str = ".trash";
const MODELS_FOLDER: &str = "models";
/// The stage of a version that was deleted.
const DELETED_STAGE: &str = "Deleted_Internal";

pub(crate) struct FolderSource {
    name: String,
    root: PathBuf,
    /// Where a server kept the artifacts that it passed on itself, and other folders that may be read.
    artifacts: Option<PathBuf>,
    left_out: Mutex<Vec<Remark>>,
    failed: Mutex<Vec<Remark>>,
}

impl FolderSource {
    pub(crate) fn new(folder: &Path, artifacts: Option<&Path>) -> Result<Self, CommandFailure> {
        let missing = |path: &Path| CommandFailure::new(format!("{}: no such folder", path.display()));
        if folder.is_file() {
            return Err(database(folder));
        }
        let root = fs_err::canonicalize(folder).map_err(|_| missing(folder))?;
        if !has_experiments(&root) {
            if let Some(file) =
                ["mlflow.db", "mlruns.db"].map(|name| root.join(name)).into_iter().find(|file| file.is_file())
            {
                return Err(database(&file));
            }
            let failure =
                CommandFailure::new(format!("{}: no experiment of MLflow is in it", folder.display()));
            return Err(match has_experiments(&root.join("mlruns")) {
                true => failure.with_hint(format!("did you mean {}?", folder.join("mlruns").display())),
                false => failure
                    .with_hint("name the folder whose folders hold meta.yaml, or the address of a server"),
            });
        }
        let beside = root.parent().map(|parent| parent.join("mlartifacts")).filter(|beside| beside.is_dir());
        let artifacts = match artifacts {
            Some(named) => Some(fs_err::canonicalize(named).map_err(|_| missing(named))?),
            None => beside,
        };
        let name = root.display().to_string();
        Ok(Self { name, root, artifacts, left_out: Mutex::default(), failed: Mutex::default() })
    }

    fn leaves_out(&self, what: impl Into<String>, why: impl Into<String>) {
        let mut remarks = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.push(Remark::new(what, why));
    }

    fn fails(&self, path: &Path, why: impl Into<String>) {
        let mut remarks = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        remarks.push(Remark::new(self.shown(path), why));
    }

    /// A path below the folder, as a person reads it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }

    /// What a meta file says, unless it cannot be read, which is noted.
    fn meta(&self, folder: &Path) -> Option<Json> {
        let path = folder.join("meta.yaml");
        let read = fs_err::read_to_string(&path).map_err(|error| error.to_string());
        match read.and_then(|text| meta::parse(&text)) {
            Ok(meta) => Some(meta),
            Err(why) => {
                self.fails(&path, why);
                None
            }
        }
    }

    /// The folders directly in `folder` that hold a meta file and whose names `fit`, by name; none where there is no such folder.
    fn described(&self, folder: &Path, fit: impl Fn(&str) -> bool) -> Vec<String> {
        let mut names = layout::folders(folder);
        names.retain(|name| fit(name) && folder.join(name).join("meta.yaml").is_file());
        names
    }

    fn experiment_folder(&self, id: &str) -> PathBuf {
        let active = self.root.join(id);
        if active.join("meta.yaml").is_file() { active } else { self.root.join(TRASH).join(id) }
    }

    fn run_folder(&self, run: &Run) -> PathBuf {
        self.experiment_folder(&run.experiment_id).join(&run.run_id)
    }

    fn model_folder(&self, model: &LoggedModel) -> PathBuf {
        self.experiment_folder(&model.experiment_id).join(MODELS_FOLDER).join(&model.model_id)
    }

    /// Keys and texts of a folder of small files.
    fn texts(&self, folder: &Path) -> super::item::Texts {
        let mut texts = super::item::Texts::new();
        for key in layout::keys(folder) {
            let path = folder.join(&key);
            match fs_err::read_to_string(&path) {
                Ok(text) => drop(texts.insert(key, text)),
                Err(error) => self.fails(&path, error.to_string()),
            }
        }
        texts
    }

    fn run(&self, experiment: &Experiment, folder: &Path) -> Option<Run> {
        let mut run = match meta::run(&self.meta(folder)?) {
            Ok(run) => run,
            Err(why) => {
                self.fails(folder, why);
                return None;
            }
        };
        if folder.file_name().and_then(|name| name.to_str()) != Some(run.run_id.as_str()) {
            self.fails(folder, format!("its meta.yaml is that of run {}", run.run_id));
            return None;
        }
        run.experiment_id.clone_from(&experiment.experiment_id);
        run.params = self.texts(&folder.join("params"));
        run.tags = self.texts(&folder.join("tags"));
        let metrics = folder.join("metrics");
        // How long a history is says whether it has grown: it is only ever added to.
        let latest = |key: String| {
            let bytes = fs_err::metadata(metrics.join(&key)).map(|found| found.len()).unwrap_or_default();
            metrics::mark(key, bytes)
        };
        run.latest = layout::keys(&metrics).into_iter().map(latest).collect();
        run.inputs = self.inputs(experiment, folder);
        Some(run)
    }

    fn inputs(&self, experiment: &Experiment, run: &Path) -> Inputs {
        let datasets = self.experiment_folder(&experiment.experiment_id).join("datasets");
        let mut inputs = Inputs::default();
        let folder = run.join("inputs");
        for name in self.described(&folder, |_| true) {
            let Some(input) = self.meta(&folder.join(name)) else { continue };
            match meta::input(&input) {
                meta::Input::Model(link) => inputs.model_inputs.push(link),
                meta::Input::Dataset { id, tags } if layout::is_clean(&id) => {
                    let dataset = self.meta(&datasets.join(id));
                    inputs.datasets.extend(dataset.map(|dataset| meta::dataset(&dataset, tags)));
                }
                meta::Input::Dataset { .. } => {}
            }
        }
        let folder = run.join("outputs");
        let outputs = self.described(&folder, |_| true);
        inputs.model_outputs =
            outputs.iter().filter_map(|name| Some(meta::output(&self.meta(&folder.join(name))?))).collect();
        inputs
    }

    fn logged_model(&self, experiment: &Experiment, folder: &Path) -> Option<LoggedModel> {
        let mut model = match meta::logged_model(&self.meta(folder)?) {
            Ok(model) => model,
            Err(why) => {
                self.fails(folder, why);
                return None;
            }
        };
        if folder.file_name().and_then(|name| name.to_str()) != Some(model.model_id.as_str()) {
            self.fails(folder, format!("its meta.yaml is that of model {}", model.model_id));
            return None;
        }
        model.experiment_id.clone_from(&experiment.experiment_id);
        model.params = self.texts(&folder.join("params"));
        model.tags = self.texts(&folder.join("tags"));
        for (key, text) in self.texts(&folder.join("metrics")) {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                match metrics::score(&key, line) {
                    Some(score) => model.scores.push(score),
                    None => self.fails(&folder.join("metrics").join(&key), "a line is no score"),
                }
            }
        }
        Some(model)
    }

    fn history_page(&self, run: &Run, key: &str, from: u64) -> std::io::Result<Page<Point>> {
        let path = self.run_folder(run).join("metrics").join(key);
        let mut file = fs_err::File::open(&path)?;
        file.seek(SeekFrom::Start(from))?;
        let (mut reader, mut read) = (BufReader::new(file), from);
        let (mut items, mut line) = (Vec::new(), String::new());
        while items.len() < POINTS {
            line.clear();
            let bytes = reader.read_line(&mut line)?;
            if bytes == 0 {
                return Ok(Page::whole(items));
            }
            read += bytes as u64;
            match metrics::point(key, &line) {
                Some(point) => items.push(point),
                None if line.trim().is_empty() => {}
                None => self.fails(&path, "a line is no point of a metric"),
            }
        }
        Ok(Page { items, next: Some(read.to_string()) })
    }
}

/// What is said of a database, which is not read.
fn database(file: &Path) -> CommandFailure {
    CommandFailure::new(format!("{}: a database of MLflow is not read directly", file.display())).with_hint(format!(
        "start `mlflow server --backend-store-uri sqlite:///{} --port 5000`, with the artifacts' folder as it was, and import from http://127.0.0.1:5000",
        file.display()
    ))
}

fn has_experiments(root: &Path) -> bool {
    let described = |folder: &Path| {
        layout::folders(folder).iter().any(|name| folder.join(name).join("meta.yaml").is_file())
    };
    described(root) || described(&root.join(TRASH)) || described(&root.join(MODELS_FOLDER))
}

/// The part of the names that a token stands at the begin of, and the token of the next part.
fn part(names: &[String], token: Option<&str>, size: usize) -> (Vec<String>, Option<String>) {
    let from = token.and_then(|token| token.parse().ok()).unwrap_or(0_usize);
    let items: Vec<String> = names.iter().skip(from).take(size).cloned().collect();
    let next = from + items.len();
    (items, (next < names.len()).then(|| next.to_string()))
}

#[async_trait]
impl Source for FolderSource {
    fn name(&self) -> &str {
        &self.name
    }

    async fn experiments(&self) -> Result<Vec<Experiment>, Trouble> {
        let mut found = Vec::new();
        for parent in [self.root.clone(), self.root.join(TRASH)] {
            for name in self.described(&parent, |name| name != TRASH && name != MODELS_FOLDER) {
                let folder = parent.join(&name);
                let Some(meta) = self.meta(&folder) else { continue };
                match meta::experiment(&meta) {
                    Ok(mut experiment) if experiment.experiment_id == name => {
                        experiment.tags = self.texts(&folder.join("tags"));
                        found.push(experiment);
                    }
                    Ok(experiment) => self.fails(
                        &folder,
                        format!("its meta.yaml is that of experiment {}", experiment.experiment_id),
                    ),
                    Err(why) => self.fails(&folder, why),
                }
            }
        }
        Ok(found)
    }

    async fn runs(&self, experiment: &Experiment, token: Option<&str>) -> Result<Page<Run>, Trouble> {
        let folder = self.experiment_folder(&experiment.experiment_id);
        let no_run = ["tags", "datasets", "traces", MODELS_FOLDER];
        let names = self.described(&folder, |name| !no_run.contains(&name));
        let (names, next) = part(&names, token, RUNS);
        let items = names.iter().filter_map(|name| self.run(experiment, &folder.join(name))).collect();
        Ok(Page { items, next })
    }

    async fn history(&self, run: &Run, key: &str, token: Option<&str>) -> Result<Page<Point>, Trouble> {
        let from = token.and_then(|token| token.parse().ok()).unwrap_or(0);
        self.history_page(run, key, from).map_err(|error| Trouble::item(error.to_string()))
    }

    async fn logged_models(
        &self,
        experiment: &Experiment,
        token: Option<&str>,
    ) -> Result<Page<LoggedModel>, Trouble> {
        let folder = self.experiment_folder(&experiment.experiment_id).join(MODELS_FOLDER);
        let (names, next) = part(&self.described(&folder, |_| true), token, MODELS);
        let items =
            names.iter().filter_map(|name| self.logged_model(experiment, &folder.join(name))).collect();
        Ok(Page { items, next })
    }

    async fn registrations(&self) -> Result<Vec<Registration>, Trouble> {
        let (folder, mut found) = (self.root.join(MODELS_FOLDER), Vec::new());
        for name in self.described(&folder, |_| true) {
            let folder = folder.join(name);
            let Some(meta) = self.meta(&folder) else { continue };
            let mut registration = meta::registration(&meta);
            registration.tags = self.texts(&folder.join("tags"));
            for (alias, version) in self.texts(&folder.join("aliases")) {
                match version.trim().parse() {
                    Ok(version) => drop(registration.aliases.insert(alias, version)),
                    Err(_) => self.fails(&folder.join("aliases").join(alias), "it names no version"),
                }
            }
            found.push(registration);
        }
        Ok(found)
    }

    async fn versions(&self, registration: &Registration) -> Result<Vec<Version>, Trouble> {
        if !layout::is_clean(&registration.name) {
            return Err(Trouble::item("its name is no name of a folder"));
        }
        let (folder, mut found) = (self.root.join(MODELS_FOLDER).join(&registration.name), Vec::new());
        for name in self.described(&folder, |name| name.starts_with("version-")) {
            let folder = folder.join(name);
            let Some(meta) = self.meta(&folder) else { continue };
            let mut version = meta::version(&meta);
            if version.stage == DELETED_STAGE {
                continue;
            }
            version.tags = self.texts(&folder.join("tags"));
            found.push(version);
        }
        found.sort_by_key(|version| version.version);
        Ok(found)
    }

    async fn files(&self, owner: Owner<'_>) -> Result<Vec<FileEntry>, Trouble> {
        let (label, place) = match owner {
            Owner::Run(run) => {
                (format!("run {}", run.run_id), self.place(&self.run_folder(run), &run.artifact_uri))
            }
            Owner::Model(model) => (
                format!("logged model {}", model.model_id),
                self.place(&self.model_folder(model), &model.artifact_uri),
            ),
        };
        let Ok(folder) = place else {
            self.leaves_out(format!("files of {label}"), place.err().unwrap_or_default());
            return Ok(Vec::new());
        };
        let (files, passed_over) =
            layout::files(&folder).map_err(|error| Trouble::item(error.to_string()))?;
        for path in passed_over {
            self.leaves_out(format!("{label}, {path}"), "it is no plain file, or its name is no text");
        }
        Ok(files.into_iter().map(|(path, bytes)| FileEntry { path, bytes: Some(bytes) }).collect())
    }

    async fn open(&self, owner: Owner<'_>, path: &str) -> Result<Content, Trouble> {
        let folder = match owner {
            Owner::Run(run) => self.place(&self.run_folder(run), &run.artifact_uri),
            Owner::Model(model) => self.place(&self.model_folder(model), &model.artifact_uri),
        };
        let file = fs_err::tokio::File::open(folder.map_err(Trouble::item)?.join(path)).await;
        let file = file.map_err(|error| Trouble::item(error.to_string()))?;
        Ok(ReaderStream::with_capacity(file, 256 * 1024).boxed())
    }

    fn left_out(&self) -> Vec<Remark> {
        let mut remarks = self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        remarks
            .push(Remark::new("traces, evaluation data sets, scorers and webhooks", "they are not imported"));
        remarks
    }

    fn failed(&self) -> Vec<Remark> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

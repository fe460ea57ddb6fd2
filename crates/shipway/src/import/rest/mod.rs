//! A running MLflow server, read over its REST interface.
//!
//! - `read`: its answers as items; pure

mod read;

use std::{io, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value as Json, json};

use super::{
    http::{self, Trouble, path_of},
    item::{Experiment, LoggedModel, PROMPT_TAG, Point, Registration, Run, Version},
    report::Remark,
    source::{Content, FileEntry, Owner, Page, Source},
};
use crate::{client::segment, failure::CommandFailure};

const RUNS: u32 = 100;
const MODELS: u32 = 50;
const POINTS: u32 = 10_000;
const MOST_FOLDERS: usize = 100_000;

/// What the server asks of its callers.
#[derive(Clone)]
pub(crate) enum Credentials {
    None,
    Basic { user: String, password: String },
    Token(String),
}

pub(crate) struct RestSource {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
}

const WHO: &str = "the source";

impl RestSource {
    /// A source at an address without credentials in it: those would be repeated in reports.
    pub(crate) fn new(address: &str, credentials: Credentials) -> Result<Self, CommandFailure> {
        let wrong = |why: String| CommandFailure::new(format!("--from: {why}"));
        let parsed = url::Url::parse(address).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(wrong("an address begins with http:// or https://".to_owned()));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(wrong("it holds credentials".to_owned())
                .with_hint("give them with --from-user and --from-password, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(300))
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self { http, base: address.trim_end_matches('/').to_owned(), credentials })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.credentials {
            Credentials::None => request,
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password)),
            Credentials::Token(token) => request.bearer_auth(token),
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Json, Trouble> {
        let path = format!("/api/2.0/mlflow/{path}");
        http::json(WHO, || self.request(Method::GET, &path).query(query)).await
    }

    async fn post(&self, path: &str, body: &Json) -> Result<Json, Trouble> {
        let path = format!("/api/2.0/mlflow/{path}");
        http::json(WHO, || self.request(Method::POST, &path).json(body)).await
    }

    /// Every page of a search by GET.
    async fn all(&self, path: &str, list: &str, query: &[(&str, &str)]) -> Result<Vec<Json>, Trouble> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let mut query = query.to_vec();
            if !token.is_empty() {
                query.push(("page_token", token.as_str()));
            }
            let mut answer = self.get(path, &query).await?;
            if let Json::Array(items) = answer[list].take() {
                found.extend(items);
            }
            match read::next(&answer) {
                Some(next) => token = next,
                None => return Ok(found),
            }
        }
    }

    /// What lies directly in a folder of an owner.
    async fn folder(&self, owner: Owner<'_>, folder: &str) -> Result<Vec<Json>, Trouble> {
        let (path, mut query) = match owner {
            Owner::Run(run) => ("artifacts/list".to_owned(), vec![("run_id", run.run_id.as_str())]),
            Owner::Model(model) => {
                (format!("logged-models/{}/artifacts/directories", segment(&model.model_id)), Vec::new())
            }
        };
        if !folder.is_empty() {
            let name = if matches!(owner, Owner::Run(_)) { "path" } else { "artifact_directory_path" };
            query.push((name, folder));
        }
        self.all(&path, "files", &query).await
    }
}

#[async_trait]
impl Source for RestSource {
    fn name(&self) -> &str {
        &self.base
    }

    async fn experiments(&self) -> Result<Vec<Experiment>, Trouble> {
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let body = json!({
                "view_type": "ALL", "max_results": 1000, "order_by": ["experiment_id ASC"], "page_token": token,
            });
            let answer = self.post("experiments/search", &body).await?;
            found.extend(read::list(&answer, "experiments").map(read::experiment));
            token = read::next(&answer);
            if token.is_none() {
                return Ok(found);
            }
        }
    }

    async fn runs(&self, experiment: &Experiment, token: Option<&str>) -> Result<Page<Run>, Trouble> {
        // The oldest first: a run that begins meanwhile moves nothing.
        let body = json!({
            "experiment_ids": [experiment.experiment_id], "run_view_type": "ALL", "max_results": RUNS,
            "order_by": ["attributes.start_time ASC"], "page_token": token,
        });
        let answer = self.post("runs/search", &body).await?;
        Ok(Page { items: read::list(&answer, "runs").map(read::run).collect(), next: read::next(&answer) })
    }

    async fn history(&self, run: &Run, key: &str, token: Option<&str>) -> Result<Page<Point>, Trouble> {
        let most = POINTS.to_string();
        let mut query = vec![("run_id", run.run_id.as_str()), ("metric_key", key), ("max_results", &most)];
        query.extend(token.map(|token| ("page_token", token)));
        let answer = self.get("metrics/get-history", &query).await?;
        let point = |metric: &Json| Point { run_id: String::new(), ..read::point(metric) };
        Ok(Page { items: read::list(&answer, "metrics").map(point).collect(), next: read::next(&answer) })
    }

    async fn logged_models(
        &self,
        experiment: &Experiment,
        token: Option<&str>,
    ) -> Result<Page<LoggedModel>, Trouble> {
        let body = json!({
            "experiment_ids": [experiment.experiment_id], "max_results": MODELS, "page_token": token,
            "order_by": [{ "field_name": "creation_timestamp", "ascending": true }],
        });
        match self.post("logged-models/search", &body).await {
            Ok(answer) => {
                let items = read::list(&answer, "models").map(read::logged_model).collect();
                Ok(Page { items, next: read::next(&answer) })
            }
            // Servers before 3.0 have none.
            Err(trouble) if trouble.is(StatusCode::NOT_FOUND) => Ok(Page::whole(Vec::new())),
            Err(trouble) => Err(trouble),
        }
    }

    async fn registrations(&self) -> Result<Vec<Registration>, Trouble> {
        let only_prompts = format!("tags.`{PROMPT_TAG}` = 'true'");
        let mut found: Vec<Registration> = Vec::new();
        for filter in ["", &only_prompts] {
            let query = [("max_results", "100"), ("filter", filter)];
            let page = self.all("registered-models/search", "registered_models", &query).await?;
            for one in page.iter().map(read::registration) {
                if !found.iter().any(|known| known.name == one.name) {
                    found.push(one);
                }
            }
        }
        Ok(found)
    }

    async fn versions(&self, registration: &Registration) -> Result<Vec<Version>, Trouble> {
        let quote = match (registration.name.contains('\''), registration.name.contains('"')) {
            (false, _) => '\'',
            (true, false) => '"',
            (true, true) => return Err(Trouble::item("a name with both quotes cannot be searched for")),
        };
        let mut filter = format!("name={quote}{}{quote}", registration.name);
        if registration.is_prompt() {
            filter.push_str(&format!(" AND tags.`{PROMPT_TAG}` = 'true'"));
        }
        let query = [("max_results", "1000"), ("filter", filter.as_str())];
        let found = self.all("model-versions/search", "model_versions", &query).await?;
        let mut versions: Vec<Version> = found.iter().map(read::version).collect();
        versions.sort_by_key(|version| version.version);
        Ok(versions)
    }

    async fn files(&self, owner: Owner<'_>) -> Result<Vec<FileEntry>, Trouble> {
        let (mut found, mut folders) = (Vec::new(), vec![String::new()]);
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            seen += 1;
            if seen > MOST_FOLDERS {
                return Err(Trouble::item(format!("it has more than {MOST_FOLDERS} folders")));
            }
            for entry in self.folder(owner, &folder).await? {
                let path = entry["path"].as_str().unwrap_or_default().to_owned();
                // A folder that lists itself would be asked for ever.
                if path.len() <= folder.len() {
                    continue;
                }
                match entry["is_dir"].as_bool() {
                    Some(true) => folders.push(path),
                    _ => found.push(FileEntry {
                        path,
                        bytes: read::integer(&entry["file_size"]).map(i64::unsigned_abs),
                    }),
                }
            }
        }
        Ok(found)
    }

    async fn open(&self, owner: Owner<'_>, path: &str) -> Result<Content, Trouble> {
        let uri = match owner {
            Owner::Run(run) => &run.artifact_uri,
            Owner::Model(model) => &model.artifact_uri,
        };
        let address = match (read::proxied(uri), owner) {
            (Some(root), _) => {
                format!("/api/2.0/mlflow-artifacts/artifacts/{}", path_of(&format!("{root}/{path}")))
            }
            // What lies elsewhere the server fetches itself.
            (None, Owner::Run(run)) => {
                format!("/get-artifact?run_id={}&path={}", segment(&run.run_id), segment(path))
            }
            (None, Owner::Model(model)) => format!(
                "/ajax-api/2.0/mlflow/logged-models/{}/artifacts/files?artifact_file_path={}",
                segment(&model.model_id),
                segment(path)
            ),
        };
        let response = http::send(WHO, || self.request(Method::GET, &address)).await?;
        Ok(response.bytes_stream().map_err(io::Error::other).boxed())
    }

    fn left_out(&self) -> Vec<Remark> {
        vec![
            Remark::new("deleted logged models", "a server does not hand them out"),
            Remark::new("traces, evaluation data sets, scorers and webhooks", "they are not imported"),
        ]
    }

    fn failed(&self) -> Vec<Remark> {
        Vec::new()
    }
}

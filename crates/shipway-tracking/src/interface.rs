//! Serves MLflow's own web interface out of an installed `mlflow` package, as it is, for people who know their way in it.
//!
//! The interface is files of the package; everything that it shows it asks of the MLflow wire beside it. Which files there are is found
//! out once, at the start: a request names one of them or none, and never becomes a path.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use fs_err as fs;
use http::{HeaderValue, header};
use shipway_core::{
    Failure, Kind,
    Permission::{Known, Public},
};
use shipway_web::{Path, Problem, Routes};

/// Where the interface lies in the folder of the package.
const IN_PACKAGE: &str = "server/js/build";
const INDEX: &str = "index.html";
/// More files than any release has.
const MOST_FILES: usize = 20_000;

/// The files of the interface. Clones share them.
#[derive(Debug, Clone)]
pub struct Interface {
    files: Arc<BTreeMap<String, PathBuf>>,
}

/// There is no interface in the folder that was named.
#[derive(Debug, thiserror::Error)]
#[error("folder {}: MLflow's interface is not there ({reason})", folder.display())]
pub struct NoInterface {
    folder: PathBuf,
    reason: String,
}

impl Failure for NoInterface {
    fn kind(&self) -> Kind {
        Kind::Invalid
    }

    fn code(&self) -> &'static str {
        "tracking.no_interface"
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        Some("name the folder of an installed mlflow package: python -c 'import mlflow, os; print(os.path.dirname(mlflow.__file__))'".into())
    }
}

impl Interface {
    /// Takes the folder of an installed `mlflow` package, or that of its interface.
    pub fn open(folder: &FilePath) -> Result<Self, NoInterface> {
        let refused = |reason: String| NoInterface { folder: folder.to_owned(), reason };
        let candidates = [folder.join(IN_PACKAGE), folder.to_owned()];
        let root = candidates.iter().find(|candidate| candidate.join(INDEX).is_file());
        let root = root.ok_or_else(|| refused(format!("no {IN_PACKAGE}/{INDEX}")))?;
        let mut files = BTreeMap::new();
        let mut folders = vec![(String::new(), root.clone())];
        while let Some((prefix, folder)) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(|error| refused(error.to_string()))? {
                let entry = entry.map_err(|error| refused(error.to_string()))?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push((format!("{name}/"), entry.path()));
                } else {
                    files.insert(name, entry.path());
                }
            }
            if files.len() + folders.len() > MOST_FILES {
                return Err(refused(format!("it holds more than {MOST_FILES} files")));
            }
        }
        Ok(Self { files: Arc::new(files) })
    }

    /// `/` and what its page loads.
    pub fn routes(self) -> Routes<()> {
        let page = Routes::new().get("/", Known, index).with_problem_renderer(ask_for_a_login);
        page.merge(Routes::new().get("/static-files/{*path}", Public, file)).with_state(self)
    }

    async fn answer(&self, name: &str, cache: &'static str) -> Result<Response, Problem> {
        let missing =
            || Problem::new(Kind::NotFound, "web.unknown_path", format!("file {name}: nothing is there"));
        let path = self.files.get(name).ok_or_else(missing)?;
        let content = fs::tokio::read(path).await.map_err(|_| missing())?;
        let headers = [
            (header::CONTENT_TYPE, content_type(name)),
            (header::CACHE_CONTROL, cache),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // Nobody else's page may put this one into a frame and have it clicked.
            (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        ];
        Ok((headers, content).into_response())
    }
}

async fn index(State(interface): State<Interface>) -> Result<Response, Problem> {
    interface.answer(INDEX, "no-cache").await
}

/// Names of files hold the digest of their content.
async fn file(State(interface): State<Interface>, Path(path): Path<String>) -> Result<Response, Problem> {
    interface.answer(&path, "public, max-age=2419200").await
}

/// A browser asks its user for name and password only where basic credentials are asked for.
fn ask_for_a_login(problem: Problem) -> Response {
    let mut response = problem.into_response();
    if response.status() == http::StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"shipway\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("ico") => "image/x-icon",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        Some("wasm") => "application/wasm",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

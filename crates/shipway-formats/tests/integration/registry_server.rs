//! A schema registry over HTTP with the paths, answers and codes of Confluent's, and with faults on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use axum::{
    Json as Body, Router,
    body::Body as Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value as Json, json};

/// What the registry does instead of answering the next request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Status(u16),
    Redirect,
    TooLarge,
    Hang,
    NoJson,
    NotFoundByProxy,
}

#[derive(Default)]
struct Inner {
    schemas: BTreeMap<u32, Json>,
    subjects: BTreeMap<(String, u32), u32>,
    faults: VecDeque<Fault>,
    asked: Vec<String>,
    password: Option<&'static str>,
}

/// A registry that listens on a port of its own until it is dropped.
pub(crate) struct Registry {
    inner: Arc<Mutex<Inner>>,
    pub(crate) address: String,
    server: tokio::task::JoinHandle<()>,
}

type Shared = State<Arc<Mutex<Inner>>>;

impl Registry {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let app = Router::new()
            .route("/schemas/ids/{id}", get(schema))
            .route("/subjects/{subject}/versions", post(register))
            .route("/subjects/{subject}/versions/{version}", get(version))
            .route("/elsewhere", get(elsewhere))
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        #[expect(clippy::disallowed_methods, reason = "the server of a test ends with it")]
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { inner, address, server }
    }

    /// Keeps a schema under an id, and as a version of a subject where one is given.
    pub(crate) fn has(&self, id: u32, subject: Option<(&str, u32)>, schema: Json) {
        let mut inner = self.inner.lock().unwrap();
        inner.schemas.insert(id, schema);
        if let Some((subject, version)) = subject {
            inner.subjects.insert((subject.to_owned(), version), id);
        }
    }

    pub(crate) fn has_avro(&self, id: u32, schema: &str) {
        self.has(id, None, json!({ "schema": schema }));
    }

    pub(crate) fn fails_next(&self, fault: Fault) {
        self.inner.lock().unwrap().faults.push_back(fault);
    }

    pub(crate) fn wants_password(&self, password: &'static str) {
        self.inner.lock().unwrap().password = Some(password);
    }

    /// The paths that were asked for so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().asked.clone()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn error(status: u16, code: u32, message: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Body(json!({ "error_code": code, "message": message })))
        .into_response()
}

/// Notes the request; answers instead of it where a fault or the credentials say so.
async fn before(inner: &Mutex<Inner>, path: String, headers: &HeaderMap) -> Option<Response> {
    let fault = {
        let mut inner = inner.lock().unwrap();
        inner.asked.push(path);
        if let Some(password) = inner.password {
            use base64::Engine as _;
            let expected = base64::engine::general_purpose::STANDARD.encode(format!("reader:{password}"));
            if headers.get("authorization").is_none_or(|got| *got != *format!("Basic {expected}")) {
                return Some(error(401, 401, "Unauthorized"));
            }
        }
        inner.faults.pop_front()?
    };
    Some(match fault {
        Fault::Status(status) => error(status, 50_001, "Error in the backend data store"),
        Fault::Redirect => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        Fault::TooLarge => Response::new(Bytes::from(vec![b' '; 5 << 20])),
        Fault::Hang => std::future::pending().await,
        Fault::NoJson => "<html>sign in</html>".into_response(),
        Fault::NotFoundByProxy => (StatusCode::NOT_FOUND, "no such page").into_response(),
    })
}

async fn elsewhere(State(inner): Shared) -> &'static str {
    inner.lock().unwrap().asked.push("/elsewhere".to_owned());
    "{}"
}

async fn schema(State(inner): Shared, Path(id): Path<u32>, headers: HeaderMap) -> Response {
    if let Some(response) = before(&inner, format!("/schemas/ids/{id}"), &headers).await {
        return response;
    }
    match inner.lock().unwrap().schemas.get(&id) {
        Some(schema) => Body(schema.clone()).into_response(),
        None => error(404, 40_403, "Schema not found"),
    }
}

async fn version(
    State(inner): Shared,
    Path((subject, version)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Response {
    if let Some(response) = before(&inner, format!("/subjects/{subject}/versions/{version}"), &headers).await
    {
        return response;
    }
    let inner = inner.lock().unwrap();
    let Some(id) = inner.subjects.get(&(subject.clone(), version)) else {
        return error(404, 40_401, "Subject not found");
    };
    let mut answer = inner.schemas[id].clone();
    answer["subject"] = json!(subject);
    answer["version"] = json!(version);
    answer["id"] = json!(id);
    Body(answer).into_response()
}

async fn register(
    State(inner): Shared,
    Path(subject): Path<String>,
    headers: HeaderMap,
    Body(body): Body<Json>,
) -> Response {
    if let Some(response) = before(&inner, format!("POST /subjects/{subject}/versions"), &headers).await {
        return response;
    }
    let mut inner = inner.lock().unwrap();
    if subject == "taken" {
        return error(409, 409, "Schema being registered is incompatible with an earlier schema");
    }
    let known = inner.schemas.iter().find(|(_, schema)| **schema == body).map(|(id, _)| *id);
    let id = known.unwrap_or_else(|| inner.schemas.keys().last().map_or(1, |last| last + 1));
    inner.schemas.insert(id, body);
    inner.subjects.insert((subject, 1), id);
    Body(json!({ "id": id })).into_response()
}

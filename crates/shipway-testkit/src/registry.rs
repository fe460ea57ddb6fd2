//! A schema registry over HTTP with the paths, answers and codes of Confluent's; with faults on demand, and gone for a while.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json as Body, Router,
    body::Body as Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::Engine as _;
use serde_json::{Value as Json, json};
use tokio::runtime::{Builder, Runtime};

const WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);

/// What the registry does instead of answering the next request.
#[derive(Debug, Clone, Copy)]
pub enum RegistryFault {
    /// Answers with this status, in the words of a registry.
    Status(u16),
    /// Sends the asker elsewhere.
    Redirect,
    /// Answers with 5 MiB.
    TooLarge,
    /// Never answers.
    Hang,
    /// Answers with a page for people.
    NoJson,
    /// Answers that there is no such page, as somebody in between would.
    NotFoundByProxy,
}

#[derive(Debug, Default)]
struct Inner {
    schemas: BTreeMap<u32, Json>,
    subjects: BTreeMap<(String, u32), u32>,
    faults: VecDeque<RegistryFault>,
    asked: Vec<String>,
    password: Option<&'static str>,
}

type Shared = State<Arc<Mutex<Inner>>>;

/// A registry that listens on a port of its own until it is dropped.
#[derive(Debug)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
    port: u16,
    /// A runtime of its own: when it goes, so do the connections that are open.
    server: Option<Runtime>,
}

impl Registry {
    /// The user that may ask, once [`Self::wants_password`] was called.
    pub const USER: &str = "reader";

    /// Starts a registry without schemas.
    pub fn start() -> Self {
        let inner = Arc::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = listener.local_addr().expect("a listener has an address").port();
        Self { server: Some(serve(Arc::clone(&inner), listener)), inner, port }
    }

    /// `http://127.0.0.1:<port>`. It stays good while the registry is gone.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Keeps a schema under an id, and as a version of a subject where one is given.
    pub fn has(&self, id: u32, subject: Option<(&str, u32)>, schema: Json) {
        let mut inner = lock(&self.inner);
        inner.schemas.insert(id, schema);
        if let Some((subject, version)) = subject {
            inner.subjects.insert((subject.to_owned(), version), id);
        }
    }

    /// Keeps a schema of Avro under an id.
    pub fn has_avro(&self, id: u32, schema: &str) {
        self.has(id, None, json!({ "schema": schema }));
    }

    /// Keeps a schema of Protobuf under an id.
    pub fn has_protobuf(&self, id: u32, schema: &str) {
        self.has(id, None, json!({ "schemaType": "PROTOBUF", "schema": schema }));
    }

    /// Does this instead of answering one request, after those that were ordered before.
    pub fn fails_next(&self, fault: RegistryFault) {
        lock(&self.inner).faults.push_back(fault);
    }

    /// From now on answers only [`Self::USER`] with this password.
    pub fn wants_password(&self, password: &'static str) {
        lock(&self.inner).password = Some(password);
    }

    /// The paths that were asked for so far.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.inner).asked.clone()
    }

    /// Goes away, connections and all, and keeps its schemas. Returns when nobody can connect any more.
    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
        let deadline = Instant::now() + WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
            assert!(Instant::now() < deadline, "the registry is still there");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Comes back at the same address after [`Self::stop`].
    pub async fn restart(&mut self) {
        let deadline = Instant::now() + WITHIN;
        let listener = loop {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "port {}: {error}", self.port),
            }
            tokio::time::sleep(POLL).await;
        };
        self.server = Some(serve(Arc::clone(&self.inner), listener));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

fn serve(inner: Arc<Mutex<Inner>>, listener: TcpListener) -> Runtime {
    listener.set_nonblocking(true).expect("a listener need not block");
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let app = Router::new()
        .route("/schemas/ids/{id}", get(schema))
        .route("/subjects/{subject}/versions", post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/elsewhere", get(elsewhere))
        .with_state(inner);
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener can be watched");
        axum::serve(listener, app).await
    });
    runtime
}

fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error(status: u16, code: u32, message: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status of HTTP");
    (status, Body(json!({ "error_code": code, "message": message }))).into_response()
}

/// Notes the request; answers instead of it where a fault or the credentials say so.
async fn before(inner: &Mutex<Inner>, path: String, headers: &HeaderMap) -> Option<Response> {
    let fault = {
        let mut inner = lock(inner);
        inner.asked.push(path);
        if let Some(password) = inner.password {
            let expected =
                base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", Registry::USER));
            if headers.get("authorization").is_none_or(|got| *got != *format!("Basic {expected}")) {
                return Some(error(401, 401, "Unauthorized"));
            }
        }
        inner.faults.pop_front()?
    };
    Some(match fault {
        RegistryFault::Status(status) => error(status, 50_001, "Error in the backend data store"),
        RegistryFault::Redirect => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        RegistryFault::TooLarge => Response::new(Bytes::from(vec![b' '; 5 << 20])),
        RegistryFault::Hang => std::future::pending().await,
        RegistryFault::NoJson => "<html>sign in</html>".into_response(),
        RegistryFault::NotFoundByProxy => (StatusCode::NOT_FOUND, "no such page").into_response(),
    })
}

async fn elsewhere(State(inner): Shared) -> &'static str {
    lock(&inner).asked.push("/elsewhere".to_owned());
    "{}"
}

async fn schema(State(inner): Shared, Path(id): Path<u32>, headers: HeaderMap) -> Response {
    if let Some(response) = before(&inner, format!("/schemas/ids/{id}"), &headers).await {
        return response;
    }
    match lock(&inner).schemas.get(&id) {
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
    let inner = lock(&inner);
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
    let mut inner = lock(&inner);
    if subject == "taken" {
        return error(409, 409, "Schema being registered is incompatible with an earlier schema");
    }
    let known = inner.schemas.iter().find(|(_, schema)| **schema == body).map(|(id, _)| *id);
    let id = known.unwrap_or_else(|| inner.schemas.keys().last().map_or(1, |last| last + 1));
    inner.schemas.insert(id, body);
    inner.subjects.insert((subject, 1), id);
    Body(json!({ "id": id })).into_response()
}

#[cfg(test)]
mod tests {
    use reqwest::Client;

    use super::*;

    #[tokio::test]
    async fn a_registry_that_is_gone_refuses_connections_and_comes_back_with_its_schemas() {
        let mut registry = Registry::start();
        registry.has_avro(7, "\"int\"");
        let path = format!("{}/schemas/ids/7", registry.address());
        let http = Client::builder().no_proxy().build().unwrap();
        assert_eq!(http.get(&path).send().await.unwrap().text().await.unwrap(), r#"{"schema":"\"int\""}"#);

        registry.stop().await;
        // Not even over the connection that was open.
        assert!(http.get(&path).send().await.is_err());

        registry.restart().await;
        assert_eq!(http.get(&path).send().await.unwrap().status(), 200);
        assert_eq!(registry.asked().len(), 2);
    }
}

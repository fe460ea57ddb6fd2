//! A gateway over a folder of its own, and a provider that answers as it is told to and remembers what it was asked.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use shipway_core::{Clock, ManualClock, Timestamp};
use shipway_gateway::{
    CallFact, ContentLimits, CreateKey, DeploymentSpec, Entry, Gateway, GatewayParts, GuardrailSpec, Keyring,
    ModelSpec, ProviderKind, ProviderSpec, Servers,
};
use shipway_log::{EventLog, LogOptions};
use shipway_store::Store;
use shipway_web::Guard;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

pub(crate) use crate::models::{COST, completion, deployment, deployment_of, model, question};

/// 2026-11-30T12:00:00Z.
pub(crate) const NOON: Timestamp = Timestamp(1_796_040_000_000_000);

/// 32 bytes in hexadecimal digits.
pub(crate) const FIRST_KEY: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// How the body of a reply ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    /// The connection breaks.
    Cut,
    /// Nothing comes any more.
    Hang,
}

/// What the provider answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) end: End,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, chunks: vec![body.to_string().into()], end: End::Clean }
    }

    pub(crate) fn events(chunks: &[&str], end: End) -> Self {
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        let chunks = chunks.iter().map(|chunk| Bytes::copy_from_slice(chunk.as_bytes())).collect();
        Self { status: 200, headers, chunks, end }
    }
}

/// What the provider was asked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Provider {
    /// By the name of the model, as the provider is asked for it; by method and path where it is asked without a body.
    replies: Arc<Mutex<HashMap<String, VecDeque<Reply>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// What texts mean, for who asks for embeddings.
    meanings: Arc<Mutex<HashMap<String, Vec<f32>>>>,
    /// Models whose answers wait until each is let go.
    held: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
    /// Answers whose body was given up before its end.
    pub(crate) cancelled: Arc<AtomicUsize>,
}

/// Counts a body that is dropped before its end.
struct Watch {
    cancelled: Arc<AtomicUsize>,
    is_over: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.is_over {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Of a form, `form` and the model.
fn model_asked(body: &[u8], path: &str) -> String {
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        let in_path = || path.rsplit_once('/').and_then(|(_, last)| last.split(':').next());
        return json["model"].as_str().or_else(in_path).unwrap().to_owned();
    }
    let form = String::from_utf8_lossy(body);
    let (_, after) = form.split_once("name=\"model\"\r\n\r\n").unwrap();
    format!("form {}", after.split("\r\n").next().unwrap())
}

impl Provider {
    pub(crate) fn answers(&self, model: &str, reply: Reply) {
        self.replies.lock().unwrap().entry(model.to_owned()).or_default().push_back(reply);
    }

    /// Answers embeddings of this text with this vector.
    pub(crate) fn means(&self, text: &str, vector: &[f32]) {
        self.meanings.lock().unwrap().insert(text.to_owned(), vector.to_vec());
    }

    /// The embeddings that were asked for, if that is what was asked; a text whose meaning is not known fails.
    fn embeddings(&self, path: &str, body: &[u8]) -> Option<Reply> {
        if !path.ends_with("/embeddings") || self.meanings.lock().unwrap().is_empty() {
            return None;
        }
        let asked: Value = serde_json::from_slice(body).unwrap();
        let meanings = self.meanings.lock().unwrap();
        let vectors: Option<Vec<Value>> = asked["input"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(index, text)| {
                Some(json!({ "index": index, "embedding": meanings.get(text.as_str().unwrap())? }))
            })
            .collect();
        Some(match vectors {
            // The last first: whoever reads them looks at their index.
            Some(vectors) => {
                let vectors: Vec<Value> = vectors.into_iter().rev().collect();
                let usage = json!({ "prompt_tokens": 3, "total_tokens": 3 });
                Reply::json(200, &json!({ "object": "list", "data": vectors, "usage": usage }))
            }
            None => Reply::json(400, &json!({ "error": { "message": "a text without a meaning" } })),
        })
    }

    /// Answers of this model wait; each permit lets one go.
    pub(crate) fn holds(&self, model: &str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.held.lock().unwrap().insert(model.to_owned(), Arc::clone(&gate));
        gate
    }

    /// From here on this, whatever was to come.
    pub(crate) fn answers_only(&self, model: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(model.to_owned(), VecDeque::from([reply]));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Returns when a body was given up.
    pub(crate) async fn is_cancelled(&self) {
        let given_up = async {
            while self.cancelled.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), given_up).await.unwrap();
    }

    async fn reply(State(provider): State<Self>, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let asked = match body.is_empty() {
            true => format!("{} {}", parts.method, parts.uri),
            false => model_asked(&body, parts.uri.path()),
        };
        let path = parts.uri.path().to_owned();
        let embeddings = provider.embeddings(&path, &body);
        provider.seen.lock().unwrap().push(Seen {
            path,
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers,
            body,
        });
        let gate = provider.held.lock().unwrap().get(&asked).cloned();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let reply = if let Some(embeddings) = embeddings {
            embeddings
        } else {
            let mut replies = provider.replies.lock().unwrap();
            let queue = replies.get_mut(&asked).unwrap_or_else(|| panic!("{asked} was not expected"));
            if queue.len() > 1 { queue.pop_front().unwrap() } else { queue.front().unwrap().clone() }
        };
        let watch = Watch { cancelled: Arc::clone(&provider.cancelled), is_over: false };
        let steps = reply.chunks.into_iter().map(Some).chain([None]);
        let end = reply.end;
        let body = stream::unfold((watch, steps, false), move |(mut watch, mut steps, is_over)| async move {
            match steps.next() {
                Some(Some(chunk)) => Some((Ok(chunk), (watch, steps, is_over))),
                _ if is_over => None,
                _ => match end {
                    End::Clean => {
                        watch.is_over = true;
                        drop(watch);
                        None
                    }
                    End::Cut => {
                        // What was said so far goes out before the connection breaks.
                        tokio::task::yield_now().await;
                        let broken = Err(std::io::Error::other("cut"));
                        watch.is_over = true;
                        Some((broken, (watch, steps, true)))
                    }
                    End::Hang => std::future::pending().await,
                },
            }
        });
        let mut response = Response::new(Body::from_stream(body));
        *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
        for (name, value) in reply.headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) provider: Provider,
    pub(crate) clock: Arc<ManualClock>,
    providers: Vec<ProviderSpec>,
    router: Router,
    log: EventLog,
    pub(crate) store: Store,
    folder: TempDir,
    servers: Servers,
    /// What secrets of providers are encrypted with.
    pub(crate) keys: String,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

fn parts(
    (store, log): (&Store, &EventLog),
    clock: &Arc<ManualClock>,
    (servers, keys): (&Servers, &str),
) -> GatewayParts {
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    GatewayParts {
        store: store.clone(),
        log: log.clone(),
        clock,
        tracker: TaskTracker::new(),
        later: tokio::runtime::Handle::current(),
        cache_bytes: 8 << 20,
        content: ContentLimits { most_bytes: 8 << 20, days: 7, in_spans: false },
        servers: servers.clone(),
        keyring: Keyring::read(keys).unwrap(),
        media: Some(crate::models::fetcher()),
    }
}

fn log_in(folder: &Path) -> EventLog {
    EventLog::open(&folder.join("log"), LogOptions::default()).unwrap()
}

impl World {
    /// A gateway with a model `chat` of two deployments, `one` and `two`, and `claude` of one at Anthropic.
    pub(crate) async fn new() -> Self {
        let world = Self::empty().await;
        world.install(vec![
            model("chat", vec![deployment("one", "openai"), deployment("two", "openai")]),
            model("claude", vec![deployment("claude", "anthropic")]),
        ]);
        world
    }

    /// A gateway with a model `m` beside those of an empty one.
    pub(crate) async fn of(deployments: Vec<DeploymentSpec>) -> Self {
        let world = Self::empty().await;
        world.install(vec![model("m", deployments)]);
        world
    }

    async fn empty() -> Self {
        let store = Store::in_memory().await.unwrap();
        Self::over(store, Provider::default(), Servers::One).await.unwrap()
    }

    /// A server over a database, with a folder of its own.
    pub(crate) async fn over(
        store: Store,
        provider: Provider,
        servers: Servers,
    ) -> Result<Self, shipway_gateway::GatewayError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(Provider::reply).with_state(provider.clone());
        TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        let spec = |name: &str, kind| ProviderSpec {
            name: name.to_owned(),
            kind,
            base_url: format!("http://{address}/v1").parse().unwrap(),
            api_version: None,
            api_key: Some("sk-of-the-operator".to_owned()),
            api_key_secret: None,
            cloud: None,
            connect_timeout: Duration::from_secs(5),
        };
        let older =
            ProviderSpec { api_version: Some("2024-10-21".to_owned()), ..spec("older", ProviderKind::Azure) };
        let kept = ProviderSpec {
            api_key: None,
            api_key_secret: Some("main".to_owned()),
            ..spec("kept", ProviderKind::OpenAi)
        };
        let providers = vec![
            spec("openai", ProviderKind::OpenAi),
            spec("other", ProviderKind::OpenAi),
            spec("anthropic", ProviderKind::Anthropic),
            spec("gemini", ProviderKind::Gemini),
            spec("azure", ProviderKind::Azure),
            spec("bedrock", ProviderKind::Bedrock),
            spec("vertex", ProviderKind::Vertex),
            older,
            kept,
        ];
        let folder = TempDir::new().unwrap();
        let log = log_in(folder.path());
        let keys = FIRST_KEY.to_owned();
        let clock = Arc::new(ManualClock::at(NOON));
        let gateway = Gateway::open(parts((&store, &log), &clock, (&servers, &keys))).await?;
        let router =
            shipway_gateway::routes(gateway.clone()).into_router(Arc::new(Guard::open_on_loopback()));
        Ok(Self { gateway, provider, clock, providers, router, log, store, folder, servers, keys })
    }

    pub(crate) fn install(&self, models: Vec<ModelSpec>) {
        self.gateway.install(models, &self.providers).unwrap();
    }

    pub(crate) fn install_guarded(&self, models: Vec<ModelSpec>, guardrails: Vec<GuardrailSpec>) {
        self.gateway.install_guarded(models, guardrails, &self.providers).unwrap();
    }

    /// The same after its process was killed: nothing was closed in order.
    pub(crate) async fn killed(self) -> Self {
        self.opened_again(true).await
    }

    /// The same after the folder of its event log was lost.
    pub(crate) async fn without_its_log(self) -> Self {
        self.opened_again(false).await
    }

    async fn opened_again(self, keeps_log: bool) -> Self {
        let Self { gateway, provider, clock, providers, router, log, store, folder, servers, keys } = self;
        // What was handed to the log is on disk by then, as it would be a moment later.
        let topic = log.topic("llm_ledger").unwrap();
        topic.append(Vec::new()).await.unwrap();
        drop((gateway, router, topic));
        log.close().await;
        if !keeps_log {
            std::fs::remove_dir_all(folder.path().join("log")).unwrap();
        }
        let log = log_in(folder.path());
        let gateway = Gateway::open(parts((&store, &log), &clock, (&servers, &keys))).await.unwrap();
        let router =
            shipway_gateway::routes(gateway.clone()).into_router(Arc::new(Guard::open_on_loopback()));
        let world = Self { gateway, provider, clock, providers, router, log, store, folder, servers, keys };
        world.install(vec![model("chat", vec![deployment("one", "openai"), deployment("two", "openai")])]);
        world
    }

    pub(crate) async fn key(&self, create: CreateKey) -> String {
        let create = CreateKey { name: "test".to_owned(), ..create };
        self.gateway.create_key("tester", create).await.unwrap().text
    }

    /// Sends a call; its answer is not read yet.
    pub(crate) async fn send(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap()
    }

    pub(crate) async fn ask(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        read(self.send(path, headers, body).await).await
    }

    /// Asks as the holder of a new key.
    pub(crate) async fn call(&self, path: &str, body: &Value) -> Answer {
        let key = self.key(CreateKey::default()).await;
        self.ask(path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    /// Asks as the holder of a key.
    pub(crate) async fn chat(&self, key: &str, body: &Value) -> Answer {
        self.ask("/v1/chat/completions", &[("authorization", &format!("Bearer {key}"))], body).await
    }

    /// Asks without a body, as the holder of a key.
    pub(crate) async fn follow_up(&self, method: Method, path: &str, key: &str) -> Answer {
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {key}"));
        self.raw(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn raw(&self, request: Request) -> Answer {
        read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn native(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.raw(http::Request::builder().method(method).uri(path).body(body).unwrap()).await
    }

    /// Every settled call, in order, once there are `count` of them.
    pub(crate) async fn settled(&self, count: usize) -> Vec<CallFact> {
        let topic = self.log.topic("llm_ledger").unwrap();
        let all_there = async {
            loop {
                let end = topic.end();
                let records = topic.read(0, usize::MAX, usize::MAX).await.unwrap();
                let settled: Vec<CallFact> = records
                    .iter()
                    .filter_map(|record| match Entry::read(&record.payload).unwrap() {
                        Entry::Settled(fact) => Some(*fact),
                        Entry::Opened(_) => None,
                    })
                    .collect();
                if settled.len() >= count {
                    return settled;
                }
                topic.wait_beyond(end).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), all_there).await.unwrap()
    }
}

async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.next().await {
        read.extend_from_slice(&chunk.unwrap());
    }
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: read.into() }
}

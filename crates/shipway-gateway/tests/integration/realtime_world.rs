//! A provider of the realtime API whose side each test speaks itself, and clients.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use http::HeaderMap;
use serde_json::{Value, json};
use shipway_dialects::{Nanos, Price, Rates};
use shipway_gateway::{DeploymentSpec, ModelSpec, ProviderKind, ProviderSpec};
use shipway_web::Guard;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        handshake::{
            client::generate_key,
            server::{ErrorResponse, Request, Response},
        },
    },
};
use tokio_util::task::TaskTracker;

use crate::world::{World, deployment, model};

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// What a connection was asked with.
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

/// A gateway that listens, in front of a provider whose side the test speaks.
pub(crate) struct Realtime {
    pub(crate) world: World,
    pub(crate) address: SocketAddr,
    opened: mpsc::UnboundedReceiver<(Asked, Socket)>,
    refusals: Arc<Mutex<VecDeque<u16>>>,
    pub(crate) providers: Vec<ProviderSpec>,
}

/// 4 dollars for a million tokens of text, 32 for sound, 0.40 out of the cache; written 16 and 64.
pub(crate) fn price() -> Price {
    let rates = Rates {
        input: Nanos(4_000_000_000),
        output: Nanos(16_000_000_000),
        cache_read: Some(Nanos(400_000_000)),
        input_audio: Some(Nanos(32_000_000_000)),
        output_audio: Some(Nanos(64_000_000_000)),
        ..Rates::default()
    };
    Price { per_million_tokens: rates, ..Price::default() }
}

/// What is reserved for a response of a conversation that is short: 4096 tokens in and 1000 out, all of them sound.
pub(crate) const RESERVED: i64 = 4_096 * 32_000 + 1_000 * 64_000;
/// What [`done`] costs.
pub(crate) const COST: i64 = 20 * 4_000 + 50 * 32_000 + 30 * 400 + 10 * 16_000 + 40 * 64_000;

pub(crate) fn created(id: &str) -> String {
    json!({"type": "response.created", "response": {"id": id, "status": "in_progress"}}).to_string()
}

pub(crate) fn said(id: &str) -> String {
    json!({"type": "response.output_text.delta", "response_id": id, "delta": "hi"}).to_string()
}

/// The end of a response that read 40 tokens of text and 60 of sound, 20 and 10 of them out of the cache, and wrote 10 and 40.
pub(crate) fn done(id: &str) -> String {
    let usage = json!({
        "input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
        "input_token_details": {
            "text_tokens": 40, "audio_tokens": 60, "cached_tokens": 30,
            "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 10},
        },
        "output_token_details": {"text_tokens": 10, "audio_tokens": 40},
    });
    let response = json!({"id": id, "status": "completed", "conversation_id": "c", "usage": usage});
    json!({"type": "response.done", "response": response}).to_string()
}

/// A model of one deployment.
pub(crate) fn voice() -> ModelSpec {
    model("voice", vec![priced("one", "openai")])
}

pub(crate) fn priced(name: &str, provider: &str) -> DeploymentSpec {
    DeploymentSpec { price: Some(price()), ..deployment(name, provider) }
}

impl Realtime {
    pub(crate) async fn new(models: Vec<ModelSpec>) -> Self {
        let world = World::new().await;
        let tasks = TaskTracker::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let provider = listener.local_addr().unwrap();
        let (opens, opened) = mpsc::unbounded_channel();
        let refusals = Arc::new(Mutex::new(VecDeque::new()));
        let refused = Arc::clone(&refusals);
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let status = refused.lock().unwrap().pop_front();
                if let Some(opened) = let_in(stream, status).await {
                    let _ = opens.send(opened);
                }
            }
        });
        let spec = |name: &str, kind| ProviderSpec {
            name: name.to_owned(),
            kind,
            base_url: format!("http://{provider}/v1").parse().unwrap(),
            api_version: None,
            api_key: Some("sk-of-the-operator".to_owned()),
            api_key_secret: None,
            cloud: None,
            connect_timeout: Duration::from_secs(5),
        };
        let older = ProviderSpec {
            api_version: Some("2025-04-01-preview".to_owned()),
            base_url: format!("http://{provider}").parse().unwrap(),
            ..spec("older", ProviderKind::Azure)
        };
        let azure = ProviderSpec { api_version: None, name: "azure".to_owned(), ..older.clone() };
        let providers = vec![
            spec("openai", ProviderKind::OpenAi),
            spec("anthropic", ProviderKind::Anthropic),
            older,
            azure,
        ];
        world.gateway.install(models, &providers).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = shipway_gateway::routes(world.gateway.clone());
        let router = routes.into_router(Arc::new(Guard::open_on_loopback()));
        tasks.spawn(async move { axum::serve(listener, router).await });
        Self { world, address, opened, refusals, providers }
    }

    /// The next connections are refused with these statuses.
    pub(crate) fn refuses(&self, statuses: &[u16]) {
        self.refusals.lock().unwrap().extend(statuses);
    }

    /// The provider's side of the next connection.
    pub(crate) async fn opened(&mut self) -> (Asked, Socket) {
        tokio::time::timeout(Duration::from_secs(10), self.opened.recv()).await.unwrap().unwrap()
    }

    /// Asks for a connection.
    pub(crate) async fn connect(&self, query: &str, headers: &[(&str, &str)]) -> Result<Client, Refusal> {
        let mut request = http::Request::builder()
            .uri(format!("ws://{}/v1/realtime{query}", self.address))
            .header("host", self.address.to_string())
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", generate_key());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        match client_async(request.body(()).unwrap(), stream).await {
            Ok((socket, response)) => Ok(Client { socket, headers: response.headers().clone() }),
            Err(Error::Http(response)) => {
                let body = response.body().clone().unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let headers = response.headers().clone();
                Err(Refusal { status: response.status().as_u16(), headers, body })
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A connection to the model `voice` as the holder of a key, and the provider's side of it.
    pub(crate) async fn talk(&mut self, key: &str) -> (Client, Socket) {
        let client = self.connect("?model=voice", &[("authorization", &format!("Bearer {key}"))]).await;
        let client = client.unwrap_or_else(|refusal| panic!("{} {}", refusal.status, refusal.body));
        (client, self.opened().await.1)
    }
}

/// The head of an answer that is no connection. Its body may be cut, since the library reads a head.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Refusal {
    pub(crate) fn code(&self) -> &str {
        self.headers.get("x-shipway-error").map_or("", |code| code.to_str().unwrap())
    }
}

pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) headers: HeaderMap,
}

#[expect(clippy::result_large_err, reason = "the signature that the library hands over")]
async fn let_in(stream: TcpStream, status: Option<u16>) -> Option<(Asked, Socket)> {
    let mut asked = None;
    let judge = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        asked = Some(Asked { target: request.uri().to_string(), headers: request.headers().clone() });
        if let Some(status) = status {
            let body =
                json!({"error": {"message": "no", "type": "t", "code": null, "param": null}}).to_string();
            let refusal = http::Response::builder().status(status).header("content-type", "application/json");
            return Err(refusal.header("content-length", body.len()).body(Some(body)).unwrap());
        }
        if request.headers().contains_key("sec-websocket-protocol") {
            response.headers_mut().insert("sec-websocket-protocol", "realtime".parse().unwrap());
        }
        response.headers_mut().insert("x-request-id", "req_1".parse().unwrap());
        Ok(response)
    };
    let socket = accept_hdr_async(stream, judge).await.ok()?;
    Some((asked?, socket))
}

/// The next message that is no sign of life.
pub(crate) async fn next(socket: &mut Socket) -> Option<Message> {
    let message = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), message).await.unwrap()
}

pub(crate) async fn text(socket: &mut Socket) -> String {
    match next(socket).await {
        Some(Message::Text(text)) => text.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn event(socket: &mut Socket) -> Value {
    serde_json::from_str(&text(socket).await).unwrap()
}

/// How a side was closed; none where it broke.
pub(crate) async fn closed(socket: &mut Socket) -> Option<(u16, String)> {
    match next(socket).await? {
        Message::Close(None) => Some((1005, String::new())),
        Message::Close(Some(frame)) => Some((frame.code.into(), frame.reason.as_str().to_owned())),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn say(socket: &mut Socket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.unwrap();
}

/// Lets the provider answer with one whole response.
pub(crate) async fn answer(client: &mut Client, provider: &mut Socket, id: &str) {
    for event in [created(id), said(id), done(id)] {
        say(provider, event.clone()).await;
        assert_eq!(text(&mut client.socket).await, event);
    }
}

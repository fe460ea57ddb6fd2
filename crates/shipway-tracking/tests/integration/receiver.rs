//! A receiver of webhooks: a small HTTP server that keeps what it gets and answers as it is told.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::hmac;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Uri};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::task::TaskTracker;

/// How long a test waits for what should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a request is answered with.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    Header(u16, &'static str, String),
    Text(u16, &'static str),
    /// An answer without an end.
    Endless,
    /// No answer at all.
    Silence,
}

#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// `registered_model.created`
    pub(crate) fn event(&self) -> String {
        let body = self.json();
        format!("{}.{}", body["entity"].as_str().unwrap(), body["action"].as_str().unwrap())
    }

    /// Whether the signature is that of this secret.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let (id, time) = (self.header("X-MLflow-Delivery-Id"), self.header("X-MLflow-Timestamp"));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, format!("{id}.{time}.{}", self.body).as_bytes());
        self.header("X-MLflow-Signature") == format!("v1,{}", STANDARD.encode(tag))
    }
}

#[derive(Default)]
struct Kept {
    got: Mutex<Vec<Got>>,
    replies: Mutex<VecDeque<Reply>>,
    came: Notify,
}

pub(crate) struct Receiver {
    kept: Arc<Kept>,
    address: SocketAddr,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let kept = Arc::new(Kept::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(receive).with_state(Arc::clone(&kept));
        // It ends with the runtime of its test.
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self { kept, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next requests are answered so; those after them with 200.
    pub(crate) fn replies(&self, replies: impl IntoIterator<Item = Reply>) {
        self.kept.replies.lock().unwrap().extend(replies);
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.kept.got.lock().unwrap().clone()
    }

    /// Everything so far, once there are as many.
    pub(crate) async fn gets(&self, count: usize) -> Vec<Got> {
        let enough = async {
            loop {
                let came = self.kept.came.notified();
                let got = self.got();
                if got.len() >= count {
                    return got;
                }
                came.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, enough).await;
        waited.unwrap_or_else(|_| panic!("{} of {count} came: {:?}", self.got().len(), self.got()))
    }
}

async fn receive(State(kept): State<Arc<Kept>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    let reply = kept.replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(200));
    kept.got.lock().unwrap().push(Got { path: uri.path().to_owned(), headers, body });
    kept.came.notify_waiters();
    kept.came.notify_one();
    let answer = |status: u16, body: Body| Response::builder().status(status).body(body).unwrap();
    match reply {
        Reply::Status(status) => answer(status, Body::empty()),
        Reply::Text(status, text) => answer(status, Body::from(text)),
        Reply::Header(status, name, value) => {
            Response::builder().status(status).header(name, value).body(Body::empty()).unwrap()
        }
        Reply::Endless => {
            let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
            answer(200, Body::from_stream(futures::stream::repeat(Ok::<_, Infallible>(chunk))))
        }
        Reply::Silence => std::future::pending().await,
    }
}

//! Owners and readers, the load on the one and a watch over the other.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value as Json, json};
use shipway_core::Timestamp;
use shipway_testkit::{Client, Server, ServerOptions, TempData};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::world::{BINARY, Order, SHOPS};

pub(super) const WITHIN: Duration = Duration::from_secs(90);
pub(super) const POLL: Duration = Duration::from_millis(20);
pub(super) const READ: &str = "/api/v1/features/read";
/// The markers of the two views of the small world are the first records of the log.
pub(super) const MARKERS: u64 = 2;

pub(super) fn options(address: &str, role: &str) -> ServerOptions {
    let environment = vec![
        ("SHIPWAY_READ_COPY__ADDRESS".to_owned(), address.to_owned()),
        ("SHIPWAY_READ_COPY__ROLE".to_owned(), role.to_owned()),
    ];
    ServerOptions { environment, ..ServerOptions::default() }
}

pub(super) async fn owner(address: &str) -> Server {
    Server::start_in(BINARY, TempData::new(), options(address, "owner")).await
}

/// Ready when there is a whole copy.
pub(super) async fn reader(address: &str) -> Server {
    Server::start_in(BINARY, TempData::new(), options(address, "reader")).await
}

pub(super) fn question(service: &str, at: Timestamp, token: Option<&str>) -> Json {
    let rows: Vec<Json> = SHOPS.iter().map(|shop| json!({ "shop": shop })).collect();
    let mut body = json!({ "service": service, "rows": rows, "at": at.to_string() });
    token.iter().for_each(|token| body["token"] = (*token).into());
    body
}

pub(super) async fn sent(client: &Client, batch: &[Order]) -> Option<String> {
    let body: String = batch.iter().map(|order| order.line() + "\n").collect();
    let request = client
        .request(Method::POST, "/api/v1/ingest/orders")
        .header("content-type", "application/x-ndjson")
        .body(body);
    match client.send(request).await {
        Ok(answer) if answer.status == 200 => Some(answer.json()["token"].as_str().unwrap().to_owned()),
        _ => None,
    }
}

pub(super) async fn copy_status(server: &Server) -> Json {
    server.client().get("/api/v1/status").await.ok()["read_copy"].clone()
}

/// Waits until the owner says of its copy what `is_so` looks for.
pub(super) async fn says(server: &Server, is_so: impl Fn(&Json) -> bool) -> Json {
    let wait = async {
        loop {
            let status = copy_status(server).await;
            if is_so(&status) {
                return status;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let status = tokio::time::timeout(WITHIN, wait).await;
    assert!(status.is_ok(), "{}\n{}", copy_status(server).await, server.log());
    status.unwrap()
}

pub(super) async fn follows(owner: &Server) -> Json {
    let has_all = |status: &Json| {
        let mut sources = status["sources"].as_array().into_iter().flatten();
        status["state"] == "following" && sources.all(|source| source["lag"] == 0)
    };
    says(owner, has_all).await
}

/// The reader's answer with everything that `token` asks for, as soon as it has it.
pub(super) async fn answer_with(reader: &Server, at: Timestamp, token: &str) -> String {
    let body = question("shops", at, Some(token));
    let wait = async {
        loop {
            let answer = reader.client().post(READ, &body).await;
            if answer.status == 200 {
                return answer.text();
            }
            assert_eq!(answer.status, 503, "{}", answer.text());
            tokio::time::sleep(POLL).await;
        }
    };
    let answer = tokio::time::timeout(WITHIN, wait).await;
    assert!(answer.is_ok(), "{}\n{}", copy_status(reader).await, reader.log());
    answer.unwrap()
}

/// Orders that are sent one batch after the other, until there is enough.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<String>,
}

impl Load {
    /// Sends `orders` to `owner`; a batch that was not acknowledged is sent again. Its outcome is a token for all of them.
    pub(super) fn start(owner: &Server, orders: &[Order]) -> Self {
        let (client, orders) = (owner.client().clone(), orders.to_vec());
        let (stop, sent_orders) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&sent_orders));
        let task = TaskTracker::new().spawn(async move {
            let mut token = String::new();
            for batch in orders.chunks(10) {
                token = loop {
                    match sent(&client, batch).await {
                        Some(token) => break token,
                        None => tokio::time::sleep(POLL).await,
                    }
                };
                counted.fetch_add(batch.len(), Ordering::SeqCst);
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
            }
            token
        });
        Self { stop, sent: sent_orders, task }
    }

    pub(super) async fn waits_for(&self, more: usize) {
        let wanted = self.sent.load(Ordering::SeqCst) + more;
        while self.sent.load(Ordering::SeqCst) < wanted {
            assert!(!self.task.is_finished(), "the fault comes under load");
            tokio::time::sleep(POLL).await;
        }
    }

    /// How many were sent, and a token for them.
    pub(super) async fn ends(self) -> (usize, String) {
        self.stop.store(true, Ordering::SeqCst);
        let token = self.task.await.unwrap();
        (self.sent.load(Ordering::SeqCst), token)
    }
}

/// What a reader was seen to answer.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) answers: u64,
    /// Refusals by their code.
    pub(super) refusals: BTreeMap<String, u64>,
    /// The watermarks, in the order in which they came, each once in a row.
    pub(super) watermarks: Vec<u64>,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let moments = self.watermarks.len();
        write!(formatter, "{} answers of {moments} moments, refused {:?}", self.answers, self.refusals)
    }
}

pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    task: JoinHandle<Seen>,
}

impl Watch {
    /// Asks `reader` for all shops again and again. Whatever it answers must be exact: each order is one record of the log and
    /// counted once, so the counts of all shops together say how many records there are before the watermark.
    pub(super) fn start(reader: &Server, at: Timestamp) -> Self {
        let client = reader.client().clone();
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&answers));
        let body = question("shops", at, None);
        let task = TaskTracker::new().spawn(async move {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::SeqCst) {
                let answer = client.post(READ, &body).await;
                if answer.status != 200 {
                    *seen.refusals.entry(answer.refusal()).or_default() += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    continue;
                }
                let answer = answer.json();
                let columns = answer["columns"].as_array().unwrap();
                let count = columns.iter().position(|name| name == "shop_orders__count_lifetime").unwrap();
                let rows = answer["rows"].as_array().unwrap();
                let counted_orders: u64 = rows.iter().map(|row| row["values"][count].as_u64().unwrap()).sum();
                let watermark = answer["watermarks"]["orders"].as_u64().unwrap();
                assert_eq!(counted_orders + MARKERS, watermark, "{answer}");
                if seen.watermarks.last() != Some(&watermark) {
                    seen.watermarks.push(watermark);
                }
                seen.answers += 1;
                counted.fetch_add(1, Ordering::SeqCst);
            }
            seen
        });
        Self { stop, answers, task }
    }

    /// Waits for so many more answers.
    pub(super) async fn waits_for(&self, more: usize) {
        let wanted = self.answers.load(Ordering::SeqCst) + more;
        let wait = async {
            while self.answers.load(Ordering::SeqCst) < wanted {
                assert!(!self.task.is_finished(), "the watch goes on");
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(WITHIN, wait).await.unwrap();
    }

    pub(super) async fn ends(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

//! What arrived, and how it ended: the newest requests, with their bytes. Cheap to write: everything is worked out when it is read.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::{
    script::Script,
    wire::{Request, headers},
};

/// How the delivery of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Complete,
    /// By the script.
    Cut,
    Reset,
    /// Nothing more comes; it ends when the client leaves.
    Stalled,
    ClientLeft,
}

impl Ended {
    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::Stalled => "stalled",
            Self::ClientLeft => "client_left",
        }
    }
}

/// What was sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) ended: Ended,
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
    /// From the moment when the answer was ready to be sent: waiting, as the script says, is in it.
    pub(crate) took: Duration,
    /// Over a connection: what the client said, and how it closed.
    pub(crate) said: Option<Value>,
}

/// A request that arrived.
#[derive(Debug)]
pub(crate) struct Entry {
    number: u64,
    arrived: Instant,
    head: Bytes,
    method: String,
    target: String,
    key: Option<String>,
    model: String,
    stream: bool,
    script: Arc<Script>,
    body_bytes: usize,
    body: Option<Bytes>,
    checksum: Option<u32>,
    sent: OnceLock<Sent>,
}

/// What the provider made of a request, for its entry.
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) script: Arc<Script>,
    pub(crate) checksum: Option<u32>,
}

#[derive(Debug, Default)]
struct Entries {
    newest: VecDeque<Arc<Entry>>,
    /// Of the bodies in them.
    bytes: usize,
}

/// Bodies that are remembered have so many bytes together.
const BODIES_BYTES: usize = 256 << 20;

#[derive(Debug)]
pub(crate) struct Journal {
    keeps: usize,
    keeps_body_bytes: usize,
    started: Instant,
    entries: Mutex<Entries>,
    began: AtomicU64,
    complete: AtomicU64,
    cut: AtomicU64,
    left: AtomicU64,
    broken: AtomicU64,
    errors: AtomicU64,
    changed: Notify,
}

impl Journal {
    pub(crate) fn new(keeps: usize, keeps_body_bytes: usize) -> Self {
        Self {
            keeps,
            keeps_body_bytes,
            started: Instant::now(),
            entries: Mutex::default(),
            began: AtomicU64::new(0),
            complete: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            left: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Notes a request; `None` where nothing is remembered.
    pub(crate) fn arrived(&self, request: &Request, seen: Seen) -> Option<Arc<Entry>> {
        self.began.fetch_add(1, Relaxed);
        if self.keeps == 0 {
            return None;
        }
        let entry = Arc::new(Entry {
            number: seen.number,
            arrived: request.arrived,
            head: request.head.clone(),
            method: request.method.clone(),
            target: request.target.clone(),
            key: request.key().map(str::to_owned),
            model: seen.model,
            stream: seen.stream,
            script: seen.script,
            body_bytes: request.body.len(),
            body: (request.body.len() <= self.keeps_body_bytes).then(|| request.body.clone()),
            checksum: seen.checksum,
            sent: OnceLock::new(),
        });
        let mut entries = self.entries();
        entries.bytes += entry.body.as_ref().map_or(0, Bytes::len);
        entries.newest.push_back(Arc::clone(&entry));
        while entries.newest.len() > self.keeps || entries.bytes > BODIES_BYTES {
            let Some(oldest) = entries.newest.pop_front() else { break };
            entries.bytes -= oldest.body.as_ref().map_or(0, Bytes::len);
        }
        drop(entries);
        Some(entry)
    }

    /// Notes how a request ended.
    pub(crate) fn ended(&self, entry: Option<&Entry>, sent: Sent) {
        match sent.ended {
            Ended::Complete => &self.complete,
            Ended::ClientLeft => &self.left,
            Ended::Cut | Ended::Reset | Ended::Stalled => &self.cut,
        }
        .fetch_add(1, Relaxed);
        if sent.status >= 400 {
            self.errors.fetch_add(1, Relaxed);
        }
        if let Some(entry) = entry {
            // It ends once.
            let _ = entry.sent.set(sent);
        }
        self.changed.notify_waiters();
    }

    /// Notes what was no request.
    pub(crate) fn broken_request(&self) {
        self.broken.fetch_add(1, Relaxed);
    }

    pub(crate) fn forget(&self) {
        *self.entries() = Entries::default();
        for counter in [&self.began, &self.complete, &self.cut, &self.left, &self.broken, &self.errors] {
            counter.store(0, Relaxed);
        }
    }

    pub(crate) fn counters(&self) -> Value {
        json!({
            "requests": self.began.load(Relaxed),
            "complete": self.complete.load(Relaxed),
            "cut": self.cut.load(Relaxed),
            "client_left": self.left.load(Relaxed),
            "errors": self.errors.load(Relaxed),
            "broken_requests": self.broken.load(Relaxed),
        })
    }

    /// The entries after the one numbered `since`, once `count` of them have ended or `patience` is over.
    pub(crate) async fn read(&self, since: u64, count: usize, patience: Duration) -> Vec<Arc<Entry>> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let found: Vec<_> =
                self.entries().newest.iter().filter(|entry| entry.number > since).cloned().collect();
            let ended = found.iter().filter(|entry| entry.sent.get().is_some()).count();
            if ended >= count || tokio::time::timeout_at(deadline, changed).await.is_err() {
                return found;
            }
        }
    }

    /// The body of a request, as it came, if it is remembered.
    pub(crate) fn body(&self, number: u64) -> Option<Bytes> {
        self.entries().newest.iter().find(|entry| entry.number == number)?.body.clone()
    }

    pub(crate) fn shown(&self, entry: &Entry) -> Value {
        let sent = entry.sent.get().map(|sent| {
            json!({
                "status": sent.status,
                "ended": sent.ended.name(),
                "frames": sent.frames,
                "body_bytes": sent.bytes,
                "took_us": micros(sent.took),
                "said": sent.said,
            })
        });
        let body = entry.body.as_deref();
        json!({
            "number": entry.number,
            "arrived_us": micros(entry.arrived.saturating_duration_since(self.started)),
            "method": entry.method,
            "target": entry.target,
            "headers": shown_headers(&entry.head),
            "key": entry.key.as_deref().map(digest),
            "model": entry.model,
            "stream": entry.stream,
            "script": entry.script.text,
            "body_bytes": entry.body_bytes,
            "body_crc32": entry.checksum.or_else(|| body.map(crc32fast::hash)).map(|sum| format!("{sum:08x}")),
            "body_sha256": body.map(|body| hex::encode(Sha256::digest(body))),
            "body": body.and_then(|body| str::from_utf8(body).ok()),
            "sent": sent,
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The headers as they came, in their order; keys as digests.
fn shown_headers(head: &[u8]) -> Value {
    const SECRET: [&str; 7] = [
        "authorization",
        "api-key",
        "x-api-key",
        "x-goog-api-key",
        "sec-websocket-protocol",
        "proxy-authorization",
        "cookie",
    ];
    let shown = headers(head).map(|(name, value)| {
        let secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
        (name.to_ascii_lowercase(), Value::from(if secret { digest(value) } else { value.to_owned() }))
    });
    Value::Object(shown.collect::<Map<_, _>>())
}

/// What a secret is shown as: equal for equal secrets, and nothing else.
fn digest(secret: &str) -> String {
    format!("sha256:{}", hex::encode(&Sha256::digest(secret.as_bytes())[..8]))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

//! What the embedded store and the copy both promise: one suite, run against each.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use shipway_online::{
    Batch, OnlineStore, Space,
    copy::{Committed, CopyCommit, CopyKey, CopyOptions, CopyStore},
};
use shipway_testkit::{Redis, RedisCluster};
use tokio::sync::Mutex;
use tokio_util::task::TaskTracker;

/// Keys and their new values; none to remove the key.
type Changes = Vec<(Bytes, Option<Bytes>)>;

/// A store of rows and a progress, which changes with them.
trait Subject: Clone + Send + Sync + 'static {
    fn commit(&self, changes: Changes, progress: &Bytes) -> impl Future<Output = ()> + Send;

    /// The progress and the values of `keys`, of one moment.
    fn read(&self, keys: &[Bytes]) -> impl Future<Output = (Option<Bytes>, Vec<Option<Bytes>>)> + Send;
}

#[derive(Clone)]
struct Embedded {
    store: OnlineStore,
    _folder: Arc<tempfile::TempDir>,
}

impl Embedded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: OnlineStore::open(folder.path()).unwrap(), _folder: Arc::new(folder) }
    }
}

impl Subject for Embedded {
    async fn commit(&self, changes: Changes, progress: &Bytes) {
        let mut batch = Batch::new();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(Space::State, key, value),
                None => batch.delete(Space::State, key),
            }
        }
        batch.put(Space::Progress, "progress", progress.clone());
        self.store.commit(batch).unwrap();
    }

    async fn read(&self, keys: &[Bytes]) -> (Option<Bytes>, Vec<Option<Bytes>>) {
        let snapshot = self.store.snapshot();
        let progress = snapshot.get(Space::Progress, b"progress").unwrap();
        (progress, snapshot.get_many(Space::State, keys).unwrap())
    }
}

/// One bucket of a copy.
#[derive(Clone)]
struct Bucket {
    copy: CopyStore,
    number: u32,
    held: Arc<Mutex<Option<Bytes>>>,
}

impl Bucket {
    fn new(options: &CopyOptions) -> Self {
        let copy = CopyStore::new(options).unwrap();
        let number = copy.buckets() - 1;
        Self { copy, number, held: Arc::default() }
    }
}

fn row(key: &Bytes) -> CopyKey {
    CopyKey::Row { space: 3, key: key.clone() }
}

impl Subject for Bucket {
    async fn commit(&self, changes: Changes, progress: &Bytes) {
        let mut held = self.held.lock().await;
        let mut commit = CopyCommit { head: progress.clone(), ..CopyCommit::default() };
        for (key, value) in changes {
            match value {
                Some(value) => commit.puts.push((row(&key), value)),
                None => commit.deletes.push(row(&key)),
            }
        }
        let committed = self.copy.commit(self.number, held.as_deref(), &commit).await.unwrap();
        assert_eq!(committed, Committed::Done);
        *held = Some(progress.clone());
    }

    async fn read(&self, keys: &[Bytes]) -> (Option<Bytes>, Vec<Option<Bytes>>) {
        let keys: Vec<CopyKey> = keys.iter().map(row).collect();
        let read = self.copy.read(self.number, &keys).await.unwrap();
        (read.head, read.values)
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn numbered(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

async fn conforms(subject: impl Subject) {
    nothing_is_there_before_anything_is_committed(&subject).await;
    the_last_change_of_a_key_counts_and_what_is_removed_is_gone(&subject).await;
    many_keys_come_in_the_order_asked(&subject).await;
    keys_and_values_are_any_bytes_and_long(&subject).await;
    a_batch_of_nothing_moves_the_progress_alone(&subject).await;
    a_reader_sees_whole_batches_with_their_progress(&subject).await;
}

async fn nothing_is_there_before_anything_is_committed(subject: &impl Subject) {
    assert_eq!(subject.read(&[]).await, (None, vec![]));
    assert_eq!(subject.read(&[bytes("a"), bytes("b")]).await, (None, vec![None, None]));
}

async fn the_last_change_of_a_key_counts_and_what_is_removed_is_gone(subject: &impl Subject) {
    let first = vec![(bytes("a"), Some(bytes("1"))), (bytes("b"), Some(bytes("2")))];
    subject.commit(first, &bytes("first")).await;
    let second = vec![
        (bytes("a"), Some(bytes("3"))),
        (bytes("b"), None),
        (bytes("never there"), None),
        (bytes("c"), Some(bytes("4"))),
    ];
    subject.commit(second, &bytes("second")).await;
    let (progress, values) = subject.read(&["a", "b", "never there", "c"].map(bytes)).await;
    assert_eq!(progress, Some(bytes("second")));
    assert_eq!(values, [Some(bytes("3")), None, None, Some(bytes("4"))]);
}

async fn many_keys_come_in_the_order_asked(subject: &impl Subject) {
    let key = |number: u64| bytes(&format!("key {number}"));
    let rows = (0..2_000).map(|number| (key(number), Some(numbered(number)))).collect();
    subject.commit(rows, &bytes("many")).await;
    // Some twice, some that are not there.
    let asked: Vec<u64> = (0..5_000).map(|number| number * 7 % 2_500).collect();
    let keys: Vec<Bytes> = asked.iter().map(|number| key(*number)).collect();
    let (_, values) = subject.read(&keys).await;
    let expected: Vec<Option<Bytes>> =
        asked.iter().map(|number| (*number < 2_000).then(|| numbered(*number))).collect();
    assert!(values == expected);
}

async fn keys_and_values_are_any_bytes_and_long(subject: &impl Subject) {
    let all: Bytes = (0..=255).collect::<Vec<u8>>().into();
    let long_key: Bytes = all.iter().copied().cycle().take(60_000).collect::<Vec<u8>>().into();
    let long_value: Bytes = all.iter().copied().cycle().take(3 << 20).collect::<Vec<u8>>().into();
    let rows = vec![
        (all.clone(), Some(Bytes::new())),
        (bytes("{}:\r\n\0"), Some(all.clone())),
        (long_key.clone(), Some(long_value.clone())),
        (Bytes::from_static(b"\xff\xfe"), Some(bytes("\r\n$5\r\n"))),
    ];
    subject.commit(rows.clone(), &all).await;
    let keys: Vec<Bytes> = rows.iter().map(|(key, _)| key.clone()).collect();
    let (progress, values) = subject.read(&keys).await;
    assert_eq!(progress, Some(all));
    assert!(values.into_iter().eq(rows.into_iter().map(|(_, value)| value)));
}

async fn a_batch_of_nothing_moves_the_progress_alone(subject: &impl Subject) {
    let before = subject.read(&[bytes("a")]).await.1;
    subject.commit(vec![], &bytes("nothing")).await;
    assert_eq!(subject.read(&[bytes("a")]).await, (Some(bytes("nothing")), before));
}

async fn a_reader_sees_whole_batches_with_their_progress(subject: &impl Subject) {
    let keys: Vec<Bytes> = (0..8).map(|key| bytes(&format!("whole {key}"))).collect();
    let batch = |number| keys.iter().map(|key| (key.clone(), Some(numbered(number)))).collect();
    subject.commit(batch(0), &numbered(0)).await;
    let (is_over, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let tasks = TaskTracker::new();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (subject, keys) = (subject.clone(), keys.clone());
            let (is_over, reads) = (Arc::clone(&is_over), Arc::clone(&reads));
            tasks.spawn(async move {
                let mut last = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let (progress, values) = subject.read(&keys).await;
                    let progress = progress.unwrap();
                    assert!(values.iter().all(|value| value.as_ref() == Some(&progress)), "{values:?}");
                    let number = u64::from_be_bytes(progress[..].try_into().unwrap());
                    assert!(number >= last, "{number} after {last}");
                    last = number;
                    reads.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                last
            })
        })
        .collect();
    let mut number = 0;
    while number < 800 || reads.load(Ordering::Relaxed) < 300 {
        number += 1;
        subject.commit(batch(number), &numbered(number)).await;
        tokio::task::yield_now().await;
    }
    is_over.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() <= number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_conforms() {
    conforms(Embedded::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_in_one_server_conforms() {
    let redis = Redis::start().await;
    conforms(Bucket::new(&CopyOptions::new(redis.address()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_in_a_cluster_conforms() {
    let cluster = RedisCluster::start(3).await;
    let options = CopyOptions { addresses: cluster.addresses(), is_cluster: true, ..CopyOptions::new("") };
    conforms(Bucket::new(&options)).await;
}

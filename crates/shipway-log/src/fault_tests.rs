//! How a topic behaves when the disk is full, fails, or is slow. A refusal leaves no trace; an acknowledgement stays.

use std::{
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex},
};

use bytes::Bytes;
use fs_err::File;
use proptest::prelude::*;
use shipway_core::{Failure as _, Kind};
use tokio::task::JoinSet;

use crate::{
    EventLog, LogError, LogOptions, Topic,
    disk::{Disk, LocalDisk},
};

/// What the disk does next. Each fault strikes until it is lifted.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Writes stop after this many bytes, for want of space.
    full_after: Option<usize>,
    sync_fails: bool,
    cut_fails: bool,
    /// Syncs wait.
    sync_waits: bool,
}

/// A disk that fails on demand, and counts.
#[derive(Default)]
struct FaultyDisk {
    faults: Mutex<Faults>,
    changed: Condvar,
    syncs: Mutex<usize>,
}

impl FaultyDisk {
    fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
        self.changed.notify_all();
    }
}

impl Disk for FaultyDisk {
    fn write(&self, file: &File, bytes: &[u8], position: u64) -> io::Result<()> {
        match self.faults.lock().unwrap().full_after {
            Some(room) if room < bytes.len() => {
                LocalDisk.write(file, &bytes[..room], position)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => LocalDisk.write(file, bytes, position),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let faults =
            self.changed.wait_while(self.faults.lock().unwrap(), |faults| faults.sync_waits).unwrap();
        *self.syncs.lock().unwrap() += 1;
        if faults.sync_fails { Err(io::Error::other("sync failed")) } else { LocalDisk.sync(file) }
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        if self.faults.lock().unwrap().cut_fails {
            return Err(io::Error::other("cut failed"));
        }
        LocalDisk.cut(file, length)
    }
}

fn small_segments() -> LogOptions {
    LogOptions { segment_bytes: 200, ..LogOptions::default() }
}

fn open(root: &Path, disk: &Arc<FaultyDisk>) -> (EventLog, Topic) {
    let log = EventLog::open_on(root, small_segments(), Arc::clone(disk) as Arc<dyn Disk>).unwrap();
    let topic = log.topic("departures").unwrap();
    (log, topic)
}

async fn all(topic: &Topic) -> Vec<Bytes> {
    let records = topic.read(topic.start(), usize::MAX, usize::MAX).await.unwrap();
    records.into_iter().map(|record| record.payload).collect()
}

async fn reopened(root: &Path) -> Vec<Bytes> {
    let log = EventLog::open(root, small_segments()).unwrap();
    let topic = log.topic("departures").unwrap();
    let found = all(&topic).await;
    topic.append(vec!["after".into()]).await.unwrap();
    assert_eq!(all(&topic).await.last().unwrap(), "after", "an opened topic takes records");
    log.close().await;
    found
}

#[tokio::test]
async fn a_full_disk_refuses_all_of_an_append_and_the_next_takes_its_place() {
    for room in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::default());
        let (log, topic) = open(folder.path(), &disk);
        topic.append(vec!["first".into()]).await.unwrap();
        disk.set(Faults { full_after: Some(room), ..Faults::default() });

        let failure = topic.append(vec!["refused one".into(), "refused two".into()]).await.unwrap_err();

        assert!(matches!(failure, LogError::WriteFailed { .. }), "{failure:?}");
        assert_eq!(failure.kind(), Kind::Unavailable);
        assert!(failure.hint().unwrap().contains("free disk space"));
        assert_eq!((topic.end(), all(&topic).await), (1, vec!["first".into()]));
        disk.set(Faults::default());
        assert_eq!(topic.append(vec!["x".into()]).await.unwrap(), 1..2);
        assert_eq!(all(&topic).await, ["first", "x"]);
        log.close().await;
        assert_eq!(reopened(folder.path()).await, ["first", "x"], "with room for {room} bytes");
    }
}

#[tokio::test]
async fn a_failed_sync_closes_the_topic_for_writing_and_keeps_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (log, topic) = open(folder.path(), &disk);
    topic.append(vec!["first".into()]).await.unwrap();
    disk.set(Faults { sync_fails: true, ..Faults::default() });

    let failure = topic.append(vec!["in doubt".into()]).await.unwrap_err();
    disk.set(Faults::default());
    let later = topic.append(vec!["refused".into()]).await.unwrap_err();

    for failure in [failure, later] {
        assert!(matches!(failure, LogError::Broken { .. }), "{failure:?}");
        assert_eq!(failure.kind(), Kind::Unavailable);
    }
    assert!(topic.append(vec![]).await.is_err(), "a barrier cannot promise anything now");
    assert_eq!((topic.end(), all(&topic).await), (1, vec!["first".into()]));
    log.close().await;
    assert_eq!(reopened(folder.path()).await, ["first"]);
}

#[tokio::test]
async fn a_write_that_cannot_be_undone_closes_the_topic_for_writing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (log, topic) = open(folder.path(), &disk);
    topic.append(vec!["first".into()]).await.unwrap();
    disk.set(Faults { full_after: Some(50), cut_fails: true, ..Faults::default() });

    let failure = topic.append(vec!["part one".into(), "part two".into()]).await.unwrap_err();

    assert!(matches!(failure, LogError::Broken { .. }), "{failure:?}");
    disk.set(Faults::default());
    assert!(topic.append(vec!["refused".into()]).await.is_err());
    log.close().await;
    let found = reopened(folder.path()).await;
    assert!(found == ["first"] || found == ["first", "part one"], "{found:?}");
}

#[tokio::test]
async fn a_segment_that_cannot_be_created_refuses_the_append_and_is_created_later() {
    for faults in [
        Faults { full_after: Some(0), ..Faults::default() },
        Faults { full_after: Some(20), ..Faults::default() },
        Faults { sync_fails: true, ..Faults::default() },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::default());
        let (log, topic) = open(folder.path(), &disk);
        let large = Bytes::from(vec![b'x'; 100]);
        topic.append(vec![large.clone()]).await.unwrap();
        disk.set(faults);

        let failure = topic.append(vec![large.clone()]).await.unwrap_err();

        assert!(matches!(failure, LogError::WriteFailed { .. }), "{failure:?}");
        disk.set(Faults::default());
        assert_eq!(topic.append(vec![large.clone()]).await.unwrap(), 1..2);
        log.close().await;
        assert_eq!(reopened(folder.path()).await, [large.clone(), large]);
    }
}

#[tokio::test]
async fn appends_that_wait_share_one_sync_and_are_seen_only_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (log, topic) = open(folder.path(), &disk);
    let before = *disk.syncs.lock().unwrap();
    disk.set(Faults { sync_waits: true, ..Faults::default() });
    let mut appends = JoinSet::new();
    for number in 0..20_u8 {
        let topic = topic.clone();
        appends.spawn(async move { topic.append(vec![Bytes::from(vec![number])]).await.unwrap() });
    }
    // One turn of this single-threaded runtime brings every append to where it waits for its answer.
    tokio::task::yield_now().await;
    assert_eq!(topic.end(), 0);
    assert!(topic.read(0, 10, 1_000).await.unwrap().is_empty());

    disk.set(Faults::default());
    let mut ranges = appends.join_all().await;

    ranges.sort_unstable_by_key(|range| range.start);
    assert!(ranges.iter().enumerate().all(|(at, range)| *range == (at as u64..at as u64 + 1)), "{ranges:?}");
    // The first group may hold any number of them; the second holds the rest, possibly after a new segment.
    let syncs = *disk.syncs.lock().unwrap() - before;
    assert!(syncs <= 3, "{syncs} syncs for 20 appends");
    log.close().await;
}

#[derive(Debug, Clone)]
enum Act {
    Append(Vec<usize>),
    Set(Faults),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let faults = (prop::option::of(0_usize..150), prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    prop_oneof![
        6 => prop::collection::vec(0_usize..60, 0..5).prop_map(Act::Append),
        2 => faults.prop_map(|(full_after, sync_fails, cut_fails)| {
            Act::Set(Faults { full_after, sync_fails, cut_fails, sync_waits: false })
        }),
        2 => Just(Act::Set(Faults::default())),
        1 => Just(Act::Reopen),
    ]
}

/// Plays `acts` against a log and a list of what it must hold.
async fn play(acts: Vec<Act>) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::default());
    let (mut log, mut topic) = open(folder.path(), &disk);
    let mut held: Vec<Bytes> = Vec::new();
    // The records of the append that broke the topic, of which any first part may be found after reopening.
    let mut in_doubt: Vec<Bytes> = Vec::new();
    for (number, act) in acts.into_iter().chain([Act::Reopen]).enumerate() {
        match act {
            Act::Append(sizes) => {
                let payloads: Vec<_> =
                    sizes.iter().map(|size| Bytes::from(vec![number as u8; *size])).collect();
                match topic.append(payloads.clone()).await {
                    Ok(range) => {
                        assert_eq!(range.start, held.len() as u64);
                        held.extend(payloads);
                    }
                    Err(LogError::Broken { .. }) if in_doubt.is_empty() => in_doubt = payloads,
                    Err(LogError::Broken { .. } | LogError::WriteFailed { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
                assert_eq!(all(&topic).await, held);
            }
            Act::Set(faults) => disk.set(faults),
            Act::Reopen => {
                log.close().await;
                disk.set(Faults::default());
                (log, topic) = open(folder.path(), &disk);
                let found = all(&topic).await;
                let doubtful = found.strip_prefix(held.as_slice()).expect("what was acknowledged is lost");
                assert!(in_doubt.starts_with(doubtful), "{doubtful:?} was never appended");
                held = found;
                in_doubt.clear();
            }
        }
    }
    log.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_fails_and_whenever_acknowledged_records_stay_and_refused_ones_do_not_come(
        acts in prop::collection::vec(act(), 1..25),
    ) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(play(acts));
    }
}

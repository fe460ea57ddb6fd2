//! What a snapshot sees while others commit.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use proptest::prelude::*;
use shipway_online::{Batch, OnlineError, OnlineOptions, OnlineStore, Space};

fn put_everywhere(store: &OnlineStore, number: u64) {
    let mut batch = Batch::new();
    for key in 0..8_u8 {
        batch.put(Space::State, vec![key], number.to_be_bytes().to_vec());
    }
    batch.put(Space::Progress, "offset", number.to_be_bytes().to_vec());
    // In every way, so that what a snapshot sees comes from every place it can lie in.
    if number.is_multiple_of(3) { store.commit(batch) } else { store.commit_soon(batch) }.unwrap();
}

/// What is committed soon reaches its files while the test runs.
fn open(folder: &Path) -> OnlineStore {
    let options = OnlineOptions { soon_within: Duration::from_millis(1), ..OnlineOptions::default() };
    OnlineStore::open_with(folder, &options).unwrap()
}

#[test]
fn a_snapshot_keeps_its_moment_while_others_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_everywhere(&store, 1);
    let snapshot = store.snapshot();
    let clone = snapshot.clone();
    put_everywhere(&store, 2);
    let mut batch = Batch::new();
    batch.delete(Space::State, vec![0]);
    batch.put(Space::State, "new", "x");
    store.commit(batch).unwrap();

    for moment in [&snapshot, &clone] {
        let entries: Vec<_> = moment.scan_prefix(Space::State, b"").map(Result::unwrap).collect();
        assert_eq!(entries.len(), 8);
        assert!(entries.iter().all(|(_, value)| **value == 1_u64.to_be_bytes()));
        assert_eq!(*moment.get(Space::Progress, b"offset").unwrap().unwrap(), 1_u64.to_be_bytes());
        assert_eq!(moment.get(Space::State, b"new").unwrap(), None);
    }
    assert_eq!(store.get(Space::State, &[0]).unwrap(), None);
    assert_eq!(*store.get(Space::State, &[1]).unwrap().unwrap(), 2_u64.to_be_bytes());
}

#[test]
fn many_keys_come_in_the_order_asked_and_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut batch = Batch::new();
    (0..20_u8).for_each(|key| batch.put(Space::State, vec![key], vec![key; 3]));
    store.commit(batch).unwrap();
    let snapshot = store.snapshot();
    put_everywhere(&store, 7);

    for count in [0, 1, 3, 40] {
        let keys: Vec<Bytes> = (0..count).map(|key| Bytes::from(vec![(key * 7 % 40) as u8])).collect();
        let values = snapshot.get_many(Space::State, &keys).unwrap();
        let expected: Vec<_> = keys.iter().map(|key| (key[0] < 20).then(|| vec![key[0]; 3])).collect();
        assert_eq!(
            values.iter().map(|value| value.as_deref().map(<[u8]>::to_vec)).collect::<Vec<_>>(),
            expected
        );
    }
}

#[test]
fn every_snapshot_sees_whole_batches_across_spaces() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put_everywhere(&store, 0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    loop {
                        let snapshot = store.snapshot();
                        let offset = snapshot.get(Space::Progress, b"offset").unwrap().unwrap();
                        for key in 0..8_u8 {
                            assert_eq!(snapshot.get(Space::State, &[key]).unwrap().unwrap(), offset);
                        }
                        assert!(
                            snapshot.scan_prefix(Space::State, b"").all(|entry| entry.unwrap().1 == offset)
                        );
                        seen += 1;
                        if done.load(Ordering::Relaxed) {
                            break seen;
                        }
                    }
                })
            })
            .collect();
        for number in 1..2_000 {
            put_everywhere(&store, number);
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
}

#[test]
fn a_scan_outlives_its_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut batch = Batch::new();
    for key in ["a", "ab", "abc", "abd", "b"] {
        batch.put(Space::SeenByTime, key, "");
        batch.put(Space::Seen, format!("{key}x"), "");
    }
    store.commit(batch).unwrap();
    let scan = || {
        let scan = store.snapshot().scan_prefix(Space::SeenByTime, b"ab");
        scan.map(|entry| entry.unwrap().0)
    };
    assert_eq!(scan().collect::<Vec<_>>(), ["ab", "abc", "abd"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_scan_gives_what_a_sorted_map_gives(
        batches in prop::collection::vec(
            prop::collection::vec((prop::collection::vec(prop::sample::select(vec![0_u8, 1, 254, 255]), 1..4), prop::option::of(any::<u8>())), 0..12),
            0..8,
        ),
        soon in any::<u8>(),
        prefix in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 254, 255]), 0..3),
        after in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 254, 255]), 0..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let mut expected = BTreeMap::new();
        for (number, changes) in batches.into_iter().enumerate() {
            let mut batch = Batch::new();
            for (key, value) in changes {
                match value {
                    Some(value) => {
                        batch.put(Space::State, key.clone(), vec![value]);
                        expected.insert(key, vec![value]);
                    }
                    None => {
                        batch.delete(Space::State, key.clone());
                        expected.remove(&key);
                    }
                }
            }
            if soon >> number & 1 == 0 { store.commit(batch) } else { store.commit_soon(batch) }.unwrap();
        }
        let expected: Vec<_> = expected.into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect();
        let beyond: Vec<_> = expected.iter().filter(|(key, _)| *key > after).cloned().collect();
        let snapshot = store.snapshot();
        let owned = |entry: Result<(Bytes, Bytes), OnlineError>| {
            entry.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()
        };
        let found: Vec<_> = snapshot.scan_prefix(Space::State, &prefix).map(owned).collect();
        prop_assert_eq!(found, expected);
        let found: Vec<_> = snapshot.scan_after(Space::State, &prefix, &after).map(owned).collect();
        prop_assert_eq!(found, beyond);
    }
}

//! What a batch does to the store, and what survives reopening.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use shipway_core::{Failure as _, Kind};
use shipway_online::{Batch, OnlineError, OnlineOptions, OnlineStore, Space};

const SPACES: [Space; 4] = [Space::State, Space::Seen, Space::SeenByTime, Space::Progress];

#[test]
fn a_committed_batch_is_there_in_every_space_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = OnlineStore::open(folder.path()).unwrap();
    let mut batch = Batch::new();
    for space in SPACES {
        batch.put(space, "key", format!("value in {space}"));
        batch.put(space, "gone", "x");
    }
    store.commit(batch).unwrap();
    let mut batch = Batch::new();
    for space in SPACES {
        batch.delete(space, "gone");
        batch.delete(space, "never there");
    }
    store.commit(batch).unwrap();
    store.persist().unwrap();
    drop(store);

    let store = OnlineStore::open(folder.path()).unwrap();

    for space in SPACES {
        assert_eq!(store.get(space, b"key").unwrap().unwrap(), format!("value in {space}"));
        assert_eq!(store.get(space, b"gone").unwrap(), None);
        assert_eq!(store.snapshot().scan_prefix(space, b"").count(), 1);
    }
}

#[test]
fn an_empty_batch_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = OnlineStore::open(folder.path()).unwrap();
    assert!(Batch::new().is_empty());
    store.commit(Batch::new()).unwrap();
    assert_eq!(store.snapshot().scan_prefix(Space::State, b"").count(), 0);
}

#[test]
fn a_key_outside_the_bounds_refuses_the_whole_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = OnlineStore::open(folder.path()).unwrap();
    for wrong in [vec![], vec![7; 65_536]] {
        let mut batch = Batch::new();
        batch.put(Space::State, "fits", "1");
        batch.put(Space::Seen, wrong.clone(), "2");

        let refusal = store.commit(batch).unwrap_err();

        assert!(matches!(refusal, OnlineError::Key { space: Space::Seen, .. }), "{refusal:?}");
        assert_eq!(refusal.kind(), Kind::Invalid);
        assert_eq!(store.get(Space::State, b"fits").unwrap(), None);
        assert_eq!(store.get(Space::Seen, &wrong).unwrap(), None);
    }
    let longest = vec![7; 65_535];
    let mut batch = Batch::new();
    batch.put(Space::State, longest.clone(), "1");
    store.commit(batch).unwrap();
    assert_eq!(store.get(Space::State, &longest).unwrap().unwrap(), "1");
    assert_eq!(store.snapshot().scan_prefix(Space::State, &longest).count(), 1);
    assert_eq!(store.snapshot().scan_prefix(Space::State, &[7; 65_536]).count(), 0);
}

#[test]
fn values_of_a_mebibyte_come_back_whole_before_and_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    // Small memtables, so that some values are in sorted files and some in the journal.
    let options = OnlineOptions {
        memtable_bytes: 4 << 20,
        state_memtable_bytes: 4 << 20,
        cache_bytes: 8 << 20,
        ..OnlineOptions::default()
    };
    let value = |number: u8| {
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 7) as u8 ^ number).collect::<Vec<_>>()
    };
    let check = |store: &OnlineStore| {
        for number in 0..16_u8 {
            assert!(store.get(Space::State, &[number]).unwrap().unwrap() == value(number), "value {number}");
        }
    };
    let store = OnlineStore::open_with(folder.path(), &options).unwrap();
    for number in 0..16_u8 {
        let mut batch = Batch::new();
        batch.put(Space::State, vec![number], value(number));
        batch.put(Space::Progress, "offset", vec![number]);
        store.commit(batch).unwrap();
    }
    check(&store);
    drop(store);

    let store = OnlineStore::open_with(folder.path(), &options).unwrap();

    check(&store);
    assert_eq!(*store.get(Space::Progress, b"offset").unwrap().unwrap(), [15]);
}

#[test]
fn what_is_committed_soon_is_visible_at_once_and_in_files_after_closing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_for_later(folder.path());
    let put = |value: &'static str| {
        let mut batch = Batch::new();
        SPACES.iter().for_each(|space| batch.put(*space, "key", value));
        batch
    };
    store.commit(put("first")).unwrap();
    let before = store.snapshot();
    store.commit_soon(put("soon")).unwrap();
    let between = store.snapshot();
    let mut batch = Batch::new();
    SPACES.iter().for_each(|space| batch.delete(*space, "key"));
    store.commit_soon(batch).unwrap();

    for space in SPACES {
        assert_eq!(before.get(space, b"key").unwrap().unwrap(), "first");
        assert_eq!(between.get(space, b"key").unwrap().unwrap(), "soon");
        assert_eq!(between.scan_prefix(space, b"k").count(), 1);
        assert_eq!(store.get(space, b"key").unwrap(), None);
        assert_eq!(store.snapshot().scan_prefix(space, b"").count(), 0);
    }
    store.commit_soon(put("last")).unwrap();
    drop((before, between, store));

    let store = OnlineStore::open(folder.path()).unwrap();
    assert!(SPACES.iter().all(|space| store.get(*space, b"key").unwrap().unwrap() == "last"));
}

#[test]
fn what_is_committed_soon_gets_into_files_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let options = OnlineOptions { soon_within: Duration::from_millis(50), ..OnlineOptions::default() };
    let store = OnlineStore::open_with(folder.path(), &options).unwrap();
    let give_up = Instant::now() + Duration::from_secs(30);
    for value in ["first", "second"] {
        store.commit_soon(of(Space::State, "key", value)).unwrap();
        loop {
            let copied = tempfile::tempdir().unwrap();
            copy(folder.path(), copied.path());
            let as_after_a_kill = OnlineStore::open(copied.path()).unwrap();
            if as_after_a_kill.get(Space::State, b"key").unwrap().is_some_and(|found| found == value) {
                break;
            }
            assert!(Instant::now() < give_up, "{value} never came into a file");
        }
    }
}

#[test]
fn what_is_committed_at_once_takes_along_what_was_committed_soon_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_for_later(folder.path());
    store.commit_soon(of(Space::State, "a", "soon")).unwrap();
    store.commit_soon(of(Space::State, "b", "soon")).unwrap();
    store.commit(of(Space::State, "a", "at once")).unwrap();

    let copied = tempfile::tempdir().unwrap();
    copy(folder.path(), copied.path());
    let as_after_a_kill = OnlineStore::open(copied.path()).unwrap();
    assert_eq!(as_after_a_kill.get(Space::State, b"a").unwrap().unwrap(), "at once");
    assert_eq!(as_after_a_kill.get(Space::State, b"b").unwrap().unwrap(), "soon");
}

#[test]
fn what_is_committed_apart_is_in_files_at_once_and_leaves_the_rest_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_for_later(folder.path());
    store.commit_soon(of(Space::State, "soon", "value")).unwrap();
    store.commit_apart(of(Space::Seen, "apart", "value")).unwrap();

    let copied = tempfile::tempdir().unwrap();
    copy(folder.path(), copied.path());
    let as_after_a_kill = OnlineStore::open(copied.path()).unwrap();
    assert_eq!(as_after_a_kill.get(Space::State, b"soon").unwrap(), None);
    assert_eq!(as_after_a_kill.get(Space::Seen, b"apart").unwrap().unwrap(), "value");
    let snapshot = store.snapshot();
    assert_eq!(snapshot.get(Space::State, b"soon").unwrap().unwrap(), "value");
    assert_eq!(snapshot.get(Space::Seen, b"apart").unwrap().unwrap(), "value");
}

#[test]
fn an_abandoned_store_has_what_was_in_files_and_takes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_for_later(folder.path());
    store.commit(of(Space::State, "at once", "value")).unwrap();
    store.commit_soon(of(Space::State, "soon", "value")).unwrap();
    store.abandon();

    for refused in [
        store.commit(of(Space::State, "later", "value")),
        store.commit_soon(of(Space::State, "later", "value")),
        store.commit_apart(of(Space::State, "later", "value")),
    ] {
        assert_eq!(refused.unwrap_err().code(), "online.closed_for_writing");
    }
    drop(store);
    let store = OnlineStore::open(folder.path()).unwrap();
    let keys: Vec<_> =
        store.snapshot().scan_prefix(Space::State, b"").map(|entry| entry.unwrap().0).collect();
    assert_eq!(keys, ["at once"]);
}

#[test]
fn more_than_memory_is_given_is_written_sooner() {
    let folder = tempfile::tempdir().unwrap();
    let options = OnlineOptions {
        soon_within: Duration::from_secs(3_600),
        soon_bytes: 64 << 10,
        ..OnlineOptions::default()
    };
    let store = OnlineStore::open_with(folder.path(), &options).unwrap();
    for number in 0..100_u64 {
        let mut batch = Batch::new();
        batch.put(Space::State, number.to_be_bytes().to_vec(), vec![7; 10_000]);
        batch.put(Space::Progress, "offset", number.to_be_bytes().to_vec());
        store.commit_soon(batch).unwrap();
    }

    let copied = tempfile::tempdir().unwrap();
    copy(folder.path(), copied.path());
    let as_after_a_kill = OnlineStore::open(copied.path()).unwrap();
    let there = as_after_a_kill.snapshot().scan_prefix(Space::State, b"").count() as u64;
    // At most twice what memory is given is missing.
    assert!((86..=100).contains(&there), "{there}");
    let offset = as_after_a_kill.get(Space::Progress, b"offset").unwrap().unwrap();
    assert_eq!(offset[..], (there - 1).to_be_bytes());
}

/// A store where what is committed soon stays in memory.
fn open_for_later(folder: &Path) -> OnlineStore {
    let later = OnlineOptions { soon_within: Duration::from_secs(3_600), ..OnlineOptions::default() };
    OnlineStore::open_with(folder, &later).unwrap()
}

fn of(space: Space, key: &'static str, value: &'static str) -> Batch {
    let mut batch = Batch::new();
    batch.put(space, key, value);
    batch
}

/// The files as they are now, without what their owner still has in memory.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_second_opening_is_refused_with_the_remedy_and_works_after_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = OnlineStore::open(folder.path()).unwrap();

    let refusal = OnlineStore::open(folder.path()).unwrap_err();

    assert!(matches!(refusal, OnlineError::Locked { .. }), "{refusal:?}");
    assert_eq!(refusal.kind(), Kind::Conflict);
    assert!(refusal.hint().unwrap().contains("stop the other process"));
    drop(store);
    OnlineStore::open(folder.path()).unwrap();
}

//! What a batch does to the store, and what survives reopening.

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
    let options =
        OnlineOptions { memtable_bytes: 4 << 20, state_memtable_bytes: 4 << 20, cache_bytes: 8 << 20 };
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

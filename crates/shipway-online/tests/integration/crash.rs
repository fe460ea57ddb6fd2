//! What survives a killed process and a full disk. The store under trial runs in a child process: this test binary,
//! started again for one of the ignored tests below, in the folder that it is to use.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use shipway_core::{Failure as _, Kind};
use shipway_online::{Batch, OnlineOptions, OnlineStore, Snapshot, Space};

const KEYS: u64 = 64;
const SOON: Duration = Duration::from_millis(20);

/// Small memtables, so that flushes and compactions are under way when the process dies.
fn options() -> OnlineOptions {
    OnlineOptions {
        memtable_bytes: 256 << 10,
        state_memtable_bytes: 256 << 10,
        soon_within: SOON,
        ..OnlineOptions::default()
    }
}

/// Batch `number` writes this to every key, long enough to cross the buffers of the journal.
fn value(number: u64) -> Vec<u8> {
    number.to_be_bytes().repeat(40)
}

fn offset_of(snapshot: &Snapshot) -> u64 {
    let bytes = snapshot.get(Space::Progress, b"offset").unwrap();
    bytes.map_or(0, |bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()))
}

fn batch(number: u64) -> Batch {
    let mut batch = Batch::new();
    for key in 0..KEYS {
        batch.put(Space::State, key.to_be_bytes().to_vec(), value(number));
    }
    batch.put(Space::Seen, number.to_be_bytes().to_vec(), "");
    batch.put(Space::SeenByTime, number.to_be_bytes().to_vec(), "");
    if let Some(old) = number.checked_sub(100) {
        batch.delete(Space::Seen, old.to_be_bytes().to_vec());
        batch.delete(Space::SeenByTime, old.to_be_bytes().to_vec());
    }
    batch.put(Space::Progress, "offset", number.to_be_bytes().to_vec());
    batch
}

fn start(shell: &str, test: &str, folder: &std::path::Path) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" --exact {test} --ignored --nocapture")])
        .arg(env::current_exe().unwrap())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "the child of a_killed_process_loses_no_acknowledged_batch_and_leaves_no_half_batch"]
fn commits_until_killed() {
    let store = OnlineStore::open_with(&env::current_dir().unwrap(), &options()).unwrap();
    let mut number = offset_of(&store.snapshot());
    loop {
        number += 1;
        store.commit(batch(number)).unwrap();
        println!("committed {number}");
    }
}

#[test]
#[ignore = "the child of a_killed_process_comes_back_with_some_whole_batch_of_those_committed_soon"]
fn commits_soon_until_killed() {
    let store = OnlineStore::open_with(&env::current_dir().unwrap(), &options()).unwrap();
    let mut number = offset_of(&store.snapshot());
    println!("from {number}");
    loop {
        number += 1;
        if number.is_multiple_of(1_000) {
            store.commit(batch(number))
        } else {
            store.commit_soon(batch(number))
        }
        .unwrap();
        println!("committed {number}");
    }
}

#[test]
fn a_killed_process_comes_back_with_some_whole_batch_of_those_committed_soon() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(11);
    let (mut lost, mut at) = (0, 0);
    for round in 0..20 {
        let lasts = Duration::from_millis(random.random_range(0..200));
        let mut child = start("", "crash::commits_soon_until_killed", folder.path());
        let (mut began, mut committed) = (None, at);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("from ") {
                assert_eq!(number.parse::<u64>().unwrap(), at, "round {round}");
                began = Some(Instant::now());
            }
            if let Some(number) = line.strip_prefix("committed ") {
                committed = number.parse().unwrap();
            }
            if began.is_some_and(|began| began.elapsed() > lasts) {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let store = OnlineStore::open_with(folder.path(), &options()).unwrap();

        at = assert_whole(&store.snapshot(), round);
        assert!(at >= committed / 1_000 * 1_000, "round {round}: {at} is there, {committed} was committed");
        lost += committed.saturating_sub(at);
    }
    assert!(lost > 0, "nothing was ever in memory alone, so this has shown nothing");
}

/// Every key is of the batch that the offset names, which it answers.
fn assert_whole(snapshot: &Snapshot, round: u32) -> u64 {
    let offset = offset_of(snapshot);
    for key in (0..KEYS).filter(|_| offset > 0) {
        let found = snapshot.get(Space::State, &key.to_be_bytes()).unwrap().unwrap();
        assert!(found == value(offset), "round {round}: key {key} is not of batch {offset}");
    }
    for space in [Space::Seen, Space::SeenByTime] {
        let oldest = offset.saturating_sub(99).max(1);
        let found: Vec<_> = snapshot.scan_prefix(space, b"").map(|entry| entry.unwrap().0).collect();
        let expected: Vec<_> = (oldest..=offset).map(|number| number.to_be_bytes().to_vec()).collect();
        assert_eq!(found, expected, "round {round}: {space}");
    }
    offset
}

#[test]
fn a_killed_process_loses_no_acknowledged_batch_and_leaves_no_half_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = StdRng::seed_from_u64(7);
    let mut acknowledged = 0;
    for round in 0..20 {
        let wanted = acknowledged + random.random_range(1..400);
        let mut child = start("", "crash::commits_until_killed", folder.path());
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("committed ") {
                acknowledged = number.parse().unwrap();
            }
            if acknowledged >= wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged >= wanted, "the child ended by itself");

        let store = OnlineStore::open_with(folder.path(), &options()).unwrap();

        let offset = assert_whole(&store.snapshot(), round);
        assert!(
            offset >= acknowledged,
            "round {round}: batch {acknowledged} was acknowledged, {offset} is there"
        );
    }
}

#[test]
#[ignore = "the child of a_full_disk_is_unavailable_and_leaves_no_half_batch"]
fn commits_onto_a_full_disk() {
    let store = OnlineStore::open(&env::current_dir().unwrap()).unwrap();
    store.commit(batch(1)).unwrap();

    let failure = store.commit(large()).unwrap_err();
    let later = store.commit(batch(3)).unwrap_err();

    assert_eq!((failure.kind(), failure.code()), (Kind::Unavailable, "online.disk_full"), "{failure:?}");
    assert_eq!((later.kind(), later.code()), (Kind::Unavailable, "online.closed_for_writing"), "{later:?}");
    assert_eq!(offset_of(&store.snapshot()), 1, "reading still works, and shows what was committed");
}

#[test]
#[ignore = "the child of a_full_disk_is_told_by_the_next_commit_of_what_is_committed_soon"]
fn commits_soon_onto_a_full_disk() {
    let store = OnlineStore::open_with(&env::current_dir().unwrap(), &options()).unwrap();
    store.commit(batch(1)).unwrap();
    store.commit_soon(large()).unwrap();
    let give_up = Instant::now() + Duration::from_secs(30);

    let failure = loop {
        match store.commit_soon(batch(3)) {
            Err(failure) => break failure,
            Ok(()) if Instant::now() > give_up => panic!("no commit ever failed"),
            Ok(()) => thread::sleep(SOON),
        }
    };
    let later = store.commit_soon(batch(4)).unwrap_err();

    assert_eq!((failure.kind(), failure.code()), (Kind::Unavailable, "online.disk_full"), "{failure:?}");
    assert_eq!((later.kind(), later.code()), (Kind::Unavailable, "online.closed_for_writing"), "{later:?}");
    assert_eq!(store.persist().unwrap_err().code(), "online.closed_for_writing");
    let snapshot = store.snapshot();
    assert_eq!(snapshot.get(Space::State, b"x\0").unwrap().unwrap().len(), 1 << 20, "visible is visible");
}

#[test]
fn a_full_disk_is_told_by_the_next_commit_of_what_is_committed_soon() {
    let folder = tempfile::tempdir().unwrap();
    run_onto_a_full_disk("crash::commits_soon_onto_a_full_disk", folder.path());

    let store = OnlineStore::open(folder.path()).unwrap();

    assert_eq!(assert_whole(&store.snapshot(), 0), 1);
    store.commit_soon(batch(2)).unwrap();
    drop(store);
    assert_eq!(assert_whole(&OnlineStore::open(folder.path()).unwrap().snapshot(), 0), 2);
}

#[test]
fn a_full_disk_is_unavailable_and_leaves_no_half_batch() {
    let folder = tempfile::tempdir().unwrap();
    run_onto_a_full_disk("crash::commits_onto_a_full_disk", folder.path());

    let store = OnlineStore::open(folder.path()).unwrap();

    let snapshot = store.snapshot();
    assert_eq!(offset_of(&snapshot), 1);
    assert_eq!(snapshot.scan_prefix(Space::State, b"x").count(), 0);
    store.commit(batch(2)).unwrap();
    assert_eq!(offset_of(&store.snapshot()), 2);
}

/// Batch 2, with 80 MiB of noise.
fn large() -> Batch {
    let mut large = batch(2);
    let mut random = StdRng::seed_from_u64(7);
    for key in 0..80_u8 {
        let mut noise = vec![0; 1 << 20];
        random.fill(&mut noise[..]);
        large.put(Space::State, vec![b'x', key], noise);
    }
    large
}

/// Runs a child to its end that has 66 MiB for one file: the journal reserves 64 MiB, and the large batch does not fit.
fn run_onto_a_full_disk(test: &str, folder: &std::path::Path) {
    let mut child = start("trap '' XFSZ; ulimit -f 135168;", test, folder);
    let output = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(child.wait().unwrap().success(), "{output}");
    assert!(output.contains("1 passed"), "{output}");
}

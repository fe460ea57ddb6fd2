//! Keeping a table healthy: fewer and sorted files, the same rows, old versions for as long as promised, kills at any moment.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use deltalake::{DeltaTable, DeltaTableBuilder};
use futures::future::join_all;
use shipway_core::Timestamp;
use shipway_lake::{AppendOptions, Effort, Lake, LakeOptions, Upkeep};

use crate::lake::{TestLake, count_in, flights, flights_schema};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

/// Upkeep of [`crate::lake::flights`].
pub(crate) fn upkeep(effort: Effort) -> Upkeep {
    Upkeep {
        cluster_by: vec!["origin".to_owned()],
        time: Some("at".to_owned()),
        retention: 30 * DAY,
        now: now(),
        effort,
    }
}

async fn with_appends(count: i64) -> TestLake {
    let lake = TestLake::with_flights().await;
    for start in 0..count {
        let rows = flights(start * 10..start * 10 + 10);
        lake.append_batches("flights", vec![rows], AppendOptions::once("archiver", start)).await.unwrap();
    }
    lake
}

async fn version(lake: &TestLake, version: u64) -> DeltaTable {
    let url = url::Url::from_directory_path(lake.table_folder("flights")).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().with_version(version).load().await.unwrap()
}

/// How many of the files that a version lists are on the disk, and how many it lists.
async fn files_of(lake: &TestLake, number: u64) -> (usize, usize) {
    let table = version(lake, number).await;
    let paths: Vec<String> =
        table.snapshot().unwrap().log_data().iter().map(|file| file.path().into_owned()).collect();
    let there = paths.iter().filter(|path| lake.table_folder("flights").join(path).is_file()).count();
    (there, paths.len())
}

#[tokio::test]
async fn upkeep_joins_files_sorts_them_and_keeps_rows_and_transactions() {
    let lake = with_appends(9).await;
    let before = lake.shows("SELECT * FROM flights ORDER BY id").await;

    let done = lake.maintain("flights", &upkeep(Effort::WhatPays)).await.unwrap();

    assert_eq!((done.files_removed, done.files_added), (9, 1));
    assert_eq!(lake.table("flights").await.unwrap().files, 1);
    assert_eq!(lake.shows("SELECT * FROM flights ORDER BY id").await, before);
    assert_eq!(lake.transaction_version("flights", "archiver").await.unwrap(), Some(8));
    let unordered = lake.shows("SELECT origin, at FROM flights").await;
    let ordered = lake.shows("SELECT origin, at FROM flights ORDER BY origin NULLS FIRST, at").await;
    assert_eq!(unordered, ordered, "inside a file rows are sorted by key and time");
}

#[tokio::test]
async fn a_table_that_was_kept_is_left_alone() {
    let lake = with_appends(9).await;
    lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();
    let version = lake.table("flights").await.unwrap().version;
    assert!(!lake.needs_compaction("flights", &upkeep(Effort::Everything)).await.unwrap());

    let again = lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();

    assert_eq!(again, shipway_lake::Maintained::default());
    assert_eq!(lake.table("flights").await.unwrap().version, version, "nothing was committed");
}

#[tokio::test]
async fn an_old_version_can_be_read_for_the_retention_and_not_for_ever() {
    let lake = with_appends(9).await;
    lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();
    assert_eq!(files_of(&lake, 9).await, (9, 9));

    let soon = Upkeep { now: Timestamp(now().micros() + 29 * 86_400_000_000), ..upkeep(Effort::WhatPays) };
    assert_eq!(lake.maintain("flights", &soon).await.unwrap().files_deleted, 0);
    assert_eq!(files_of(&lake, 9).await, (9, 9));

    let later = Upkeep { now: Timestamp(now().micros() + 31 * 86_400_000_000), ..upkeep(Effort::WhatPays) };
    assert_eq!(lake.maintain("flights", &later).await.unwrap().files_deleted, 9);
    assert_eq!(lake.count("flights").await, 90);
    assert_eq!(lake.transaction_version("flights", "archiver").await.unwrap(), Some(8));
}

#[tokio::test]
async fn the_log_is_shortened_and_transactions_outlive_it() {
    let lake = with_appends(45).await;
    let entries = || {
        let log = std::fs::read_dir(lake.table_folder("flights").join("_delta_log")).unwrap();
        log.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "json"))
            .count()
    };
    let before = entries();
    lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();
    let later = Upkeep { now: Timestamp(now().micros() + 40 * 86_400_000_000), ..upkeep(Effort::WhatPays) };

    let done = lake.maintain("flights", &later).await.unwrap();

    assert!(done.log_entries_deleted > 40, "{done:?}");
    assert!(entries() < before);
    let reopened = lake.another_process();
    assert_eq!(count_in(&reopened, "flights").await, 450);
    assert_eq!(reopened.transaction_version("flights", "archiver").await.unwrap(), Some(44));
    let repeated = AppendOptions::once("archiver", 44);
    assert!(reopened.append_batches("flights", vec![flights(0..1)], repeated).await.unwrap().skipped);
}

#[tokio::test]
async fn files_that_no_version_lists_are_removed_when_they_are_old() {
    let lake = with_appends(1).await;
    let orphan = lake.table_folder("flights").join("part-00000-left-by-a-kill-c000.snappy.parquet");
    std::fs::write(&orphan, b"half a file").unwrap();

    lake.maintain("flights", &upkeep(Effort::WhatPays)).await.unwrap();
    assert!(orphan.is_file(), "it may belong to an append under way");

    let later = Upkeep { now: Timestamp(now().micros() + 31 * 86_400_000_000), ..upkeep(Effort::WhatPays) };
    assert_eq!(lake.maintain("flights", &later).await.unwrap().files_deleted, 1);
    assert!(!orphan.is_file());
}

#[tokio::test]
async fn the_retention_is_written_into_the_table_and_is_never_too_short() {
    let lake = with_appends(1).await;
    let stated = async || {
        let table = version(&lake, lake.table("flights").await.unwrap().version).await;
        table
            .snapshot()
            .unwrap()
            .metadata()
            .configuration()
            .get("delta.deletedFileRetentionDuration")
            .cloned()
    };
    lake.maintain("flights", &upkeep(Effort::WhatPays)).await.unwrap();
    assert_eq!(stated().await.as_deref(), Some("interval 720 hours"));

    let none = Upkeep { retention: Duration::ZERO, ..upkeep(Effort::WhatPays) };
    lake.maintain("flights", &none).await.unwrap();
    assert_eq!(stated().await.as_deref(), Some("interval 24 hours"));
}

#[tokio::test(flavor = "multi_thread")]
async fn upkeep_beside_appends_of_two_processes_loses_and_doubles_nothing() {
    let lake = with_appends(4).await;
    let other = lake.another_process();
    let appends = join_all((0..24_i64).map(|number| {
        let lake = if number % 2 == 0 { lake.lake.clone() } else { other.clone() };
        async move {
            let rows = flights(1000 + number * 10..1010 + number * 10);
            let options = AppendOptions::once(format!("load-{number}"), 1);
            while lake.append_batches("flights", vec![rows.clone()], options.clone()).await.is_err() {}
        }
    }));
    let upkeep = async {
        for _ in 0..6 {
            // Another process may win often enough to be told so; the next turn goes on.
            let _ = lake.maintain("flights", &upkeep(Effort::Everything)).await;
        }
    };
    futures::join!(appends, upkeep);

    let settled = lake.maintain("flights", &self::upkeep(Effort::Everything)).await.unwrap();

    assert_eq!(lake.count("flights").await, 280);
    let distinct = lake.shows("SELECT count(distinct id) AS n FROM flights").await;
    assert!(distinct.contains("280"), "{distinct}");
    assert_eq!(lake.table("flights").await.unwrap().files, 1, "{settled:?}");
}

#[tokio::test]
async fn a_table_of_a_foreign_writer_with_partitions_keeps_its_files() {
    let lake = TestLake::empty();
    let url = url::Url::from_directory_path(lake.table_folder("flights")).unwrap();
    std::fs::create_dir_all(lake.table_folder("flights")).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().build().unwrap();
    let mut table = table.write(vec![flights(0..6)]).with_partition_columns(["origin"]).await.unwrap();
    for start in 1..9 {
        table = table.write(vec![flights(start * 6..start * 6 + 6)]).await.unwrap();
    }
    let files = lake.table("flights").await.unwrap().files;

    let done = lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();

    assert_eq!((done.files_removed, lake.table("flights").await.unwrap().files), (0, files));
    assert_eq!(lake.count("flights").await, 54);
}

fn open_in(folder: &Path) -> Lake {
    Lake::open(LakeOptions { target_partitions: Some(1), ..LakeOptions::new(folder.join("lake")) }).unwrap()
}

fn start_child(folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "upkeep::appends_and_maintains_until_killed", "--ignored", "--nocapture"])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the child of a_kill_at_any_moment_leaves_every_row_once"]
async fn appends_and_maintains_until_killed() {
    let lake = open_in(&env::current_dir().unwrap());
    lake.ensure_table("flights", flights_schema()).await.unwrap();
    let appender = lake.clone();
    let appends = async move {
        let first = appender.transaction_version("flights", "archiver").await.unwrap().unwrap_or(0);
        for number in first + 1.. {
            let rows = flights(number * 10..number * 10 + 10);
            appender
                .append_batches("flights", vec![rows], AppendOptions::once("archiver", number))
                .await
                .unwrap();
            println!("appended {number}");
        }
    };
    let upkeep = async move {
        loop {
            let done = lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();
            if done.files_removed > 0 {
                println!("maintained");
            }
        }
    };
    futures::join!(appends, upkeep);
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=12 {
        let mut child = start_child(folder.path());
        let (mut appended, mut maintained) = (0, 0);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("appended ") {
                acknowledged = number.parse().unwrap();
                appended += 1;
            }
            maintained += i64::from(line == "maintained");
            // A different number of steps each time, so that kills fall into different ones.
            if appended >= 3 + round % 5 && maintained >= 1 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let lake = open_in(folder.path());
        let seen = lake.transaction_version("flights", "archiver").await.unwrap().unwrap();
        assert!(seen >= acknowledged, "round {round}: {acknowledged} was acknowledged, {seen} is there");
        assert_eq!(count_in(&lake, "flights").await, seen * 10, "round {round}");
        lake.maintain("flights", &upkeep(Effort::Everything)).await.unwrap();
        assert_eq!(count_in(&lake, "flights").await, seen * 10, "round {round}, after upkeep");
    }
}

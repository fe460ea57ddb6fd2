//! What SQLite's transactions of one subject each share: a commit to the disk, and nothing else.

use futures::future::join_all;
use shipway_core::{Failure, Kind};
use shipway_store::{Store, StoreError, parameters};
use tokio::task::JoinSet;

use crate::{TABLES, names, with_tables};

const INSERT: &str = "INSERT INTO models (name) VALUES ($1)";
const INSERT_FILE: &str = "INSERT INTO models (name, file) VALUES ($1, $2)";

async fn writes(store: &Store, name: &str) -> Result<(), StoreError> {
    let mut transaction = store.begin_on(name).await?;
    transaction.execute(INSERT, parameters![name]).await?;
    transaction.commit().await
}

#[tokio::test]
async fn of_those_that_share_a_commit_each_is_rolled_back_alone() {
    let store = with_tables(Store::in_memory().await.unwrap()).await;
    let mut first = store.begin_on("first").await.unwrap();
    first.execute(INSERT, parameters!["first"]).await.unwrap();
    let waiting = async {
        let refused = async {
            let mut refused = store.begin_on("refused").await?;
            refused.execute(INSERT, parameters!["refused"]).await?;
            // What came before it in the group is there for it, and it is taken back alone.
            refused.execute(INSERT, parameters!["first"]).await
        };
        let dropped = async {
            let mut dropped = store.begin_on("dropped").await.unwrap();
            dropped.execute(INSERT, parameters!["dropped"]).await.unwrap();
        };
        tokio::join!(writes(&store, "second"), refused, dropped, writes(&store, "third"))
    };

    // They wait before the first one commits, and so are of its group.
    let ((second, refused, (), third), committed) = tokio::join!(waiting, async { first.commit().await });

    assert!(committed.is_ok() && second.is_ok() && third.is_ok());
    assert!(refused.unwrap_err().is_conflict());
    assert_eq!(names(&store).await, ["first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_there_as_the_files_lie_and_what_was_refused_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("meta.db")).await.unwrap();
    store.migrate("test", TABLES).await.unwrap();
    // Every name is wanted by two, so one of them is refused; one in seven goes away without a commit.
    let attempt = |number: usize| {
        let (store, name) = (store.clone(), format!("m{:03}", number / 2));
        async move {
            let mut transaction = store.begin_on(&name).await?;
            transaction.execute(INSERT, parameters![name.as_str()]).await?;
            if number.is_multiple_of(7) {
                return Ok(None);
            }
            transaction.commit().await.map(|()| Some(name))
        }
    };
    let mut attempts: JoinSet<_> = (0..300).map(attempt).collect();
    let mut acknowledged = Vec::new();
    while let Some(done) = attempts.join_next().await {
        match done.unwrap() {
            Ok(name) => acknowledged.extend(name),
            Err(error) => assert!(error.is_conflict(), "{error:?}"),
        }
    }

    // A copy made while the store is open is what a killed process leaves behind.
    let copy = tempfile::tempdir().unwrap();
    for name in ["meta.db", "meta.db-wal"] {
        fs_err::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let found = names(&Store::open(&copy.path().join("meta.db")).await.unwrap()).await;

    acknowledged.sort();
    assert!(acknowledged.len() > 100);
    assert_eq!(found, acknowledged);
}

#[tokio::test]
async fn a_disk_that_gets_full_in_a_group_fails_all_of_it_and_acknowledges_none() {
    let store = with_tables(Store::in_memory().await.unwrap()).await;
    writes(&store, "kept").await.unwrap();
    store.execute("PRAGMA max_page_count = 1", vec![]).await.unwrap();
    let mut first = store.begin_on("first").await.unwrap();
    first.execute(INSERT, parameters!["first"]).await.unwrap();
    let large = async {
        let mut large = store.begin_on("large").await?;
        large.execute(INSERT_FILE, parameters!["large", vec![7_u8; 1 << 20]]).await?;
        large.commit().await
    };

    // It waits before the first one commits, and so is of its group.
    let (large, first) = tokio::join!(large, async { first.commit().await });

    for error in [first.unwrap_err(), large.unwrap_err()] {
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.disk_full"));
    }
    assert_eq!(names(&store).await, ["kept"]);
    store.execute("PRAGMA max_page_count = 1000000", vec![]).await.unwrap();
    writes(&store, "later").await.unwrap();
    assert_eq!(names(&store).await, ["kept", "later"]);
}

#[tokio::test]
async fn nothing_can_be_added_to_a_transaction_that_a_failure_has_ended() {
    let store = with_tables(Store::in_memory().await.unwrap()).await;
    store.execute("PRAGMA max_page_count = 1", vec![]).await.unwrap();
    let mut transaction = store.begin_on("large").await.unwrap();
    let large = transaction.execute(INSERT_FILE, parameters!["large", vec![7_u8; 1 << 20]]).await;
    assert_eq!(large.unwrap_err().code(), "store.disk_full");

    assert!(transaction.execute(INSERT, parameters!["small"]).await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(names(&store).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_keeps_nobody_waiting() {
    let store = with_tables(Store::in_memory().await.unwrap()).await;
    for round in 0..50 {
        let (going, name) = (store.clone(), format!("round-{round}"));
        let mut gone = JoinSet::new();
        gone.spawn(async move {
            let mut transaction = going.begin().await.unwrap();
            let rows = (0..2_000).map(|number| parameters![format!("{name}-{number}")]).collect();
            transaction.insert_rows("INSERT INTO models (name) VALUES {rows}", rows).await.unwrap();
        });
        tokio::task::yield_now().await;
        gone.abort_all();
        writes(&store, &format!("stays-{round}")).await.unwrap();
    }
    let kept = names(&store).await;
    assert!(kept.len() == 50 && kept.iter().all(|name| name.starts_with("stays-")), "{kept:?}");
}

#[tokio::test]
async fn a_store_that_is_closed_has_committed_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let store = Store::open(&path).await.unwrap();
    store.migrate("test", TABLES).await.unwrap();
    let wanted: Vec<String> = (0..20).map(|number| format!("m{number}")).collect();
    let writing = join_all(wanted.iter().map(|name| writes(&store, name)));
    let (written, ()) = tokio::join!(writing, store.close());
    let mut acknowledged: Vec<String> = wanted
        .iter()
        .zip(written)
        .filter_map(|(name, done)| match done {
            Ok(()) => Some(name.clone()),
            Err(error) => {
                assert_eq!(error.code(), "store.closed");
                None
            }
        })
        .collect();
    acknowledged.sort();
    assert_eq!(names(&Store::open(&path).await.unwrap()).await, acknowledged);
}

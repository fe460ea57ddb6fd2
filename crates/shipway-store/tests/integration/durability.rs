//! What survives, and what a disk that is full or damaged does.

use shipway_core::{Failure, Kind};
use shipway_store::{Store, parameters};

use crate::{TABLES, names, with_tables};

const INSERT: &str = "INSERT INTO models (name, file) VALUES ($1, $2)";

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let store = Store::open(&path).await.unwrap();
    store.migrate("test", TABLES).await.unwrap();
    store.execute(INSERT, parameters!["a", None::<&str>]).await.unwrap();
    store.close().await;

    let again = Store::open(&path).await.unwrap();
    again.migrate("test", TABLES).await.unwrap();
    assert_eq!(names(&again).await, ["a"]);
}

#[tokio::test]
async fn what_was_committed_is_there_for_whoever_finds_the_files_as_they_lie() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("meta.db")).await.unwrap();
    store.migrate("test", TABLES).await.unwrap();
    store.execute(INSERT, parameters!["a", None::<&str>]).await.unwrap();

    // A copy made while the store is open is what a killed process leaves behind.
    let copy = tempfile::tempdir().unwrap();
    for name in ["meta.db", "meta.db-wal"] {
        fs_err::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let recovered = Store::open(&copy.path().join("meta.db")).await.unwrap();
    assert_eq!(names(&recovered).await, ["a"]);
}

#[tokio::test]
async fn a_full_disk_refuses_the_change_and_keeps_the_rest() {
    let store = with_tables(Store::in_memory().await.unwrap()).await;
    store.execute(INSERT, parameters!["kept", None::<&str>]).await.unwrap();
    // The engine answers a bound on its pages as it answers a full disk.
    store.execute("PRAGMA max_page_count = 1", vec![]).await.unwrap();

    let error = store.execute(INSERT, parameters!["large", vec![7_u8; 1 << 20]]).await.unwrap_err();

    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.disk_full"));
    assert_eq!(names(&store).await, ["kept"]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_reported_as_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    fs_err::write(&path, "not a database, and long enough to be looked at".repeat(40)).unwrap();
    let error = Store::open(&path).await.unwrap_err();
    assert_eq!(error.code(), "store.damaged");
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("meta.db");
    let error = Store::open(&path).await.unwrap_err();
    assert_eq!(error.code(), "store.cannot_open");
    assert!(error.to_string().contains("missing"), "{error}");
}

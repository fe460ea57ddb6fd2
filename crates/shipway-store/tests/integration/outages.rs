//! What is PostgreSQL's own: it may be away, and writers of different subjects do not wait for each other.

use std::time::Duration;

use shipway_core::{Failure, Kind};
use shipway_store::{Store, parameters};
use shipway_testkit::Postgres;

use crate::{names, new_postgres, with_tables};

const INSERT: &str = "INSERT INTO models (name) VALUES ($1)";
const BRIEFLY: Duration = Duration::from_millis(200);

#[tokio::test]
async fn what_was_committed_survives_a_crash_of_the_server_and_the_store_goes_on_by_itself() {
    let mut postgres = Postgres::start().await;
    let url = postgres.new_database();
    let store = with_tables(Store::open_postgres(&url, 4).await.unwrap()).await;
    store.execute(INSERT, parameters!["kept"]).await.unwrap();
    let mut open = store.begin().await.unwrap();
    open.execute(INSERT, parameters!["not committed"]).await.unwrap();

    postgres.crash_and_restart().await;

    let error = open.commit().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.unreachable"), "{error:?}");
    assert_eq!(names(&store).await, ["kept"]);
    store.execute(INSERT, parameters!["later"]).await.unwrap();
    assert_eq!(names(&store).await, ["kept", "later"]);
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named_without_the_password() {
    let url = Postgres::shared().await.new_database();
    let url = url.replace("shipway@", "shipway:very-secret@").replace("/test_", "/nobody_made_");
    let error = Store::open_postgres(&url, 4).await.unwrap_err();
    assert_eq!(error.code(), "store.cannot_open");
    let said = format!("{error} {error:?}");
    assert!(said.contains("/nobody_made_") && !said.contains("very-secret"), "{said}");
}

#[tokio::test]
async fn writers_of_different_subjects_run_beside_each_other_and_not_beside_one_that_may_change_anything() {
    let store = with_tables(new_postgres().await).await;
    let mut first = store.begin_on("first").await.unwrap();
    first.execute(INSERT, parameters!["first"]).await.unwrap();
    let mut second = store.begin_on("second").await.unwrap();
    second.execute(INSERT, parameters!["second"]).await.unwrap();
    second.commit().await.unwrap();
    let same_subject = tokio::time::timeout(BRIEFLY, store.begin_on("first")).await;
    assert!(same_subject.is_err(), "it waits for the one that has the subject");
    let anything = tokio::time::timeout(BRIEFLY, store.begin()).await;
    assert!(anything.is_err(), "it waits for all of them");

    first.commit().await.unwrap();

    let whole = store.begin().await.unwrap();
    let subject = tokio::time::timeout(BRIEFLY, store.begin_on("third")).await;
    assert!(subject.is_err(), "it waits for the one that may change anything");
    whole.commit().await.unwrap();
    // Those who gave up while they waited have left no lock.
    drop(store.begin().await.unwrap());
    store.begin_on("third").await.unwrap().commit().await.unwrap();
    assert_eq!(names(&store).await, ["first", "second"]);
}

#[tokio::test]
async fn texts_are_ordered_by_their_bytes_as_in_sqlite() {
    let mut ordered = Vec::new();
    for store in [Store::in_memory().await.unwrap(), new_postgres().await] {
        let store = with_tables(store).await;
        for name in ["a", "B", "\u{e9}", "Z", "_", "aa", "A"] {
            store.execute(INSERT, parameters![name]).await.unwrap();
        }
        ordered.push(names(&store).await);
    }
    assert_eq!(ordered[0], ordered[1]);
    assert_eq!(ordered[0], ["A", "B", "Z", "_", "a", "aa", "\u{e9}"]);
}

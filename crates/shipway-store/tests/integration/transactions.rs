//! A transaction is everything or nothing, and readers never wait for it.

use futures::future::join_all;
use shipway_core::{Failure, Kind};
use shipway_store::parameters;

use super::store_with_tables;
use crate::names;

const INSERT: &str = "INSERT INTO models (name) VALUES ($1)";

#[tokio::test]
async fn what_is_committed_is_seen_and_what_is_dropped_is_not() {
    let store = store_with_tables().await;
    let mut transaction = store.begin().await.unwrap();
    transaction.execute(INSERT, parameters!["kept"]).await.unwrap();
    transaction.commit().await.unwrap();

    let mut transaction = store.begin().await.unwrap();
    transaction.execute(INSERT, parameters!["dropped"]).await.unwrap();
    drop(transaction);

    assert_eq!(store.execute(INSERT, parameters!["later"]).await.unwrap(), 1);
    assert_eq!(names(&store).await, ["kept", "later"]);
}

#[tokio::test]
async fn a_reader_sees_the_committed_state_while_a_writer_works() {
    let store = store_with_tables().await;
    let mut transaction = store.begin().await.unwrap();
    transaction.execute(INSERT, parameters!["a"]).await.unwrap();
    assert_eq!(names(&store).await, Vec::<String>::new());
    let inside = transaction.fetch_all("SELECT name FROM models", vec![]).await.unwrap();
    assert_eq!(inside.len(), 1);
    transaction.commit().await.unwrap();
    assert_eq!(names(&store).await, ["a"]);
}

#[tokio::test]
async fn many_sets_of_parameters_are_one_change() {
    let store = store_with_tables().await;
    let mut transaction = store.begin().await.unwrap();
    let sets = ["b", "a", "c"].map(|name| parameters![name]).to_vec();
    assert_eq!(transaction.execute_many(INSERT, sets).await.unwrap(), 3);
    transaction.commit().await.unwrap();
    assert_eq!(names(&store).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn returning_gives_the_written_row() {
    let store = store_with_tables().await;
    let mut transaction = store.begin().await.unwrap();
    let sql = "INSERT INTO models (name, size) VALUES ($1, 1)
               ON CONFLICT (name) DO UPDATE SET size = models.size + 1 RETURNING size";
    for expected in 1..=3 {
        let row = transaction.fetch_optional(sql, parameters!["a"]).await.unwrap().unwrap();
        assert_eq!(row.int("size").unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_writers_queue_and_none_is_lost() {
    let store = store_with_tables().await;
    store.execute("INSERT INTO models (name, size) VALUES ('a', 0)", vec![]).await.unwrap();
    let add = |store: shipway_store::Store| async move {
        let mut transaction = store.begin().await.unwrap();
        let row = transaction.fetch_optional("SELECT size FROM models", vec![]).await.unwrap().unwrap();
        let next = row.int("size").unwrap() + 1;
        transaction.execute("UPDATE models SET size = $1", parameters![next]).await.unwrap();
        transaction.commit().await.unwrap();
    };
    join_all((0..64).map(|_| add(store.clone()))).await;
    let row = store.fetch_optional("SELECT size FROM models", vec![]).await.unwrap().unwrap();
    assert_eq!(row.int("size").unwrap(), 64);
}

#[tokio::test]
async fn two_stores_share_nothing() {
    let (one, other) = (store_with_tables().await, store_with_tables().await);
    one.execute(INSERT, parameters!["a"]).await.unwrap();
    assert_eq!(names(&other).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let store = store_with_tables().await;
    store.close().await;
    let error = store.execute(INSERT, parameters!["a"]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "store.closed"));
}

//! Values go in and come out as they are; keys that are violated are conflicts.

use shipway_core::{Failure, Kind};
use shipway_store::{Change, StoreError, parameters};

use super::store_with_tables;
use crate::names;

const INSERT: &str = "INSERT INTO models (name, score, size, file) VALUES ($1, $2, $3, $4)";

#[tokio::test]
async fn values_come_out_as_they_went_in() {
    let store = store_with_tables().await;
    store.execute(INSERT, parameters!["a", f64::INFINITY, i64::MIN, vec![0_u8, 255]]).await.unwrap();
    store.execute(INSERT, parameters!["\u{fc}\u{1}'; --", -0.5, None::<i64>, Vec::<u8>::new()]).await.unwrap();

    let rows = store.fetch_all("SELECT * FROM models ORDER BY name", parameters![]).await.unwrap();
    assert_eq!(rows[0].text("name").unwrap(), "a");
    assert_eq!(rows[0].real("score").unwrap(), f64::INFINITY);
    assert_eq!(rows[0].int("size").unwrap(), i64::MIN);
    assert_eq!(rows[0].blob("file").unwrap(), [0, 255]);
    assert_eq!(rows[1].text("name").unwrap(), "\u{fc}\u{1}'; --");
    assert_eq!(rows[1].optional_int("size").unwrap(), None);
    assert_eq!(rows[1].blob("file").unwrap(), Vec::<u8>::new());
}

#[tokio::test]
async fn placeholders_may_be_repeated_and_out_of_order() {
    let store = store_with_tables().await;
    let row = store
        .fetch_optional("SELECT $2 AS second, $1 AS first, $2 AS again", parameters![1_i64, "two"])
        .await
        .unwrap()
        .unwrap();
    assert_eq!((row.int("first").unwrap(), row.text("second").unwrap()), (1, "two".into()));
    assert_eq!(row.text("again").unwrap(), "two");
}

#[tokio::test]
async fn a_column_of_another_type_or_name_is_an_error_that_names_it() {
    let store = store_with_tables().await;
    let row = store.fetch_optional("SELECT 'x' AS a, NULL AS b, 2 AS c", vec![]).await.unwrap().unwrap();
    let said = |result: Result<i64, StoreError>| result.unwrap_err().to_string();
    assert_eq!(said(row.int("a")), "column a: expected an integer, found text");
    assert_eq!(said(row.int("b")), "column b: expected an integer, found null");
    assert_eq!(said(row.int("d")), "column d: the row has no such column");
    assert_eq!(row.boolean("c").unwrap_err().to_string(), "column c: expected 0 or 1, found an integer");
    assert_eq!(row.real("c").unwrap(), 2.0);
}

#[tokio::test]
async fn a_violated_key_is_a_conflict() {
    let store = store_with_tables().await;
    store.execute(INSERT, parameters!["a", 0.5, 1_i64, None::<&str>]).await.unwrap();

    let twice = store.execute(INSERT, parameters!["a", 0.5, 1_i64, None::<&str>]).await.unwrap_err();
    assert!(twice.is_conflict());
    assert_eq!((twice.kind(), twice.code()), (Kind::Conflict, "store.conflict"));

    let orphan = "INSERT INTO versions (model, version) VALUES ('nobody', 1)";
    assert!(store.execute(orphan, vec![]).await.unwrap_err().is_conflict());
    let null = "INSERT INTO models (name) VALUES (NULL)";
    assert!(!store.execute(null, vec![]).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_value_that_is_not_a_number_is_refused_rather_than_lost() {
    let store = store_with_tables().await;
    let error = store.execute(INSERT, parameters!["a", f64::NAN, 1_i64, None::<&str>]).await.unwrap_err();
    assert_eq!(error.to_string(), "parameter $2 is not a number");
}

#[tokio::test]
async fn text_with_the_character_nul_is_refused_by_its_place() {
    let store = store_with_tables().await;
    let error = store.execute(INSERT, parameters!["a\0b", 0.5, 1_i64, None::<&str>]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "store.nul_character"));
    assert_eq!(error.to_string(), "the text of parameter $1 contains the character NUL");
}

#[tokio::test]
async fn rows_are_inserted_with_few_statements_and_nulls_of_every_type() {
    let store = store_with_tables().await;
    let rows = |from: i64| {
        (from..from + 700).map(|number| {
            let odd = number % 2 == 1;
            parameters![
                format!("m{number:04}"),
                odd.then_some(0.5),
                odd.then_some(number),
                (!odd).then(|| vec![1_u8])
            ]
        })
    };
    let sql = "INSERT INTO models (name, score, size, file) VALUES {rows} ON CONFLICT (name) DO NOTHING";
    for (from, added) in [(0, 700), (350, 350), (0, 0)] {
        let mut transaction = store.begin().await.unwrap();
        assert_eq!(transaction.insert_rows(sql, rows(from).collect()).await.unwrap(), added);
        transaction.commit().await.unwrap();
    }
    let sql = "SELECT COUNT(*) AS rows_in_all, COUNT(score) AS scores, CAST(SUM(size) AS BIGINT) AS sizes FROM models";
    let row = store.fetch_optional(sql, vec![]).await.unwrap().unwrap();
    let sizes: i64 = (0..1_050).filter(|number| number % 2 == 1).sum();
    let found = ["rows_in_all", "scores", "sizes"].map(|column| row.int(column).unwrap());
    assert_eq!(found, [1_050, 525, sizes]);
    let mut transaction = store.begin().await.unwrap();
    assert_eq!(transaction.insert_rows("INSERT INTO models (name) VALUES {rows}", vec![]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let store = store_with_tables().await;
    assert!(store.fetch_all("DELETE FROM models RETURNING name", vec![]).await.is_err());
}

#[tokio::test]
async fn a_wrong_statement_is_our_defect() {
    let store = store_with_tables().await;
    let error = store.execute("INSRT INTO models", vec![]).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Internal, "store.statement_failed"));
}

#[tokio::test]
async fn a_forgotten_parameter_is_not_taken_for_null() {
    let store = store_with_tables().await;
    let error = store.execute(INSERT, parameters!["a", 0.5]).await.unwrap_err();
    assert_eq!(error.to_string(), "a statement asks for 4 parameters and was given 2");
}

#[tokio::test]
async fn changes_that_are_made_together_count_apart_and_fail_together() {
    let store = store_with_tables().await;
    let inserted = "INSERT INTO models (name, score, size) VALUES {rows} ON CONFLICT (name) DO NOTHING";
    let versions = "INSERT INTO versions (model, version) VALUES {rows}";
    let rename = "UPDATE models SET name = $2 || '$1' WHERE name = $1";
    let store = &store;
    let together = |names: &'static [&'static str], version: i64| async move {
        let mut transaction = store.begin_on("a").await?;
        let models: Vec<_> = names.iter().map(|name| parameters![*name, 0.5, None::<i64>]).collect();
        let counts = transaction
            .execute_together(vec![
                Change::rows("INSERT INTO models (name) VALUES {rows}", vec![]),
                Change::rows(inserted, models),
                Change::rows(versions, vec![parameters!["a", version], parameters!["a", version + 1]]),
                Change::statement(rename, parameters!["old", "new"]),
            ])
            .await?;
        transaction.commit().await?;
        Ok::<_, StoreError>(counts)
    };
    store.execute(&inserted.replace("{rows}", "('old', 0.1, 1)"), vec![]).await.unwrap();

    assert_eq!(together(&["a", "b"], 1).await.unwrap(), [0, 2, 2, 1], "a row may refer to one that is inserted with it");
    assert_eq!(together(&["a", "c"], 3).await.unwrap(), [0, 1, 2, 0]);
    assert!(together(&["d"], 4).await.unwrap_err().is_conflict());
    assert_eq!(names(store).await, ["a", "b", "c", "new$1"]);
}

#[tokio::test]
async fn rows_are_found_by_any_number_of_ids() {
    let store = store_with_tables().await;
    let rows = (0..100).map(|number| parameters![format!("m\"'{number:02}")]).collect();
    let mut transaction = store.begin().await.unwrap();
    transaction.insert_rows("INSERT INTO models (name) VALUES {rows}", rows).await.unwrap();
    let sql = "SELECT name FROM models WHERE name IN ({ids})";
    for count in [0, 1, 8, 9, 60] {
        let ids: Vec<String> = (40..40 + count).map(|number| format!("m\"'{number:02}")).collect();
        assert_eq!(transaction.fetch_among(sql, &ids).await.unwrap().len(), count);
    }
    transaction.commit().await.unwrap();
    let ids: Vec<String> = ["m\"'99", "nobody", "m\"'00"].map(str::to_owned).to_vec();
    let mut found = store.fetch_among(sql, &ids).await.unwrap();
    found.sort_by(|one, other| one.str("name").unwrap().cmp(other.str("name").unwrap()));
    let found: Vec<&str> = found.iter().map(|row| row.str("name").unwrap()).collect();
    assert_eq!(found, ["m\"'00", "m\"'99"]);
    let error = store.fetch_among(sql, &["a\0b".to_owned()]).await.unwrap_err();
    assert_eq!(error.code(), "store.nul_character");
}

#[tokio::test]
async fn a_transaction_in_which_a_statement_failed_is_not_committed() {
    let store = store_with_tables().await;
    let mut transaction = store.begin().await.unwrap();
    transaction.execute(INSERT, parameters!["a", 0.5, 1_i64, None::<&str>]).await.unwrap();
    assert!(transaction.execute("INSRT INTO models", vec![]).await.is_err());
    assert!(transaction.commit().await.is_err());
    assert_eq!(names(&store).await, Vec::<String>::new());
}

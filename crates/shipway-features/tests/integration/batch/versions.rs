//! Delta tables: their rows once, then version by version.

use std::fs;

use serde_json::{Value as Json, json};
use shipway_lake::{AppendOptions, Lake, LakeOptions};
use shipway_store::jobs::JobState;

use super::{Depot, loaded_at_once, month};
use crate::world::{DAY, DEFINITIONS, SECOND, World, sale};

/// A Delta table in the folder that the server may read.
struct Table {
    lake: Lake,
    source: World,
}

impl Table {
    fn new(depot: &Depot) -> Self {
        let lake = Lake::open(LakeOptions::new(depot.world.folder.path().join("in"))).unwrap();
        Self { lake, source: World::new(DEFINITIONS) }
    }

    /// Appends rows as one version. They become typed on their way through a server of their own.
    fn appends(&self, rows: &[Json]) {
        let load = format!("rows-{}", self.source.number("SELECT count(*) FROM sales"));
        self.source.loads("sales", Some(&load), rows);
        let columns = "sale_id, sold_at AS sold, country, number, amount, items, product";
        let query = format!("SELECT {columns} FROM sales WHERE _load = '{load}'");
        self.source.block_on(async {
            let rows = self.source.features().lake().sql(&query).await.unwrap();
            self.lake.ensure_table("elsewhere", rows.schema()).await.unwrap();
            self.lake.append("elsewhere", rows, AppendOptions::default()).await.unwrap();
        });
    }
}

const DELTA: &str = "{ delta: IN/elsewhere, columns: { sold_at: sold }, optional: [prices, tags] }";

#[test]
fn a_table_is_loaded_as_a_whole_and_then_version_by_version() {
    let mut depot = Depot::new("{ files: IN/*.none, format: csv }");
    let table = Table::new(&depot);
    table.appends(&month(0..40));
    table.appends(&month(40..60));
    depot.applies(DELTA);
    assert_eq!(depot.looks()["rows"], 60);
    assert_eq!((depot.status().table_version, depot.status().items.loaded), (Some(2), 1));
    table.appends(&month(60..90));
    table.appends(&month(90..100));
    let looked = depot.looks();
    assert_eq!((&looked["loaded"], &looked["rows"]), (&json!(2), &json!(40)));
    assert_eq!(depot.looks()["rows"], 0);
    assert_eq!(depot.sales(), 100);
    assert_eq!(depot.features(), loaded_at_once(&month(0..100)));
    depot.dies_and_returns();
    assert_eq!((depot.looks()["rows"].clone(), depot.status().table_version), (json!(0), Some(4)));
}

#[test]
fn a_version_that_changed_rows_stops_there_with_its_remedy() {
    let mut depot = Depot::new("{ files: IN/*.none, format: csv }");
    let table = Table::new(&depot);
    table.appends(&month(0..40));
    depot.applies(DELTA);
    depot.looks();
    depot.writes_text(
        "elsewhere/_delta_log/00000000000000000002.json",
        "{\"commitInfo\":{\"operation\":\"DELETE\"}}\n{\"remove\":{\"path\":\"x.parquet\",\"dataChange\":true}}\n",
    );
    let looked = depot.looks();
    assert_eq!((&looked["rows"], &looked["failed"]), (&json!(0), &json!(1)));
    let problem = depot.status().problems.remove(0);
    assert_eq!(problem.code, "lake.outside_rows_changed");
    assert!(problem.message.contains("version 2") && problem.message.contains("is a DELETE"), "{problem:?}");
    assert!(problem.hint.unwrap().contains("a new source"));
    assert_eq!((depot.status().table_version, depot.sales()), (Some(1), 40));
}

#[test]
fn a_table_that_was_made_anew_is_another_table() {
    let mut depot = Depot::new("{ files: IN/*.none, format: csv }");
    Table::new(&depot).appends(&month(0..40));
    depot.applies(DELTA);
    depot.looks();
    fs::remove_dir_all(depot.world.folder.path().join("in/elsewhere")).unwrap();
    Table::new(&depot).appends(&month(0..50));
    depot.world.block_on(async {
        let job = depot.world.features().submit_look("sales", "ann").await.unwrap();
        assert_eq!(depot.jobs().wait(&job.id).await.unwrap().state, JobState::Failed);
    });
    assert_eq!(depot.status().error.unwrap().code, "features.batch_table_replaced");
    assert_eq!(depot.sales(), 40);
}

#[test]
fn a_table_with_a_bad_row_is_told_and_loaded_when_the_definition_fits() {
    let mut depot = Depot::new("{ files: IN/*.none, format: csv }");
    let table = Table::new(&depot);
    table.appends(&month(0..40));
    depot.applies("{ delta: IN/elsewhere, optional: [prices, tags] }");
    let looked = depot.looks();
    assert_eq!((&looked["rows"], &looked["failed"]), (&json!(0), &json!(1)));
    assert_eq!(looked["problems"][0]["message"], "column sold_at is missing");
    table.appends(&month(40..45));
    depot.applies(DELTA);
    assert_eq!(depot.looks()["rows"], 45);
    assert!(depot.status().problems.is_empty());
    let mut late = month(45..50);
    late[0] = sale("far", 90 * DAY + SECOND, 2.0);
    table.appends(&late);
    assert_eq!((depot.looks()["rows"].clone(), depot.sales()), (json!(5), 50));
}

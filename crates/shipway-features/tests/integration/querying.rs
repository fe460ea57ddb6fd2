//! SQL, in which a training set is a table.

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use futures::TryStreamExt as _;
use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Timestamp};
use shipway_features::{ArrivalRule, FeaturesError, Planned, Spine, TrainingSet};

use crate::world::{DAY, DEFINITIONS, MINUTE, World, sale};

const NOON: i64 = 90 * DAY;

fn with_history() -> World {
    let world = World::new(DEFINITIONS);
    let sales: Vec<Json> =
        (0..20).map(|number| sale(&format!("s{number}"), NOON + number * MINUTE, number as f64)).collect();
    world.ingests("sales", &sales);
    let row = |number: i64| json!({ "q": Timestamp(NOON + number * 7 * MINUTE).to_string(), "country": "nl", "number": 1, "basket": number });
    world.loads("asked", Some("asked"), &(0..3).map(row).collect::<Vec<_>>());
    world
}

fn tries(world: &World, query: &str) -> Result<Planned, FeaturesError> {
    world.block_on(world.features().query(query))
}

fn answers(world: &World, query: &str) -> String {
    let planned = tries(world, query).unwrap();
    let batches: Vec<RecordBatch> =
        world.block_on(async { planned.frame.execute_stream().await.unwrap().try_collect().await.unwrap() });
    pretty_format_batches(&batches).unwrap().to_string()
}

fn directly(world: &World) -> String {
    let wanted = TrainingSet {
        service: "shop_features".to_owned(),
        spine: Spine::Table("asked".to_owned()),
        time: "q".to_owned(),
        arrival: ArrivalRule::Any,
        from: None,
        to: None,
        labels: Vec::new(),
    };
    let batches: Vec<RecordBatch> = world.block_on(async {
        world.features().training_set(wanted).await.unwrap().batches.try_collect().await.unwrap()
    });
    pretty_format_batches(&batches).unwrap().to_string()
}

#[test]
fn a_training_set_in_sql_is_the_training_set() {
    let world = with_history();
    let expected = directly(&world);
    assert!(expected.contains("shop_sales__count_10m"), "{expected}");

    assert_eq!(answers(&world, "SELECT * FROM training_set('shop_features', 'asked', 'q')"), expected);
    let of_query =
        "SELECT * FROM training_set('shop_features', 'SELECT * FROM asked ORDER BY q', 'q') ORDER BY q";
    assert_eq!(answers(&world, of_query), expected);
}

#[test]
fn a_training_set_stands_wherever_a_table_may_stand() {
    let world = with_history();
    let joined = answers(
        &world,
        "WITH t AS (SELECT * FROM training_set('shop_features', 'asked', 'q')) \
         SELECT count(*) AS n FROM t JOIN training_set('shop_features', 'asked', 'q', 'arrival') AS u ON t.q = u.q \
         WHERE t.basket > 0",
    );
    assert!(joined.contains("| 2 |"), "{joined}");
}

#[test]
fn the_number_of_rows_is_known_where_it_costs_nothing() {
    let world = with_history();
    let rows = |query: &str| tries(&world, query).unwrap().rows;
    assert_eq!(rows("SELECT * FROM asked"), Some(3));
    assert_eq!(rows("SELECT basket + 1 FROM asked AS a ORDER BY 1"), Some(3));
    assert_eq!(rows("SELECT * FROM training_set('shop_features', 'asked', 'q')"), Some(3));
    for unknown in [
        "SELECT * FROM asked WHERE basket > 1",
        "SELECT * FROM asked LIMIT 1",
        "SELECT count(*) FROM asked",
        "SELECT * FROM training_set('shop_features', 'SELECT * FROM asked', 'q')",
    ] {
        assert_eq!(rows(unknown), None, "{unknown}");
    }
}

#[test]
fn a_wrong_call_is_refused_before_anything_runs() {
    let world = with_history();
    for (query, code) in [
        ("SELECT * FROM training_set('shop_featurez', 'asked', 'q')", "features.unknown_service"),
        ("SELECT * FROM training_set('shop_features', 'askd', 'q')", "lake.table_unknown"),
        ("SELECT * FROM training_set('shop_features', 'asked', 'p')", "features.spine_column_missing"),
        ("SELECT * FROM training_set('shop_features', 'DROP TABLE asked', 'q')", "lake.read_only"),
        ("SELECT * FROM training_set('shop_features')", "lake.query_invalid"),
        ("SELECT * FROM training_set", "lake.query_invalid"),
    ] {
        let refused = tries(&world, query).err().map(|error| error.code());
        assert_eq!(refused, Some(code), "{query}");
    }
}

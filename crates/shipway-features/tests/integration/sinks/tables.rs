//! The rows that a table gains.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Value};
use shipway_features::{SinkOrigin, SinkSpec, SinkUnit};

use super::{all, column, is_silent, keeps, name, next, opens};
use crate::world::{DEFINITIONS, World};

fn of_table(table: &str, key: &[&str]) -> SinkSpec {
    let key = key.iter().map(|column| (*column).to_owned()).collect();
    let origin = SinkOrigin::Table { table: table.to_owned(), key };
    SinkSpec { name: name("rows"), origin, into: None, every: Some(Duration::from_millis(20)) }
}

#[test]
fn a_table_is_sent_from_where_it_is_and_another_one_in_its_place_from_its_beginning() {
    let mut world = World::new(DEFINITIONS);
    let row = |id: i64| json!({ "id": id, "shop": format!("s{}", id % 2), "score": 0.5 });
    world.loads("scores", Some("first"), &[row(1), row(2)]);
    let spec = of_table("scores", &["shop"]);
    keeps(&world, std::slice::from_ref(&spec));
    let mut rows = opens(&world, &spec);
    is_silent(&world, &mut rows);
    world.loads("scores", Some("second"), &[row(3), row(4)]);
    let run = next(&world, &mut rows);
    assert_eq!(
        (all(&run, "id"), all(&run, "score")),
        (vec![json!(3), json!(4)], vec![json!(0.5), json!(0.5)])
    );
    assert_eq!(*run.key, [column(&run, "shop")]);
    rows.sent();
    is_silent(&world, &mut rows);
    world.block_on(rows.close()).unwrap();
    world.dies_and_returns();

    keeps(&world, std::slice::from_ref(&spec));
    let mut rows = opens(&world, &spec);
    is_silent(&world, &mut rows);
    world.loads("scores", Some("third"), &[row(5)]);
    assert_eq!(all(&next(&world, &mut rows), "id"), [5]);
    rows.sent();
    assert_eq!(world.features().sink_standing(&name("rows")).unwrap().unit, SinkUnit::Versions);
    world.block_on(world.features().lake().drop_table("scores")).unwrap();
    world.loads("scores", Some("fourth"), &[row(9)]);
    assert_eq!(all(&next(&world, &mut rows), "id"), [9], "the table of that name is another one now");
}

#[test]
fn a_table_that_does_not_exist_yet_is_waited_for_and_sent_whole() {
    let world = World::new(DEFINITIONS);
    let spec = of_table("later", &["nobody"]);
    keeps(&world, std::slice::from_ref(&spec));
    let mut rows = opens(&world, &spec);
    is_silent(&world, &mut rows);
    let standing = world.features().sink_standing(&name("rows")).unwrap();
    assert_eq!(standing.waits_for.unwrap(), "table later, which does not exist yet");
    let many: Vec<Json> = (0..2_500).map(|id| json!({ "id": id })).collect();
    world.loads("later", Some("first"), &many);
    let refused = world.block_on(rows.next()).unwrap_err();
    assert_eq!(refused.code(), "features.sink_column");

    let spec = of_table("later", &["id"]);
    let mut rows = opens(&world, &spec);
    let mut ids = Vec::new();
    while ids.len() < 2_500 {
        let run = next(&world, &mut rows);
        assert!(run.rows.len() <= 1_000, "in pieces");
        ids.extend(run.rows.iter().map(|row| row[0].clone()));
        rows.sent();
    }
    assert_eq!(ids, (0..2_500).map(Value::Int).collect::<Vec<_>>());
}

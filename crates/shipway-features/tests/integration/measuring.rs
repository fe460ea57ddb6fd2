//! How fast it is here: prints, and asserts nothing about time. Run with `--ignored --nocapture`.

use std::time::Instant;

use serde_json::{Value as Json, json};
use shipway_core::Timestamp;
use shipway_features::Limits;

use crate::world::{DAY, DEFINITIONS, SECOND, World, sale};

#[test]
#[ignore = "a measurement, not a rule"]
fn events_per_second_and_microseconds_per_read() {
    let world = World::with_limits(DEFINITIONS, Limits::default());
    let start = 90 * DAY;
    let batches: Vec<Vec<Json>> = (0..40)
        .map(|batch| {
            (0..2_500)
                .map(|at| {
                    let number = batch * 2_500 + at;
                    let mut event = sale(&number.to_string(), start + number * 5 * SECOND, 1.5);
                    event["number"] = (number % 500).into();
                    event
                })
                .collect()
        })
        .collect();
    let began = Instant::now();
    let mut token = String::new();
    for batch in &batches {
        token = world.ingests("sales", batch).token;
    }
    let acknowledged = began.elapsed();
    let end = Timestamp(start + 100_000 * 5 * SECOND + 1);
    let row = |number: i64| json!({ "country": "nl", "number": number, "basket": 1 });
    world.reads(&[row(1)], end, Some(&token)).unwrap();
    let visible = began.elapsed();
    println!(
        "ingest: {:.0} events/s acknowledged, {:.0} events/s visible",
        1e5 / acknowledged.as_secs_f64(),
        1e5 / visible.as_secs_f64()
    );
    let began = Instant::now();
    for number in 0..20_000 {
        world.reads(&[row(number % 500)], end, None).unwrap();
    }
    println!("read: {:.1} us for one row of 35 features", began.elapsed().as_secs_f64() * 1e6 / 20_000.0);
}

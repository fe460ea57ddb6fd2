//! A broker's messages wait while the states are too far behind the log: they are neither refused nor taken in.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value as Json;
use shipway_core::{DataType, Failure as _, Name, Timestamp, Value};
use shipway_features::{Delivery, Feed, Limits, LoadRequest, Message, SourceStatus};
use shipway_lake::files::FileFormat;

use crate::world::{DAY, DEFINITIONS, HOUR, SECOND, World, limits, sale, shop, value};

const NOON: i64 = 90 * DAY + 12 * HOUR;
/// Records that may wait to become readable.
const BOUND: u64 = 500;
const DELIVERED: u64 = 600;
/// So many rows are merged in eighty steps, each with a look at all of them.
const LOADED: i64 = 8_000;

fn delivery(first: u64, count: u64) -> Delivery {
    let columns = [
        ("sale_id", DataType::Text),
        ("sold_at", DataType::Timestamp),
        ("country", DataType::Text),
        ("number", DataType::Int),
    ];
    let message = |offset: u64| {
        let time = Value::Timestamp(Timestamp(NOON + offset.cast_signed()));
        let values = vec![Value::text(format!("d{offset}")), time, Value::text("nl"), Value::Int(1)];
        Message { partition: 0, offset, sent: None, key: None, message: None, content: Ok(Some(values)) }
    };
    Delivery {
        feed: Feed::of("main", "sales"),
        topic: "sales".to_owned(),
        generation: 1,
        columns: columns.map(|(name, data_type)| (Name::new(name).unwrap(), data_type)).to_vec(),
        messages: (first..first + count).map(message).collect(),
    }
}

fn status(world: &World) -> SourceStatus {
    world.features().status().into_iter().find(|status| status.source.as_str() == "sales").unwrap()
}

#[test]
fn messages_of_a_broker_wait_until_the_states_have_come_nearer_to_the_log() {
    let world = World::with_limits(DEFINITIONS, Limits { ahead_events: BOUND, ..limits() });
    // Between what comes before a load and what comes behind it the states stand still until it is merged whole.
    let rows: Vec<Json> = (0..LOADED).map(|row| sale(&format!("l{row}"), NOON - row * SECOND, 1.0)).collect();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let body = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(lines))]);
    let request =
        LoadRequest { table: "sales".to_owned(), format: FileFormat::JsonLines, load_id: None, wait: false };
    world.block_on(world.features().load(request, body)).unwrap();
    let stands_at = status(&world).applied;

    let taken = world.block_on(world.features().deliver("sales", delivery(0, DELIVERED))).unwrap();
    assert_eq!(taken.events as u64, DELIVERED, "there was room when they came");
    let refused = world.tries_to_ingest("sales", &[sale("refused", NOON, 1.0)]).unwrap_err();
    assert_eq!(refused.code(), "features.behind");
    let next = || world.features().claim_partition("sales", Feed::of("main", "sales"), 1, 0);
    let (taken, waited) = world.block_on(async {
        let mut delivering =
            std::pin::pin!(world.features().deliver("sales", delivery(DELIVERED, DELIVERED)));
        let mut waited = 0;
        loop {
            tokio::select! {
                biased;
                taken = &mut delivering => return (taken.unwrap(), waited),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            let position = next().await.unwrap();
            let now = status(&world);
            if now.applied == stands_at {
                // They are not in the log; whoever asks meanwhile hears that they are the next to read.
                assert_eq!((position, now.log_end), (Some(DELIVERED), stands_at + 1 + DELIVERED));
                waited += 1;
            }
        }
    });
    assert!(waited > 0, "the states stood still while they waited");
    assert_eq!(taken.events as u64, DELIVERED);
    let then = status(&world);
    assert!(
        then.applied > stands_at,
        "they were taken in when the load was merged, and not before: {then:?}"
    );

    let read = world.reads(&[shop()], Timestamp(NOON + HOUR), Some(&taken.token)).unwrap();
    let count = value(&read, "shop_sales__count_lifetime");
    assert_eq!(count, LOADED.cast_unsigned() + 2 * DELIVERED, "nothing is lost, and nothing twice");
}

//! Random events and spines, with times that are aligned, equal, negative and tied on purpose.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shipway_core::Timestamp;
use shipway_features::offline::{AsOf, EngineSettings};

use super::world::{Arrival, Ask, Sale, World};

const SECOND: i64 = 1_000_000;

/// Times at and beside the starts of hops, around the epoch, and often the same.
fn time() -> impl Strategy<Value = i64> {
    let step = prop_oneof![
        Just(SECOND),
        Just(30 * SECOND),
        Just(300 * SECOND),
        Just(3_600 * SECOND),
        Just(86_400 * SECOND),
    ];
    prop_oneof![
        (step, -4_i64..4, -1_i64..=1).prop_map(|(step, steps, beside)| step * steps + beside),
        -7_200 * SECOND..7_200 * SECOND,
        Just(0),
    ]
}

fn amount() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        4 => (-100.0..100.0).prop_map(Some),
        1 => Just(None),
        1 => prop_oneof![
            Just(0.1),
            Just(1e16),
            Just(-1e16),
            Just(-0.0),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(5e-324),
        ].prop_map(Some),
    ]
}

/// How long after its time an event is received: at once, with a tie, late, or from a clock that is behind.
fn late() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0_i64), 1 => Just(1), 3 => 0..7_200 * SECOND, 1 => -300 * SECOND..0]
}

fn key() -> impl Strategy<Value = (Option<String>, Option<i64>)> {
    let shop = prop_oneof![6 => "[ab]", 1 => Just("1".to_owned())];
    (prop::option::weighted(0.9, shop), prop::option::weighted(0.9, 1_i64..3))
}

pub(super) fn sales() -> impl Strategy<Value = Vec<Sale>> {
    let sale = (time(), key(), amount(), prop::option::of(-5_i64..5), prop::option::of("[xyz]"), late());
    let arrival = prop_oneof![4 => (0_u64..40).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((sale, arrival), 0..60).prop_map(|drawn| {
        let sale =
            |(index, ((sold_at, (store, district), amount, units, label, late), arrival)): (usize, _)| {
                // Ids in another order than the events, and the same count of digits: they compare as text.
                let id = format!("{:04}", (index * 7_919) % 10_000);
                let arrival = match arrival {
                    Some(offset) => Arrival::Live(offset),
                    None => Arrival::Loaded(["first", "second", "unknown"][index % 3].to_owned()),
                };
                Sale { id, sold_at, store, district, amount, units, label, arrival, received: sold_at + late }
            };
        drawn.into_iter().enumerate().map(sale).collect()
    })
}

pub(super) fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let ask = (time(), key(), 0_u64..45, prop::bool::weighted(0.2));
    prop::collection::vec(ask, 0..40).prop_map(|drawn| {
        let mut asks = Vec::new();
        for (q, (shop, district), watermark, twice) in drawn {
            let ask = Ask { q, shop, district, watermark };
            if twice {
                asks.push(ask.clone());
            }
            asks.push(ask);
        }
        asks
    })
}

pub(super) fn settings() -> impl Strategy<Value = EngineSettings> {
    let masks = prop_oneof![Just(u64::MAX), Just(0), Just(1), Just(1 << 63)];
    let kept = prop_oneof![Just(0_usize), Just(1 << 20)];
    (1_usize..4, masks, prop_oneof![Just(3_usize), Just(8_192)], kept, any::<bool>()).prop_map(
        |(partitions, key_hash_mask, batch_rows, kept_memory_bytes, groups_in_memory)| EngineSettings {
            target_partitions: Some(partitions),
            batch_rows,
            key_hash_mask,
            kept_memory_bytes,
            groups_in_memory,
        },
    )
}

pub(super) fn as_of() -> impl Strategy<Value = AsOf> {
    prop_oneof![
        Just(AsOf::EventTime),
        (0_u64..45).prop_map(|watermark| AsOf::Arrival(BTreeMap::from([("sales".to_owned(), watermark)]))),
        Just(AsOf::ArrivalColumns(BTreeMap::from([("sales".to_owned(), "seen_up_to".to_owned())]))),
        Just(AsOf::ArrivalColumns(BTreeMap::from([("sales".to_owned(), "seen_up_to".to_owned())]))),
        (time(), time()).prop_map(|(first, second)| {
            let moments = [("first".to_owned(), Timestamp(first)), ("second".to_owned(), Timestamp(second))];
            AsOf::Received(BTreeMap::from([("sales".to_owned(), BTreeMap::from(moments))]))
        }),
    ]
}

fn holds(sales: &[Sale], asks: &[Ask], as_of: AsOf, settings: &EngineSettings) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        world.loads = BTreeMap::from([("first".to_owned(), 0), ("second".to_owned(), 20)]);
        world.holds(sales).await;
        world.agrees(sales, asks, as_of, settings).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_training_set_is_what_the_oracle_says(sales in sales(), asks in asks(), as_of in as_of(), settings in settings()) {
        holds(&sales, &asks, as_of, &settings);
    }

    /// Events of one key only, in the order of time and nearly of arrival, as a live stream leaves them.
    #[test]
    fn a_live_stream_replays_row_by_row(
        steps in prop::collection::vec((0_i64..900, 0_i64..6, any::<bool>()), 1..120),
        settings in settings(),
    ) {
        let (mut sales, mut asks) = (Vec::new(), Vec::new());
        let (mut now, mut applied) = (-40_000 * SECOND, 0_i64);
        for (index, (step, lag, is_ask)) in steps.into_iter().enumerate() {
            now += step * SECOND;
            if is_ask {
                asks.push(Ask::at(now).seeing((applied - lag).max(0) as u64));
            } else {
                // An arrival beside its order now and then: a late event, or two that changed places.
                let arrival = Arrival::Live((applied + lag / 3) as u64);
                sales.push(Sale::new(&format!("{index:04}"), now, index as f64 / 10.0).arrived(arrival));
                applied += 1;
            }
        }
        let columns = BTreeMap::from([("sales".to_owned(), "seen_up_to".to_owned())]);
        holds(&sales, &asks, AsOf::ArrivalColumns(columns), &settings);
    }
}

//! Little memory, many partitions, one hot key: the same answers.

use shipway_features::offline::{AsOf, EngineSettings};

use super::world::{Ask, Sale, World};

/// Many keys, times that repeat, more than fits the small lake.
fn many(events: i64, asks: i64) -> (Vec<Sale>, Vec<Ask>) {
    let shop = |number: i64| format!("shop {}", number % 97);
    let sale = |number: i64| {
        let at = (number * 7_919) % 500_000 * 1_000_000;
        let sale = Sale::new(&format!("{number:06}"), at, (number % 1_000) as f64 / 8.0);
        sale.of(Some(&shop(number)), Some(number % 2))
    };
    let ask = |number: i64| {
        let q = (number * 104_729) % 600_000 * 1_000_000;
        Ask::at(q).of(Some(&shop(number / 3)), Some(number % 2))
    };
    ((0..events).map(sale).collect(), (0..asks).map(ask).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiny_memory_limit_spills_and_changes_nothing() {
    let (sales, asks) = many(30_000, 20_000);
    let roomy = World::new();
    roomy.holds(&sales).await;
    let single = EngineSettings { target_partitions: Some(1), ..EngineSettings::default() };
    let expected = roomy.answers(&asks, AsOf::EventTime, &single).await;
    roomy.agrees(&sales, &asks[..200], AsOf::EventTime, &single).await;

    // The sorted rows alone are larger than each sort's share of this. Of what is grouped in memory, some fits and some does not.
    for (partitions, memory_limit_bytes, groups_in_memory) in
        [(1, 6 << 20, false), (3, 16 << 20, false), (1, 6 << 20, true), (3, 16 << 20, true)]
    {
        let tight = World::with_memory(memory_limit_bytes);
        tight.holds(&sales).await;
        let settings = EngineSettings {
            target_partitions: Some(partitions),
            batch_rows: 512,
            kept_memory_bytes: 64 << 10,
            groups_in_memory,
            ..EngineSettings::default()
        };
        let answers = tight.answers(&asks, AsOf::EventTime, &settings).await;
        assert_eq!(answers.len(), expected.len());
        for (row, (answer, expected)) in answers.iter().zip(&expected).enumerate() {
            assert_eq!(answer, expected, "row {row} with {partitions} partitions");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_key_with_many_events_in_one_hop_is_answered() {
    let sales: Vec<Sale> = (0..100_000)
        .map(|number| Sale::new(&format!("{number:06}"), number / 10, f64::from(number as i32 % 7)))
        .collect();
    let asks = [Ask::at(5_000), Ask::at(1_000_000)];
    let world = World::new();
    world.holds(&sales).await;
    for groups_in_memory in [true, false] {
        let settings = EngineSettings { groups_in_memory, ..EngineSettings::default() };
        world.agrees(&sales, &asks, AsOf::EventTime, &settings).await;
    }
}

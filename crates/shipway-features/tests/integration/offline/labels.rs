//! Labels against a naive loop over all events: edges, ties, keys, and that features never see what a label sees.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, StringArray};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Value};
use shipway_features::offline::{AsOf, EngineSettings, Label, OfflineError};
use shipway_lake::AppendOptions;

use super::world::{Answers, Ask, Sale, World, batch, rows_of, timestamps};

const SECOND: i64 = 1_000_000;

fn label(json: Json) -> Label {
    serde_json::from_value(json).unwrap()
}

fn on_sales(more: Json) -> Label {
    let mut label = json!({ "source": "sales", "keys": { "shop": "store", "district": "district" } });
    for (name, value) in more.as_object().unwrap() {
        label[name] = value.clone();
    }
    serde_json::from_value(label).unwrap()
}

async fn labelled(
    world: &World,
    asks: &[Ask],
    labels: Vec<Label>,
    settings: &EngineSettings,
) -> Result<Answers, OfflineError> {
    let mut request = world.request(world.spine(asks), AsOf::EventTime);
    request.labels = labels;
    Ok(rows_of(&world.batches(request, settings).await?))
}

/// The events of the label's window, in order.
fn window<'a>(sales: &'a [Sale], ask: &Ask, after: i64, length: i64) -> Vec<&'a Sale> {
    let begin = ask.q + after;
    let mut events: Vec<&Sale> = sales
        .iter()
        .filter(|_| ask.shop.is_some() && ask.district.is_some())
        .filter(|sale| sale.store == ask.shop && sale.district == ask.district)
        .filter(|sale| begin <= sale.sold_at && sale.sold_at < begin + length)
        .collect();
    events.sort_by(|one, other| (one.sold_at, &one.id).cmp(&(other.sold_at, &other.id)));
    events
}

fn naive(sales: &[Sale], ask: &Ask, (after, length): (i64, i64)) -> BTreeMap<&'static str, Value> {
    let has_key = ask.shop.is_some() && ask.district.is_some();
    let events = window(sales, ask, after, length);
    let labels: Vec<Value> =
        events.iter().map(|sale| sale.value("label")).filter(|value| !value.is_null()).collect();
    let units: Vec<i64> = events.iter().filter_map(|sale| sale.units).collect();
    let int = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
    BTreeMap::from([
        ("label__count", if has_key { Value::Int(events.len() as i64) } else { Value::Null }),
        ("label__units", int((!units.is_empty()).then(|| units.iter().sum()))),
        ("label__most", int(units.iter().max().copied())),
        ("label__first", labels.first().cloned().unwrap_or(Value::Null)),
        ("label__last", labels.last().cloned().unwrap_or(Value::Null)),
    ])
}

fn five(after: &str, window: &str) -> Vec<Label> {
    let mut labels = Vec::new();
    for (name, column, operation) in [
        ("count", None, "count"),
        ("units", Some("units"), "sum"),
        ("most", Some("units"), "max"),
        ("first", Some("label"), "first"),
        ("last", Some("label"), "last"),
    ] {
        let mut spec = json!({ "name": name, "operation": operation, "after": after, "window": window });
        if let Some(column) = column {
            spec["column"] = column.into();
        }
        labels.push(on_sales(spec));
    }
    labels
}

#[tokio::test]
async fn a_label_begins_at_its_row_and_ends_before_its_end() {
    let sales: Vec<Sale> = [(-1, "before"), (0, "at"), (9_999_999, "in"), (10_000_000, "end")]
        .into_iter()
        .map(|(at, id)| Sale { label: Some(id.to_owned()), ..Sale::new(id, at, 1.0) })
        .collect();
    let world = World::new();
    world.holds(&sales).await;
    let labels = vec![
        on_sales(json!({ "operation": "count", "window": "10s" })),
        on_sales(json!({ "column": "label", "operation": "first", "window": "10s" })),
        on_sales(json!({ "column": "label", "operation": "last", "window": "10s" })),
    ];
    let rows = labelled(&world, &[Ask::at(0)], labels, &EngineSettings::default()).await.unwrap();
    assert_eq!(rows[0]["label__count_10s"], Value::Int(2));
    assert_eq!(
        rows[0]["label__label_first_10s"],
        Value::text("at"),
        "what happens at q belongs to the label"
    );
    assert_eq!(rows[0]["label__label_last_10s"], Value::text("in"));
    assert_eq!(rows[0]["totals__count_1h"], Value::Int(1), "and never to a feature");
}

#[tokio::test]
async fn a_label_may_come_from_a_plain_table_with_ties_decided_by_its_id() {
    let world = World::new();
    world.holds(&[]).await;
    let rows = batch([
        ("shop", Arc::new(StringArray::from(vec!["a", "a", "a"])) as ArrayRef),
        ("at", timestamps([Some(5), Some(5), Some(7)])),
        ("id", Arc::new(StringArray::from(vec!["2", "1", "3"]))),
        ("refund", Arc::new(Int64Array::from(vec![20, 10, 30]))),
    ]);
    world.lake.ensure_table("refunds", rows.schema()).await.unwrap();
    world.lake.append_batches("refunds", vec![rows], AppendOptions::default()).await.unwrap();
    let spec = json!({ "table": "refunds", "time": "at", "id": "id", "keys": ["shop"], "column": "refund",
                       "operation": "first", "window": "1s" });
    let settings = EngineSettings::default();
    let rows = labelled(&world, &[Ask::at(0)], vec![label(spec.clone())], &settings).await.unwrap();
    assert_eq!(rows[0]["label__refund_first_1s"], Value::Int(10));

    let mut untied = spec;
    untied.as_object_mut().unwrap().remove("id");
    let refused = labelled(&world, &[Ask::at(0)], vec![label(untied)], &settings).await.unwrap_err();
    assert_eq!(refused.code(), "features.label_invalid");
    assert!(refused.to_string().contains("need an id column"), "{refused}");
}

#[tokio::test]
async fn what_is_wrong_with_a_label_is_said_before_any_work() {
    let world = World::new();
    world.holds(&[Sale::new("1", 0, 1.0)]).await;
    for (more, words) in [
        (json!({ "operation": "count", "window": "1h", "column": "amont" }), "did you mean amount?"),
        (
            json!({ "operation": "median", "window": "1h", "column": "amount" }),
            "median is not an aggregation",
        ),
        (json!({ "operation": "avg", "window": "1h", "column": "label" }), "label"),
        (json!({ "operation": "count", "window": "1h", "table": "x" }), "either a source or a table"),
        (json!({ "operation": "count", "window": "1h", "keys": [] }), "at least one key"),
    ] {
        let asks = [Ask::at(0)];
        let refused = labelled(&world, &asks, vec![on_sales(more)], &EngineSettings::default()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let twice = vec![on_sales(json!({ "operation": "count", "window": "1h" })); 2];
    let refused = labelled(&world, &[Ask::at(0)], twice, &EngineSettings::default()).await.unwrap_err();
    assert_eq!(refused.code(), "features.training_set_name_taken");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn labels_are_what_the_naive_loop_says(
        drawn in prop::collection::vec((-40_i64..40, "[ab]", prop::option::of(-5_i64..5), prop::option::of("[xyz]")), 0..60),
        asked in prop::collection::vec((-60_i64..60, prop::option::weighted(0.9, "[abc]")), 0..30),
        after in 0_i64..20,
        length in 1_i64..30,
        partitions in 1_usize..4,
    ) {
        let sales: Vec<Sale> = drawn.into_iter().enumerate().map(|(index, (at, store, units, label))| {
            let id = format!("{:04}", (index * 7_919) % 10_000);
            Sale { units, label, ..Sale::new(&id, at * SECOND, 1.0) }.of(Some(&store), Some(1))
        }).collect();
        let asks: Vec<Ask> =
            asked.into_iter().map(|(q, shop)| Ask::at(q * SECOND).of(shop.as_deref(), Some(1))).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            world.holds(&sales).await;
            let settings = EngineSettings { target_partitions: Some(partitions), batch_rows: 7, ..EngineSettings::default() };
            let mut labels = five(&format!("{}s", after.max(1)), &format!("{length}s"));
            let after = if after == 0 { labels.iter_mut().for_each(|label| label.after = None); 0 } else { after };
            let rows = labelled(&world, &asks, labels, &settings).await.unwrap();
            let features = world.answers(&asks, AsOf::EventTime, &settings).await;
            assert_eq!(rows.len(), asks.len());
            for ((row, ask), features) in rows.iter().zip(&asks).zip(&features) {
                for (name, expected) in naive(&sales, ask, (after * SECOND, length * SECOND)) {
                    assert_eq!(row[name], expected, "{name} at {ask:?}");
                }
                for (name, value) in features {
                    assert_eq!(&row[name], value, "a label changes no feature: {name}");
                }
            }
        });
    }
}

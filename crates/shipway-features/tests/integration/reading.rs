//! What a read promises: exact or refused, fresh or marked, and the caller's own writes.

use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Kind, Timestamp};
use shipway_features::{FeaturesError, Limits};

use crate::world::{DAY, DEFINITIONS, HOUR, MINUTE, SECOND, World, limits, sale, shop, value};

const NOON: i64 = 90 * DAY + 12 * HOUR;

fn count(world: &World, window: &str, q: i64, token: &str) -> Json {
    let read = world.reads(&[shop()], Timestamp(q), Some(token)).unwrap();
    value(&read, &format!("shop_sales__count_{window}"))
}

#[test]
fn the_head_is_strictly_before_q_and_the_tail_edge_is_inside() {
    let world = World::new(DEFINITIONS);
    let token = world.ingests("sales", &[sale("a", NOON, 1.0)]).token;
    assert_eq!(count(&world, "1h", NOON, &token), 0, "a tie at q is not before q");
    assert_eq!(count(&world, "1h", NOON + 1, &token), 1);
    assert_eq!(count(&world, "1h", NOON + HOUR, &token), 1, "the tail's edge");
    assert_eq!(
        count(&world, "1h", NOON + HOUR + 5 * MINUTE - 1, &token),
        1,
        "the tail moves in hops of 5 minutes"
    );
    assert_eq!(count(&world, "1h", NOON + HOUR + 5 * MINUTE, &token), 0);
    assert_eq!(count(&world, "10s", NOON + 10 * SECOND, &token), 1);
    assert_eq!(count(&world, "10s", NOON + 11 * SECOND, &token), 0);
}

#[test]
fn last_and_first_order_equal_times_by_event_id_and_not_by_arrival() {
    let world = World::new(DEFINITIONS);
    let named = |id: &str, product: &str| {
        let mut event = sale(id, NOON, 1.0);
        event["product"] = product.into();
        event
    };
    world.ingests("sales", &[named("c", "last")]);
    let token = world.ingests("sales", &[named("a", "first"), named("b", "middle")]).token;
    let read = world.reads(&[shop()], Timestamp(NOON + 1), Some(&token)).unwrap();
    assert_eq!(value(&read, "shop_sales__product_last_1h"), "last");
    assert_eq!(value(&read, "shop_sales__product_first_1h"), "first");
    assert_eq!(value(&read, "shop_last__product"), "last");
}

#[test]
fn an_older_row_never_replaces_a_newer_one_and_the_ttl_edge_is_inclusive() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("new", NOON, 2.0)]);
    let token = world.ingests("sales", &[sale("old", NOON - 1, 1.0)]).token;
    let amount = |q: i64| {
        let read = world.reads(&[shop()], Timestamp(q), Some(&token)).unwrap();
        value(&read, "shop_last__amount")
    };
    assert_eq!(amount(NOON + HOUR), 2.0);
    assert_eq!(amount(NOON + HOUR + 1), Json::Null);
    assert_eq!(amount(NOON), 1.0);
}

#[test]
fn a_feature_is_null_beyond_its_own_ttl_and_the_edge_is_inclusive() {
    let world = World::new(&DEFINITIONS.replace("ttl: 1h", "ttl: 1h\nfeatures: { product: { ttl: 10m } }"));
    let token = world.ingests("sales", &[sale("a", NOON, 2.0)]).token;
    let read = |q: i64| {
        let read = world.reads(&[shop()], Timestamp(q), Some(&token)).unwrap();
        (value(&read, "shop_last__product"), value(&read, "shop_last__amount"))
    };
    let product = read(NOON + 1).0;
    assert_ne!(product, Json::Null);
    assert_eq!(read(NOON + 10 * MINUTE), (product, json!(2.0)));
    assert_eq!(read(NOON + 10 * MINUTE + 1), (Json::Null, json!(2.0)));
    assert_eq!(read(NOON + HOUR + 1), (Json::Null, Json::Null));
}

#[test]
fn a_late_event_counts_in_its_own_windows_only() {
    let world = World::new(DEFINITIONS);
    world.ingests("sales", &[sale("new", NOON, 1.0)]);
    let token = world.ingests("sales", &[sale("late", NOON - 2 * HOUR, 1.0)]).token;
    assert_eq!(count(&world, "1h", NOON + 1, &token), 1);
    assert_eq!(count(&world, "12h", NOON + 1, &token), 2);
}

#[test]
fn a_null_key_has_null_features_and_an_unknown_key_has_counts_of_zero() {
    let world = World::new(DEFINITIONS);
    let token = world.ingests("sales", &[sale("a", NOON, 1.0)]).token;
    let rows = [
        json!({ "country": null, "number": 1, "basket": null }),
        json!({ "country": "xx", "number": 1, "basket": 2 }),
    ];
    let read = world.reads(&rows, Timestamp(NOON + 1), Some(&token)).unwrap();
    assert!(read.rows[0].values.iter().all(shipway_core::Value::is_null));
    let at = read.columns.iter().position(|column| column == "shop_sales__count_1h").unwrap();
    assert_eq!(read.rows[1].values[at].to_json(), 0);
    let sum = read.columns.iter().position(|column| column == "shop_sales__amount_sum_1h").unwrap();
    assert!(read.rows[1].values[sum].is_null());
}

#[test]
fn keys_that_concatenate_equal_stay_apart() {
    let world = World::new(DEFINITIONS);
    let of = |id: &str, country: &str, number: i64| {
        let mut event = sale(id, NOON, 1.0);
        event["country"] = country.into();
        event["number"] = number.into();
        event
    };
    let token = world.ingests("sales", &[of("a", "n1", 23), of("b", "n12", 3), of("c", "n12", 3)]).token;
    let rows = [
        json!({ "country": "n1", "number": 23, "basket": 0 }),
        json!({ "country": "n12", "number": 3, "basket": 0 }),
    ];
    let read = world.reads(&rows, Timestamp(NOON + 1), Some(&token)).unwrap();
    let at = read.columns.iter().position(|column| column == "shop_sales__count_1h").unwrap();
    assert_eq!([read.rows[0].values[at].to_json(), read.rows[1].values[at].to_json()], [json!(1), json!(2)]);
}

#[test]
fn windows_before_1970_floor_toward_negative_infinity() {
    let world = World::new(DEFINITIONS);
    let token = world
        .ingests("sales", &[sale("a", -HOUR - 5 * MINUTE, 1.0), sale("b", -HOUR - 5 * MINUTE - 1, 1.0)])
        .token;
    assert_eq!(count(&world, "1h", -1, &token), 1);
    assert_eq!(count(&world, "lifetime", -1, &token), 2);
}

#[test]
fn a_hot_key_with_many_events_in_one_hop_is_exact_and_an_unanswerable_moment_is_refused() {
    let world = World::new(DEFINITIONS);
    let events: Vec<Json> = (0..5_000).map(|at| sale(&format!("{at:05}"), NOON + at, 1.0)).collect();
    let token = world.ingests("sales", &events).token;
    assert_eq!(count(&world, "1h", NOON + 5_000, &token), 5_000);
    assert_eq!(count(&world, "1h", NOON + 4_990, &token), 4_990, "the newest events are known one by one");
    let error = world.reads(&[shop()], Timestamp(NOON + 2_000), Some(&token)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "features.not_exact"));
    assert!(error.hint().is_some());
}

#[test]
fn an_integer_sum_that_overflows_is_an_error_of_its_feature() {
    let world = World::new(DEFINITIONS);
    let of = |id: &str| {
        let mut event = sale(id, NOON, 1.0);
        event["items"] = i64::MAX.into();
        event
    };
    let token = world.ingests("sales", &[of("a"), of("b")]).token;
    let error = world.reads(&[shop()], Timestamp(NOON + 1), Some(&token)).unwrap_err();
    assert_eq!(error.to_string(), "feature shop_sales:items_sum_10s has no value that can be given");
}

#[test]
fn bad_requests_are_refused_by_name() {
    let world = World::with_limits(DEFINITIONS, Limits { read_rows: 2, ..limits() });
    let read = |row: Json| world.reads(&[row], Timestamp(NOON), None).unwrap_err().to_string();
    assert_eq!(read(json!({ "country": "nl", "basket": 1 })), "row 0: the key column number is missing");
    assert_eq!(read(json!({ "country": "nl", "number": 1 })), "row 0: the request column basket is missing");
    assert_eq!(
        read(json!({ "country": "nl", "number": 1, "basket": 1, "contry": 1 })),
        "row 0: column contry is neither a key nor a request column of service shop_features; did you mean country?"
    );
    assert_eq!(
        read(json!({ "country": "nl", "number": "1", "basket": 1 })),
        "row 0: key column number: expected int, got \"1\""
    );
    let unknown = world.reads_service("shop_feature", &[], Timestamp(NOON), None).unwrap_err();
    assert_eq!(unknown.to_string(), "service shop_feature does not exist; did you mean shop_features?");
    let three = [shop(), shop(), shop()];
    assert_eq!(world.reads(&three, Timestamp(NOON), None).unwrap_err().kind(), Kind::TooLarge);
}

#[test]
fn a_token_of_events_that_never_came_is_unavailable_and_not_an_endless_wait() {
    let limits = Limits { token_wait: std::time::Duration::from_millis(20), ..limits() };
    let world = World::with_limits(DEFINITIONS, limits);
    let error = world.reads(&[shop()], Timestamp(NOON), Some("sales@999999")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(world.reads(&[shop()], Timestamp(NOON), Some("nonsense")).unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn every_write_is_read_with_its_token() {
    let world = World::new(DEFINITIONS);
    for at in 0..50 {
        let token = world.ingests("sales", &[sale(&at.to_string(), NOON + at, 1.0)]).token;
        assert_eq!(count(&world, "1h", NOON + at + 1, &token), at + 1);
    }
}

#[test]
fn beyond_its_objective_a_view_is_served_marked_or_null_or_refused() {
    for (beyond, is_refused, expected) in
        [("serve", false, json!(1)), ("null", false, Json::Null), ("refuse", true, Json::Null)]
    {
        let freshness = format!("ttl: 1h\nfreshness: {{ objective: 10m, beyond: {beyond} }}");
        let aggregate = format!("freshness: {{ objective: 10m, beyond: {beyond} }}\naggregate:");
        let definitions = DEFINITIONS.replace("aggregate:", &aggregate).replace("ttl: 1h", &freshness);
        let world = World::new(&definitions);
        let token = world.ingests("sales", &[sale("a", NOON, 1.0)]).token;
        let fresh = world.reads(&[shop()], Timestamp(NOON + 10 * MINUTE), Some(&token)).unwrap();
        assert!(fresh.rows[0].views.iter().all(|view| view.fresh && view.age_us == Some(10 * MINUTE)));
        match world.reads(&[shop()], Timestamp(NOON + 10 * MINUTE + 1), Some(&token)) {
            Err(error) => assert!(is_refused && matches!(error, FeaturesError::Stale { .. }), "{error}"),
            Ok(read) => {
                assert!(!is_refused);
                assert!(read.rows[0].views.iter().all(|view| !view.fresh));
                assert_eq!(value(&read, "shop_sales__count_1h"), expected);
            }
        }
    }
}

#[test]
fn a_feature_has_an_objective_of_its_own() {
    for (beyond, is_refused, expected) in
        [("serve", false, json!(2.0)), ("null", false, Json::Null), ("refuse", true, Json::Null)]
    {
        let own = format!("features: {{ amount: {{ freshness: {{ objective: 10m, beyond: {beyond} }} }} }}");
        let world = World::new(&DEFINITIONS.replace("ttl: 1h", &format!("ttl: 1h\n{own}")));
        let token = world.ingests("sales", &[sale("a", NOON, 2.0)]).token;
        let within = world.reads(&[shop()], Timestamp(NOON + 10 * MINUTE), Some(&token)).unwrap();
        assert_eq!(value(&within, "shop_last__amount"), 2.0);
        assert!(within.rows[0].views.iter().all(|view| view.stale_features.is_empty()));
        match world.reads(&[shop()], Timestamp(NOON + 10 * MINUTE + 1), Some(&token)) {
            Err(error) => {
                assert!(is_refused, "{error}");
                assert_eq!(
                    error.to_string(),
                    "feature shop_last:amount: the newest event of this key is older than the freshness objective"
                );
            }
            Ok(read) => {
                assert!(!is_refused);
                assert_eq!(value(&read, "shop_last__amount"), expected);
                assert_ne!(value(&read, "shop_last__product"), Json::Null, "the others have no objective");
                let view = &read.rows[0].views[1];
                assert!(view.fresh, "the view itself has no objective");
                assert_eq!(
                    view.stale_features.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
                    ["amount"]
                );
            }
        }
    }
}

#[test]
fn the_objective_of_a_feature_goes_before_that_of_its_view() {
    let own = "features: { amount: { freshness: { objective: 20m, beyond: serve } } }";
    let of_view = "freshness: { objective: 10m, beyond: null }";
    let world = World::new(&DEFINITIONS.replace("ttl: 1h", &format!("ttl: 1h\n{of_view}\n{own}")));
    let token = world.ingests("sales", &[sale("a", NOON, 2.0)]).token;
    let read = world.reads(&[shop()], Timestamp(NOON + 15 * MINUTE), Some(&token)).unwrap();
    assert_eq!(value(&read, "shop_last__amount"), 2.0);
    assert_eq!(value(&read, "shop_last__product"), Json::Null);
    assert!(!read.rows[0].views[1].fresh && read.rows[0].views[1].stale_features.is_empty());
}

#[test]
fn lists_and_buckets_are_answered_as_arrays_and_objects() {
    let world = World::new(DEFINITIONS);
    let with = |id: &str, at: i64, product: &str, prices: Json, tags: Json| {
        let mut event = sale(id, at, at as f64);
        event["amount"] = ((at - NOON) as f64).into();
        event["product"] = product.into();
        event["prices"] = prices;
        event["tags"] = tags;
        event
    };
    let token = world
        .ingests(
            "sales",
            &[
                with("a", NOON + 1, "tea", json!([1.0, 2.0]), json!(["x", "y"])),
                with("b", NOON + 2, "jam", json!([3.0, null, 5.0]), json!(["y", null])),
                with("c", NOON + 3, "tea", Json::Null, json!([])),
            ],
        )
        .token;
    let read = world.reads(&[shop()], Timestamp(NOON + 4), Some(&token)).unwrap();
    let expected = [
        ("shop_sales__amount_last_k_2_1h", json!([3.0, 2.0])),
        ("shop_sales__amount_first_k_3_1h", json!([1.0, 2.0, 3.0])),
        ("shop_sales__amount_top_k_3_1h", json!([3.0, 2.0, 1.0])),
        ("shop_sales__amount_bottom_k_2_1h", json!([1.0, 2.0])),
        ("shop_sales__amount_approx_distinct_1h", json!(3)),
        ("shop_sales__amount_approx_quantile_50_1h", json!(2.0)),
        ("shop_sales__amount_histogram_4_1h", json!({ "1": 1, "2": 1, "3": 1 })),
        ("shop_sales__amount_skew_1h", json!(0.0)),
        ("shop_sales__amount_kurtosis_1h", json!(-1.5)),
        ("shop_sales__count_by_product_1h", json!({ "jam": 1, "tea": 2 })),
        ("shop_sales__amount_sum_by_product_12h", json!({ "jam": 2.0, "tea": 4.0 })),
        ("shop_sales__amount_last_k_2_by_product_12h", json!({ "jam": [2.0], "tea": [3.0, 1.0] })),
        ("shop_sales__product_histogram_10_12h", json!({ "jam": 1, "tea": 2 })),
        ("shop_sales__tags_distinct_count_1h", json!(2)),
        ("shop_sales__tags_last_1h", json!("y")),
        ("shop_sales__tags_count_1h", json!(3)),
        ("shop_sales__prices_avg_1h", json!([2.0, 2.0, 5.0])),
        ("shop_sales__prices_count_1h", json!([2, 1, 1])),
        ("shop_sales__prices_last_k_2_1h", json!([[3.0, null, 5.0], [1.0, 2.0]])),
        ("shop_last__tags", json!([])),
    ];
    for (column, expected) in expected {
        assert_eq!(value(&read, column), expected, "{column}");
    }
    let empty = world.reads(&[shop()], Timestamp(NOON), Some(&token)).unwrap();
    for column in [
        "shop_sales__amount_last_k_2_1h",
        "shop_sales__amount_histogram_4_1h",
        "shop_sales__count_by_product_1h",
        "shop_sales__prices_count_1h",
        "shop_sales__amount_skew_1h",
    ] {
        assert_eq!(value(&empty, column), Json::Null, "{column}");
    }
    assert_eq!(value(&empty, "shop_sales__amount_approx_distinct_1h"), 0);
}

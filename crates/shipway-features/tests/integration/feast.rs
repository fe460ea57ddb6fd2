//! Feast's wire, as its server speaks it. The client itself is in `tests/clients/`.

use serde_json::{Value as Json, json};
use shipway_core::Timestamp;

use crate::{
    http::Api,
    world::{DAY, DEFINITIONS, HOUR, World, sale},
};

const NOON: i64 = 90 * DAY;
/// The clock of a world stands still here.
const NOW: i64 = 100 * DAY;

/// What their client makes of a refusal.
fn exception(body: &Json) -> (String, String) {
    let detail: Json = serde_json::from_str(body.as_str().unwrap()).unwrap();
    assert_eq!(detail["module"], "feast.errors");
    (detail["class"].as_str().unwrap().to_owned(), detail["message"].as_str().unwrap().to_owned())
}

fn column(answer: &Json, name: &str) -> Json {
    let names = answer["metadata"]["feature_names"].as_array().unwrap();
    let at = names.iter().position(|held| held == name).unwrap_or_else(|| panic!("{name} in {names:?}"));
    answer["results"][at].clone()
}

#[test]
fn every_value_has_its_status_and_its_time() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let of = |id: &str, number: i64, time: i64| {
        let mut event = sale(id, time, 1.5);
        event["number"] = number.into();
        event
    };
    let mut no_product = of("c", 3, NOW - HOUR / 2);
    no_product["product"] = Json::Null;
    let token = world.ingests("sales", &[of("a", 1, NOW - 1), of("b", 2, NOON), no_product]).token;
    world.reads(&[], Timestamp(NOW), Some(&token)).unwrap();

    let asked = json!({
        "features": ["shop_last:product", "shop_sales:count_1h", "shop_last:amount"],
        "entities": { "country": ["nl", "nl", "nl", "xx", null], "number": [1, 2, 3, 1, 1] },
        "full_feature_names": true,
    });
    let (status, answer) = api.post("/get-online-features", asked.to_string());

    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["metadata"],
        json!({ "feature_names": ["country", "number", "shop_last__product", "shop_last__amount", "shop_sales__count_1h"] })
    );
    let none = "1970-01-01T00:00:00Z";
    let [first, old, half] = [NOW - 1, NOON, NOW - HOUR / 2].map(|time| Timestamp(time).to_string());
    assert_eq!(
        column(&answer, "shop_last__product"),
        json!({
            "values": ["tea", null, null, null, null],
            "statuses": ["PRESENT", "OUTSIDE_MAX_AGE", "NULL_VALUE", "NOT_FOUND", "NOT_FOUND"],
            "event_timestamps": [first, old, half, none, none],
        })
    );
    assert_eq!(
        column(&answer, "shop_sales__count_1h"),
        json!({
            "values": [1, 0, 1, 0, null],
            "statuses": ["PRESENT", "PRESENT", "PRESENT", "PRESENT", "NOT_FOUND"],
            "event_timestamps": [first, old, half, none, none],
        })
    );
    assert_eq!(column(&answer, "country")["values"], json!(["nl", "nl", "nl", "xx", null]));
}

#[test]
fn a_feature_service_takes_what_comes_with_the_request() {
    let world = World::new(DEFINITIONS);
    world.settles();
    let api = Api::new(&world);
    let asked = json!({
        "feature_service": "shop_features", "include_feature_view_version_metadata": true, "unknown": 1,
        "entities": { "country": ["nl"], "number": [1], "basket": [7] },
    });
    let (status, answer) = api.post("/get-online-features", asked.to_string());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(column(&answer, "basket")["values"], json!([7]));
    assert_eq!(column(&answer, "count_1h")["values"], json!([0]));
    assert_eq!(
        answer["metadata"]["feature_view_metadata"],
        json!([{ "name": "shop_sales", "version": 0 }, { "name": "shop_last", "version": 0 }])
    );
}

#[test]
fn a_refusal_becomes_their_exception() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let keys = json!({ "country": ["nl"], "number": [1] });
    let refused = |status: u16, asked: Json| {
        let (got, body) = api.post("/get-online-features", asked.to_string());
        assert_eq!(got, status, "{body}");
        exception(&body)
    };
    let (class, message) = refused(404, json!({ "features": ["shop_lost:amount"], "entities": keys }));
    assert_eq!(
        (class.as_str(), message.as_str()),
        ("FeatureViewNotFoundException", "view shop_lost does not exist; did you mean shop_last?")
    );
    let (class, _) = refused(404, json!({ "feature_service": "shop", "entities": keys }));
    assert_eq!(class, "FeatureServiceNotFoundException");
    let (class, _) = refused(404, json!({ "features": ["shop_last:price"], "entities": keys }));
    assert_eq!(class, "FeastObjectNotFoundException");
    let strange = json!({ "country": ["nl"], "number": [1], "shop": ["x"] });
    let (class, message) = refused(404, json!({ "features": ["shop_last:amount"], "entities": strange }));
    assert_eq!(
        (class.as_str(), message.as_str()),
        ("EntityNotFoundException", "entity shop is not one of what is read")
    );
    let (_, message) =
        refused(400, json!({ "features": ["shop_last:amount"], "entities": { "country": ["nl"] } }));
    assert_eq!(message, "the entity number is missing");
    let uneven = json!({ "country": ["nl", "be"], "number": [1] });
    let (_, message) = refused(400, json!({ "features": ["shop_last:amount"], "entities": uneven }));
    assert_eq!(message, "column number has 1 values, country has 2");
    let (class, message) = refused(400, json!({ "entities": keys }));
    assert_eq!(
        (class.as_str(), message.as_str()),
        ("FeastError", "the request names neither features nor a feature service")
    );
    let (status, body) = api.post("/get-online-features", "{");
    assert_eq!((status, exception(&body).0.as_str()), (400, "FeastError"));
}

#[test]
fn features_of_one_name_collide_unless_full_names_are_asked_for() {
    let twin = "
kind: view
name: shop_now
entity: shop
source: sales
latest: [amount]
";
    let world = World::new(&format!("{DEFINITIONS}\n---\n{twin}"));
    world.settles();
    let api = Api::new(&world);
    let mut asked = json!({
        "features": ["shop_last:amount", "shop_now:amount"], "entities": { "country": ["nl"], "number": [1] },
    });
    let (status, body) = api.post("/get-online-features", asked.to_string());
    assert_eq!((status, exception(&body).0.as_str()), (400, "FeatureNameCollisionError"));
    asked["full_feature_names"] = true.into();
    assert_eq!(api.post("/get-online-features", asked.to_string()).0, 200);
}

#[test]
fn a_pushed_frame_is_read_at_once_and_counts_once() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let time =
        |seconds: i64| Timestamp(NOW - seconds * 1_000_000).to_string().trim_end_matches('Z').to_owned();
    let frame = json!({
        "country": { "0": "nl", "1": "nl" }, "number": { "0": 1, "1": 1 }, "amount": { "0": 1.5, "1": 2 },
        "event_timestamp": { "0": time(20), "1": time(10) }, "created": { "0": time(1), "1": time(1) },
    });
    for _ in 0..2 {
        let pushed = json!({ "push_source_name": "sales", "df": frame, "to": "online_and_offline", "allow_registry_cache": true });
        let (status, _, body) = api.send("/push", "application/json", pushed.to_string());
        assert_eq!((status.as_u16(), body.as_ref()), (200, b"".as_slice()));
    }
    let read = || {
        let asked = json!({
            "features": ["shop_last:amount", "shop_sales:count_1h"], "entities": { "country": ["nl"], "number": [1] },
        });
        let (_, answer) = api.post("/get-online-features", asked.to_string());
        (column(&answer, "amount")["values"].clone(), column(&answer, "count_1h")["values"].clone())
    };
    assert_eq!(read(), (json!([2.0]), json!([2])));

    let rows = json!({ "country": ["nl"], "number": [1], "amount": [9.5], "event_timestamp": [time(5)] });
    let written = json!({ "feature_view_name": "shop_last", "df": rows, "allow_registry_cache": false });
    assert_eq!(api.send("/write-to-online-store", "application/json", written.to_string()).0.as_u16(), 200);
    assert_eq!(read(), (json!([9.5]), json!([3])));
}

#[test]
fn what_cannot_be_pushed_is_refused() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let refused = |path: &str, body: Json| {
        let (status, body) = api.post(path, body.to_string());
        let (class, message) = exception(&body);
        (status, class, message)
    };
    let error = |status: u16, class: &str, message: &str| (status, class.to_owned(), message.to_owned());
    assert_eq!(
        refused("/push", json!({ "push_source_name": "sale", "df": {} })),
        error(404, "PushSourceNotFoundException", "source sale does not exist; did you mean sales?")
    );
    assert_eq!(
        refused("/push", json!({ "push_source_name": "sales", "df": {}, "to": "offline" })),
        error(400, "FeastError", "to offline: events always reach the online state and history")
    );
    let bad = json!({ "country": ["nl", "nl"], "number": [1, "x"], "event_timestamp": ["1970-04-01T00:00:00", "1970-04-01"] });
    assert_eq!(
        refused("/push", json!({ "push_source_name": "sales", "df": bad })),
        error(
            400,
            "FeastError",
            "1 of 2 rows do not fit source sales, 1 are taken in: row 1: column number: expected int, got \"x\""
        )
    );
    assert_eq!(
        refused("/write-to-online-store", json!({ "feature_view_name": "shop_sales", "df": {} })),
        error(
            400,
            "FeastError",
            "view shop_sales computes its features from the events of source sales (push events to the source instead)"
        )
    );
}

//! What earlier releases left behind is taken up: a build that stood still at its marker, half done.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use shipway_core::{Digest, Timestamp};
use shipway_log::{EventLog, LogOptions};
use shipway_online::{Batch, OnlineStore, Space};

use crate::{
    loading::TWIN,
    world::{DAY, DEFINITIONS, MINUTE, World, parse, sale},
};

const NOON: i64 = 90 * DAY;
const SHOPS: i64 = 40;
const BUCKETS: u32 = 4;

fn sales(prefix: &str, count: i64) -> Vec<Json> {
    let one = |at: i64| {
        let mut event = sale(&format!("{prefix}{at}"), NOON - at * MINUTE, 0.5 * at as f64);
        event["number"] = (at % SHOPS).into();
        event
    };
    (0..count).map(one).collect()
}

fn twins(world: &World, token: Option<&str>) -> Vec<(Json, Json)> {
    let rows: Vec<Json> = (0..SHOPS).map(|shop| json!({ "country": "nl", "number": shop })).collect();
    let read = world.reads_service("twins", &rows, Timestamp(NOON + 1), token).unwrap();
    let at = |column: &str| read.columns.iter().position(|held| held == column).unwrap();
    let columns: Vec<(usize, usize)> = read
        .columns
        .iter()
        .filter(|column| column.starts_with("twin__"))
        .map(|twin| (at(twin), at(&twin.replace("twin__", "shop_sales__"))))
        .collect();
    let pairs = |row: &shipway_features::AnsweredRow| {
        columns
            .iter()
            .map(|&(twin, first)| (row.values[twin].to_json(), row.values[first].to_json()))
            .collect::<Vec<_>>()
    };
    read.rows.iter().flat_map(pairs).collect()
}

/// How keys are divided into buckets, for ever: a half-done build divides them the same way whoever takes it up.
fn bucket(view: &Digest, key: &[u8]) -> u32 {
    let bytes = view.as_bytes()[..8].iter().chain(key);
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) % u64::from(BUCKETS)) as u32
}

/// The stored states of the twin after all of `sales`, by the bytes behind the view's hash.
fn states_of_the_twin() -> Vec<(Vec<u8>, Bytes)> {
    let mut world = World::new(DEFINITIONS);
    world.ingests("sales", &sales("a", 400));
    world.applies(TWIN);
    let view = world.view("twin");
    let snapshot = world.online().snapshot();
    let states = snapshot.scan_prefix(Space::State, view.as_bytes());
    states.map(|entry| entry.map(|(key, stored)| (key[32..].to_vec(), stored)).unwrap()).collect()
}

#[test]
fn a_build_that_an_earlier_release_left_half_done_is_taken_up_beside_the_flow() {
    let states = states_of_the_twin();
    let mut world = World::new(DEFINITIONS);
    let token = world.ingests("sales", &sales("a", 400)).token;
    let rows = [json!({ "country": "nl", "number": 1, "basket": 1 })];
    world.reads(&rows, Timestamp(NOON + 1), Some(&token)).unwrap();
    world.online().persist().unwrap();
    world.die();

    // As an earlier release left it: the marker in the log, two of four buckets in the store, the log applied up to the marker,
    // and events behind it.
    let twin = parse(&format!("{DEFINITIONS}\n---\n{TWIN}")).view("twin").unwrap().hash;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let marker = runtime.block_on(async {
        let log = EventLog::open(&world.folder.path().join("log"), LogOptions::default()).unwrap();
        let topic = log.topic("sales").unwrap();
        let record: Vec<u8> = [1, 3].into_iter().chain(twin.as_bytes().iter().copied()).collect();
        let marker = topic.append(vec![Bytes::from(record)]).await.unwrap().start;
        drop(topic);
        log.close().await;
        marker
    });
    let online = OnlineStore::open(&world.folder.path().join("online")).unwrap();
    let stored = online.get(Space::Progress, b"source/sales").unwrap().unwrap();
    let mut progress: Json = serde_json::from_slice(&stored).unwrap();
    assert_eq!((&progress["format"], &progress["applied"]), (&json!(1), &json!(marker)));
    progress["bulk"] = json!({ "buckets": BUCKETS, "done": 2 });
    let mut batch = Batch::new();
    batch.put(Space::Progress, &b"source/sales"[..], progress.to_string());
    let mut done = 0;
    for (key, state) in states.into_iter().filter(|(key, _)| bucket(&twin, key) < 2) {
        batch.put(Space::State, [twin.as_bytes().to_vec(), key].concat(), state);
        done += 1;
    }
    assert!((5..35).contains(&done), "{done} of {SHOPS} keys are in the first two buckets");
    // What it had noted of views knew no generations.
    let views = online
        .snapshot()
        .scan_prefix(Space::Progress, b"view/sales/")
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    for (key, stored) in views {
        let now: Json = serde_json::from_slice(&stored).unwrap();
        let then = json!({ "format": 1, "marker": now["marker"], "built_from": now["built_from"] });
        batch.put(Space::Progress, key, then.to_string());
    }
    online.commit(batch).unwrap();
    drop(online);

    world.defines(&format!("{DEFINITIONS}\n---\n{TWIN}"));
    world.start();
    let token = world.ingests("sales", &sales("b", 100)).token;
    world.block_on(world.features().built()).unwrap();
    let pairs = twins(&world, Some(&token));
    assert_eq!(pairs.len(), SHOPS as usize * 20);
    for (twin, first) in pairs {
        assert_eq!(twin, first);
    }
}

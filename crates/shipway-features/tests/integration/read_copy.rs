//! Readers of a copy answer as its owner does, bit for bit, on every wire; whatever happens to either.

mod copying;

use std::{sync::Arc, time::Instant};

use axum::Router;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;
use shipway_core::Timestamp;
use shipway_features::grpc::v1::{
    Column, PushRequest, ReadRequest, Value, feature_service_client::FeatureServiceClient, value::Kind,
};
use shipway_online::copy::CopyOptions;
use shipway_web::Guard;
use tonic::Code;

use crate::{
    http::Api,
    read_copy::copying::{
        ARROW, COUNTRIES, NOON, NUMBERS, POLL, Place, READ, Reader, Till, WITHIN, cluster, compare, one,
        question, settled,
    },
    world::{DEFINITIONS, MINUTE, World},
};

const LATE_VIEW: &str = "
kind: view
name: late_comer
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [1h, lifetime]
---
kind: service
name: late_features
views: [late_comer]
";

fn column(name: &str, values: Vec<Kind>) -> Column {
    let values = values.into_iter().map(|kind| Value { kind: Some(kind) }).collect();
    Column { name: name.to_owned(), values, r#type: String::new() }
}

fn answers_as_its_owner_on_every_wire(place: &Place) {
    let world = World::with_copy(DEFINITIONS, place.options());
    let reader = Reader::new(&world, place);
    let token = world.ingests("sales", &Till::new(1).sales(500)).token;
    // By itself a read waits for what its token asks for.
    let (status, answer) = reader.post(READ, &question("shop_features", NOON, Some(&token)));
    assert!(status == 200 || answer["code"] == "features.copy_incomplete", "{answer}");
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);

    for at in [NOON, NOON + 1, NOON - 2 * MINUTE] {
        compare(&world, &reader, "shop_features", at);
    }
    let arrow = |api: Api<'_>| {
        let asked = question("shop_features", NOON, None);
        let path = format!("{READ}?include=event_time,age,fresh");
        let (status, _, bytes) = api.send_as(&path, ARROW, Some("application/json"), asked);
        (status.as_u16(), bytes)
    };
    let (own, copied) = (arrow(Api::new(&world)), arrow(reader.api(&world)));
    assert_eq!(own.0, 200);
    assert!(own == copied);
    let feast = json!({
        "features": ["shop_last:product", "shop_sales:count_1h"],
        "entities": { "country": ["nl", "be", "xx", null], "number": [1, 2, 1, 1] },
    });
    let own = Api::new(&world).post("/get-online-features", feast.to_string());
    assert_eq!(own.0, 200, "{}", own.1);
    assert_eq!(own, reader.api(&world).post("/get-online-features", feast.to_string()));

    let guard = || Arc::new(Guard::open_on_loopback());
    let ask = |router: Router| {
        let asked = ReadRequest {
            service: "shop_features".into(),
            columns: vec![
                column("country", COUNTRIES.map(|country| Kind::Text(country.into())).to_vec()),
                column("number", vec![Kind::Int(1), Kind::Int(2), Kind::Int(3)]),
                column("basket", vec![Kind::Int(3); 3]),
            ],
            at_us: Some(NOON),
            ..ReadRequest::default()
        };
        world.block_on(FeatureServiceClient::new(router).read(asked)).unwrap().into_inner()
    };
    let own = ask(shipway_features::routes(world.features().clone()).into_router(guard()));
    let of_reader = || shipway_features::reader_routes(reader.reader.clone()).into_router(guard());
    assert_eq!(own, ask(of_reader()));
    let refused = world.block_on(FeatureServiceClient::new(of_reader()).push(PushRequest::default()));
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
}

#[test]
fn a_reader_answers_as_its_owner_on_every_wire() {
    answers_as_its_owner_on_every_wire(&one());
}

#[test]
fn a_reader_of_a_cluster_answers_as_its_owner_on_every_wire() {
    answers_as_its_owner_on_every_wire(&cluster());
}

/// Sales, loads, definitions, rebuilds, deaths and losses of the copy, in any order: each time the reader comes to say what the
/// owner says.
fn comes_to_say_what_the_owner_says(place: &Place, make: impl Fn(&str, CopyOptions) -> World, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut till = Till::new(seed);
    let mut world = make(DEFINITIONS, place.options());
    let reader = Reader::new(&world, place);
    let mut services = vec!["shop_features"];
    for step in 0..24 {
        let count = random.random_range(1..200);
        let what = random.random_range(0..9);
        match what {
            0..=2 => drop(world.ingests("sales", &till.sales(count))),
            3 => drop(world.loads("sales", Some(&format!("load-{step}")), &till.sales(count))),
            4 => world.dies_and_returns(),
            5 => world.restarts(),
            6 => place.forgets_everything(),
            7 if services.len() == 1 => {
                world.applies(LATE_VIEW);
                services.push("late_features");
            }
            _ => world.block_on(world.features().begin_rebuild("shop_sales", None)).unwrap(),
        }
        // What a death cut off is caught up from the log.
        let token = world.ingests("sales", &till.sales(1)).token;
        world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
        world.block_on(world.features().built()).unwrap();
        settled(&world);
        reader.catches_up(&world);
        for service in &services {
            compare(&world, &reader, service, NOON);
        }
    }
}

#[test]
fn a_reader_comes_to_say_what_the_owner_says_whatever_happens() {
    let seed = seed();
    println!("seed {seed}");
    comes_to_say_what_the_owner_says(&one(), World::with_copy, seed);
}

#[test]
fn a_reader_comes_to_say_what_the_owner_says_when_the_owner_remembers_few_keys() {
    let seed = seed();
    println!("seed {seed}");
    comes_to_say_what_the_owner_says(&one(), World::with_copy_and_few_keys, seed);
}

#[test]
fn a_reader_of_a_cluster_comes_to_say_what_the_owner_says_whatever_happens() {
    let seed = seed();
    println!("seed {seed}");
    comes_to_say_what_the_owner_says(&cluster(), World::with_copy, seed);
}

#[test]
fn a_reader_says_what_the_owner_says_of_events_that_are_corrected() {
    let place = one();
    let definitions = DEFINITIONS.replace("dedupe: 7d", "same_id: replace");
    let mut world = World::with_copy(&definitions, place.options());
    let reader = Reader::new(&world, &place);
    let mut sales = Till::new(5).sales(300);
    let token = world.ingests("sales", &sales).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    for sale in sales.iter_mut().step_by(3) {
        sale["amount"] = 7.0.into();
        sale["number"] = 2.into();
    }
    let token = world.ingests("sales", &sales).token;
    // States that are made in one go, beside those that follow.
    world.applies(LATE_VIEW);
    world.block_on(world.features().begin_rebuild("shop_sales", None)).unwrap();
    world.block_on(world.features().built()).unwrap();
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    compare(&world, &reader, "shop_features", NOON);
    compare(&world, &reader, "late_features", NOON);
}

#[expect(clippy::disallowed_methods, reason = "the configuration of a test run")]
fn seed() -> u64 {
    let given = std::env::var("SHIPWAY_FAULTS_SEED").ok().map(|text| text.parse().unwrap());
    given.unwrap_or_else(rand::random)
}

#[test]
fn a_server_that_hangs_is_waited_for_and_what_it_did_unheard_is_found_again() {
    let mut place = one();
    let world = World::with_copy(DEFINITIONS, place.options());
    let reader = Reader::new(&world, &place);
    let mut till = Till::new(7);
    let token = world.ingests("sales", &till.sales(100)).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    let before = settled(&world).full_copy;
    let Place::One(redis) = &mut place else { panic!() };
    for _ in 0..2 {
        redis.pause();
        let token = world.ingests("sales", &till.sales(100)).token;
        world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
        let until = Instant::now() + WITHIN;
        while world.features().read_copy().unwrap().code != Some("online.copy_unreachable") {
            assert!(Instant::now() < until, "{:?}", world.features().read_copy());
            std::thread::sleep(POLL);
        }
        let (status, refused) = reader.post(READ, &question("shop_features", NOON, None));
        assert_eq!((status, &refused["code"]), (503, &json!("online.copy_unreachable")), "{refused}");
        // What was sent while it hung is done now, and nobody hears of it.
        redis.resume();
        reader.catches_up(&world);
        compare(&world, &reader, "shop_features", NOON);
    }
    assert_eq!(settled(&world).full_copy, before, "nothing was copied anew");
}

#[test]
fn a_clean_stop_leaves_a_copy_that_is_gone_on_with_and_a_kill_one_that_is_made_anew() {
    let place = one();
    let mut world = World::with_copy(DEFINITIONS, place.options());
    let mut till = Till::new(3);
    let token = world.ingests("sales", &till.sales(200)).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    assert!(settled(&world).full_copy.is_some());
    let reader = Reader::new(&world, &place);
    reader.catches_up(&world);

    world.restarts();
    assert_eq!(settled(&world).full_copy, None, "nothing was copied again");
    let token = world.ingests("sales", &till.sales(50)).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    compare(&world, &reader, "shop_features", NOON);

    world.dies_and_returns();
    let full = settled(&world).full_copy.unwrap();
    assert!(full.rows > 0);
    reader.catches_up(&world);
    compare(&world, &reader, "shop_features", NOON);
}

#[test]
fn a_reader_answers_from_the_last_moment_while_its_owner_is_gone_and_never_from_nothing() {
    let place = one();
    let mut world = World::with_copy(DEFINITIONS, place.options());
    let reader = Reader::new(&world, &place);
    let ask = || reader.post(READ, &question("shop_features", NOON, None));
    let token = world.ingests("sales", &Till::new(4).sales(100)).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    let (status, before) = ask();
    assert_eq!(status, 200, "{before}");

    world.die();
    assert_eq!(ask(), (200, before.clone()));
    place.forgets_everything();
    let (status, refused) = ask();
    assert_eq!((status, refused["code"].as_str().unwrap()), (503, "features.copy_incomplete"), "{refused}");
    let until = Instant::now() + WITHIN;
    while reader.reader.is_ready() {
        assert!(Instant::now() < until);
        std::thread::sleep(POLL);
    }
    world.start();
    reader.catches_up(&world);
    assert_eq!(ask(), (200, before));
}

#[test]
fn an_empty_copy_and_one_of_another_release_are_refused() {
    let place = one();
    let world = World::new(DEFINITIONS);
    let reader = Reader::new(&world, &place);
    let asked = question("shop_features", NOON, None);
    let (status, refused) = reader.post(READ, &asked);
    assert_eq!((status, refused["code"].as_str().unwrap()), (503, "features.copy_incomplete"), "{refused}");
    let status = reader.reader.status();
    assert!(["starting", "failing"].contains(&status.state), "{status:?}");
    let Place::One(redis) = &place else { panic!() };
    redis.command(&["SET", "{shipway:0}:head", "\u{2}of another release"]);
    let until = Instant::now() + WITHIN;
    while reader.reader.status().code != Some("features.copy_foreign") {
        assert!(Instant::now() < until, "{:?}", reader.reader.status());
        std::thread::sleep(POLL);
    }
    let (status, refused) = reader.post("/api/v1/definitions/plan", "{}");
    assert_eq!((status, refused["code"].as_str().unwrap()), (404, "features.reader_only"), "{refused}");
    assert!(refused["hint"].as_str().unwrap().contains("owner"), "{refused}");
    drop(reader);

    // An owner does not write over what it does not understand.
    let world = World::with_copy(DEFINITIONS, place.options());
    let until = Instant::now() + WITHIN;
    loop {
        let status = world.features().read_copy().unwrap();
        if status.state == "failing" {
            assert_eq!(status.code, Some("features.copy_foreign"), "{status:?}");
            break;
        }
        assert!(Instant::now() < until, "{status:?}");
        std::thread::sleep(POLL);
    }
}

#[test]
fn rows_that_no_head_leads_to_are_removed() {
    let place = one();
    let mut world = World::with_copy(DEFINITIONS, place.options());
    let Place::One(redis) = &place else { panic!() };
    let token = world.ingests("sales", &Till::new(5).sales(300)).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    settled(&world);
    let keys = || redis.command(&["DBSIZE"]).parse::<u32>().unwrap();
    // The head, the metadata, and the rows of two views.
    let until = Instant::now() + WITHIN;
    let expected = 2 + 2 * (COUNTRIES.len() * NUMBERS.count()) as u32;
    let comes_to = |expected: u32| {
        while keys() != expected {
            assert!(Instant::now() < until, "{} keys, not {expected}", keys());
            std::thread::sleep(POLL);
        }
    };
    comes_to(expected);
    redis.command(&["SET", "{shipway:0}:00000000000000ff:left over", "x"]);
    world.dies_and_returns();
    settled(&world);
    comes_to(expected);
    world.block_on(world.features().begin_rebuild("shop_sales", None)).unwrap();
    world.block_on(world.features().built()).unwrap();
    settled(&world);
    comes_to(expected);
}

#[test]
fn a_server_without_room_leaves_readers_where_they_are() {
    let place = one();
    let world = World::with_copy(DEFINITIONS, place.options());
    let reader = Reader::new(&world, &place);
    let mut till = Till::new(6);
    let token = world.ingests("sales", &till.sales(100)).token;
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    let Place::One(redis) = &place else { panic!() };
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let token = world.ingests("sales", &till.sales(100)).token;
    let until = Instant::now() + WITHIN;
    while world.features().read_copy().unwrap().code != Some("online.copy_full") {
        assert!(Instant::now() < until, "{:?}", world.features().read_copy());
        std::thread::sleep(POLL);
    }
    assert_eq!(reader.post(READ, &question("shop_features", NOON, None)).0, 200);
    let behind = world.features().read_copy().unwrap();
    assert!(behind.sources[0].lag > Some(0), "{behind:?}");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    world.reads(&[], Timestamp(NOON), Some(&token)).unwrap();
    reader.catches_up(&world);
    compare(&world, &reader, "shop_features", NOON);
}

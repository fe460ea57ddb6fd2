//! Views that are built beside the live flow: what comes meanwhile is counted once, reads go on, a crash loses and repeats
//! nothing; a new version takes over when it is whole; a state that is wrong is found and healed; one that nobody needs goes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value as Json, json};
use shipway_core::{Digest, Failure, Timestamp};
use shipway_features::{
    FeaturesError, Limits, ReadAnswer, ReadRequest, ServiceDemand, StateStatus, ViewBuild, ViewState,
};
use shipway_online::{Batch, Space};
use shipway_store::jobs::{Job, JobState, Jobs};
use tokio::sync::Semaphore;

use crate::{
    http::Api,
    loading::TWIN,
    world::{DAY, DEFINITIONS, HOUR, SECOND, World, limits, sale, shop, value},
};

const NOON: i64 = 90 * DAY + 12 * HOUR;

/// A sale in one of 20 shops.
fn sale_of(id: &str, time_us: i64, shop: i64) -> Json {
    let mut event = sale(id, time_us, 0.1 * shop as f64);
    event["number"] = shop.into();
    event
}

/// Sales over two weeks in 20 shops, most in the last hours.
fn sales(prefix: &str, count: i64) -> Vec<Json> {
    let time = |at: i64| NOON - at * 37 * SECOND - if at % 5 == 0 { at * HOUR } else { 0 };
    (0..count).map(|at| sale_of(&format!("{prefix}{at}"), time(at), at % 20)).collect()
}

/// A world whose builds go as far as they get leave to.
fn by_steps(bulk_rows: u64) -> (World, Arc<Semaphore>) {
    let steps = Arc::new(Semaphore::new(0));
    let limits = Limits { bulk_rows, build_steps: Some(Arc::clone(&steps)), ..limits() };
    (World::with_limits(DEFINITIONS, limits), steps)
}

/// The same with jobs: nothing is built without one.
fn with_jobs(bulk_rows: u64) -> (World, Arc<Semaphore>) {
    let steps = Arc::new(Semaphore::new(0));
    let limits =
        Limits { bulk_rows, build_steps: Some(Arc::clone(&steps)), builds_are_jobs: true, ..limits() };
    (World::with_limits(DEFINITIONS, limits), steps)
}

fn allow(steps: &Semaphore, more: usize) {
    steps.add_permits(more);
}

/// Returns when the build has used up all its leave.
fn used_up(steps: &Semaphore) {
    while steps.available_permits() > 0 {
        std::thread::yield_now();
    }
}

fn everything(steps: &Semaphore) {
    allow(steps, 100_000);
}

/// Each shop's features by both views agree.
fn twins_agree(world: &World, at: Timestamp, token: Option<&str>) -> usize {
    let rows: Vec<Json> = (0..20).map(|shop| json!({ "country": "nl", "number": shop })).collect();
    let read = world.reads_service("twins", &rows, at, token).unwrap();
    let at = |column: &str| read.columns.iter().position(|held| held == column).unwrap();
    let mut compared = 0;
    for row in &read.rows {
        for column in read.columns.iter().filter(|column| column.starts_with("twin__")) {
            let (twin, first) = (at(column), at(&column.replace("twin__", "shop_sales__")));
            assert_eq!(row.values[twin], row.values[first], "{column}");
            compared += 1;
        }
    }
    compared
}

fn state(world: &World, view: &str) -> ViewState {
    let states = world.block_on(world.features().view_states()).unwrap();
    states.into_iter().find(|state| state.view.as_str() == view && state.in_force).unwrap()
}

#[test]
fn what_comes_while_a_view_is_built_is_counted_once_and_no_read_waits_for_it() {
    let (mut world, steps) = by_steps(40);
    world.ingests("sales", &sales("a", 300));
    world.loads("sales", Some("before"), &sales("b", 200));
    world.begins_to_apply(TWIN);

    // Late events, repeated ones, new ones, and a load, while no row of history is in the new view.
    let mut meanwhile = sales("c", 120);
    meanwhile.extend(sales("a", 10));
    let answer = world.ingests("sales", &meanwhile);
    assert_eq!(answer.duplicates, 10);
    let mut rows = sales("d", 150);
    rows.extend(sales("b", 7));
    let loaded = world.loads("sales", Some("meanwhile"), &rows);
    assert_eq!((loaded.rows, loaded.duplicates, loaded.visible), (150, 7, true));
    let read = world.reads(&[shop()], Timestamp(NOON + 1), loaded.token.as_deref()).unwrap();
    assert_eq!(value(&read, "shop_sales__count_lifetime"), 15 + 10 + 6 + 8, "other views are read as ever");
    let row = json!({ "country": "nl", "number": 1 });
    let refused =
        world.reads_service("twins", std::slice::from_ref(&row), Timestamp(NOON + 1), None).unwrap_err();
    assert!(matches!(&refused, FeaturesError::Building { view, .. } if view == "twin"), "{refused:?}");

    // A part of history comes in, more events, the process dies in the middle of a bucket, and again.
    allow(&steps, 3);
    used_up(&steps);
    world.ingests("sales", &sales("e", 60));
    world.dies_and_returns();
    world.loads("sales", Some("between"), &sales("f", 90));
    allow(&steps, 5);
    used_up(&steps);
    world.dies_and_returns();
    assert_eq!(state(&world, "twin").state, StateStatus::Building);
    everything(&steps);
    world.block_on(world.features().built()).unwrap();

    assert_eq!(state(&world, "twin").state, StateStatus::Ready);
    let token = world.ingests("sales", &sales("g", 40)).token;
    let compared =
        [NOON + 1, NOON + HOUR, NOON + DAY].map(|q| twins_agree(&world, Timestamp(q), Some(&token)));
    assert_eq!(compared, [400; 3]);
    world.restarts();
    assert_eq!(twins_agree(&world, Timestamp(NOON + 1), None), 400);
    let read = world.reads_service("twins", &[row], Timestamp(NOON + 1), None).unwrap();
    assert_eq!(value(&read, "twin__count_lifetime"), 15 + 10 + 6 + 8 + 3 + 5 + 2);
}

#[test]
fn an_event_right_at_the_marker_is_on_one_side_of_it() {
    let mut world = World::new(DEFINITIONS);
    for round in 0..6 {
        world.ingests("sales", &sales(&format!("{round}-before-"), 7));
        if round == 3 {
            world.begins_to_apply(TWIN);
        }
        world.ingests("sales", &sales(&format!("{round}-after-"), 7));
    }
    world.block_on(world.features().built()).unwrap();
    assert_eq!(twins_agree(&world, Timestamp(NOON + 1), None), 400);
}

#[test]
fn a_view_of_a_source_without_history_is_ready_at_once() {
    let (mut world, _no_leave) = by_steps(40);
    world.begins_to_apply(TWIN);
    world.block_on(world.features().built()).unwrap();
    let token = world.ingests("sales", &sales("a", 100)).token;
    assert_eq!(twins_agree(&world, Timestamp(NOON + 1), Some(&token)), 400);
}

fn read_version(world: &World, hash: Option<Digest>) -> Result<ReadAnswer, FeaturesError> {
    let row: Map<String, Json> = shop().as_object().unwrap().clone();
    let request = ReadRequest {
        service: "shop_features".to_owned(),
        service_hash: hash,
        rows: vec![row],
        at: Some(Timestamp(NOON + 1)),
        token: None,
    };
    world.block_on(world.features().read(request))
}

#[test]
fn the_version_before_answers_until_the_new_one_has_all_its_state() {
    let (mut world, steps) = by_steps(40);
    let token = world.ingests("sales", &sales("a", 300)).token;
    world.reads(&[shop()], Timestamp(NOON + 1), Some(&token)).unwrap();
    let first = world.service("shop_features");
    let changed = DEFINITIONS.replace("windows: [10s, 10m, 1h, 12h, 14d, lifetime]", "windows: [1h, 2h]");
    world.replaces(&changed);
    let second = world.service("shop_features");
    assert_ne!(first, second);

    allow(&steps, 2);
    used_up(&steps);
    let answer = read_version(&world, None).unwrap();
    assert_eq!(answer.service_hash, first);
    assert!(answer.columns.iter().any(|column| column == "shop_sales__count_14d"));
    assert_eq!(world.features().serving_version("shop_features").unwrap(), first);
    let refused = read_version(&world, Some(second)).unwrap_err();
    assert_eq!(refused.code(), "features.view_building");
    assert!(
        refused.to_string().starts_with("view shop_sales is still being built from history"),
        "{refused}"
    );
    let api = Api::new(&world);
    let by_feature =
        json!({ "features": ["shop_sales:count_1h"], "entities": { "country": ["nl"], "number": [1] } });
    let (status, answer) = api.post("/get-online-features", by_feature.to_string());
    assert_eq!(status, 200, "{answer}");
    drop(api);
    world.dies_and_returns();
    assert_eq!(read_version(&world, None).unwrap().service_hash, first, "also after a restart");

    everything(&steps);
    world.block_on(world.features().built()).unwrap();
    let answer = read_version(&world, None).unwrap();
    assert_eq!(answer.service_hash, second);
    assert!(answer.columns.iter().any(|column| column == "shop_sales__count_2h"));
    assert_eq!(
        read_version(&world, Some(first)).unwrap().service_hash,
        first,
        "a pinned version is the one pinned"
    );
}

fn ended(world: &World, jobs: &Jobs, id: &str) -> Job {
    world.block_on(jobs.wait(id)).unwrap()
}

fn built(job: &Job) -> ViewBuild {
    assert_eq!(job.state, JobState::Done, "{job:?}");
    serde_json::from_value(job.result.clone().unwrap()).unwrap()
}

#[test]
fn a_build_is_a_job_that_can_be_cancelled_and_taken_up_again() {
    let (mut world, steps) = with_jobs(40);
    let jobs = world.works();
    let token = world.ingests("sales", &sales("a", 300)).token;
    world.reads(&[shop()], Timestamp(NOON + 1), Some(&token)).unwrap();
    world.begins_to_apply(TWIN);
    let id = state(&world, "twin").job.unwrap();
    allow(&steps, 2);
    used_up(&steps);
    let job = world.block_on(jobs.find(&id)).unwrap();
    assert_eq!((job.kind.as_str(), job.actor.as_str()), ("backfill", "shipway"));

    world.block_on(jobs.cancel(&id)).unwrap();
    assert_eq!(ended(&world, &jobs, &id).state, JobState::Cancelled);
    let left = state(&world, "twin");
    assert_eq!(left.state, StateStatus::Building);
    world.block_on(jobs.stop());
    world.restarts();
    let jobs = world.works();
    world.ingests("sales", &sales("b", 50));
    let unchanged = world.definitions.clone();
    world.replaces(&unchanged);
    assert_eq!(state(&world, "twin").job.as_deref(), Some(id.as_str()), "what was cancelled stays so");

    let again = world.block_on(world.features().rebuild_view("twin", None, "ann")).unwrap();
    everything(&steps);
    let build = built(&ended(&world, &jobs, &again.id));
    assert_eq!((build.view.as_str(), build.rows, build.keys), ("twin", 300, None));
    let token = world.ingests("sales", &sales("c", 50)).token;
    assert_eq!(twins_agree(&world, Timestamp(NOON + 1), Some(&token)), 400);
    let records = world.block_on(world.features().builds(10)).unwrap();
    assert_eq!((records.len(), records[0].rows, records[0].view.as_str()), (1, 300, "twin"));
    world.block_on(jobs.stop());
}

#[test]
fn a_build_that_a_restart_interrupts_goes_on_as_the_same_job() {
    let (mut world, steps) = with_jobs(40);
    let jobs = world.works();
    world.ingests("sales", &sales("a", 300));
    world.begins_to_apply(TWIN);
    let id = state(&world, "twin").job.unwrap();
    allow(&steps, 4);
    used_up(&steps);
    world.block_on(jobs.stop());
    drop(jobs);
    world.restarts();
    let jobs = world.works();
    everything(&steps);
    let build = built(&ended(&world, &jobs, &id));
    assert_eq!(build.rows, 300);
    assert_eq!(twins_agree(&world, Timestamp(NOON + 1), None), 400);
    world.block_on(jobs.stop());
}

/// The keys of the first generation of a view, or of all others.
fn stored_keys(world: &World, view: Digest, first: bool) -> Vec<Vec<u8>> {
    let snapshot = world.online().snapshot();
    let keys = snapshot.scan_prefix(Space::State, view.as_bytes()).map(|entry| entry.unwrap().0.to_vec());
    keys.filter(|key| (key.get(32) != Some(&0xff)) == first).collect()
}

fn features(world: &World, token: Option<&str>) -> Vec<Vec<Json>> {
    let rows: Vec<Json> =
        (0..20).map(|shop| json!({ "country": "nl", "number": shop, "basket": 1 })).collect();
    let read = world.reads(&rows, Timestamp(NOON + 1), token).unwrap();
    read.rows.iter().map(|row| row.values.iter().map(shipway_core::Value::to_json).collect()).collect()
}

#[test]
fn a_state_that_went_wrong_is_found_counted_and_healed() {
    let (mut world, steps) = with_jobs(40);
    everything(&steps);
    let jobs = world.works();
    let token = world.ingests("sales", &sales("a", 400)).token;
    let right = features(&world, Some(&token));
    let view = world.view("shop_sales");
    let keys = stored_keys(&world, view, true);
    assert_eq!(keys.len(), 20);

    // One state in the place of another, one gone, and one of a shop that never was.
    let snapshot = world.online().snapshot();
    let stored = |key: &[u8]| snapshot.get(Space::State, key).unwrap().unwrap();
    let mut damage = Batch::new();
    damage.put(Space::State, keys[0].clone(), stored(&keys[1]));
    damage.delete(Space::State, keys[2].clone());
    let mut stranger = keys[3].clone();
    *stranger.last_mut().unwrap() ^= 0x40;
    damage.put(Space::State, stranger, stored(&keys[3]));
    world.online().commit(damage).unwrap();
    drop(snapshot);
    let token = world.ingests("sales", &[sale("elsewhere", NOON - HOUR, 1.0)]).token;
    world.reads(&[shop()], Timestamp(NOON + 1), Some(&token)).unwrap();
    world.restarts();
    let jobs_again = world.works();
    drop(jobs);
    let wrong = features(&world, None);
    assert!(wrong.iter().zip(&right).filter(|(wrong, right)| wrong != right).count() >= 2);

    let job = world.block_on(world.features().rebuild_view("shop_sales", None, "ann")).unwrap();
    let build = built(&ended(&world, &jobs_again, &job.id));
    assert_eq!((build.keys, build.differing), (Some(21), Some(3)));
    let healed = features(&world, None);
    let expected = {
        let fresh = World::new(DEFINITIONS);
        fresh.ingests("sales", &sales("a", 400));
        let token = fresh.ingests("sales", &[sale("elsewhere", NOON - HOUR, 1.0)]).token;
        features(&fresh, Some(&token))
    };
    assert_eq!(healed, expected);
    // What was read before is removed, in its own time.
    while !stored_keys(&world, view, true).is_empty() {
        std::thread::yield_now();
    }
    let again = world.block_on(world.features().rebuild_view("shop_sales", None, "ann")).unwrap();
    let build = built(&ended(&world, &jobs_again, &again.id));
    assert_eq!((build.keys, build.differing), (Some(20), Some(0)));
    world.block_on(jobs_again.stop());
    world.restarts();
    assert_eq!(
        features(&world, None),
        expected,
        "the generation that is read is the one that was swapped in"
    );
}

#[test]
fn events_and_loads_that_come_during_a_rebuild_are_in_both_states() {
    let (mut world, steps) = by_steps(40);
    let token = world.ingests("sales", &sales("a", 300)).token;
    features(&world, Some(&token));
    for view in ["shop_sales", "shop_last"] {
        world.block_on(world.features().begin_rebuild(view, None)).unwrap();
    }
    world.ingests("sales", &sales("b", 100));
    allow(&steps, 3);
    used_up(&steps);
    let loaded = world.loads("sales", Some("meanwhile"), &sales("c", 100));
    let before = features(&world, loaded.token.as_deref());
    world.dies_and_returns();
    assert_eq!(features(&world, None), before, "reads see the old state meanwhile");
    let token = world.ingests("sales", &sales("d", 100)).token;
    let before = features(&world, Some(&token));
    everything(&steps);
    world.block_on(world.features().built()).unwrap();
    assert_eq!(features(&world, None), before);
    let records = world.block_on(world.features().builds(10)).unwrap();
    assert_eq!(records.len(), 2);
    assert!(
        records.iter().all(|record| record.differing == Some(0) && record.keys == Some(20)),
        "{records:?}"
    );
}

#[test]
fn a_rebuild_that_is_cancelled_leaves_nothing_behind() {
    let (mut world, steps) = with_jobs(40);
    let jobs = world.works();
    let token = world.ingests("sales", &sales("a", 300)).token;
    let before = features(&world, Some(&token));
    let view = world.view("shop_sales");
    let job = world.block_on(world.features().rebuild_view("shop_sales", None, "ann")).unwrap();
    allow(&steps, 3);
    used_up(&steps);
    world.block_on(jobs.cancel(&job.id)).unwrap();
    assert_eq!(ended(&world, &jobs, &job.id).state, JobState::Cancelled);
    while !stored_keys(&world, view, false).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(features(&world, None), before);

    // And one whose server went away while it was being cancelled.
    let job = world.block_on(world.features().rebuild_view("shop_sales", None, "ann")).unwrap();
    allow(&steps, 3);
    used_up(&steps);
    world.block_on(jobs.stop());
    drop(jobs);
    world.die();
    world.start();
    let jobs = world.opens_jobs();
    world.block_on(jobs.cancel(&job.id)).unwrap();
    world.works_on(&jobs);
    while !stored_keys(&world, view, false).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(features(&world, None), before);
    assert_eq!(state(&world, "shop_sales").steps, None);
    world.block_on(jobs.stop());
}

#[test]
fn views_are_built_anew_when_their_time_has_come() {
    let (world, steps) = with_jobs(1_000);
    everything(&steps);
    let jobs = world.works();
    let token = world.ingests("sales", &sales("a", 100)).token;
    features(&world, Some(&token));
    let start = Timestamp(100 * DAY);
    let day = Duration::from_secs(86_400);
    let heal = || world.block_on(world.features().heal_views(day, start)).unwrap();
    assert_eq!(heal(), 0, "not yet");
    world.clock.set(Timestamp(101 * DAY));
    assert_eq!(heal(), 2);
    assert_eq!(heal(), 0, "they are new");
    let records = world.block_on(world.features().builds(10)).unwrap();
    assert!(records.len() == 2 && records.iter().all(|record| record.differing == Some(0)), "{records:?}");
    world.block_on(jobs.stop());
}

struct Demand(std::sync::Mutex<Vec<Digest>>);

#[async_trait]
impl ServiceDemand for Demand {
    async fn needed(&self) -> Result<Vec<Digest>, Box<dyn Failure + Send + Sync>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

#[test]
fn the_state_of_a_version_goes_when_nothing_has_needed_it_for_a_while_and_comes_back_when_something_does() {
    let mut world = World::new(DEFINITIONS);
    let token = world.ingests("sales", &sales("a", 200)).token;
    features(&world, Some(&token));
    let (view, service) = (world.view("shop_sales"), world.service("shop_features"));
    let changed = DEFINITIONS.replace("windows: [10s, 10m, 1h, 12h, 14d, lifetime]", "windows: [1h, 2h]");
    world.replaces(&changed);
    world.block_on(world.features().built()).unwrap();
    let week = Duration::from_secs(7 * 86_400);
    let retire = |world: &World| world.block_on(world.features().retire_views(week)).unwrap();

    world.clock.set(Timestamp(200 * DAY));
    assert_eq!(retire(&world), [], "without anybody who says what is needed, everything is");
    let demand = Arc::new(Demand(vec![service].into()));
    world.features().set_demand(Arc::clone(&demand) as Arc<dyn ServiceDemand>);
    assert_eq!(retire(&world), []);
    world.clock.set(Timestamp(300 * DAY));
    assert_eq!(retire(&world), [], "a model was trained with it");
    demand.0.lock().unwrap().clear();
    assert_eq!(retire(&world), [], "it may be needed again soon");
    world.clock.set(Timestamp(301 * DAY));
    demand.0.lock().unwrap().push(service);
    assert_eq!(retire(&world), []);
    demand.0.lock().unwrap().clear();
    world.clock.set(Timestamp(308 * DAY));
    assert_eq!(retire(&world), [], "from when it was needed last it is a week");
    world.clock.set(Timestamp(315 * DAY));
    let pinned = read_version(&world, Some(service)).unwrap();
    assert_eq!(retire(&world), [view]);
    let refused = read_version(&world, Some(service)).unwrap_err();
    assert_eq!(refused.code(), "features.view_retired");
    while !stored_keys(&world, view, true).is_empty() {
        std::thread::yield_now();
    }
    world.restarts();
    let refused = read_version(&world, Some(service)).unwrap_err();
    assert_eq!(refused.code(), "features.view_retired", "nobody builds it again at a start");

    world.features().set_demand(Arc::new(Demand(vec![service].into())));
    assert_eq!(retire(&world), []);
    let again = loop {
        match read_version(&world, Some(service)) {
            Ok(again) => break again,
            Err(error) => assert!(error.code().starts_with("features.view_"), "{error:?}"),
        }
    };
    assert_eq!(json!(again.rows[0].values), json!(pinned.rows[0].values));
}

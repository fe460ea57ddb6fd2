//! Training sets that are kept: reused, extended, interrupted, cancelled, and made again bit for bit.

use std::{sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use futures::TryStreamExt as _;
use serde_json::json;
use shipway_core::{Clock as _, Failure as _, SystemClock, Timestamp};
use shipway_features::{ArrivalRule, Spine, StoreOptions, StoredTrainingSet, TrainingSet, offline::Label};
use shipway_lake::AppendOptions;
use shipway_store::{
    Store,
    jobs::{Job, JobOptions, JobState, Jobs},
};
use tokio_util::task::TaskTracker;

use crate::world::{DAY, DEFINITIONS, HOUR, World, sale};

const MORE: &str = "
kind: view
name: shop_hour
entity: shop
source: sales
aggregate:
  - column: amount
    operations: [sum, avg]
    windows: [1h]
---
kind: service
name: shop_more
views: [shop_sales, shop_last, shop_hour]
request: { basket: int }
";

fn label() -> Label {
    let spec = json!({ "source": "sales", "keys": ["country", "number"], "column": "amount", "operation": "sum", "window": "1d" });
    serde_json::from_value(spec).unwrap()
}

fn wanted(service: &str) -> TrainingSet {
    TrainingSet {
        service: service.to_owned(),
        spine: Spine::Table("asked".to_owned()),
        time: "q".to_owned(),
        arrival: ArrivalRule::Any,
        from: None,
        to: None,
        labels: vec![label()],
    }
}

/// Sales of ten hours, half of them loaded, and rows that ask about them.
fn shop() -> World {
    let world = World::new(DEFINITIONS);
    let sales: Vec<_> = (0..20)
        .map(|hour| sale(&format!("live {hour}"), 90 * DAY + hour * HOUR / 2, 0.1 * hour as f64))
        .collect();
    world.ingests("sales", &sales);
    let loaded: Vec<_> = (0..20)
        .map(|hour| sale(&format!("old {hour}"), 90 * DAY + hour * HOUR / 3, 1e15 + hour as f64))
        .collect();
    world.loads("sales", Some("history"), &loaded);
    asks(&world, 0..200);
    world
}

fn asks(world: &World, numbers: std::ops::Range<i64>) {
    let rows: Vec<_> = numbers
        .map(|number| {
            json!({ "country": if number % 7 == 0 { "de" } else { "nl" }, "number": 1, "basket": number,
                    "q": Timestamp(90 * DAY + (number * 7_919) % 600 * 60_000_000).to_string() })
        })
        .collect();
    world.loads("asked", Some(&format!("asks-{}", rows.len())), &rows);
}

impl World {
    fn keeps(&self, wanted: TrainingSet, table: &str) -> StoredTrainingSet {
        self.block_on(self.features().store_training_set(wanted, table, StoreOptions::default())).unwrap()
    }

    fn rows_of(&self, table: &str) -> Vec<RecordBatch> {
        let query = format!("SELECT * FROM {table} ORDER BY basket");
        self.block_on(async {
            let stream = self.features().lake().sql(&query).await.unwrap();
            stream.try_collect().await.unwrap()
        })
    }

    /// The jobs of this server, working.
    pub(crate) fn works(&self) -> Jobs {
        let jobs = self.opens_jobs();
        self.works_on(&jobs);
        jobs
    }

    /// The jobs of this server, before they work.
    pub(crate) fn opens_jobs(&self) -> Jobs {
        self.block_on(async {
            let store = Store::open(&self.folder.path().join("jobs.db")).await.unwrap();
            Jobs::open(store, Arc::new(SystemClock), JobOptions::default()).await.unwrap()
        })
    }

    pub(crate) fn works_on(&self, jobs: &Jobs) {
        self.block_on(async {
            self.features().set_jobs(jobs.clone());
            jobs.start(&TaskTracker::new());
        });
    }

    fn submits(&self, wanted: TrainingSet, table: &str) -> Job {
        let submitting = self.features().submit_training_set(wanted, table, StoreOptions::default(), "ann");
        self.block_on(submitting).unwrap()
    }
}

#[test]
fn unchanged_definitions_and_inputs_return_the_stored_result() {
    let world = shop();
    let first = world.keeps(wanted("shop_features"), "training");
    assert!(!first.reused);
    assert_eq!(first.computed, ["shop_sales", "shop_last", "amount_sum_1d"]);
    let again = world.keeps(wanted("shop_features"), "training");
    assert!(again.reused && again.computed.is_empty());
    assert_eq!((again.rows, again.content, again.recipe_key), (200, first.content, first.recipe_key));

    world.ingests("sales", &[sale("new", 90 * DAY + HOUR, 7.0)]);
    let refused = world
        .block_on(world.features().store_training_set(
            wanted("shop_features"),
            "training",
            StoreOptions::default(),
        ))
        .unwrap_err();
    assert_eq!(refused.code(), "features.training_set_taken", "other inputs are another training set");
    let replaced = StoreOptions { replace: true };
    let replaced = world
        .block_on(world.features().store_training_set(wanted("shop_features"), "training", replaced))
        .unwrap();
    assert!(!replaced.reused && replaced.content != first.content);
    assert_eq!(replaced.computed.len(), 3, "all of them read the source that has changed");
}

#[test]
fn one_more_view_computes_that_view_only() {
    let mut world = shop();
    let first = world.keeps(wanted("shop_features"), "training");
    world.applies(MORE);
    let more = world.keeps(wanted("shop_more"), "training_more");
    assert_eq!(
        more.computed,
        ["shop_hour"],
        "neither the marker of the new view nor its service changes the others"
    );
    let world_without = shop();
    let mut other = world_without;
    other.applies(MORE);
    assert_eq!(
        other.keeps(wanted("shop_more"), "fresh").content,
        more.content,
        "kept answers are the answers"
    );
    assert_ne!(more.content, first.content);
}

#[test]
fn a_training_set_is_made_again_bit_for_bit_when_more_has_arrived() {
    for arrival in [ArrivalRule::Any, ArrivalRule::Received] {
        let world = shop();
        let jobs = world.works();
        let sql = "SELECT country, number, basket, q FROM asked WHERE basket < 150";
        let spine = Spine::Sql(sql.to_owned());
        let made = world.keeps(TrainingSet { spine, arrival, ..wanted("shop_features") }, "training");
        let before = world.rows_of("training");

        // Late events, another load, more rows in the spine, small files joined.
        world.ingests("sales", &[sale("late", 90 * DAY + HOUR, 7.0)]);
        world.loads("sales", Some("more"), &[sale("more", 90 * DAY + 2 * HOUR, 3.0)]);
        asks(&world, 0..37);
        world.block_on(world.features().archive_everything()).unwrap();
        world.block_on(world.features().maintain("sales")).unwrap();

        for (into, written) in [(None, None), (Some("again"), Some("again"))] {
            let job = world.block_on(world.features().submit_rebuild("training", into, "ann")).unwrap();
            let job = world.block_on(jobs.wait(&job.id)).unwrap();
            assert_eq!((job.state, job.error), (JobState::Done, None));
            let result = job.result.unwrap();
            assert_eq!((&result["rows"], &result["written"]), (&json!(150), &json!(written)));
            assert_eq!(result["content"], json!(made.content.to_string()));
        }
        assert_eq!(world.rows_of("again"), before, "every bit");
        let recipe = world.block_on(world.features().kept_training_set("again")).unwrap().recipe;
        assert_eq!(recipe.key(), made.recipe_key);
        let properties = world.block_on(world.features().lake().properties("training")).unwrap();
        assert_eq!(
            serde_json::from_str::<shipway_features::Recipe>(&properties["shipway.recipe"]).unwrap(),
            recipe
        );
        world.block_on(jobs.stop());
    }
}

#[test]
fn a_table_that_was_changed_behind_our_back_is_not_what_it_was() {
    let world = shop();
    world.keeps(wanted("shop_features"), "training");
    let row = world.rows_of("training")[0].slice(0, 1);
    world
        .block_on(world.features().lake().append_batches("training", vec![row], AppendOptions::default()))
        .unwrap();
    let refused = world
        .block_on(world.features().store_training_set(
            wanted("shop_features"),
            "training",
            StoreOptions::default(),
        ))
        .unwrap_err();
    assert_eq!(refused.code(), "features.training_set_taken");
}

#[test]
fn a_spine_that_depends_on_chance_is_kept_and_never_made_again() {
    let world = shop();
    let _jobs = world.works();
    let spine = Spine::Sql("SELECT *, random() AS dice FROM asked".to_owned());
    let chance = || TrainingSet { spine: spine.clone(), ..wanted("shop_features") };
    assert!(!world.keeps(chance(), "training").reused);
    assert!(!world.keeps(chance(), "training").reused, "asked again, the dice are thrown again");
    let job = world.block_on(world.features().submit_rebuild("training", None, "ann")).unwrap();
    let job = world.block_on(_jobs.wait(&job.id)).unwrap();
    assert_eq!(job.error.unwrap().code, "features.recipe_not_repeatable");
}

#[test]
fn a_job_that_a_death_interrupted_goes_on_with_the_views_that_are_missing() {
    let mut world = shop();
    // One view's answers and the label's are there, as a process that died in the middle leaves them.
    world.keeps(TrainingSet { labels: Vec::new(), ..wanted("shop_features") }, "unrelated");
    {
        let jobs = world.block_on(async {
            let store = Store::open(&world.folder.path().join("jobs.db")).await.unwrap();
            Jobs::open(store, Arc::new(SystemClock), JobOptions::default()).await.unwrap()
        });
        world.features().set_jobs(jobs);
    }
    let job = world.submits(wanted("shop_features"), "training");
    assert_eq!(job.state, JobState::Queued, "nothing works on it before the death");
    world.dies_and_returns();
    world.ingests("sales", &[sale("after", 90 * DAY + HOUR, 7.0)]);

    let jobs = world.works();
    let job = world.block_on(jobs.wait(&job.id)).unwrap();
    assert_eq!((job.state, &job.error), (JobState::Done, &None));
    let result = job.result.unwrap();
    assert_eq!(result["computed"], json!(["amount_sum_1d"]), "the inputs are those of the first attempt");
    assert_eq!(world.number("SELECT count(*) FROM training"), 200);
    world.block_on(jobs.stop());
}

#[test]
fn a_cancelled_job_leaves_no_table() {
    let world = shop();
    let jobs = world.works();
    asks(&world, 0..20_000);
    let job = world.submits(wanted("shop_features"), "training");
    let began = SystemClock.now();
    world.block_on(jobs.cancel(&job.id)).unwrap();
    let ended = world.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), jobs.wait(&job.id)).await.unwrap().unwrap()
    });
    assert_eq!((ended.state, ended.result), (JobState::Cancelled, None), "began at {began}");
    assert!(!world.block_on(world.features().lake().exists("training")).unwrap());
    let lake = world.features().lake().root().to_owned();
    let left = std::fs::read_dir(lake).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with(".building")).collect();
    assert!(left.is_empty(), "{left:?}");
    let job = world.submits(wanted("shop_features"), "training");
    assert_eq!(world.block_on(jobs.wait(&job.id)).unwrap().state, JobState::Done, "asked again, it is done");
    world.block_on(jobs.stop());
}

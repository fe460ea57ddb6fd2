//! History that lies elsewhere: each file or version once, whatever happens meanwhile, and the same features in the end.

mod versions;

use std::{fs, io::Write as _, sync::Arc, time::Duration};

use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, SystemClock, Timestamp};
use shipway_features::BatchStatus;
use shipway_lake::files::write_parquet;
use shipway_store::{
    Store,
    jobs::{JobOptions, JobState, Jobs},
};
use tokio_util::task::TaskTracker;

use crate::world::{DAY, DEFINITIONS, HOUR, MINUTE, World, sale, shop};

const NOON: i64 = 90 * DAY + 12 * HOUR;

/// A server whose sales come from files too.
struct Depot {
    world: World,
    jobs: Option<Jobs>,
    batch: String,
}

impl Depot {
    /// `batch` is the batch part of the source, with IN for the folder that the server may read.
    fn new(batch: &str) -> Self {
        let world = World::new(DEFINITIONS);
        fs::create_dir(world.folder.path().join("in")).unwrap();
        let mut depot = Self { world, jobs: None, batch: String::new() };
        depot.opens();
        depot.applies(batch);
        depot
    }

    fn folder(&self) -> String {
        self.world.folder.path().join("in").display().to_string()
    }

    /// Applies the source with another batch part.
    fn applies(&mut self, batch: &str) {
        let batch = batch.replace("IN", &self.folder());
        let with = |batch: &str| format!("retention: 30d\nbatch: {batch}\n");
        let definitions = if self.batch.is_empty() {
            self.world.definitions.replacen("retention: 30d\n", &with(&batch), 1)
        } else {
            self.world.definitions.replacen(&with(&self.batch), &with(&batch), 1)
        };
        self.batch = batch;
        self.world.replaces(&definitions);
    }

    fn opens(&mut self) {
        let jobs = self.world.block_on(async {
            let store = Store::open(&self.world.folder.path().join("jobs.db")).await.unwrap();
            let jobs = Jobs::open(store, Arc::new(SystemClock), JobOptions::default()).await.unwrap();
            self.world.features().set_jobs(jobs.clone());
            jobs.start(&TaskTracker::new());
            jobs
        });
        self.jobs = Some(jobs);
    }

    fn dies_and_returns(&mut self) {
        self.jobs = None;
        self.world.dies_and_returns();
        self.opens();
    }

    fn jobs(&self) -> &Jobs {
        self.jobs.as_ref().unwrap()
    }

    fn writes(&self, name: &str, rows: &[Json]) {
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        self.writes_text(name, &lines);
    }

    fn writes_text(&self, name: &str, text: &str) {
        let path = self.world.folder.path().join("in").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn removes(&self, name: &str) {
        fs::remove_file(self.world.folder.path().join("in").join(name)).unwrap();
    }

    /// Looks for news to the end, and says what came of it.
    fn looks(&self) -> Json {
        self.world.block_on(async {
            let job = self.world.features().submit_look("sales", "ann").await.unwrap();
            let ended = self.jobs().wait(&job.id).await.unwrap();
            // The first look of a definition may have been under way: what it missed the next one finds.
            let job = self.world.features().submit_look("sales", "ann").await.unwrap();
            let again = self.jobs().wait(&job.id).await.unwrap();
            assert_eq!((ended.state, again.state), (JobState::Done, JobState::Done), "{:?}", ended.error);
            let (first, mut last) = (ended.result.unwrap(), again.result.unwrap());
            for name in ["loaded", "rows", "duplicates"] {
                last[name] = json!(first[name].as_u64().unwrap() + last[name].as_u64().unwrap());
            }
            last
        })
    }

    fn status(&self) -> BatchStatus {
        self.world.block_on(self.world.features().batch_status("sales")).unwrap()
    }

    /// The features of the shop after every sale.
    fn features(&self) -> Vec<Json> {
        let read = self.world.reads(&[shop()], Timestamp(NOON + 1), None).unwrap();
        read.rows[0].values.iter().map(shipway_core::Value::to_json).collect()
    }

    fn sales(&self) -> i64 {
        self.world.number("SELECT count(*) FROM sales")
    }
}

/// Sales before noon, some of them at one microsecond, with sums that depend on order unless they are exact.
fn month(numbers: std::ops::Range<i64>) -> Vec<Json> {
    let time = |number: i64| NOON - number / 3 * 37 * MINUTE;
    numbers.map(|number| sale(&format!("m{number}"), time(number), 0.1 * number as f64)).collect()
}

/// What one load of everything gives.
fn loaded_at_once(rows: &[Json]) -> Vec<Json> {
    let world = World::new(DEFINITIONS);
    let token = world.loads("sales", Some("all"), rows).token;
    let read = world.reads(&[shop()], Timestamp(NOON + 1), token.as_deref()).unwrap();
    read.rows[0].values.iter().map(shipway_core::Value::to_json).collect()
}

fn csv(rows: &[Json]) -> String {
    let columns = ["sale_id", "sold_at", "country", "number", "amount", "items", "product"];
    let mut text = columns.join(",").replace("sold_at", "Sold At") + "\n";
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|name| row[*name].to_string().replace('"', "")).collect();
        text.push_str(&(cells.join(",") + "\n"));
    }
    text
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn features_after_file_by_file_equal_those_after_one_load_of_everything() {
    let depot = Depot::new("{ files: IN/**/*.jsonl, every: 15m }");
    depot.writes("a.jsonl", &month(0..40));
    assert_eq!(depot.looks()["rows"], 40);
    depot.writes("2013/01/b.jsonl", &month(40..120));
    // Rows that were there before count once: events are told apart by their id.
    depot.writes("2013/02/c.jsonl", &month(100..150));
    let looked = depot.looks();
    assert_eq!(
        (&looked["loaded"], &looked["rows"], &looked["duplicates"]),
        (&json!(2), &json!(110), &json!(20))
    );
    assert_eq!(looked["visible"], true);
    assert_eq!(depot.features(), loaded_at_once(&month(0..150)));
    let again = depot.looks();
    assert_eq!((&again["found"], &again["loaded"], &again["failed"]), (&json!(3), &json!(0), &json!(0)));
    assert_eq!(depot.sales(), 150);
}

#[test]
fn csv_packed_csv_and_parquet_are_read_with_their_own_names() {
    let optional = "optional: [prices, tags], columns: { sold_at: Sold At }";
    let depot = Depot::new(&format!("{{ files: IN/*.csv*, format: csv, nulls: [NA], {optional} }}"));
    depot.writes_text("a.csv", &csv(&month(0..30)).replace(",tea", ",NA"));
    let packed = packed(&csv(&month(30..60)));
    fs::write(depot.world.folder.path().join("in/b.csv.gz"), packed).unwrap();
    assert_eq!(depot.looks()["rows"], 60);
    let parquet = Depot::new(&format!("{{ files: IN/*.parquet, {optional} }}"));
    let query = "SELECT sale_id, sold_at AS \"Sold At\", country, number, amount, items, product, 1 AS noise FROM sales";
    depot.world.block_on(async {
        let rows = depot.world.features().lake().sql(query).await.unwrap();
        write_parquet(&parquet.world.folder.path().join("in/all.parquet"), rows).await.unwrap();
    });
    assert_eq!(parquet.looks()["rows"], 60);
    assert_eq!(parquet.features(), depot.features());
}

#[test]
fn a_bad_file_stops_no_other_and_is_loaded_when_it_is_mended() {
    let depot = Depot::new("{ files: IN/*.jsonl }");
    let mut rows = month(0..20);
    rows[7]["sold_at"] = Json::Null;
    depot.writes("a-null.jsonl", &rows);
    let mut future = month(20..30);
    future[4] = sale("future", 100 * DAY + HOUR, 1.0);
    depot.writes("b-future.jsonl", &future);
    depot.writes_text("c-broken.jsonl", "{\"sale_id\": \n");
    depot.writes_text(
        "d-text.jsonl",
        "{\"sale_id\": \"x\", \"sold_at\": \"1970-03-01\", \"amount\": \"much\"}\n",
    );
    depot.writes("e-good.jsonl", &month(30..40));
    let looked = depot.looks();
    assert_eq!((&looked["rows"], &looked["failed"]), (&json!(10), &json!(4)));
    let problems: Vec<String> = depot
        .status()
        .problems
        .into_iter()
        .map(|problem| {
            format!("{} {}: {}", problem.item.rsplit_once('/').unwrap().1, problem.code, problem.message)
        })
        .collect();
    assert_eq!(
        problems,
        [
            "a-null.jsonl features.invalid_request: row 8: column sold_at: the event time is missing",
            "b-future.jsonl features.invalid_request: row 5: column sold_at: the event time is further in the future than max_ahead allows",
            "c-broken.jsonl lake.rows_bad: 1 row is bad, so nothing was loaded; line 1: is not JSON: EOF while parsing a value at line 2 column 0",
            "d-text.jsonl lake.rows_bad: 1 row is bad, so nothing was loaded; line 1: column amount: expected float, got \"much\"",
        ]
    );
    assert_eq!(depot.sales(), 10, "nothing of a bad file is there");

    depot.writes("a-null.jsonl", &month(0..20));
    depot.world.clock.set(Timestamp(100 * DAY + HOUR));
    let looked = depot.looks();
    assert_eq!((&looked["rows"], &looked["failed"]), (&json!(30), &json!(2)), "time mends the future");
    assert_eq!(depot.status().items.failed, 2);
    depot.removes("c-broken.jsonl");
    depot.removes("d-text.jsonl");
    assert_eq!(depot.looks()["failed"], 0);
    assert!(depot.status().problems.is_empty());
}

#[test]
fn a_file_that_changed_is_told_and_never_counted_twice() {
    let depot = Depot::new("{ files: IN/*.jsonl }");
    depot.writes("a.jsonl", &month(0..20));
    depot.looks();
    let before = depot.features();
    depot.writes("a.jsonl", &month(0..25));
    let looked = depot.looks();
    assert_eq!((&looked["rows"], &looked["failed"]), (&json!(0), &json!(1)));
    assert_eq!(looked["problems"][0]["code"], "features.batch_file_changed");
    assert_eq!(depot.looks()["failed"], 1, "it is told until it is mended");
    assert_eq!((depot.status().items.changed, depot.sales()), (1, 20));
    assert_eq!(depot.features(), before);
    // The same content, written anew, is the same file.
    depot.writes("a.jsonl", &month(0..20));
    assert_eq!(depot.looks()["failed"], 0);
    assert_eq!((depot.status().items.changed, depot.sales()), (0, 20));
}

#[test]
fn the_rows_of_a_file_that_is_gone_stay() {
    let depot = Depot::new("{ files: IN/*.jsonl }");
    depot.writes("a.jsonl", &month(0..20));
    depot.writes("b.jsonl", &month(20..30));
    depot.looks();
    depot.removes("a.jsonl");
    let looked = depot.looks();
    assert_eq!((&looked["found"], &looked["failed"]), (&json!(1), &json!(0)));
    let status = depot.status();
    assert_eq!((status.items.loaded, status.items.gone, status.rows, depot.sales()), (2, 1, 30, 30));
    depot.writes("a.jsonl", &month(0..20));
    assert_eq!(depot.looks()["rows"], 0);
    assert_eq!(depot.status().items.gone, 0);
}

#[test]
fn an_empty_file_waits_for_its_content_and_one_without_rows_is_loaded() {
    let depot = Depot::new("{ files: IN/*.csv, optional: [prices, tags], columns: { sold_at: Sold At } }");
    depot.writes_text("a.csv", "");
    depot.writes_text("b.csv", &csv(&[]));
    let looked = depot.looks();
    assert_eq!((&looked["loaded"], &looked["rows"], &looked["failed"]), (&json!(1), &json!(0), &json!(0)));
    depot.writes_text("a.csv", &csv(&month(0..5)));
    assert_eq!(depot.looks()["rows"], 5);
}

#[test]
fn two_sources_may_read_the_same_files() {
    let mut depot = Depot::new("{ files: IN/*.jsonl }");
    depot.writes("a.jsonl", &month(0..20));
    let folder = depot.folder();
    depot.world.applies(&format!(
        "kind: source\nname: tills\nevent_time: sold_at\ncolumns: {{ sold_at: timestamp, amount: float }}\nbatch: {{ files: {folder}/*.jsonl }}\n"
    ));
    depot.looks();
    depot.world.block_on(async {
        let job = depot.world.features().submit_look("tills", "ann").await.unwrap();
        let ended = depot.jobs().wait(&job.id).await.unwrap();
        assert_eq!(ended.state, JobState::Done);
    });
    assert_eq!((depot.sales(), depot.world.number("SELECT count(*) FROM tills")), (20, 20));
}

#[test]
fn a_copy_of_a_file_is_another_file_and_ids_tell_its_events_apart() {
    let depot = Depot::new("{ files: IN/*.jsonl }");
    depot.writes("a.jsonl", &month(0..20));
    depot.writes("copy-of-a.jsonl", &month(0..20));
    let looked = depot.looks();
    assert_eq!((&looked["rows"], &looked["duplicates"], depot.sales()), (&json!(20), &json!(20), 20));
}

#[test]
fn what_was_applied_is_looked_at_at_once_and_then_when_the_clock_says_so() {
    let depot = Depot::new("{ files: IN/*.jsonl, every: 15m }");
    let due = || depot.world.block_on(depot.world.features().submit_due_looks()).unwrap();
    let settled = || {
        let job = depot.status().job.unwrap();
        depot.world.block_on(depot.jobs().wait(&job)).unwrap();
    };
    due();
    settled();
    let first = depot.status();
    assert_eq!(first.asked_at, Some(Timestamp(100 * DAY)), "nobody asked for it but what was applied");
    assert_eq!(due(), Vec::<String>::new());
    depot.writes("a.jsonl", &month(0..20));
    depot.world.clock.set(Timestamp(100 * DAY + 14 * MINUTE));
    assert_eq!(due(), Vec::<String>::new());
    depot.world.clock.set(Timestamp(100 * DAY + 15 * MINUTE));
    // The server's own task may have been quicker.
    due();
    settled();
    let second = depot.status();
    assert_eq!((second.asked_at, second.rows), (Some(Timestamp(100 * DAY + 15 * MINUTE)), 20));
    assert_ne!(second.job, first.job);
}

#[test]
fn without_a_schedule_only_another_batch_part_is_looked_at_by_itself() {
    let mut depot = Depot::new("{ files: IN/*.jsonl }");
    depot.looks();
    let asked = depot.status().asked_at;
    depot.world.clock.set(Timestamp(101 * DAY));
    depot.world.block_on(depot.world.features().submit_due_looks()).unwrap();
    assert_eq!(depot.status().asked_at, asked);
    depot.writes("more/a.jsonl", &month(0..7));
    depot.applies("{ files: IN/more/*.jsonl }");
    depot.world.block_on(depot.world.features().submit_due_looks()).unwrap();
    assert_eq!(depot.status().asked_at, Some(Timestamp(101 * DAY)));
    assert_eq!(depot.looks()["found"], 1);
    assert_eq!(depot.sales(), 7);
}

#[test]
fn a_source_that_is_refused_its_folder_says_which_key_to_set() {
    let depot = Depot::new("{ files: /etc/*.csv }");
    let ended = depot.world.block_on(async {
        let job = depot.world.features().submit_look("sales", "ann").await.unwrap();
        depot.jobs().wait(&job.id).await.unwrap()
    });
    assert_eq!(ended.state, JobState::Failed);
    let error = depot.status().error.unwrap();
    assert_eq!(error.code, "lake.folder_not_allowed");
    assert!(error.hint.unwrap().contains("sources.allowed_folders"));
}

#[test]
fn a_source_without_a_batch_part_has_nothing_to_look_at() {
    let world = World::new(DEFINITIONS);
    let refused = world.block_on(world.features().submit_look("sales", "ann")).unwrap_err();
    assert_eq!(refused.code(), "features.batch_none");
    let refused = world.block_on(world.features().batch_status("sale")).unwrap_err();
    assert_eq!(refused.to_string(), "source sale does not exist; did you mean sales?");
}

#[test]
fn a_server_that_dies_in_the_middle_goes_on_and_counts_nothing_twice() {
    let mut depot = Depot::new("{ files: IN/*.jsonl }");
    for file in 0..30 {
        depot.writes(&format!("{file:02}.jsonl"), &month(file * 20..file * 20 + 20));
    }
    for death in 0..6 {
        let wanted = death * 4 + 1;
        depot.world.block_on(async {
            depot.world.features().submit_look("sales", "ann").await.unwrap();
            // Dies when about so many are loaded: wherever that is in the work on one of them.
            while depot.world.features().batch_status("sales").await.unwrap().items.loaded < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        depot.dies_and_returns();
    }
    depot.looks();
    let status = depot.status();
    assert_eq!((status.items.loaded, status.items.loading, status.rows), (30, 0, 600));
    assert_eq!(depot.sales(), 600);
    assert_eq!(depot.features(), loaded_at_once(&month(0..600)));
}

#[test]
fn a_look_that_is_cancelled_leaves_what_is_loaded_and_the_next_one_goes_on() {
    let depot = Depot::new("{ files: IN/*.jsonl }");
    for file in 0..20 {
        depot.writes(&format!("{file:02}.jsonl"), &month(file * 20..file * 20 + 20));
    }
    let job = depot.world.block_on(async {
        let job = depot.world.features().submit_look("sales", "ann").await.unwrap();
        while depot.world.features().batch_status("sales").await.unwrap().items.loaded < 2 {
            let held = depot.jobs().find(&job.id).await.unwrap();
            assert_ne!(held.state, JobState::Failed, "{held:?}");
            // Asked in peace: the job writes to the same database.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // A quick one may have ended by itself.
        let _ = depot.jobs().cancel(&job.id).await;
        depot.jobs().wait(&job.id).await.unwrap()
    });
    assert_ne!(job.state, JobState::Failed, "{job:?}");
    let status = depot.status();
    if job.state == JobState::Cancelled {
        assert!((2..20).contains(&status.items.loaded), "{status:?}");
    }
    assert_eq!(depot.sales(), status.rows.cast_signed(), "a file is there as a whole or not at all");
    depot.looks();
    assert_eq!((depot.status().items.loaded, depot.sales()), (20, 400));
    assert_eq!(depot.features(), loaded_at_once(&month(0..400)));
}

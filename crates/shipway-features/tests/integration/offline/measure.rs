//! How fast it is here, at the size of the demo: prints, and asserts nothing about time. Run with `--ignored --nocapture`.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use shipway_definitions::{DefinitionFile, DefinitionSet};
use shipway_features::offline::{AsOf, Pins, TrainingSetRequest, training_set};
use shipway_lake::{AppendOptions, Lake, LakeOptions};

use super::world::{batch, timestamps};

const FLIGHTS: usize = 336_776;
const YEAR_US: i64 = 365 * 86_400_000_000;

fn demo() -> Arc<DefinitionSet> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo/definitions");
    let files = ["entities", "service", "sources", "views"].map(|name| {
        let path = format!("{folder}/{name}.yaml");
        DefinitionFile::new(&path, fs_err::read_to_string(&path).unwrap())
    });
    Arc::new(DefinitionSet::parse(&files).unwrap())
}

struct Flight {
    due: i64,
    origin: String,
    dest: String,
    carrier: String,
    tailnum: String,
    delay: f64,
}

fn flights() -> Vec<Flight> {
    let mut random = StdRng::seed_from_u64(2013);
    let mut flights: Vec<Flight> = (0..FLIGHTS)
        .map(|_| Flight {
            due: random.random_range(0..YEAR_US / 60_000_000) * 60_000_000,
            origin: ["EWR", "JFK", "LGA"][random.random_range(0..3)].to_owned(),
            dest: format!("D{:02}", random.random_range(0..105)),
            carrier: format!("C{}", random.random_range(0..16)),
            tailnum: format!("N{:05}", random.random_range(0..4_044)),
            delay: f64::from(random.random_range(-20..200)),
        })
        .collect();
    flights.sort_by_key(|flight| flight.due);
    flights
}

fn text(flights: &[Flight], read: impl Fn(&Flight) -> String) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(flights.iter().map(read)))
}

fn events(flights: &[Flight], time: &str, delay: &str, id: &str, lag_us: i64) -> RecordBatch {
    let numbers = (0..flights.len() as i64).map(|number| format!("2013-{number:06}"));
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(numbers));
    batch([
        (id, Arc::clone(&ids)),
        (time, timestamps(flights.iter().map(|f| Some(f.due + f.delay as i64 * 60_000_000 + lag_us)))),
        ("origin", text(flights, |f| f.origin.clone())),
        ("dest", text(flights, |f| f.dest.clone())),
        ("carrier", text(flights, |f| f.carrier.clone())),
        ("tailnum", text(flights, |f| f.tailnum.clone())),
        (delay, Arc::new(Float64Array::from_iter_values(flights.iter().map(|f| f.delay)))),
        ("_event_id", ids),
        ("_arrival", Arc::new(Int64Array::from_iter_values(0..flights.len() as i64))),
        ("_load", Arc::new(StringArray::new_null(flights.len()))),
    ])
}

fn weather() -> RecordBatch {
    let hours: Vec<i64> = (0..3 * 8_760).map(|number| number / 3 * 3_600_000_000).collect();
    let origins = (0..hours.len()).map(|number| ["EWR", "JFK", "LGA"][number % 3]);
    let number = || Arc::new(Float64Array::from_iter_values((0..hours.len()).map(|n| n as f64))) as ArrayRef;
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..hours.len()).map(|n| n.to_string())));
    batch([
        ("observed_at", timestamps(hours.iter().map(|hour| Some(*hour)))),
        ("origin", Arc::new(StringArray::from_iter_values(origins))),
        ("temp", number()),
        ("wind_speed", number()),
        ("precip", number()),
        ("visib", number()),
        ("_event_id", ids),
        ("_arrival", Arc::new(Int64Array::from_iter_values(0..hours.len() as i64))),
        ("_load", Arc::new(StringArray::new_null(hours.len()))),
    ])
}

fn spine(flights: &[Flight]) -> RecordBatch {
    let ones = || Arc::new(Int64Array::from(vec![1; flights.len()])) as ArrayRef;
    batch([
        ("q", timestamps(flights.iter().map(|f| Some(f.due - 3_600_000_000)))),
        ("origin", text(flights, |f| f.origin.clone())),
        ("dest", text(flights, |f| f.dest.clone())),
        ("carrier", text(flights, |f| f.carrier.clone())),
        ("tailnum", text(flights, |f| f.tailnum.clone())),
        ("month", ones()),
        ("hour", ones()),
        ("distance", Arc::new(Float64Array::from(vec![1.0; flights.len()]))),
        ("known_up_to", Arc::new(Int64Array::from_iter_values(0..flights.len() as i64))),
    ])
}

fn peak_mib() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a rule"]
async fn the_training_set_of_a_year_of_flights() {
    let folder = tempfile::TempDir::new().unwrap();
    let lake = Lake::open(LakeOptions::new(folder.path())).unwrap();
    let definitions = demo();
    let flights = flights();
    for (table, rows) in [
        ("departures", events(&flights, "departed_at", "dep_delay", "flight_id", 0)),
        ("arrivals", events(&flights, "landed_at", "arr_delay", "flight_id", 9_000_000_000)),
        ("weather", weather()),
        ("flights", spine(&flights)),
    ] {
        lake.ensure_table(table, rows.schema()).await.unwrap();
        lake.append_batches(table, vec![rows], AppendOptions::default()).await.unwrap();
    }
    drop(flights);
    println!("peak before: {} MiB", peak_mib());
    let sources = ["departures", "arrivals", "weather"].map(str::to_owned);
    let columns: BTreeMap<String, String> =
        sources.into_iter().map(|source| (source, "known_up_to".to_owned())).collect();
    for as_of in [AsOf::EventTime, AsOf::EventTime, AsOf::ArrivalColumns(columns)] {
        let began = Instant::now();
        let request = TrainingSetRequest {
            service: Arc::clone(definitions.service("late_arrivals").unwrap()),
            definitions: Arc::clone(&definitions),
            spine: lake.scan("flights").await.unwrap(),
            time_column: "q".to_owned(),
            as_of: as_of.clone(),
            load_arrivals: BTreeMap::new(),
            labels: Vec::new(),
            pins: Pins::default(),
        };
        let mut stream = training_set(&lake, request).await.unwrap();
        let started = began.elapsed();
        let (mut rows, mut columns) = (0, 0);
        while let Some(batch) = stream.try_next().await.unwrap() {
            rows += batch.num_rows();
            columns = batch.num_columns();
        }
        let kind = if as_of == AsOf::EventTime { "event time" } else { "arrival by row" };
        println!(
            "{kind}: {rows} rows, {columns} columns in {:.2} s (first row after {:.2} s), peak {} MiB",
            began.elapsed().as_secs_f64(),
            started.as_secs_f64(),
            peak_mib()
        );
    }
}

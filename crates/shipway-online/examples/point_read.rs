//! How fast the bare store answers point reads: the floor below every online read, for `make bench`.
//!
//! `point_read FOLDER READS [CACHE_MIB]` opens a stopped server's online store, takes keys of its state spread evenly over
//! all of them, reads them in a random order once to warm up and then `READS` times on one thread, and prints one JSON line.

#![expect(clippy::print_stdout, reason = "printing its result is what this program is for")]

use std::{error::Error, path::Path, time::Instant};

use bytes::Bytes;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use shipway_online::{OnlineOptions, OnlineStore, Space};

/// Keys beyond this many are thinned out evenly, so that the list of them stays small beside the store.
const MOST_KEYS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (folder, reads) = match arguments.as_slice() {
        [_, folder, reads, ..] => (Path::new(folder), reads.parse::<usize>()?),
        _ => return Err("usage: point_read FOLDER READS [CACHE_MIB]".into()),
    };
    let mut options = OnlineOptions::default();
    if let Some(mebibytes) = arguments.get(3) {
        options.cache_bytes = mebibytes.parse::<u64>()? << 20;
    }
    let store = OnlineStore::open_with(folder, &options)?;
    let snapshot = store.snapshot();
    let all = snapshot.scan_prefix(Space::State, b"").count();
    let step = all.div_ceil(MOST_KEYS).max(1);
    let mut keys: Vec<Bytes> = snapshot
        .scan_prefix(Space::State, b"")
        .step_by(step)
        .map(|entry| entry.map(|(key, _)| key))
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err("the store holds no state".into());
    }
    keys.shuffle(&mut StdRng::seed_from_u64(7));
    let mut bytes = 0;
    for key in keys.iter().take(reads) {
        bytes += snapshot.get(Space::State, key)?.ok_or("a key vanished")?.len();
    }
    let mut nanoseconds = Vec::with_capacity(reads);
    for key in keys.iter().cycle().take(reads) {
        let began = Instant::now();
        let value = snapshot.get(Space::State, key)?.ok_or("a key vanished")?;
        nanoseconds.push(began.elapsed().as_nanos());
        drop(value);
    }
    nanoseconds.sort_unstable();
    let warmed = reads.min(keys.len()).max(1);
    let at = |share: usize| nanoseconds.get(nanoseconds.len() * share / 1000).copied().unwrap_or_default();
    println!(
        r#"{{"keys":{all},"reads":{reads},"value_bytes":{},"mean_ns":{},"p50_ns":{},"p99_ns":{}}}"#,
        bytes / warmed,
        nanoseconds.iter().sum::<u128>() / u128::try_from(reads.max(1))?,
        at(500),
        at(990),
    );
    Ok(())
}

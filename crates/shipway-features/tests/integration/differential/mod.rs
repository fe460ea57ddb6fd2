//! Random definitions × random event streams × {oracle, read, rebuild beside the flow, offline as known, offline as of arrival, proof}: all equal.
//!
//! Every path answers the same questions, and every answer is compared with the naive oracle, bit for bit. A failure prints
//! the seed, the definitions and the question; the seed alone repeats the run.
//!
//! - `definitions`: views of random operations, windows and keys, and chains of them
//! - `events`: events that are late, doubled, out of order, tied, null, NaN, early, corrected
//! - `expressions`: conditions, derived and computed columns, and their meanings in plain Rust
//! - `judge`: what the oracle says
//! - `run`: one seed from the first event to the last comparison

mod definitions;
mod events;
mod expressions;
mod judge;
mod run;

use std::time::{Duration, Instant};

/// A few seeds on every run of the tests.
#[test]
fn every_path_gives_the_answer_of_the_oracle() {
    let mut total = run::Compared::default();
    for seed in 0..6 {
        total += run::run(seed, run::Size { steps: 24, events: 30, questions: 60 }, false);
    }
    assert!(total.reads > 2_000, "{total:?}");
    assert!(total.swapped > 2, "{total:?}");
    assert!(total.offline > 2_000 && total.by_arrival > 2_000 && total.rebuilt > 300, "{total:?}");
}

/// The same over a source whose events are corrected by their ids, or taken away.
#[test]
fn so_does_every_path_where_events_are_corrected() {
    let mut total = run::Compared::default();
    for seed in 0..8 {
        total += run::run(seed, run::Size { steps: 24, events: 30, questions: 60 }, true);
    }
    assert!(total.reads > 2_000, "{total:?}");
    assert!(total.swapped > 2, "{total:?}");
    assert!(total.offline > 2_000 && total.by_arrival > 8_000 && total.rebuilt > 300, "{total:?}");
}

/// `make soak`: new seeds until the time is up. `SHIPWAY_SOAK_SECONDS` (default 600) and `SHIPWAY_SOAK_SEED` (default: from
/// the time of day) choose; each seed is printed before it is run.
#[test]
#[ignore = "takes as long as it is told to: make soak"]
fn soak() {
    let seconds = setting("SHIPWAY_SOAK_SECONDS").unwrap_or(600);
    let first = setting("SHIPWAY_SOAK_SEED").unwrap_or_else(|| {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap();
        now.as_secs() << 8
    });
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut total = run::Compared::default();
    for seed in first.. {
        if Instant::now() >= until {
            break;
        }
        println!("seed {seed}");
        total += run::run(seed, run::Size { steps: 60, events: 60, questions: 200 }, seed % 3 == 2);
    }
    println!("no difference: {total:?}");
    assert!(total.reads > 0, "the time was up before one seed was done");
}

#[expect(clippy::disallowed_methods, reason = "a person who runs the soak chooses its seed and length here")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

//! A process that gives its program back runs on.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop with the error")]

use std::{hint::black_box, time::Duration};

use shipway_resident::{from_files, processor_time, release_program};

/// Something that lies in the file, and pages of it that were read.
static WORDS: [u64; 1 << 17] = [7; 1 << 17];

/// One test: tests of one process would give back each other's pages.
#[test]
fn a_program_that_is_given_back_is_as_it_was_and_runs_on() {
    is_as_it_was();
    runs_on();
}

fn is_as_it_was() {
    for _ in 0..3 {
        assert_eq!(black_box(&WORDS).iter().sum::<u64>(), 7 << 17);
        let before = from_files().unwrap().unwrap();
        let released = release_program().unwrap();
        let after = from_files().unwrap().unwrap();
        assert!(released >= 1 << 20, "{released} bytes were given back");
        assert!(after < before, "{before} bytes before it, {after} after it");
    }
    assert_eq!(black_box(&WORDS).iter().sum::<u64>(), 7 << 17);
}

fn runs_on() {
    std::thread::scope(|scope| {
        let counting: Vec<_> = (0..4_u64)
            .map(|seed| {
                scope.spawn(move || {
                    let texts = (0..20_000).map(|number| format!("{}", black_box(number * seed)));
                    texts.map(|text| text.parse::<u64>().unwrap()).sum::<u64>()
                })
            })
            .collect();
        for _ in 0..50 {
            release_program().unwrap();
        }
        for (seed, counted) in (0..).zip(counting) {
            assert_eq!(counted.join().unwrap(), seed * 199_990_000);
        }
    });
}

#[test]
fn the_time_of_processors_only_grows() {
    let before = processor_time().unwrap().unwrap();
    let began = std::time::Instant::now();
    while processor_time().unwrap().unwrap() < before + Duration::from_millis(20) {
        assert!(began.elapsed() < Duration::from_secs(60), "no time is counted");
    }
}

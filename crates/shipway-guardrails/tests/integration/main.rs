//! What is found and what is not, whatever the text and however it is cut.
//!
//! - `found`: what each detector finds, and what only looks like it
//! - `schemas`: answers that must be JSON of a shape
//! - `laws`: what holds for every text

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop with the error")]

mod found;
mod laws;
mod schemas;

use shipway_guardrails::{Detector, Finder};

fn finder(json: &str) -> Finder {
    let detector: Detector = serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    detector.check().unwrap_or_else(|bad| panic!("{json}: {bad}"));
    Finder::new(&detector).unwrap()
}

/// What is found in a text, each as `label=what`.
fn found(finder: &Finder, text: &str) -> Vec<String> {
    finder
        .find(text)
        .into_iter()
        .map(|finding| format!("{}={}", finding.label, &text[finding.range]))
        .collect()
}

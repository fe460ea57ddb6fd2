//! Random views over one source, and their twins: the same views under other names, applied in the middle of the stream and
//! so built from history.

use std::fmt::Write as _;

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};

const SOURCE: &str = "
kind: entity
name: one
keys: { k: text }
---
kind: entity
name: two
keys: { k: text, n: int }
---
kind: source
name: stream
event_time: at
event_id: id
columns: { id: text, at: timestamp, k: text, n: int, a: float, b: int, c: text, d: bool, e: timestamp }
max_ahead: 5m
dedupe: 40d
retention: 60d
";

const WINDOWS: [&str; 14] =
    ["1s", "10s", "90s", "6m", "10m", "1h", "90m", "5h", "12h", "1d", "3d", "12d", "14d", "lifetime"];

/// Definitions that can be applied one after the other.
pub(crate) struct Definitions {
    /// The source, the entities, the views `view_0` … and the service `first`.
    pub(crate) first: String,
    /// The twins `twin_0` … and the service `second`.
    pub(crate) second: String,
}

pub(crate) fn random(random: &mut StdRng) -> Definitions {
    let bodies: Vec<String> = (0..random.random_range(1..=3)).map(|_| body(random)).collect();
    let file = |prefix: &str, service: &str| {
        let mut text = String::new();
        for (index, body) in bodies.iter().enumerate() {
            let _ = write!(text, "kind: view\nname: {prefix}_{index}\nsource: stream\n{body}---\n");
        }
        let names: Vec<String> = (0..bodies.len()).map(|index| format!("{prefix}_{index}")).collect();
        let _ = write!(text, "kind: service\nname: {service}\nviews: [{}]\n", names.join(", "));
        text
    };
    Definitions { first: format!("{SOURCE}---\n{}", file("view", "first")), second: file("twin", "second") }
}

fn body(random: &mut StdRng) -> String {
    let mut text = format!("entity: {}\n", if random.random_bool(0.5) { "one" } else { "two" });
    if random.random_bool(0.2) {
        let columns: Vec<&str> =
            ["a", "b", "c", "d", "e"].into_iter().filter(|_| random.random_bool(0.6)).collect();
        let columns = if columns.is_empty() { vec!["a"] } else { columns };
        let _ = writeln!(text, "latest: [{}]", columns.join(", "));
        if random.random_bool(0.7) {
            let _ = writeln!(text, "ttl: {}", WINDOWS[..13].choose(random).unwrap());
        }
        return text;
    }
    text.push_str("aggregate:\n");
    let mut columns = vec!["", "a", "b", "c", "d", "e"];
    for _ in 0..random.random_range(1..=3) {
        let column = columns.swap_remove(random.random_range(0..columns.len()));
        entry(random, column, &mut text);
    }
    text
}

/// One entry: some operations that fit the column over some windows.
fn entry(random: &mut StdRng, column: &str, text: &mut String) {
    let fitting: &[&str] = match column {
        "" => &["count"],
        "a" | "b" => &[
            "count",
            "sum",
            "avg",
            "min",
            "max",
            "var",
            "stddev",
            "skew",
            "kurtosis",
            "first",
            "last",
            "first_k(2)",
            "last_k(3)",
            "top_k(2)",
            "bottom_k(3)",
            "distinct_count",
            "approx_distinct",
            "approx_quantile(0.9)",
            "histogram(4)",
        ],
        "d" => &["count", "first", "last", "last_k(2)", "distinct_count"],
        _ => &["count", "min", "max", "first", "last", "first_k(3)", "distinct_count", "approx_distinct"],
    };
    let some = |random: &mut StdRng, of: &[&str], most: usize| -> String {
        let count = random.random_range(1..=most.min(of.len()));
        of.choose_multiple(random, count).copied().collect::<Vec<_>>().join(", ")
    };
    text.push_str("  - ");
    if !column.is_empty() {
        let _ = write!(text, "column: {column}\n    ");
    }
    let operations = some(random, fitting, 4);
    let windows = some(random, &WINDOWS, 4);
    let _ = write!(text, "operations: [{operations}]\n    windows: [{windows}]\n");
    if column != "c" && random.random_bool(0.25) {
        text.push_str("    by: c\n");
    }
}

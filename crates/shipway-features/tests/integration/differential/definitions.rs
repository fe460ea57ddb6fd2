//! Random views over one source, some of them on top of others, and their twins: the same views under other names, applied in the middle of the stream and
//! so built from history.

use std::fmt::Write as _;

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use shipway_core::DataType;

use crate::world::parse;

use super::expressions;

const SOURCE: &str = r#"
kind: entity
name: one
keys: { k: text }
---
kind: entity
name: two
keys: { k: text, n: int }
---
kind: entity
name: three
keys: { p: "decimal(5,1)", m: timestamp }
---
kind: source
name: stream
event_time: at
event_id: id
columns:
  id: text
  at: timestamp
  k: text
  n: int
  a: float
  b: int
  c: text
  d: bool
  e: timestamp
  f: decimal(20,3)
  g: list(decimal(38,2))
  p: decimal(5,1)
  m: timestamp
max_ahead: 5m
dedupe: 40d
retention: 60d
"#;

/// Stands in bodies for the names of the views, which twins have too.
const PREFIX: &str = "PREFIX";

const WINDOWS: [&str; 14] =
    ["1s", "10s", "90s", "6m", "10m", "1h", "90m", "5h", "12h", "1d", "3d", "12d", "14d", "lifetime"];

/// Definitions that can be applied one after the other.
pub(crate) struct Definitions {
    /// The source, the entities, the views `view_0` … and the service `first`.
    pub(crate) first: String,
    /// The twins `twin_0` … and the service `second`.
    pub(crate) second: String,
}

/// Over a source whose events are corrected by their ids no views stand on each other.
pub(crate) fn random(random: &mut StdRng, are_corrected: bool) -> Definitions {
    let source = if are_corrected {
        SOURCE
            .replace("dedupe: 40d", "same_id: replace\ndeleted: gone")
            .replace("columns:\n", "columns:\n  gone: bool\n")
    } else {
        SOURCE.to_owned()
    };
    let mut bodies: Vec<String> = (0..random.random_range(1..=3)).map(|_| body(random)).collect();
    let chains = if are_corrected { 0 } else { random.random_range(0..=2) };
    for _ in 0..chains {
        let inner = random.random_range(0..bodies.len());
        let chained = chained(random, inner, &file("view", "first", &bodies));
        bodies.push(chained);
    }
    // The computed columns name a key that not every entity has.
    let has_key = bodies.iter().any(|body| !body.starts_with("entity: three"));
    let computes = has_key && random.random_bool(0.5);
    let service = |prefix: &str, service: &str| {
        let mut text = file(prefix, service, &bodies);
        if computes {
            expressions::of_service(&mut text);
        }
        text
    };
    Definitions {
        first: format!("{source}---\n{}", service("view", "first")),
        second: service("twin", "second"),
    }
}

/// The views of `bodies`, named after `prefix`, and a service of all of them.
fn file(prefix: &str, service: &str, bodies: &[String]) -> String {
    let mut text = String::new();
    for (index, body) in bodies.iter().enumerate() {
        let body = body.replace(PREFIX, prefix);
        let _ = write!(text, "kind: view\nname: {prefix}_{index}\nsource: stream\n{body}---\n");
    }
    let names: Vec<String> = (0..bodies.len()).map(|index| format!("{prefix}_{index}")).collect();
    let _ = write!(text, "kind: service\nname: {service}\nviews: [{}]\n", names.join(", "));
    text
}

/// A view that stands on the one at `inner` of `file`: its features are keys, values, buckets and latest values here.
fn chained(random: &mut StdRng, inner: usize, file: &str) -> String {
    let set = parse(&format!("{SOURCE}---\n{file}"));
    let mut outputs = set.view(&format!("view_{inner}")).unwrap().definition.outputs();
    // The name of the column has at most 63 characters.
    outputs.retain(|(name, _)| name.as_str().len() <= 54);
    let count = random.random_range(1..=outputs.len().min(3));
    let taken: Vec<(String, DataType)> = outputs
        .choose_multiple(random, count)
        .map(|(name, data_type)| (format!("{PREFIX}_{inner}__{name}"), *data_type))
        .collect();
    let key = taken.iter().find(|(_, data_type)| *data_type == DataType::Text);
    let mut text = match key {
        Some((column, _)) if random.random_bool(0.5) => format!("entity: one\nkeys: [{column}]\n"),
        _ => format!("entity: {}\n", if random.random_bool(0.5) { "one" } else { "two" }),
    };
    let features: Vec<String> =
        taken.iter().map(|(column, _)| format!("'{}'", column.replacen("__", ":", 1))).collect();
    let _ = writeln!(text, "enrich: [{}]", features.join(", "));
    let is_single = |data_type: &DataType| !matches!(data_type, DataType::List(_) | DataType::Map(_));
    let single = taken.iter().find(|(_, data_type)| is_single(data_type)).map(|(column, _)| column);
    let told = if random.random_bool(0.5) { single } else { None };
    if let Some(column) = told {
        let _ = writeln!(text, "derive: {{ b_told: \"{column}{}\" }}", expressions::IS_THERE);
    }
    if let Some(column) = single
        && random.random_bool(0.3)
    {
        let _ = writeln!(text, "where: \"{column}{}\"", expressions::IS_THERE);
    }
    if random.random_bool(0.3) {
        let columns: Vec<&str> = taken.iter().map(|(column, _)| column.as_str()).chain(["a"]).collect();
        let _ = writeln!(
            text,
            "latest: [{}]\nttl: {}",
            columns.join(", "),
            WINDOWS[..13].choose(random).unwrap()
        );
        return text;
    }
    text.push_str("aggregate:\n");
    for (index, (column, data_type)) in taken.iter().enumerate() {
        let operations: &[&str] = match data_type {
            DataType::Float => &["count", "sum", "avg", "min", "max", "last", "last_k(2)", "var"],
            DataType::Int => &["count", "avg", "min", "max", "first", "top_k(2)", "distinct_count"],
            DataType::List(_) | DataType::Map(_) => &["count"],
            // Without dice more than before: every seed stays what it was.
            DataType::Bool => &["count", "first", "last", "distinct_count"],
            _ => &["count", "min", "last", "distinct_count"],
        };
        let (operation, window) = (operations.choose(random).unwrap(), WINDOWS.choose(random).unwrap());
        let _ = writeln!(
            text,
            "  - {{ column: {column}, operations: [{operation}], windows: [{window}], as: f{index} }}"
        );
    }
    if told.is_some() {
        text.push_str("  - { column: b_told, operations: [last], windows: [1d], as: told }\n");
    }
    let bucket = taken
        .iter()
        .find(|(_, data_type)| matches!(data_type, DataType::Text | DataType::Bool | DataType::Int));
    if let Some((column, _)) = bucket {
        let _ = writeln!(text, "  - {{ operations: [count], windows: [1h], by: {column}, as: by }}");
    }
    text
}

fn body(random: &mut StdRng) -> String {
    let entity = *["one", "two", "three"].choose(random).unwrap();
    let mut text = format!("entity: {entity}\n");
    let derived = expressions::of_view(random, &mut text);
    match entity {
        "one" if !derived.is_empty() && random.random_bool(0.5) => text.push_str("keys: [t_key]\n"),
        "two" if !derived.is_empty() && random.random_bool(0.5) => text.push_str("keys: [t_key, n]\n"),
        _ => {}
    }
    let derived = || derived.iter().map(|column| column.name);
    if random.random_bool(0.2) {
        let columns: Vec<&str> = ["a", "b", "c", "d", "e", "f", "g"]
            .into_iter()
            .chain(derived())
            .filter(|_| random.random_bool(0.6))
            .collect();
        let columns = if columns.is_empty() { vec!["a"] } else { columns };
        let _ = writeln!(text, "latest: [{}]", columns.join(", "));
        let ttl = random.random_bool(0.7).then(|| *WINDOWS[..13].choose(random).unwrap());
        if let Some(ttl) = ttl {
            let _ = writeln!(text, "ttl: {ttl}");
        }
        // Dice of their own, so that everything else stays what it was for a seed.
        let mut random = random.clone();
        // Tighter ages of single columns, up to the view's own.
        let own: Vec<&str> = columns.iter().copied().filter(|_| random.random_bool(0.3)).collect();
        if !own.is_empty() {
            text.push_str("features:\n");
        }
        for column in own {
            let longest = ttl.and_then(|ttl| WINDOWS.iter().position(|window| *window == ttl)).unwrap_or(12);
            let own_ttl = WINDOWS[random.random_range(0..=longest)];
            let _ = writeln!(text, "  {column}: {{ ttl: {own_ttl} }}");
        }
        return text;
    }
    text.push_str("aggregate:\n");
    let mut columns = vec!["", "a", "b", "c", "d", "e", "f", "g"];
    columns.extend(derived());
    for _ in 0..random.random_range(1..=3) {
        let column = columns.swap_remove(random.random_range(0..columns.len()));
        entry(random, column, derived().len() > 0, &mut text);
    }
    text
}

/// One entry: some operations that fit the column over some windows.
fn entry(random: &mut StdRng, column: &str, has_derived: bool, text: &mut String) {
    let fitting: &[&str] = match column {
        "" => &["count"],
        // Sums of these would leave 64 bits.
        "i_large" => &["count", "min", "max", "first", "last", "distinct_count", "top_k(2)"],
        "a" | "b" | "f" | "g" | "f_ratio" | "f_chosen" | "i_hour" => &[
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
        "d" | "b_near" => &["count", "first", "last", "last_k(2)", "distinct_count"],
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
    if column == "g" {
        text.push_str("    over: elements\n");
    }
    match random.random_range(0..8) {
        0 | 1 if has_derived && column != "i_hour" => text.push_str("    by: i_hour\n"),
        0 if column != "c" => text.push_str("    by: c\n"),
        2 => text.push_str("    by: p\n"),
        _ => {}
    }
}

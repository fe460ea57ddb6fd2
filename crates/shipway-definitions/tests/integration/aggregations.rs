//! Operations with parameters, buckets, and columns of lists: how they are written, named, typed and refused.

use insta::assert_snapshot;
use shipway_definitions::DefinitionSet;

use crate::{parse, valid};

const LISTS: &str = "
kind: entity
name: origin
keys: { origin: text }
---
kind: source
name: departures
event_time: departed_at
columns: { departed_at: timestamp, origin: text, carrier: text, dep_delay: float, tags: list(text), embedding: list(float) }
";

const BUCKETS_AND_LISTS: &str = "
kind: view
name: v
entity: origin
source: departures
aggregate:
  - { column: dep_delay, operations: [avg, last_k(2)], windows: [1h], by: carrier }
  - { operations: [count], windows: [1h, lifetime], by: carrier }
  - { column: embedding, operations: [avg, last], windows: [1h], over: positions }
  - { column: tags, operations: [distinct_count, top_k(2)], windows: [1h], over: elements }
  - { column: embedding, operations: [last_k(2)], windows: [1h] }
";

fn view(entry: &str) -> String {
    format!(
        "kind: view\nname: v\nentity: origin\nsource: departures\naggregate:\n  - {}\n",
        entry.trim().replace('\n', "\n    ")
    )
}

fn refused(entry: &str) -> String {
    parse(&[&view(entry), LISTS]).unwrap_err()
}

fn outputs(set: &DefinitionSet) -> String {
    let outputs = set.view("v").unwrap().definition.outputs();
    outputs.iter().map(|(name, data_type)| format!("{name}: {data_type}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn names_carry_the_parameter_and_the_bucket_and_types_follow() {
    let set = valid(&[
        &view(
            "column: dep_delay
operations: [skew, kurtosis, last_k(5), first_k(2), top_k(3), bottom_k(3), approx_quantile(0.95), approx_quantile(0.5), histogram(20), approx_distinct, distinct_count(50)]
windows: [1h]",
        ),
        LISTS,
    ]);
    assert_snapshot!(outputs(&set), @r"
    dep_delay_skew_1h: float
    dep_delay_kurtosis_1h: float
    dep_delay_last_k_5_1h: list(float)
    dep_delay_first_k_2_1h: list(float)
    dep_delay_top_k_3_1h: list(float)
    dep_delay_bottom_k_3_1h: list(float)
    dep_delay_approx_quantile_95_1h: float
    dep_delay_approx_quantile_50_1h: float
    dep_delay_histogram_20_1h: map(int)
    dep_delay_approx_distinct_1h: int
    dep_delay_distinct_count_1h: int
    ");
    let set = valid(&[BUCKETS_AND_LISTS, LISTS]);
    assert_snapshot!(outputs(&set), @r"
    dep_delay_avg_by_carrier_1h: map(float)
    dep_delay_last_k_2_by_carrier_1h: map(list(float))
    count_by_carrier_1h: map(int)
    count_by_carrier_lifetime: map(int)
    embedding_avg_1h: list(float)
    embedding_last_1h: list(float)
    tags_distinct_count_1h: int
    tags_top_k_2_1h: list(text)
    embedding_last_k_2_1h: list(list(float))
    ");
}

#[test]
fn a_wrong_parameter_is_refused_with_what_to_write() {
    assert_snapshot!(refused("column: dep_delay\noperations:\n  - last_k\n  - last_k(0)\n  - top_k(x)\n  - top_k(1001)\n  - histogram(1)\n  - approx_quantile(1)\n  - approx_quantile(0.0)\n  - approx_quantile(95)\n  - avg(2)\n  - last_kk(5)\nwindows: [1h]"), @r"
    a.yaml:8: view v: operation last_k needs a parameter
      hint: write last_k(5): a whole number from 1 to 1000
    a.yaml:9: view v: operation last_k does not take (0)
      hint: write last_k(5): a whole number from 1 to 1000
    a.yaml:10: view v: operation top_k does not take (x)
      hint: write top_k(5): a whole number from 1 to 1000
    a.yaml:11: view v: operation top_k does not take (1001)
      hint: write top_k(5): a whole number from 1 to 1000
    a.yaml:12: view v: operation histogram does not take (1)
      hint: write histogram(5): a whole number from 2 to 1000
    a.yaml:13: view v: operation approx_quantile does not take (1)
      hint: write approx_quantile(0.95): a number between 0 and 1 with at most six digits
    a.yaml:14: view v: operation approx_quantile does not take (0.0)
      hint: write approx_quantile(0.95): a number between 0 and 1 with at most six digits
    a.yaml:15: view v: operation approx_quantile does not take (95)
      hint: write approx_quantile(0.95): a number between 0 and 1 with at most six digits
    a.yaml:16: view v: operation avg takes no parameter
      hint: write avg
    a.yaml:17: view v: operation last_kk does not exist
      hint: did you mean last_k?
    ");
    assert_snapshot!(refused("column: carrier\noperations: [distinct_count(5)]\nwindows: [1h]\nbound: 7"), @r"
    a.yaml:7: view v: the bound of distinct_count(5) is given twice
      hint: remove `bound:`, or write distinct_count
    ");
}

#[test]
fn buckets_and_lists_need_columns_that_fit() {
    assert_snapshot!(refused("column: dep_delay\noperations: [avg]\nwindows: [1h]\nby: dep_delay"), @r"
    a.yaml:9: view v: column dep_delay is float; by needs a bool, an int, a decimal, a text or a timestamp
      hint: name a column of few distinct values with `by:`
    ");
    assert_snapshot!(refused("column: dep_delay\noperations: [avg]\nwindows: [1h]\nby: carier"), @r"
    a.yaml:9: view v: column carier is not in source departures
      hint: did you mean carrier?
    ");
    assert_snapshot!(refused("column: dep_delay\noperations: [avg]\nwindows: [1h]\nover: positions"), @r"
    a.yaml:9: view v: column dep_delay is float; over: positions needs a list
      hint: remove `over:`, or name a column of lists
    ");
    assert_snapshot!(refused("column: embedding\noperations: [avg]\nwindows: [1h]\nover: position"), @r"
    a.yaml:9: view v: over position does not exist
      hint: did you mean positions?
    ");
    assert_snapshot!(refused("column: embedding\noperations: [avg]\nwindows: [1h]"), @r"
    a.yaml:7: view v: column embedding is list(float); avg needs a number
      hint: say `over: elements` or `over: positions`, to look into the lists
    ");
    assert_snapshot!(refused("column: embedding\noperations: [last_k(2)]\nwindows: [1h]\nover: positions\nby: carrier"), @r"
    a.yaml:7: view v: the values of last_k(2) would be lists or maps three deep
      hint: leave `by:` or `over: positions` away for this operation
    ");
    assert_snapshot!(parse(&["kind: entity\nname: e\nkeys: { tags: list(text) }\n---\nkind: source\nname: s\nevent_time: at\ncolumns: { at: timestamp, m: map(int), l: list(list(int)) }\n"]).unwrap_err(), @r"
    a.yaml:3: entity e: key tags is list(text)
      hint: only the columns of a source can be lists
    a.yaml:8: source s: column l has the type list(list(int)), which does not exist
      hint: the types are bool, int, float, text, timestamp, decimal(18,2), and list(…) of each
    a.yaml:8: source s: column m has the type map(int), which does not exist
      hint: the types are bool, int, float, text, timestamp, decimal(18,2), and list(…) of each
    ");
}

#[test]
fn what_changes_a_value_changes_the_hash_and_the_stored_form_keeps_it() {
    let set = |entry: &str| valid(&[&view(entry), LISTS]);
    let hash = |entry: &str| set(entry).view("v").unwrap().hash;
    let entries = [
        "column: dep_delay\noperations: [last_k(5)]\nwindows: [1h]\nas: f",
        "column: dep_delay\noperations: [last_k(6)]\nwindows: [1h]\nas: f",
        "column: dep_delay\noperations: [first_k(5)]\nwindows: [1h]\nas: f",
        "column: dep_delay\noperations: [approx_quantile(0.5)]\nwindows: [1h]\nas: f",
        "column: dep_delay\noperations: [approx_quantile(0.51)]\nwindows: [1h]\nas: f",
        "column: dep_delay\noperations: [last_k(5)]\nwindows: [1h]\nas: f\nby: carrier",
        "column: dep_delay\noperations: [last_k(5)]\nwindows: [1h]\nas: f\nby: origin",
        "column: embedding\noperations: [count]\nwindows: [1h]\nas: f",
        "column: embedding\noperations: [count]\nwindows: [1h]\nas: f\nover: elements",
        "column: embedding\noperations: [count]\nwindows: [1h]\nas: f\nover: positions",
    ];
    for (index, entry) in entries.iter().enumerate() {
        for other in &entries[..index] {
            assert_ne!(hash(entry), hash(other), "{entry} and {other}");
        }
        let set = set(entry);
        let (json, hash) = set.stored(shipway_definitions::DefinitionKind::View, "v").unwrap();
        let mut restored = DefinitionSet::default();
        restored.restore(shipway_definitions::DefinitionKind::View, &json.to_string(), hash, true).unwrap();
        assert_eq!(restored.view("v").unwrap(), set.view("v").unwrap(), "{entry}");
    }
    assert_eq!(
        hash("column: dep_delay\noperations: [approx_quantile(0.5)]\nwindows: [1h]"),
        hash("column: dep_delay\noperations: [approx_quantile(.50)]\nwindows: [1h]")
    );
}

//! Every error in the words a person reads: file, line, thing, remedy.

use insta::assert_snapshot;

use crate::{BASE, SERVICE, VIEW, parse, refused};

#[test]
fn a_misspelt_column_gets_the_nearest_name() {
    let text = VIEW.replace("column: dep_delay", "column: dep_dellay");
    assert_snapshot!(refused(&text), @r"
    a.yaml:8: view origin_traffic: column dep_dellay is not in source departures
      hint: did you mean dep_delay?
    ");
}

#[test]
fn all_errors_of_all_files_come_at_once_in_order() {
    let view = VIEW.replace("source: departures", "source: departure").replace("[30m, 1h]", "[30m, 10x]");
    let service = SERVICE.replace("origin_traffic", "origin_trafic").replace("month: int", "month: integer");
    assert_snapshot!(parse(&[&service, &view, BASE]).unwrap_err(), @r"
    a.yaml:3: service late_arrivals: view origin_trafic does not exist
      hint: did you mean origin_traffic?
    a.yaml:4: service late_arrivals: request column month has the type integer, which does not exist
      hint: the types are bool, int, float, text, timestamp, decimal(18,2)
    b.yaml:4: view origin_traffic: source departure does not exist
      hint: did you mean departures?
    b.yaml:7: view origin_traffic: window `10x` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s
    ");
}

#[test]
fn unknown_fields_and_kinds_get_the_nearest_name() {
    assert_snapshot!(refused("kind: veiw\nname: x\n---\nname: y\n---\nkind: 7\nname: z\n---\n- a list\n"), @r"
    a.yaml:1: definition: kind veiw does not exist
      hint: did you mean view?
    a.yaml:4: definition: kind is missing
      hint: the kinds are entity, source, view, service, gate, sink, llm_guardrail, llm_model
    a.yaml:6: definition: kind is text, got a number
      hint: put it in quotes
    a.yaml:9: definition: a definition is a map, this is a list
      hint: start it with `kind: …`
    ");
    let text = VIEW.replace("freshness:", "freshnes:").replace("windows: [1h]", "window: [1h]");
    assert_snapshot!(refused(&text), @r"
    a.yaml:8: view origin_traffic: windows is missing in aggregate
    a.yaml:10: view origin_traffic: field window does not exist in aggregate
      hint: did you mean windows?
    a.yaml:11: view origin_traffic: field freshnes does not exist
      hint: did you mean freshness?
    ");
    assert_snapshot!(refused("kind: view\nname: v\nname: w\nentity: origin\nsource: departures\nlatest: [gate]\n"), @"a.yaml:3: view v: field name is given twice");
}

#[test]
fn names_obey_the_rule_for_names() {
    assert_snapshot!(refused("kind: entity\nname: Origin\nkeys: { _arrival: text, 1st: text, ok: text }\n"), @r"
    a.yaml:2: entity Origin: name `Origin` is not a name
      hint: use a lower-case letter, then at most 62 of a-z, 0-9 and _
    a.yaml:3: entity Origin: key `1st` is not a name
      hint: use a lower-case letter, then at most 62 of a-z, 0-9 and _
    a.yaml:3: entity Origin: key `_arrival` is not a name
      hint: names that start with _ belong to the system; rename it
    ");
    assert_snapshot!(refused("kind: entity\nkeys: { a: text }\n---\nkind: entity\nname: 12\nkeys: {}\n"), @r"
    a.yaml:1: entity: name is missing
    a.yaml:5: entity: name is text, got a number
      hint: put it in quotes
    a.yaml:6: entity: keys is empty
    ");
}

#[test]
fn system_columns_belong_to_the_system() {
    let text = "kind: source\nname: s\nevent_time: at\ncolumns:\n  at: timestamp\n  _event_id: text\n";
    assert_snapshot!(refused(text), @r"
    a.yaml:6: source s: column `_event_id` is not a name
      hint: names that start with _ belong to the system; rename it
    ");
}

#[test]
fn a_source_declares_its_times_and_ids() {
    assert_snapshot!(refused("kind: source\nname: s\nevent_time: ta\nevent_id: id\ncolumns: { at: timestamp, id: float }\n"), @r"
    a.yaml:3: source s: event_time ta is not in columns
      hint: did you mean at?
    a.yaml:5: source s: column id is float; event_id needs text or int
      hint: declare it as text or int
    ");
    assert_snapshot!(refused("kind: source\nname: s\nevent_time: at\ncolumns: { at: text, b: string, b: int }\nmax_ahead: 5\ndedupe: soon\n"), @r"
    a.yaml:4: source s: column at is text; event_time needs timestamp
      hint: declare it as timestamp
    a.yaml:4: source s: column b has the type string, which does not exist
      hint: the types are bool, int, float, text, timestamp, decimal(18,2), and list(…) of each
    a.yaml:5: source s: max_ahead `5` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m; the smallest is 1s
    a.yaml:6: source s: dedupe `soon` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m; the smallest is 1s
    ");
    assert_snapshot!(refused("kind: source\nname: s\n"), @r"
    a.yaml:1: source s: columns is missing
    a.yaml:1: source s: event_time is missing
    ");
}

#[test]
fn a_float_is_no_key() {
    assert_snapshot!(refused("kind: entity\nname: e\nkeys: { weight: float }\n"), @r"
    a.yaml:3: entity e: key weight is float, which identifies nothing
      hint: a float that is computed twice may differ in its last bit; use int or text
    ");
}

#[test]
fn an_operation_fits_the_type_of_its_column() {
    let text = "kind: view
name: v
entity: origin
source: departures
aggregate:
  - column: gate
    operations: [avg, last, median]
    windows: [1h]
  - column: delayed
    operations: [max]
    windows: [1h]
  - operations: [count, sum]
    windows: [1h]
";
    assert_snapshot!(refused(text), @r"
    a.yaml:7: view v: column gate is text; avg needs a number
      hint: use another operation, or declare gate in the source as what it holds
    a.yaml:7: view v: operation median does not exist
      hint: the operations are count, sum, avg, min, max, var, stddev, skew, kurtosis, first, last, first_k, last_k, top_k, bottom_k, distinct_count, approx_distinct, approx_quantile, histogram
    a.yaml:10: view v: column delayed is bool; max needs a number, a time or text
      hint: use another operation, or declare delayed in the source as what it holds
    a.yaml:12: view v: sum needs a column
      hint: add `column:` to this entry of the view
    ");
}

#[test]
fn a_window_is_at_least_a_second_and_within_the_retention() {
    let text = VIEW.replace("[30m, 1h]", "[500ms, 0s, 1.5h, 30, forever, 401d, lifetime]");
    assert_snapshot!(refused(&text), @r"
    a.yaml:7: view origin_traffic: window 401d is longer than source departures keeps events, 400d
      hint: raise retention of source departures, or shorten the window
    a.yaml:7: view origin_traffic: window `0s` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s
    a.yaml:7: view origin_traffic: window `1.5h` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s
    a.yaml:7: view origin_traffic: window `30` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s
    a.yaml:7: view origin_traffic: window `500ms` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s
    a.yaml:7: view origin_traffic: window `forever` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m, or lifetime; the smallest is 1s
    ");
}

#[test]
fn ttl_belongs_to_latest_views() {
    assert_snapshot!(refused(&format!("{VIEW}ttl: 3h\n")), @r"
    a.yaml:12: view origin_traffic: ttl belongs to latest views only
      hint: remove it; the windows say what an aggregate looks at
    ");
    assert_snapshot!(refused(&format!("{VIEW}latest: [gate]\n")), @r"
    a.yaml:12: view origin_traffic: a view has aggregate or latest, not both
      hint: make two views of them
    ");
    assert_snapshot!(refused("kind: view\nname: v\nentity: origin\nsource: departures\n"), @r"
    a.yaml:1: view v: aggregate or latest is missing
      hint: say what it computes with `aggregate:` or `latest:`
    ");
    assert_snapshot!(refused("kind: view\nname: v\nentity: origin\nsource: departures\nlatest: [gate, gate, gat]\nttl: 500d\n"), @r"
    a.yaml:5: view v: column gat is not in source departures
      hint: did you mean gate?
    a.yaml:5: view v: column gate is listed twice
      hint: remove one of them
    a.yaml:6: view v: ttl 500d is longer than source departures keeps events, 400d
      hint: raise retention of source departures, or shorten the ttl
    ");
}

#[test]
fn two_features_of_one_name_are_refused() {
    let text = VIEW.replace("[30m, 1h]", "[24h, 1d]");
    assert_snapshot!(refused(&text), @r"
    a.yaml:6: view origin_traffic: feature count_1d is there twice
      hint: remove one of them, or name it with `as:`
    ");
}

#[test]
fn an_override_names_exactly_one_feature() {
    let text = VIEW.replace("operations: [count]", "operations: [count]\n    as: recent");
    assert_snapshot!(refused(&text), @r"
    a.yaml:6: view origin_traffic: feature recent is there twice
      hint: remove one of them, or name it with `as:`
    a.yaml:7: view origin_traffic: as: recent names one feature, this entry makes 2
      hint: give it an entry with one operation and one window
    ");
    let clash = VIEW.replace("operations: [avg]", "operations: [avg]\n    as: count_1h");
    assert_snapshot!(refused(&clash), @r"
    a.yaml:8: view origin_traffic: feature count_1h is there twice
      hint: remove one of them, or name it with `as:`
    ");
}

#[test]
fn a_feature_name_that_is_too_long_asks_for_an_override() {
    let column = "a".repeat(60);
    let source = format!(
        "kind: source\nname: s\nevent_time: at\ncolumns: {{ at: timestamp, origin: text, {column}: float }}\n"
    );
    let view = format!(
        "---\nkind: view\nname: v\nentity: origin\nsource: s\naggregate:\n  - {{ column: {column}, operations: [avg], windows: [1h] }}\n"
    );
    assert_snapshot!(refused(&format!("{source}{view}")), @r"
    a.yaml:11: view v: feature aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa_avg_1h has a name of more than 63 characters
      hint: give it an entry of its own with a shorter name in `as:`
    ");
}

#[test]
fn a_distinct_count_has_a_bound_within_limits() {
    let text = "kind: view
name: v
entity: origin
source: departures
aggregate:
  - { column: gate, operations: [distinct_count], windows: [1h], bound: 0 }
  - { column: dest, operations: [last], windows: [1h], bound: 10 }
  - { column: dest, operations: [distinct_count], windows: [1h], bound: 1000001 }
";
    assert_snapshot!(refused(text), @r"
    a.yaml:6: view v: bound is the most distinct values that are counted exactly, a whole number
      hint: write a number from 1 to 1000000
    a.yaml:7: view v: bound belongs to distinct_count only
      hint: remove it, or add distinct_count to operations
    a.yaml:8: view v: bound is the most distinct values that are counted exactly, a whole number
      hint: write a number from 1 to 1000000
    ");
}

#[test]
fn the_keys_of_an_entity_are_columns_of_the_source() {
    let source =
        "kind: source\nname: s\nevent_time: at\ncolumns: { at: timestamp, from: text, origin: int }\n---\n";
    let view = |keys: &str, entity: &str| {
        format!("{source}kind: view\nname: v\nentity: {entity}\nsource: s\n{keys}latest: [from]\n")
    };
    assert_snapshot!(refused(&view("", "origin")), @r"
    a.yaml:7: view v: column origin is int in source s; key origin of entity origin is text
      hint: declare both with one type, or name another column with `keys: […]`
    ");
    assert_snapshot!(refused(&view("", "route")), @r"
    a.yaml:7: view v: column dest, a key of entity route, is not in source s
      hint: name the columns that hold the entity's keys with `keys: […]`
    a.yaml:7: view v: column origin is int in source s; key origin of entity route is text
      hint: declare both with one type, or name another column with `keys: […]`
    ");
    assert_snapshot!(refused(&view("keys: [form, from, at]\n", "route")), @r"
    a.yaml:10: view v: keys has 3 columns, entity route has 2 keys
      hint: name a column of the source for each of origin, dest, in this order
    ");
    assert_snapshot!(refused(&view("keys: [form]\n", "origin")), @r"
    a.yaml:10: view v: column form, a key of entity origin, is not in source s
      hint: did you mean from?
    ");
    assert!(parse(&[&view("keys: [from]\n", "origin"), BASE]).is_ok());
}

#[test]
fn a_service_refuses_what_would_clash() {
    let text = format!(
        "{VIEW}---\nkind: service\nname: s\nviews: [origin_traffic, 'origin_traffic:count_1h', 'origin_traffic:count_2h', nothing_like_it]\nrequest: {{ origin: text, origin_traffic__count_1h: int, month: int, month: int }}\n"
    );
    assert_snapshot!(refused(&text), @r"
    a.yaml:15: service s: feature origin_traffic:count_1h is listed twice
      hint: remove one of them
    a.yaml:15: service s: view nothing_like_it does not exist
      hint: define it, or name another view
    a.yaml:15: service s: view origin_traffic has no feature count_2h
      hint: did you mean origin_traffic:count_1h?
    a.yaml:16: service s: request column month is given twice
    a.yaml:16: service s: request column origin is a key of the service's entities already
      hint: give it another name
    a.yaml:16: service s: request column origin_traffic__count_1h has the name of a feature's column
      hint: give it another name
    ");
    let text = "kind: entity
name: gate
keys: { origin: bool }
---
kind: view
name: delays
entity: gate
source: departures
keys: [delayed]
latest: [gate]
---
kind: view
name: gates
entity: origin
source: departures
latest: [gate]
---
kind: service
name: s
views: [delays, gates]
---
kind: service
name: without_columns
";
    assert_snapshot!(refused(text), @r"
    a.yaml:19: service s: key origin is text for view gates and bool for an earlier view
      hint: a request carries one value for it; give the entities' keys one type
    a.yaml:22: service without_columns: views is missing
      hint: list its views with `views: […]`
    ");
}

#[test]
fn two_column_names_that_concatenate_equal_are_refused() {
    let text = "kind: view
name: a
entity: origin
source: departures
aggregate: [{ operations: [count], windows: [1h], as: b__c }]
---
kind: view
name: a__b
entity: origin
source: departures
aggregate: [{ operations: [count], windows: [1h], as: c }]
---
kind: service
name: s
views: [a, a__b]
";
    assert_snapshot!(refused(text), @r"
    a.yaml:14: service s: column a__b__c is also what a:b__c is called
      hint: rename one of the views or features, without two underscores in a row
    ");
}

#[test]
fn a_gate_has_requirements_with_one_rule_each() {
    let text = "kind: gate
name: g
model: m
alias: champion
require:
  - { metric: auc }
  - { metric: auc, beats: holder, at_least: 0.7 }
  - { metric: auc, beats: everyone }
  - { metric: auc, beats: holder, by: -1 }
  - { metric: auc, at_least: high, by: 1 }
  - { metric: auc, at_most: .inf }
  - { evaluation: somebody_elses }
  - { evaluation: own_artifact, dataset: d }
  - { metric: auc, evaluation: own_artifact }
  - { dataset: d }
  - own_artifact
---
kind: gate
name: h
require: []
";
    assert_snapshot!(refused(text), @r"
    a.yaml:6: gate g: a metric without a rule
      hint: write exactly one of `beats: holder`, `at_least: …`, `at_most: …`
    a.yaml:7: gate g: a metric with more than one rule
      hint: write exactly one of `beats: holder`, `at_least: …`, `at_most: …`
    a.yaml:8: gate g: beats names something other than the holder
      hint: write beats: holder
    a.yaml:9: gate g: by is negative
      hint: a candidate that may be worse does not beat the holder
    a.yaml:10: gate g: at_least is a number, got text
    a.yaml:10: gate g: by belongs to beats
      hint: remove it
    a.yaml:11: gate g: at_most is a number, got no finite one
    a.yaml:12: gate g: evaluation somebody_elses does not exist
      hint: write evaluation: own_artifact
    a.yaml:13: gate g: dataset belongs to a metric
      hint: make it a requirement of its own
    a.yaml:14: gate g: metric and evaluation in one requirement
      hint: make two requirements of them
    a.yaml:15: gate g: a requirement without metric, evaluation or verified
      hint: write `metric: …` with a rule, `evaluation: own_artifact`, or `verified: …`
    a.yaml:16: gate g: expected a map in require, got text
      hint: the fields are metric, dataset, beats, by, at_least, at_most, evaluation, verified, within, vectors
    a.yaml:18: gate h: alias is missing
    a.yaml:18: gate h: model is missing
    a.yaml:20: gate h: require is empty
    ");
}

#[test]
fn freshness_says_what_happens_beyond_it() {
    let text = VIEW.replace("objective: 1h, beyond: serve", "beyond: ignore, objectiv: 1h");
    assert_snapshot!(refused(&text), @r"
    a.yaml:11: view origin_traffic: beyond ignore does not exist
      hint: write one of serve, null, refuse
    a.yaml:11: view origin_traffic: field objectiv does not exist in freshness
      hint: did you mean objective?
    a.yaml:11: view origin_traffic: objective is missing in freshness
    ");
}

#[test]
fn a_name_that_is_defined_twice_names_the_other_place() {
    assert_snapshot!(parse(&[BASE, "kind: entity\nname: origin\nkeys: { o: text }\n"]).unwrap_err(), @r"
    b.yaml:2: entity origin: is defined twice
      hint: the other one is at a.yaml:2; give one of them another name
    ");
}

#[test]
fn a_file_that_is_not_yaml_hides_no_errors_of_the_others_and_invents_none() {
    let view = VIEW.replace("[avg]", "[avrg]");
    assert_snapshot!(parse(&["kind: entity\nname: [a\nkeys: }\n", &view, BASE]).unwrap_err(), @r"
    a.yaml:3: not readable as YAML: illegal placement of ':' indicator
    b.yaml:9: view origin_traffic: operation avrg does not exist
      hint: did you mean avg?
    ");
    assert_snapshot!(parse(&["kind: entity\nname: {\n", VIEW]).unwrap_err(), @"a.yaml:2: not readable as YAML: unclosed bracket '{'");
}

#[test]
fn what_refers_to_a_broken_definition_is_not_blamed() {
    let source = "kind: source\nname: s\nevent_time: at\ncolumns: { at: timestamp, x: strin }\n---\n";
    let view = "kind: view\nname: v\nentity: origin\nsource: s\nlatest: [x]\n---\n";
    let service = "kind: service\nname: t\nviews: ['v:x']\n";
    assert_snapshot!(refused(&format!("{source}{view}{service}")), @r"
    a.yaml:4: source s: column x has the type strin, which does not exist
      hint: the types are bool, int, float, text, timestamp, decimal(18,2), and list(…) of each
    ");
}

#[test]
fn text_fields_want_text() {
    assert_snapshot!(refused("kind: entity\nname: e\nkeys: [a, b]\nowner: 3\ndescription: ''\n"), @r"
    a.yaml:3: entity e: keys is a map, got a list
      hint: write keys: { name: type, … }
    a.yaml:4: entity e: owner is text, got a number
      hint: put it in quotes
    a.yaml:5: entity e: description is text, got nothing
    ");
    assert_snapshot!(refused("kind: view\nname: v\nentity: true\nsource: { a: b }\nlatest: gate\n"), @r"
    a.yaml:3: view v: entity is text, got a boolean
      hint: put it in quotes
    a.yaml:4: view v: source is text, got a map
    a.yaml:5: view v: latest is a list, got text
      hint: write latest: […]
    ");
}

//! Conditions, derived columns and computed columns: what they may name, what they change, and what is refused.

use insta::assert_snapshot;
use shipway_core::DataType;
use shipway_definitions::{ColumnOrigin, DefinitionKind, DefinitionSet};

use crate::{BASE, SERVICE, VIEW, refused, valid};

/// A view with every place in which a derived column can stand.
const DERIVING: &str = "
kind: view
name: late_gates
entity: route
source: departures
where: \"dep_delay > 0 AND busy\"
derive:
  place: \"lower(origin)\"
  minutes: \"coalesce(dep_delay, 0)\"
  busy: \"minutes > 30 OR delayed\"
keys: [place, dest]
aggregate:
  - { column: minutes, operations: [avg], windows: [1h], by: busy }
";

const COMPUTING: &str = "
kind: service
name: late_arrivals
views: [origin_traffic]
request: { month: int, distance: float }
compute:
  per_mile: \"origin_traffic__dep_delay_avg_1h / distance\"
  slow: \"per_mile > 1 AND month <= 6\"
  hour: \"EXTRACT(hour FROM at)\"
  place: \"upper(origin)\"
";

#[test]
fn derived_columns_stand_where_columns_of_the_source_do() {
    let set = valid(&[DERIVING, BASE]);
    let view = &set.view("late_gates").unwrap().definition;
    let names: Vec<&str> = view.column_types.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["delayed", "dep_delay", "dest", "origin"], "the columns of the source that are read");
    let keys: Vec<&str> = view.key_columns.iter().map(|name| name.as_str()).collect();
    assert_eq!(keys, ["place", "dest"]);
    let outputs = view.outputs();
    assert_eq!(outputs[0].0.as_str(), "minutes_avg_by_busy_1h");
    assert_eq!(view.column_type("busy"), Some(DataType::Bool));

    let latest = "kind: view\nname: last\nentity: origin\nsource: departures\nderive: { late: \"dep_delay > 0\" }\nlatest: [late]";
    let set = valid(&[latest, BASE]);
    assert_eq!(set.view("last").unwrap().definition.outputs()[0].1, DataType::Bool);
}

#[test]
fn computed_columns_come_behind_the_request_with_their_types() {
    let set = valid(&[COMPUTING, VIEW, BASE]);
    let columns = set.service("late_arrivals").unwrap().definition.columns().to_vec();
    let computed: Vec<(String, DataType)> = columns
        .iter()
        .filter(|column| column.origin == ColumnOrigin::Computed)
        .map(|column| (column.name.clone(), column.data_type))
        .collect();
    let expected = [
        ("per_mile", DataType::Float),
        ("slow", DataType::Bool),
        ("hour", DataType::Int),
        ("place", DataType::Text),
    ];
    assert_eq!(computed, expected.map(|(name, data_type)| (name.to_owned(), data_type)));
    assert_eq!(columns.len(), 3 + 2 + 4);
    assert!(columns[5..].iter().all(|column| column.origin == ColumnOrigin::Computed));
}

#[test]
fn an_expression_is_part_of_the_version_and_nothing_changes_without_one() {
    let hash = |view: &str| valid(&[view, BASE]).view("late_gates").unwrap().hash;
    let original = hash(DERIVING);
    for (from, to) in [
        ("dep_delay > 0", "dep_delay > 1"),
        ("coalesce(dep_delay, 0)", "coalesce(dep_delay, 1)"),
        ("where: \"dep_delay > 0 AND busy\"\n", ""),
        (
            "  minutes: \"coalesce(dep_delay, 0)\"\n",
            "  unused: \"1\"\n  minutes: \"coalesce(dep_delay, 0)\"\n",
        ),
    ] {
        assert!(DERIVING.contains(from));
        assert_ne!(hash(&DERIVING.replace(from, to)), original, "{from} -> {to}");
    }
    let int = BASE.replace("dep_delay: float", "dep_delay: int");
    assert_ne!(
        valid(&[DERIVING, &int]).view("late_gates").unwrap().hash,
        original,
        "the type of what is read"
    );
    let added = BASE.replace("gate: text", "gate: text, added: int");
    assert_eq!(valid(&[DERIVING, &added]).view("late_gates").unwrap().hash, original, "an added column");

    let service = |text: &str| valid(&[text, VIEW, BASE]).service("late_arrivals").unwrap().hash;
    assert_ne!(service(&COMPUTING.replace("month <= 6", "month < 6")), service(COMPUTING));
}

/// These hashes name tiles on disk, as those without expressions do.
#[test]
fn the_canonical_form_with_expressions_stays_what_it_is() {
    let set = valid(&[BASE, DERIVING, VIEW, COMPUTING]);
    let lines = [
        format!("view {}", set.view("late_gates").unwrap().hash),
        format!("service {}", set.service("late_arrivals").unwrap().hash),
    ];
    assert_snapshot!(lines.join("\n"), @r"
    view sha256:45ecb5b3cee886b52296fd6626fefeba77b535be33db0502403e586bf25fb698
    service sha256:001c361a5278c72934398a12067dc51549f2766888304351f21a4150ce3f4165
    ");
}

#[test]
fn a_set_with_expressions_survives_its_stored_form() {
    let set = valid(&[BASE, DERIVING, VIEW, COMPUTING]);
    let mut restored = DefinitionSet::default();
    for kind in DefinitionKind::ALL {
        for name in set.names(kind) {
            let (json, hash) = set.stored(kind, name.as_str()).unwrap();
            restored.restore(kind, &json.to_string(), hash, true).unwrap();
        }
    }
    assert_eq!(restored, set);
}

#[test]
fn an_error_in_an_expression_has_its_file_line_place_and_remedy() {
    let view = |from: &str, to: &str| refused(&DERIVING.replace(from, to));
    assert_snapshot!(view("dep_delay > 0", "dep_dellay > 0"), @r"
    a.yaml:5: view late_gates: where: column dep_dellay does not exist here (at character 1)
      hint: did you mean dep_delay?
    ");
    assert_snapshot!(view("dep_delay > 0 AND busy", "minutes + 1"), @r"
    a.yaml:5: view late_gates: where: the result is float
      hint: write a condition, such as amount > 0
    ");
    assert_snapshot!(view("lower(origin)", "lowre(origin)"), @r"
    a.yaml:7: view late_gates: column place of derive: function lowre does not exist (at character 1)
      hint: did you mean lower?
    ");
    assert_snapshot!(view("lower(origin)", "lower(dest"), @r"
    a.yaml:7: view late_gates: column place of derive: expected: ), found: EOF
      hint: write one SQL expression, such as price * quantity
    ");
    assert_snapshot!(view("minutes: \"coalesce(dep_delay, 0)\"", "gate: \"1\""), @r"
    a.yaml:8: view late_gates: column gate of derive is in source departures already
      hint: give it another name
    ");
    assert_snapshot!(view("minutes > 30", "later > 30"), @r"
    a.yaml:9: view late_gates: column busy of derive: column later does not exist here (at character 1)
      hint: the columns are flight_id, departed_at, origin, dest, dep_delay, gate, delayed, place, minutes
    ");
    assert_snapshot!(view("coalesce(dep_delay, 0)", "sum(dep_delay)"), @r"
    a.yaml:8: view late_gates: column minutes of derive: sum is an aggregate; an expression sees one row (at character 1)
      hint: aggregate over events with `aggregate:`, over what is derived here
    ");
    assert_snapshot!(view("lower(origin)", "length(origin)"), @r"
    a.yaml:10: view late_gates: column place is int in source departures; key origin of entity route is text
      hint: declare both with one type, or name another column with `keys: […]`
    ");
    assert_snapshot!(view("where: \"dep_delay > 0 AND busy\"", "where: true"), @r"
    a.yaml:5: view late_gates: where is text, got a boolean
      hint: put it in quotes
    ");
    assert_snapshot!(view("  busy:", "  place: \"1\"\n  busy:"), @"a.yaml:9: view late_gates: column place is given twice in derive");
}

#[test]
fn an_error_in_a_computed_column_has_its_place_and_remedy() {
    let service =
        |from: &str, to: &str| crate::parse(&[&COMPUTING.replace(from, to), VIEW, BASE]).unwrap_err();
    assert_snapshot!(service("/ distance", "/ distanc"), @r"
    a.yaml:6: service late_arrivals: column per_mile of compute: column distanc does not exist here (at character 36)
      hint: did you mean distance?
    ");
    assert_snapshot!(service("per_mile > 1", "place = 'JFK'"), @r"
    a.yaml:7: service late_arrivals: column slow of compute: column place does not exist here (at character 1)
      hint: the columns are origin, at, origin_traffic__count_30m, origin_traffic__count_1h, origin_traffic__dep_delay_avg_1h, month, distance, per_mile
    ");
    assert_snapshot!(service("EXTRACT(hour FROM at)", "now()"), @r"
    a.yaml:8: service late_arrivals: column hour of compute: now gives another answer each time (at character 1)
      hint: a value must come out again when it is computed again; in `compute`, `at` is the moment of the row
    ");
    assert_snapshot!(service("  hour:", "  month:"), @r"
    a.yaml:8: service late_arrivals: column month of compute has the name of another column
      hint: give it another name
    ");
    assert_snapshot!(service("  hour:", "  at:"), @r"
    a.yaml:8: service late_arrivals: column at of compute has the name of another column
      hint: give it another name
    ");
    assert_snapshot!(service("month: int", "at: timestamp, month: int"), @r"
    a.yaml:6: service late_arrivals: a key or request column is called at, which is the moment of the row in compute
      hint: give it another name
    ");
    assert_snapshot!(service("hour: \"EXTRACT(hour FROM at)\"", "hour: \"at\"\n  origin: \"1\""), @r"
    a.yaml:9: service late_arrivals: column origin of compute has the name of another column
      hint: give it another name
    ");
}

#[test]
fn a_request_column_may_be_called_at_where_nothing_is_computed() {
    let text = SERVICE.replace("month: int", "at: timestamp");
    assert_eq!(valid(&[&text, VIEW, BASE]).service("late_arrivals").unwrap().definition.request.len(), 1);
}

//! Where the history of a source comes from: what can be written, what is refused, and that it changes no hash.

use insta::assert_snapshot;
use shipway_core::{Length, Name};
use shipway_definitions::{BatchFormat, BatchFrom, DefinitionKind, DefinitionSet};

use crate::{refused, valid};

const SOURCE: &str = "kind: source
name: flights
event_time: at
event_id: id
columns: { at: timestamp, id: text, gate: text, delay: float }
";

fn with(batch: &str) -> String {
    format!("{SOURCE}batch:\n{batch}")
}

#[test]
fn a_source_names_its_files_their_columns_and_how_often_they_are_looked_at() {
    let text = with(
        "  files: s3://bucket/flights/*/*.csv.gz\n  columns: { at: Departed At, gate: dep_gate }\n  optional: [delay]\n  nulls: [NA]\n  every: 15m\n",
    );
    let set = valid(&[&text]);
    let batch = set.sources["flights"].definition.batch.clone().unwrap();
    assert_eq!(batch.location().to_string(), "s3://bucket/flights/*/*.csv.gz");
    let name = |text: &str| Name::new(text).unwrap();
    assert_eq!((batch.name_there(&name("at")), batch.name_there(&name("id"))), ("Departed At", "id"));
    assert!(batch.optional.contains(&name("delay")));
    assert_eq!(batch.every, Some(Length::from_micros(900_000_000).unwrap()));
    let BatchFrom::Files { format, nulls, .. } = &batch.from else { unreachable!() };
    assert_eq!((*format, nulls.as_slice()), (None, &["NA".to_owned()][..]));
    let named = valid(&[&with("  files: /data/flights/part-*\n  format: jsonl\n")]);
    let batch = named.sources["flights"].definition.batch.clone().unwrap();
    assert!(matches!(batch.from, BatchFrom::Files { format: Some(BatchFormat::Jsonl), .. }));
}

#[test]
fn where_history_comes_from_changes_no_hash() {
    let plain = valid(&[SOURCE]);
    for batch in ["  delta: /tables/flights\n", "  files: /data/*.parquet\n  every: 1h\n"] {
        let set = valid(&[&with(batch)]);
        assert_eq!(set.sources["flights"].hash, plain.sources["flights"].hash);
        assert_ne!(set.sources["flights"].definition, plain.sources["flights"].definition);
    }
}

#[test]
fn it_survives_its_stored_form_and_a_source_stored_without_it_has_none() {
    for batch in
        ["  delta: /tables/flights\n  columns: { at: ts }\n", "  files: /data/*.csv\n  nulls: [NA]\n"]
    {
        let set = valid(&[&with(batch)]);
        let (json, hash) = set.stored(DefinitionKind::Source, "flights").unwrap();
        let mut restored = DefinitionSet::default();
        restored.restore(DefinitionKind::Source, &json.to_string(), hash, true).unwrap();
        assert_eq!(restored, set);
    }
    let (json, _) = valid(&[SOURCE]).stored(DefinitionKind::Source, "flights").unwrap();
    assert!(json.get("batch").is_none(), "a release that knows no batch can still read it");
}

/// The stored form is read by every later version. If this test fails, the new code must still read this text.
#[test]
fn the_stored_form_stays_readable() {
    let set = valid(&[&with(
        "  files: s3://bucket/*.csv\n  columns: { at: ts }\n  optional: [delay]\n  every: 15m\n",
    )]);
    let (json, _) = set.stored(DefinitionKind::Source, "flights").unwrap();
    assert_snapshot!(json["batch"], @r#"{"from":{"files":{"pattern":"s3://bucket/*.csv","format":null,"nulls":[]}},"columns":{"at":"ts"},"optional":["delay"],"every":"15m"}"#);
}

#[test]
fn what_cannot_be_is_refused_at_its_line() {
    assert_snapshot!(refused(&with("  every: 15m\n")), @r"
    a.yaml:7: source flights: batch names neither files nor delta
      hint: add files: with a path or an s3:// address, or delta: with a table's folder
    ");
    assert_snapshot!(refused(&with("  files: /d/*.csv\n  delta: /d\n")), @r"
    a.yaml:8: source flights: batch has both files and delta
      hint: a source has one of the two; the other can be a source of its own
    ");
    assert_snapshot!(refused(&with("  files: data/*.csv\n")), @r"
    a.yaml:7: source flights: files `data/*.csv` is not a location: it starts with s3://, file:/// or /
      hint: such as s3://bucket/departures/*/*.parquet or /data/departures/**/*.csv
    ");
    assert_snapshot!(refused(&with("  files: /data/../etc/*.csv\n")), @r"
    a.yaml:7: source flights: files `/data/../etc/*.csv` is not a location: `.` and `..` are not allowed in it
      hint: such as s3://bucket/departures/*/*.parquet or /data/departures/**/*.csv
    ");
    assert_snapshot!(refused(&with("  files: https://example.org/x.csv\n")), @r"
    a.yaml:7: source flights: files `https://example.org/x.csv` is not a location: it starts with s3://, file:/// or /
      hint: such as s3://bucket/departures/*/*.parquet or /data/departures/**/*.csv
    ");
    assert_snapshot!(refused(&with("  files: /data/part-*\n")), @r"
    a.yaml:7: source flights: files /data/part-* does not say what format the files have
      hint: end it with one of .csv, .jsonl, .ndjson, .parquet, .csv.gz, .jsonl.gz, .ndjson.gz, or add format
    ");
    assert_snapshot!(refused(&with("  files: /d/*.csv\n  format: cvs\n")), @r"
    a.yaml:8: source flights: format cvs does not exist in batch
      hint: did you mean csv?
    ");
    assert_snapshot!(refused(&with("  delta: /d/*\n  nulls: [NA]\n")), @r"
    a.yaml:7: source flights: delta /d/* holds wildcards
      hint: name the folder of one table
    a.yaml:8: source flights: nulls is for files, and this is a Delta table
      hint: leave nulls out
    ");
    assert_snapshot!(refused(&with("  file: /d/*.csv\n")), @r"
    a.yaml:7: source flights: batch names neither files nor delta
      hint: add files: with a path or an s3:// address, or delta: with a table's folder
    a.yaml:7: source flights: field file does not exist in batch
      hint: did you mean files?
    ");
    assert_snapshot!(refused(&with("  files: /d/*.csv\n  columns: { gat: x, delay: gate }\n")), @r"
    a.yaml:8: source flights: column gat of batch is not in columns
      hint: did you mean at?
    a.yaml:8: source flights: columns gate and delay are both gate in batch
      hint: name a column of its own for each
    ");
    assert_snapshot!(refused(&with("  files: /d/*.csv\n  optional: [at, gat]\n  every: 10s\n")), @r"
    a.yaml:8: source flights: column at cannot be optional in batch
      hint: every event needs its time and, where events have one, its id
    a.yaml:8: source flights: column gat of batch is not in columns
      hint: did you mean at?
    a.yaml:9: source flights: every 10s is shorter than a minute
      hint: write 1m or more; `shipway sources refresh` looks at once
    ");
}

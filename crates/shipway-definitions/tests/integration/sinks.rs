//! What a sink may send, and where to.

use insta::assert_snapshot;
use shipway_definitions::{DefinitionFile, DefinitionSet, SinkFormat, SinkFrom, SinkTo};

use crate::{BASE, VIEW, parse, refused, valid};

const SINK: &str = "
kind: sink
name: traffic
from: { view: origin_traffic }
to: { broker: main, topic: features.origin_traffic, format: json }
every: 2s
owner: ops
";

#[test]
fn a_sink_says_what_is_sent_and_where_to() {
    let set = valid(&[BASE, VIEW, SINK]);
    let sink = &set.sink("traffic").unwrap().definition;
    assert_eq!(sink.from, SinkFrom::View("origin_traffic".parse().unwrap()));
    let SinkTo::Topic { broker, topic, format, key } = &sink.to else { panic!("a topic") };
    assert_eq!(
        (broker.as_str(), topic.as_str(), *format),
        ("main", "features.origin_traffic", SinkFormat::Json)
    );
    assert!(key.is_empty());
    assert_eq!(sink.every.unwrap().micros(), 2_000_000);
    assert_eq!(sink.from.to_string(), "view origin_traffic");
    assert_eq!(sink.to.to_string(), "topic features.origin_traffic of broker main");

    let others = "kind: sink\nname: a\nfrom: { deployment: late }\nto: { broker: b, topic: T, format: avro, key: [origin, row] }\n---\n\
                  kind: sink\nname: b\nfrom: { table: predictions__late }\nto: { broker: b, topic: T, format: json }\n---\n\
                  kind: sink\nname: c\nfrom: { view: origin_traffic }\nto: { table: traffic_rows }\n";
    let set = valid(&[BASE, VIEW, others]);
    let key = |name: &str| match &set.sink(name).unwrap().definition.to {
        SinkTo::Topic { key, .. } => key.clone(),
        SinkTo::Table(table) => panic!("{table}"),
    };
    assert_eq!((key("a"), key("b")), (vec!["origin".to_owned(), "row".to_owned()], vec![]));
    assert_eq!(set.sink("c").unwrap().definition.to.to_string(), "table traffic_rows");
}

#[test]
fn the_version_is_of_what_is_sent_and_not_of_how_often() {
    let version = |text: &str| valid(&[BASE, VIEW, text]).sink("traffic").unwrap().hash;
    let plain = version(SINK);
    assert_eq!(plain, version(&SINK.replace("every: 2s\n", "").replace("owner: ops", "description: rows")));
    for (from, to) in [
        ("topic: features.origin_traffic", "topic: other"),
        ("broker: main", "broker: other"),
        ("format: json", "format: avro"),
        ("{ broker: main, topic: features.origin_traffic, format: json }", "{ table: rows }"),
        ("view: origin_traffic", "table: origin_traffic"),
    ] {
        assert_ne!(plain, version(&SINK.replace(from, to)), "{from}");
    }
    assert_snapshot!(plain, @"sha256:1bcb89a234bdc54d3cef2f0aeb68e22583dd728b8147cfc92ea4cddcb1a87ec7");
}

/// The stored form is read by every later version. If this test fails, the new code must still read this text.
#[test]
fn the_stored_form_of_a_sink_stays_readable() {
    let set = valid(&[BASE, VIEW, SINK]);
    let (json, hash) = set.stored(shipway_definitions::DefinitionKind::Sink, "traffic").unwrap();
    assert_snapshot!(json, @r#"{"name":"traffic","from":{"view":"origin_traffic"},"to":{"topic":{"broker":"main","topic":"features.origin_traffic","format":"json"}},"every":"2s","description":null,"owner":"ops"}"#);
    let mut restored = DefinitionSet::default();
    restored.restore(shipway_definitions::DefinitionKind::Sink, &json.to_string(), hash, true).unwrap();
    assert_eq!(restored.sinks, set.sinks);
}

#[test]
fn what_is_missing_or_too_much_is_told_at_its_line() {
    assert_snapshot!(refused("kind: sink\nname: s\n"), @r"
    a.yaml:1: sink s: from is missing
    a.yaml:1: sink s: to is missing
    ");
    assert_snapshot!(refused("kind: sink\nname: s\nfrom: {}\nto: {}\n"), @r"
    a.yaml:3: sink s: from says nothing
      hint: write one of `view: …`, `deployment: …` and `table: …`
    a.yaml:4: sink s: to says nothing
      hint: write `broker: …`, `topic: …` and `format: …`, or `table: …`
    ");
    assert_snapshot!(refused("kind: sink\nname: s\nfrom: { table: t, deployment: d }\nto: { table: x, topic: t }\n"), @r"
    a.yaml:3: sink s: from names more than one thing
      hint: write one of `view: …`, `deployment: …` and `table: …`
    a.yaml:4: sink s: to names a table and a topic
      hint: make two sinks of them
    ");
    assert_snapshot!(refused("kind: sink\nname: s\nfrom: { table: T-1 }\nto: { topic: a b, format: jsno, key: [a, a] }\nevery: 1\n"), @r"
    a.yaml:3: sink s: table `T-1` is not the name of a table
      hint: use a lower-case letter, then at most 125 of a-z, 0-9 and _
    a.yaml:4: sink s: broker is missing in to
    a.yaml:4: sink s: column a is twice in key
    a.yaml:4: sink s: format jsno cannot be sent
      hint: did you mean json?
    a.yaml:4: sink s: topic a b cannot be the name of a topic
      hint: letters, digits and . _ - : /, at most 249 of them
    a.yaml:5: sink s: every `1` is not a length of time
      hint: write a whole number and one of s, m, h, d, w, such as 30m; the smallest is 1s
    ");
    assert_snapshot!(refused("kind: sink\nname: s\nform: { table: t }\nfrom: { table: t }\nto: { broker: b, topic: t, format: protobuf }\n"), @r"
    a.yaml:3: sink s: field form does not exist
      hint: did you mean from?
    a.yaml:5: sink s: format protobuf cannot be sent
      hint: write one of json, avro
    ");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let refusal = |text: &str| parse(&[text, BASE, VIEW]).unwrap_err();
    assert_snapshot!(refusal("kind: sink\nname: s\nfrom: { view: origin_traffic }\nto: { broker: b, topic: t, format: json, key: [origin] }\n"), @r"
    a.yaml:4: sink s: key is for tables and deployments
      hint: leave key out: rows of a view have the keys of its entity
    ");
    assert_snapshot!(refusal("kind: sink\nname: s\nfrom: { deployment: late }\nto: { table: rows }\n"), @r"
    a.yaml:4: sink s: rows of deployment late would go from one table into table rows
      hint: they are in a table already; send them to a topic
    ");
    assert_snapshot!(refusal("kind: sink\nname: s\nfrom: { view: origin_trafic }\nto: { table: rows }\n"), @r"
    a.yaml:3: sink s: view origin_trafic does not exist
      hint: did you mean origin_traffic?
    ");
    assert_snapshot!(refusal("kind: sink\nname: s\nfrom: { view: origin_traffic }\nto: { table: departures }\n"), @r"
    a.yaml:4: sink s: table departures is the history of source departures
      hint: give it another name
    ");
    assert_snapshot!(refusal("kind: sink\nname: s\nfrom: { view: origin_traffic }\nto: { table: rows }\n---\nkind: sink\nname: r\nfrom: { view: origin_traffic }\nto: { table: rows }\n"), @r"
    a.yaml:9: sink r: table rows is filled by sink s already
      hint: give it another name
    ");
}

#[test]
fn a_table_has_one_sink_in_all_files_and_what_is_in_force() {
    let sink = |name: &str, table: &str| {
        format!("kind: sink\nname: {name}\nfrom: {{ view: origin_traffic }}\nto: {{ table: {table} }}\n")
    };
    let base = valid(&[BASE, VIEW, &sink("first", "rows")]);
    let onto = |text: &str| DefinitionSet::parse_onto(&[DefinitionFile::new("a.yaml", text)], &base);
    let refused = onto(&sink("second", "rows")).unwrap_err().to_string();
    assert_eq!(
        refused,
        "a.yaml:4: sink second: table rows is filled by sink first already (give it another name)"
    );
    assert!(onto(&sink("first", "rows")).is_ok(), "itself");
    let moved = format!("{}---\n{}", sink("second", "rows"), sink("first", "others"));
    assert!(onto(&moved).is_ok(), "one that goes elsewhere by the same files");
}

#[test]
fn the_rows_of_a_view_need_a_name_for_each_column_and_keys_of_their_own() {
    let latest = "kind: view\nname: last\nentity: origin\nsource: departures\nlatest: [origin, gate]\n";
    let sink = "kind: sink\nname: s\nfrom: { view: last }\nto: { table: rows }\n";
    assert_snapshot!(parse(&[sink, BASE, latest]).unwrap_err(), @r"
    a.yaml:3: sink s: feature origin of view last has the name of a key
      hint: a row has a column for each; rename the feature
    ");
    let chained = |keys: &str, more: &str| {
        format!(
            "kind: view\nname: last\nentity: origin\nsource: departures\nenrich: [gates]\n{keys}{more}\
             aggregate: [{{ operations: [count], windows: [1h] }}]\n"
        )
    };
    let inner = "kind: view\nname: gates\nentity: origin\nsource: departures\nlatest: [gate]\n";
    let derived =
        chained("keys: [busy]\n", "derive: { step: \"gates__gate || 'x'\", busy: \"step || dest\" }\n");
    for by_others in [chained("keys: [gates__gate]\n", ""), derived] {
        assert_eq!(
            parse(&[sink, BASE, inner, &by_others]).unwrap_err(),
            "a.yaml:3: sink s: the keys of view last come of what other views say\n  hint: an event alone does not say whose row \
             has changed; send a view with keys of its own"
        );
    }
    let own =
        chained("", "derive: { next: \"gates__gate || 'x'\", here: \"dest || 'y'\" }\nwhere: next <> 'ax'\n");
    let set = valid(&[sink, BASE, inner, &own]);
    let view = &set.view("last").unwrap().definition;
    assert!(view.unsendable().is_none() && view.is_filtered_by_other_views());
    let set = valid(&[BASE, inner, &chained("", "where: dest <> 'LAX'\n")]);
    assert!(!set.view("last").unwrap().definition.is_filtered_by_other_views());
}

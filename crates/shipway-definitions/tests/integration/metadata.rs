//! What is said about features: read, inherited, stored, and kept out of every hash but for the ttl.

use insta::assert_snapshot;
use shipway_core::{Length, Name};
use shipway_definitions::{DefinitionFile, DefinitionKind, DefinitionSet, Pii, View};

use crate::{BASE, SERVICE, VIEW, refused, valid};

const LATEST: &str = "
kind: view
name: gates
entity: origin
source: departures
latest: [gate, dest]
ttl: 2h
";

const NOTES: &str = "
owner: traffic
description: how busy an origin is
tags: [traffic, core, traffic]
pii: none
freshness: { objective: 1h, beyond: serve }
deprecated: { since: 2026-01-31, reason: counts cancelled flights, use: 'gates:gate' }
features:
  count_1h:
    owner: ada
    tags: [hourly]
    pii: sensitive
    freshness: { objective: 10m, beyond: refuse }
    deprecated: { reason: too short, use: count_30m }
  dep_delay_avg_1h: { description: mean delay, deprecated: nobody needs it }
";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn described() -> String {
    VIEW.replace("freshness: { objective: 1h, beyond: serve }\n", NOTES)
}

fn view(set: &DefinitionSet, view: &str) -> View {
    set.view(view).unwrap().definition.clone()
}

#[test]
fn a_feature_says_what_its_view_does_not_and_tags_add_up() {
    let set = valid(&[BASE, &described(), LATEST]);
    let view = view(&set, "origin_traffic");

    let own = view.metadata(&name("count_1h"));
    assert_eq!((own.owner.as_deref(), own.pii), (Some("ada"), Some(Pii::Sensitive)));
    assert_eq!(own.tags, ["hourly", "traffic", "core"]);
    assert_eq!(own.description.as_deref(), Some("how busy an origin is"));
    assert_eq!(own.freshness.unwrap().beyond.word(), "refuse");
    let deprecated = own.deprecated.unwrap();
    assert_eq!(
        (deprecated.reason.as_str(), deprecated.replacement.as_deref()),
        ("too short", Some("count_30m"))
    );

    let silent = view.metadata(&name("count_30m"));
    assert_eq!((silent.owner.as_deref(), silent.pii), (Some("traffic"), Some(Pii::None)));
    assert_eq!(silent.tags, ["traffic", "core"]);
    let deprecated = silent.deprecated.unwrap();
    assert_eq!(deprecated.since.as_deref(), Some("2026-01-31"));
    assert_eq!(deprecated.replacement.as_deref(), Some("gates:gate"));

    let short = view.metadata(&name("dep_delay_avg_1h")).deprecated.unwrap();
    assert_eq!((short.reason.as_str(), short.since), ("nobody needs it", None));
}

#[test]
fn metadata_change_no_hash() {
    let plain = valid(&[BASE, VIEW, SERVICE, LATEST]);
    let tagged = |text: &str| format!("{}tags: [a, b]\n", text.trim_end_matches('\n').to_owned() + "\n");
    let base = BASE
        .replace("name: departures", "name: departures\ntags: [raw]")
        .replace("name: route", "name: route\ntags: [geo]");
    let set = valid(&[&base, &described(), &tagged(SERVICE), &tagged(LATEST)]);
    for kind in DefinitionKind::ALL {
        for name in plain.names(kind) {
            let hash = |set: &DefinitionSet| set.stored(kind, name.as_str()).unwrap().1;
            assert_eq!(hash(&plain), hash(&set), "{kind} {name}");
        }
    }
    assert_eq!(set.source("departures").unwrap().definition.tags, ["raw"]);
    assert_eq!(set.service("late_arrivals").unwrap().definition.tags, ["a", "b"]);
}

#[test]
fn a_ttl_of_a_feature_makes_a_new_version_and_bounds_that_feature_only() {
    let with = |ttl: &str| valid(&[BASE, &format!("{LATEST}features: {{ gate: {{ ttl: {ttl} }} }}\n")]);
    let hash = |set: &DefinitionSet| set.view("gates").unwrap().hash;
    let plain = valid(&[BASE, LATEST]);
    assert_ne!(hash(&with("1h")), hash(&plain));
    assert_ne!(hash(&with("1h")), hash(&with("30m")));
    assert_eq!(hash(&with("1h")), hash(&with("60m")));
    assert_eq!(hash(&with("2h")), hash(&plain), "the view's own ttl changes nothing");
    let view = view(&with("1h"), "gates");
    let hours = |hours: i64| Length::from_micros(hours * 3_600_000_000);
    assert_eq!(view.ttl(&name("gate")), hours(1));
    assert_eq!(view.ttl(&name("dest")), hours(2));
}

/// This hash names state on disk. If this test fails, raise the version in `canonical`.
#[test]
fn the_hash_of_a_ttl_of_a_feature_stays_what_it_is() {
    let set = valid(&[BASE, &format!("{LATEST}features: {{ gate: {{ ttl: 1h }} }}\n")]);
    assert_snapshot!(set.view("gates").unwrap().hash, @"sha256:5e08a2a4f955a9d3a66cfe4368a45a1d42428f8d2249329c6f09e2eac55d6a91");
}

#[test]
fn what_is_said_about_features_is_checked() {
    let text = VIEW.replace(
        "freshness: { objective: 1h, beyond: serve }",
        "features:
  count_1hour: { owner: ada }
  count_1h: { ownr: ada, pii: secret, ttl: 30m, tags: [] }
  count_30m: { deprecated: { since: soon, use: 'gates' } }
  count_30m: { owner: twice }
  dep_delay_avg_1h: 7
",
    );
    assert_snapshot!(refused(&text), @r"
    a.yaml:12: view origin_traffic: feature count_1hour, which is described, does not exist
      hint: did you mean count_1h?
    a.yaml:13: view origin_traffic: feature count_1h is windowed, so it has no ttl
      hint: remove it; its window is its ttl
    a.yaml:13: view origin_traffic: field ownr does not exist in features
      hint: did you mean owner?
    a.yaml:13: view origin_traffic: pii secret does not exist
      hint: write one of none, personal, sensitive
    a.yaml:13: view origin_traffic: tags is empty
    a.yaml:14: view origin_traffic: reason is missing in deprecated
    a.yaml:14: view origin_traffic: since `soon` is not a day
      hint: write it as 2026-01-31
    a.yaml:15: view origin_traffic: feature count_30m is described twice
    a.yaml:16: view origin_traffic: expected a map in features, got a number
      hint: the fields are description, owner, tags, pii, freshness, ttl, deprecated
    ");
    let text = VIEW
        .replace("freshness: { objective: 1h, beyond: serve }", "features: [count_1h]\npii: 7\ntags: x\n");
    assert_snapshot!(refused(&text), @r"
    a.yaml:11: view origin_traffic: features is a map, got a list
      hint: write features: { feature: { owner: … }, … }
    a.yaml:12: view origin_traffic: pii is text, got a number
      hint: put it in quotes
    a.yaml:13: view origin_traffic: tags is a list, got text
      hint: write tags: […]
    ");
    let text = format!(
        "{}features: {{ count_1hour: {{ owner: ada }}, nothing_like_it: {{ owner: ada }}, count_1h: {{ ttl: 30m }} }}\n",
        VIEW
    );
    assert_snapshot!(refused(&text), @r"
    a.yaml:12: view origin_traffic: feature count_1h is windowed, so it has no ttl
      hint: remove it; its window is its ttl
    a.yaml:12: view origin_traffic: feature count_1hour, which is described, does not exist
      hint: did you mean count_1h?
    a.yaml:12: view origin_traffic: feature nothing_like_it, which is described, does not exist
      hint: its features are count_30m, count_1h, dep_delay_avg_1h
    ");
}

#[test]
fn a_ttl_of_a_feature_is_tighter_than_its_views() {
    assert_snapshot!(refused(&format!("{LATEST}features: {{ gate: {{ ttl: 3h }} }}\n")), @r"
    a.yaml:7: view gates: ttl 3h of feature gate is longer than the view's, 2h
      hint: a feature's own ttl is tighter than that of its view; raise the view's ttl, or shorten this one
    ");
    let forever = LATEST.replace("ttl: 2h\n", "");
    assert_snapshot!(refused(&format!("{forever}features: {{ gate: {{ ttl: 500d }} }}\n")), @r"
    a.yaml:6: view gates: ttl 500d is longer than source departures keeps events, 400d
      hint: raise retention of source departures, or shorten the ttl
    ");
}

#[test]
fn what_is_to_be_taken_instead_exists() {
    let missing = format!(
        "{LATEST}deprecated: {{ reason: old, use: gate }}\nfeatures: {{ gate: {{ deprecated: {{ reason: old, use: dst }} }}, dest: {{ deprecated: {{ reason: old, use: 'gates:gat' }} }} }}\n"
    );
    assert_snapshot!(refused(&missing), @r"
    a.yaml:7: view gates: use names view gate, which does not exist
      hint: did you mean gates?
    a.yaml:8: view gates: use names feature gates:dst, which does not exist
      hint: did you mean dest?
    a.yaml:8: view gates: use names feature gates:gat, which does not exist
      hint: did you mean gate?
    ");
    let later = format!("{LATEST}deprecated: {{ reason: old, use: origin_traffic }}\n");
    valid(&[&later, VIEW, BASE]);
}

#[test]
fn metadata_survive_the_stored_form_and_old_forms_are_read() {
    let set = valid(&[BASE, &described(), LATEST]);
    let (json, hash) = set.stored(DefinitionKind::View, "origin_traffic").unwrap();
    assert_snapshot!(json["features"], @r#"{"count_1h":{"owner":"ada","tags":["hourly"],"pii":"sensitive","freshness":{"objective":"10m","beyond":"refuse"},"deprecated":{"reason":"too short","use":"count_30m"}},"dep_delay_avg_1h":{"description":"mean delay","deprecated":{"reason":"nobody needs it"}}}"#);
    assert_snapshot!(json["deprecated"], @r#"{"since":"2026-01-31","reason":"counts cancelled flights","use":"gates:gate"}"#);
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::View, &json.to_string(), hash, true).unwrap();
    assert_eq!(restored.view("origin_traffic").unwrap(), set.view("origin_traffic").unwrap());

    // As it was stored before there were metadata of single features.
    let old = r#"{"name":"gates","entity":"origin","source":"departures","event_time":"departed_at","event_id":"flight_id","entity_keys":[["origin","text"]],"key_columns":["origin"],"column_types":{"dest":"text","gate":"text","origin":"text"},"body":{"latest":{"columns":["gate","dest"],"ttl":"2h"}},"freshness":null,"description":null,"owner":"me"}"#;
    let hash = valid(&[BASE, LATEST]).view("gates").unwrap().hash;
    let mut restored = DefinitionSet::default();
    restored.restore(DefinitionKind::View, old, hash, true).unwrap();
    assert_eq!(
        restored.view("gates").unwrap().definition.metadata(&name("gate")).owner.as_deref(),
        Some("me")
    );
    let (again, _) = restored.stored(DefinitionKind::View, "gates").unwrap();
    assert_eq!(again.to_string(), old, "and are written as they were");
}

#[test]
fn metadata_in_force_hold_for_earlier_versions_that_had_the_feature() {
    let old = valid(&[BASE, VIEW]);
    let changed = format!("{}owner: new\n", VIEW.replace("[30m, 1h]", "[30m, 2h]"));
    let new = DefinitionSet::parse_onto(&[DefinitionFile::new("v.yaml", changed)], &old).unwrap();
    let set = old.overlaid(&new, false);
    let before = old.view("origin_traffic").unwrap().hash;
    let owner = |feature: &str| {
        set.metadata(&name("origin_traffic"), &before, &name(feature)).map(|metadata| metadata.owner)
    };
    assert_eq!(owner("count_30m"), Some(Some("new".to_owned())));
    assert_eq!(owner("count_1h"), Some(None), "the version in force has it no more");
    assert_eq!(owner("count_7d"), None);
}

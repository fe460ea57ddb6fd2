//! What a version depends on and what not.

use insta::assert_snapshot;
use shipway_core::Digest;

use crate::{BASE, SERVICE, VIEW, valid};

fn view_hash(view: &str) -> Digest {
    valid(&[view, BASE]).view("origin_traffic").unwrap().hash
}

/// These hashes name tiles on disk. If this test fails, raise the version in `canonical` and keep the old form readable.
#[test]
fn the_canonical_form_stays_what_it_is() {
    let set = valid(&[
        BASE,
        VIEW,
        SERVICE,
        "kind: gate\nname: g\nmodel: m\nalias: a\nrequire: [{ metric: auc, at_least: 0.7 }]",
    ]);
    let lines = [
        format!("entity {}", set.entity("route").unwrap().hash),
        format!("source {}", set.source("departures").unwrap().hash),
        format!("view {}", set.view("origin_traffic").unwrap().hash),
        format!("service {}", set.service("late_arrivals").unwrap().hash),
        format!("gate {}", set.gate("g").unwrap().hash),
    ];
    assert_snapshot!(lines.join("\n"), @r"
    entity sha256:19c4ededa0921fde52760d13649434211ee9d48f94a97f78e53703220d2a2e12
    source sha256:ecd708dfd8c76d27564c4c596a6336fdf5a1c79fcfdea2f4ea041b99d6ad6ec9
    view sha256:a13a6b02df066959f49d529dc0885103581f6d58e72b15fde8c5c7984748cdce
    service sha256:5b590c5fa485896cf7de8d2d4531ccc4b19449a4095925d6e25b1d9760240198
    gate sha256:cef6b9dc16912db2b4e4ebee8739d87148665a28b7e513eee80a2b35fecdd9ac
    ");
}

#[test]
fn a_view_is_a_new_version_when_a_value_can_change() {
    let original = view_hash(VIEW);
    for (from, to) in [
        ("[30m, 1h]", "[30m, 2h]"),
        ("[avg]", "[sum]"),
        ("[avg]", "[avg, max]"),
        ("column: dep_delay", "column: gate"),
        ("operations: [count]", "column: gate\n    operations: [count]"),
    ] {
        let changed = VIEW
            .replace(from, to)
            .replace("column: gate\n    operations: [avg]", "column: gate\n    operations: [last]");
        assert_ne!(view_hash(&changed), original, "{from} -> {to}");
    }
    let int = BASE.replace("dep_delay: float", "dep_delay: int");
    assert_ne!(valid(&[VIEW, &int]).view("origin_traffic").unwrap().hash, original, "the type of a column");
    let without_id = BASE.replace("event_id: flight_id\n", "");
    assert_ne!(valid(&[VIEW, &without_id]).view("origin_traffic").unwrap().hash, original, "the event id");
    let keys = VIEW.replace("entity: origin", "entity: origin\nkeys: [dest]");
    assert_ne!(view_hash(&keys), original, "the key columns");
}

#[test]
fn a_view_is_the_same_version_when_no_value_can_change() {
    let original = view_hash(VIEW);
    for changed in [
        VIEW.replace("objective: 1h, beyond: serve", "objective: 2h, beyond: refuse"),
        VIEW.replace("objective: 1h, beyond: serve", "objective: 2h, beyond: null"),
        format!("{VIEW}description: busy\nowner: team\n"),
        VIEW.replace("[30m, 1h]", "[1800s, 60m]"),
        VIEW.replace("entity: origin", "entity: origin\nkeys: [origin]"),
    ] {
        assert_eq!(view_hash(&changed), original, "{changed}");
    }
    let added = BASE.replace("gate: text", "gate: text, added: int");
    assert_eq!(valid(&[VIEW, &added]).view("origin_traffic").unwrap().hash, original, "an added column");
}

#[test]
fn a_latest_view_depends_on_its_ttl() {
    let view = |ttl: &str| {
        let text = format!("kind: view\nname: v\nentity: origin\nsource: departures\nlatest: [gate]\n{ttl}");
        valid(&[&text, BASE]).view("v").unwrap().hash
    };
    assert_ne!(view("ttl: 3h"), view("ttl: 4h"));
    assert_ne!(view("ttl: 3h"), view(""));
    assert_eq!(view("ttl: 1d"), view("ttl: 24h"));
}

#[test]
fn a_service_depends_on_the_versions_of_its_views_and_on_its_order() {
    let hash =
        |view: &str, service: &str| valid(&[service, view, BASE]).service("late_arrivals").unwrap().hash;
    let original = hash(VIEW, SERVICE);
    assert_ne!(hash(&VIEW.replace("[30m, 1h]", "[30m, 2h]"), SERVICE), original);
    assert_ne!(hash(VIEW, &SERVICE.replace("{ month: int }", "{ month: float }")), original);
    let one = SERVICE.replace("[origin_traffic]", "['origin_traffic:count_1h', 'origin_traffic:count_30m']");
    let other =
        SERVICE.replace("[origin_traffic]", "['origin_traffic:count_30m', 'origin_traffic:count_1h']");
    assert_ne!(hash(VIEW, &one), hash(VIEW, &other));
    assert_eq!(hash(VIEW, &format!("{SERVICE}owner: me\n")), original);
}

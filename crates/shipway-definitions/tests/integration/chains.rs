//! Views that stand on other views: what is refused in which words, what a version depends on, and what is stored.

use shipway_core::Digest;

use crate::{BASE, VIEW, parse, refused, valid};

const OUTER: &str = "
kind: view
name: gate_pressure
entity: route
source: departures
enrich: ['origin_traffic:count_1h', 'origin_traffic:dep_delay_avg_1h']
aggregate:
  - column: origin_traffic__dep_delay_avg_1h
    operations: [avg]
    windows: [1h]
  - column: dep_delay
    operations: [sum]
    windows: [1h]
    by: origin_traffic__count_1h
";

fn says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part} in\n{told}");
    }
}

fn outer(texts: &[&str]) -> (Digest, Digest) {
    let set = valid(texts);
    (set.view("gate_pressure").unwrap().hash, set.view("origin_traffic").unwrap().hash)
}

#[test]
fn an_event_carries_the_features_of_other_views_as_columns() {
    // The outer view may stand before the inner one, and in another file.
    let set = valid(&[OUTER, VIEW, BASE]);
    let view = &set.view("gate_pressure").unwrap().definition;
    let outputs: Vec<String> =
        view.outputs().iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
    assert!(
        outputs[0].ends_with(" float") && outputs[1].contains("_by_origin_traffic__count_1h_1h map("),
        "{outputs:?}"
    );
    let [reference] = view.enrich.as_slice() else { panic!("{:?}", view.enrich) };
    assert_eq!(reference.hash, set.view("origin_traffic").unwrap().hash);
    assert!(view.is_enriched_with("origin_traffic__count_1h") && !view.is_enriched_with("dep_delay"));
}

#[test]
fn the_columns_can_be_latest_values_keys_and_buckets_of_views_on_top() {
    let home = "kind: view\nname: home\nentity: route\nkeys: [origin, dest]\nsource: departures\nlatest: [gate, origin]";
    let by_home = "kind: view\nname: by_home\nentity: origin\nkeys: [home__gate]\nsource: departures\nenrich: [home]\naggregate: [{ operations: [count], windows: [1h] }]";
    let top = "kind: view\nname: top\nentity: origin\nsource: departures\nenrich: ['by_home:count_1h', home]\nlatest: [by_home__count_1h, home__origin]";
    let set = valid(&[top, by_home, home, BASE]);
    let by_home = &set.view("by_home").unwrap().definition;
    assert_eq!(by_home.key_columns[0].as_str(), "home__gate");
    assert_eq!(by_home.enrich[0].features.len(), 1, "what nobody reads is not carried");
    assert_eq!(set.view("top").unwrap().definition.enrich.len(), 2);
}

#[test]
fn the_version_of_an_inner_view_is_part_of_the_outer_ones_and_what_is_not_read_is_not() {
    let (original, inner) = outer(&[OUTER, VIEW, BASE]);
    let (changed, changed_inner) = outer(&[OUTER, &VIEW.replace("[30m, 1h]", "[45m, 1h]"), BASE]);
    assert_ne!(changed_inner, inner);
    assert_ne!(changed, original, "any other version of the inner view");
    let described = format!("{VIEW}owner: team\n");
    assert_eq!(outer(&[OUTER, &described, BASE]).0, original, "only what people read");
    for same in ["[origin_traffic]", "['origin_traffic:dep_delay_avg_1h', 'origin_traffic:count_1h']"] {
        let view = OUTER.replace("['origin_traffic:count_1h', 'origin_traffic:dep_delay_avg_1h']", same);
        assert_eq!(outer(&[&view, VIEW, BASE]).0, original, "{same}");
    }
    let other = OUTER
        .replace("by: origin_traffic__count_1h", "by: origin_traffic__count_30m")
        .replace("'origin_traffic:count_1h'", "'origin_traffic:count_30m'");
    assert_ne!(outer(&[&other, VIEW, BASE]).0, original);
}

#[test]
fn a_chained_view_comes_back_from_its_stored_form() {
    let set = valid(&[OUTER, VIEW, BASE]);
    let (stored, hash) = set.stored(shipway_definitions::DefinitionKind::View, "gate_pressure").unwrap();
    assert_eq!(stored["enrich"][0]["view"], "origin_traffic");
    let mut restored = shipway_definitions::DefinitionSet::default();
    restored.restore(shipway_definitions::DefinitionKind::View, &stored.to_string(), hash, true).unwrap();
    assert_eq!(restored.view("gate_pressure").unwrap(), set.view("gate_pressure").unwrap());
}

#[test]
fn an_unknown_view_or_feature_gets_the_nearest_name() {
    says(
        &refused(&format!(
            "{}---\n{VIEW}",
            OUTER.replace("origin_traffic:count_1h", "origin_trafic:count_1h")
        )),
        &["view origin_trafic does not exist", "did you mean origin_traffic?"],
    );
    says(
        &refused(&format!(
            "{}---\n{VIEW}",
            OUTER.replace("origin_traffic:count_1h", "origin_traffic:count_2h")
        )),
        &["view origin_traffic has no feature count_2h"],
    );
    says(
        &refused(&format!(
            "{}---\n{VIEW}",
            OUTER.replace("by: origin_traffic__count_1h", "by: origin_traffic__count_30m")
        )),
        &["column origin_traffic__count_30m is not in source departures"],
    );
    says(
        &refused(&format!(
            "{}---\n{VIEW}",
            OUTER.replace("enrich: ['origin_traffic:count_1h', ", "enrich: [7, ")
        )),
        &["a view is text, got a number"],
    );
}

#[test]
fn a_view_of_another_source_is_refused_with_what_to_do_instead() {
    let other = "kind: source\nname: arrivals\nevent_time: at\ncolumns: { at: timestamp, origin: text }\n---\nkind: view\nname: landings\nentity: origin\nsource: arrivals\naggregate: [{ operations: [count], windows: [1h] }]\n---\n";
    let view = "kind: view\nname: v\nentity: origin\nsource: departures\nenrich: [landings]\nlatest: [gate, landings__count_1h]\n";
    says(
        &refused(&format!("{other}{view}")),
        &[
            "view landings is of source arrivals, this view of source departures",
            "no common order of arrival",
        ],
    );
}

#[test]
fn no_view_stands_on_itself_whatever_is_in_force() {
    let one = "kind: view\nname: one\nentity: origin\nsource: departures\nenrich: [two]\nlatest: [gate]\n";
    let two =
        "kind: view\nname: two\nentity: origin\nsource: departures\nenrich: ['one:gate']\nlatest: [dest]\n";
    let own = "kind: view\nname: own\nentity: origin\nsource: departures\nlatest: [gate]\nenrich: [own]\n";
    let beside =
        "kind: view\nname: beside\nentity: origin\nsource: departures\nlatest: [one__gate]\nenrich: [one]\n";
    let told = refused(&[one, two, own, beside].join("---\n"));
    assert!(told.contains("view own: it is enriched with itself"), "{told}");
    assert!(told.contains("view one: it is enriched with view two, which stands on one in turn"), "{told}");
    assert!(!told.contains("view beside"), "one that only waits for them is passed over: {told}");
    let plain = "kind: view\nname: one\nentity: origin\nsource: departures\nlatest: [gate]\n";
    let base = valid(&[plain, two, BASE]);
    let files = [shipway_definitions::DefinitionFile::new("a.yaml", own.replace("own", "one"))];
    let refused = shipway_definitions::DefinitionSet::parse_onto(&files, &base).unwrap_err();
    says(&refused.to_string(), &["it is enriched with itself"]);
}

#[test]
fn a_view_binds_to_the_version_in_force_when_the_files_do_not_hold_the_inner_one() {
    let base = valid(&[VIEW, BASE]);
    let files = [shipway_definitions::DefinitionFile::new("a.yaml", OUTER)];
    let set = shipway_definitions::DefinitionSet::parse_onto(&files, &base).unwrap();
    assert_eq!(set.view("gate_pressure").unwrap().hash, outer(&[OUTER, VIEW, BASE]).0);
}

#[test]
fn a_chain_has_a_bounded_depth() {
    let level = |level: usize| {
        let inner = level - 1;
        format!(
            "kind: view\nname: v{level}\nentity: origin\nsource: departures\nenrich: [v{inner}]\naggregate: [{{ column: v{inner}__n, operations: [max], windows: [1h], as: n }}]\n"
        )
    };
    let first = "kind: view\nname: v1\nentity: origin\nsource: departures\naggregate: [{ operations: [count], windows: [1h], as: n }]\n";
    let chain = |depth: usize| {
        let levels: Vec<String> = (2..=depth).rev().map(level).collect();
        format!("{}---\n{first}", levels.iter().map(|text| format!("{text}---\n")).collect::<String>())
    };
    assert!(parse(&[&chain(4), BASE]).is_ok());
    says(&refused(&chain(5)), &["it is a chain of 5 views; 4 are the most"]);
    let base = valid(&[&chain(4), BASE]);
    let files = [shipway_definitions::DefinitionFile::new("a.yaml", level(5))];
    assert!(
        shipway_definitions::DefinitionSet::parse_onto(&files, &base).is_err(),
        "the depth of what is in force counts"
    );
}

#[test]
fn a_column_must_have_a_name_of_its_own() {
    let base = BASE.replace("gate: text", "gate: text, origin_traffic__count_1h: int");
    says(
        &parse(&[OUTER, VIEW, &base]).unwrap_err(),
        &["column origin_traffic__count_1h is in source departures already"],
    );
    let long = "dep_delay_avg_over_the_whole_of_the_last_hour_and_nothing_else";
    let inner = VIEW.replace(
        "    operations: [avg]\n    windows: [1h]\n",
        &format!("    operations: [avg]\n    windows: [1h]\n    as: {long}\n"),
    );
    says(
        &refused(&format!("{}---\n{inner}", OUTER.replace("dep_delay_avg_1h", long))),
        &["has a name of more than 63 characters"],
    );
}

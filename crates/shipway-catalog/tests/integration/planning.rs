//! What a plan says, and what it refuses.

use insta::assert_snapshot;

use crate::{BASE, SERVICE, VIEW, apply, catalog, pretty, proposal, pruning};

#[tokio::test]
async fn everything_is_new_at_first() {
    let catalog = catalog().await;
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[BASE, VIEW, SERVICE])).await), @r"
    Created entity origin
    Created source departures
      * it takes events and loads from now on
    Created view origin_traffic
      * its tiles will be built from the history of source departures
    Created service late_arrivals
      * it makes vectors of 4 columns
    ");
    assert!(catalog.current().is_empty(), "a plan changes nothing");
}

#[tokio::test]
async fn a_changed_window_makes_a_new_version_and_says_what_follows() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let changed = VIEW.replace("[30m, 1h]", "[30m, 2h]");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[BASE, &changed, SERVICE])).await), @r"
    Changed view origin_traffic
      feature count_2h: - => count over 2h
      feature order: count_30m, count_1h, dep_delay_avg_1h => count_30m, count_2h, dep_delay_avg_1h
      feature count_1h: count over 1h => -
      * its tiles will be built from the history of source departures
      > service late_arrivals gets a new version: 5b590c5fa485 → c203c1280337
    Changed service late_arrivals
      view origin_traffic: version a13a6b02df06 => version d8f2c9324ab9
      features of origin_traffic: count_30m, count_1h, dep_delay_avg_1h => count_30m, count_2h, dep_delay_avg_1h
      column order: origin_traffic__count_30m, origin_traffic__count_1h, origin_traffic__dep_delay_avg_1h, month => origin_traffic__count_30m, origin_traffic__count_2h, origin_traffic__dep_delay_avg_1h, month
      * its columns are others: a model has to be trained on this version
      * what was trained on an earlier version keeps it
    unchanged entity origin
    unchanged source departures
    ");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&changed])).await), @r"
    Changed view origin_traffic
      feature count_2h: - => count over 2h
      feature order: count_30m, count_1h, dep_delay_avg_1h => count_30m, count_2h, dep_delay_avg_1h
      feature count_1h: count over 1h => -
      * its tiles will be built from the history of source departures
      > service late_arrivals is not in the files and stays with version a13a6b02df06 of the view
    kept entity origin
    kept source departures
    kept service late_arrivals
    ");
}

#[tokio::test]
async fn a_description_makes_no_new_version() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let described = format!("{VIEW}description: busy\nfreshness: {{ objective: 1h, beyond: refuse }}\n");
    let plan = catalog.plan(&proposal(&[BASE, &described, SERVICE])).await;
    assert_snapshot!(pretty(&plan), @r"
    Changed view origin_traffic same version
      description: - => busy
      freshness: - => 1h, beyond it refuse
      * no new version: every value stays as it is
      > service late_arrivals is answered by the new freshness objective at once
    unchanged entity origin
    unchanged source departures
    unchanged service late_arrivals
    ");
}

#[tokio::test]
async fn what_is_not_in_the_files_stays_unless_pruned() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[BASE])).await), @r"
    unchanged entity origin
    unchanged source departures
    kept view origin_traffic
    kept service late_arrivals
    ");
    assert_snapshot!(pretty(&catalog.plan(&pruning(&[BASE])).await), @r"
    Removed view origin_traffic
      * its state is retired as soon as nothing needs it; the history of its source stays
    Removed service late_arrivals
      * its versions stay known by their hashes for what was trained on them
    unchanged entity origin
    unchanged source departures
    ");
    assert_snapshot!(pretty(&catalog.plan(&pruning(&[VIEW])).await), @r"
    0.yaml:3: view origin_traffic: entity origin does not exist (define it, or name another entity)
    0.yaml:4: view origin_traffic: source departures does not exist (define it, or name another source)
      hint: nothing was applied; correct every line and try again
    ");
}

#[tokio::test]
async fn a_column_can_be_added_to_a_source() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW]).await;
    let added = BASE.replace("gate: text", "gate: text, runway: int");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&added, VIEW])).await), @r"
    Changed source departures
      column runway: - => int
      column order: flight_id, departed_at, origin, dep_delay, gate => flight_id, departed_at, origin, dep_delay, gate, runway
      * column runway is null in the events so far
      > view origin_traffic stays at the version it has
    unchanged entity origin
    unchanged view origin_traffic
    ");
    let dropped = BASE.replace(", gate: text", "");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&dropped, VIEW])).await), @r"
    Changed source departures
      column order: flight_id, departed_at, origin, dep_delay, gate => flight_id, departed_at, origin, dep_delay
      column gate: text => -
      * column gate is taken no more; its history stays
      > view origin_traffic stays at the version it has
    unchanged entity origin
    unchanged view origin_traffic
    ");
}

#[tokio::test]
async fn a_source_cannot_contradict_its_history() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let changed = BASE
        .replace("event_time: departed_at", "event_time: scheduled_at")
        .replace("event_id: flight_id\n", "event_id: gate\nsame_id: replace\n")
        .replace("departed_at: timestamp", "scheduled_at: timestamp, departed_at: text")
        .replace("dep_delay: float", "delay: float");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&changed])).await), @r"
    source departures: event_time cannot change from departed_at to scheduled_at (the history is ordered by it; define a new source and load the history into that)
    source departures: event_id cannot change from flight_id to gate (events are told apart by it; define a new source and load the history into that)
    source departures: same_id and deleted cannot change (they say what every event of the history means; define a new source and load the history into that)
    source departures: column departed_at cannot change from timestamp to text (the history holds it; add a column of another name, or define a new source)
    source departures: column dep_delay cannot go, view origin_traffic reads it (keep the column, or remove the views and services that use it first)
      hint: nothing was applied
    ");
}

#[tokio::test]
async fn a_dropped_column_cannot_come_back_as_another_type() {
    let catalog = catalog().await;
    let dropped = BASE.replace(", gate: text", "");
    let back = BASE.replace("gate: text", "gate: int");
    apply(&catalog, &[BASE, VIEW]).await;
    apply(&catalog, &[&dropped, VIEW]).await;
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&back])).await), @r"
    source departures: column gate cannot change from text to int (the history holds it; add a column of another name, or define a new source)
      hint: nothing was applied
    ");
    catalog.apply("ada", &pruning(&[])).await.unwrap();
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&back])).await), @r"
    source departures: column gate cannot change from text to int (the history holds it; add a column of another name, or define a new source)
      hint: nothing was applied
    ");
}

#[tokio::test]
async fn a_column_that_only_a_bound_version_reads_cannot_go() {
    let catalog = catalog().await;
    let reads_gate = format!("{VIEW}  - {{ column: gate, operations: [last], windows: [1h] }}\n");
    apply(&catalog, &[BASE, &reads_gate, SERVICE]).await;
    apply(&catalog, &[VIEW]).await;
    let dropped = BASE.replace(", gate: text", "");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&dropped])).await), @r"
    source departures: column gate cannot go, view origin_traffic reads it (keep the column, or remove the views and services that use it first)
      hint: nothing was applied
    ");
}

#[tokio::test]
async fn new_keys_of_an_entity_name_the_views_that_keep_the_old_ones() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW]).await;
    let entity = "kind: entity\nname: origin\nkeys: { gate: text, origin: text }\n";
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[entity])).await), @r"
    Changed entity origin
      key gate: - => text
      key order: origin => gate, origin
      * view origin_traffic is not in the files and keeps the keys it has
      > view origin_traffic stays at the version it has
    kept source departures
    kept view origin_traffic
    ");
}

const OUTER: &str = "
kind: view
name: crowd
entity: origin
source: departures
enrich: [origin_traffic]
latest: [origin_traffic__count_1h, gate]
";

#[tokio::test]
async fn a_changed_inner_view_gives_the_views_on_top_of_it_a_new_version() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, OUTER]).await;
    let changed = VIEW.replace("[30m, 1h]", "[45m, 1h]");
    let told = pretty(&catalog.plan(&proposal(&[&changed, OUTER])).await);
    for part in ["> view crowd gets a new version", "enriched with origin_traffic: version "] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let told = pretty(&catalog.plan(&proposal(&[&changed])).await);
    let part = "> view crowd stays at the version it has";
    assert!(told.contains(part), "{part} in\n{told}");
}

#[tokio::test]
async fn a_source_keeps_what_inner_views_read_and_takes_no_name_that_events_carry() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, OUTER]).await;
    // The version that the outer view stands on reads the column, the one in force does not.
    let changed = VIEW.replace("  - { column: dep_delay, operations: [avg], windows: [1h] }\n", "");
    apply(&catalog, &[&changed]).await;
    let without = BASE.replace("dep_delay: float, ", "");
    let told = pretty(&catalog.plan(&proposal(&[&without])).await);
    let part = "column dep_delay cannot go, view origin_traffic reads it";
    assert!(told.contains(part), "{part} in\n{told}");
    let taken = BASE.replace("gate: text", "gate: text, origin_traffic__count_1h: int");
    let told = pretty(&catalog.plan(&proposal(&[&taken])).await);
    let part = "column origin_traffic__count_1h cannot be added, the events of view crowd carry one";
    assert!(told.contains(part), "{part} in\n{told}");
}

#[tokio::test]
async fn a_changed_expression_is_shown_as_it_was_and_as_it_is() {
    let catalog = catalog().await;
    let service = format!("{}compute: {{ half: \"month / 2\" }}\n", SERVICE.trim_start());
    let view = VIEW.replace(
        "source: departures",
        "source: departures\nderive: { late: \"dep_delay > 0\" }\nwhere: \"late\"",
    );
    apply(&catalog, &[BASE, &view, &service]).await;
    let view = view.replace("\"late\"", "\"NOT late\"").replace("> 0", "> 1");
    let service = service.replace("month / 2", "month / 2.0");
    let plan = pretty(&catalog.plan(&proposal(&[BASE, &view, &service])).await);
    for line in [
        "  where: late => NOT late",
        "  derived column late: bool dep_delay > 0 => bool dep_delay > 1",
        "  computed column half: float month / 2 => float month / 2.0",
        "  * it computes something else: a model has to be trained on this version",
    ] {
        assert!(plan.lines().any(|shown| shown == line), "{line} in\n{plan}");
    }
}

//! Sources that are selected from other ones.

use insta::assert_snapshot;

use crate::{BASE, parse, refused, valid};

const INFO: &str = "
kind: entity
name: carrier
keys: { code: text }
---
kind: source
name: carriers
event_time: at
columns: { at: timestamp, code: text, tier: text, fleet: int }
---
kind: view
name: carrier_info
entity: carrier
source: carriers
latest: [tier, fleet]
";

const LATE: &str = "
kind: source
name: late_departures
event_time: departed_at
event_id: flight_id
select: |
  SELECT d.flight_id, d.departed_at, dep_delay / 60 AS hours, info.tier
  FROM departures AS d
  LEFT JOIN carrier_info AS info ON info.code = d.origin
  WHERE dep_delay > 30
";

fn refused_select(select: &str) -> String {
    let text = format!("kind: source\nname: s\nevent_time: departed_at\nselect: {select}\n");
    parse(&[&text, BASE, INFO]).unwrap_err()
}

#[test]
fn its_columns_are_what_the_text_gives_and_views_can_be_of_it() {
    let on_it = "kind: view\nname: late_hours\nentity: origin\nsource: late_departures\nkeys: [tier]\nlatest: [hours]\n";
    // Whatever the order of the files.
    let set = valid(&[on_it, LATE, INFO, BASE]);
    let source = &set.source("late_departures").unwrap().definition;
    let columns: Vec<String> =
        source.columns.iter().map(|(name, data_type)| format!("{name} {data_type}")).collect();
    assert_eq!(columns, ["flight_id text", "departed_at timestamp", "hours float", "tier text"]);
    let select = source.select.as_ref().unwrap();
    assert_eq!(select.from.as_str(), "departures");
    assert_eq!(select.joins[0].view.as_str(), "carrier_info");
    assert_eq!(select.joins[0].keys[0].as_str(), "origin");
    assert_eq!(set.view("late_hours").unwrap().definition.source.as_str(), "late_departures");
}

#[test]
fn a_selection_may_stand_on_a_selection_and_join_a_view_of_it() {
    let latest = "kind: view\nname: last_late\nentity: origin\nsource: late_departures\nkeys: [tier]\nlatest: [hours]\n";
    let again = "kind: source\nname: again\nevent_time: departed_at\nselect: select l.*, last_late.hours as before from late_departures l left join last_late on last_late.origin = l.tier\n";
    let set = valid(&[again, latest, LATE, INFO, BASE]);
    assert_eq!(set.source("again").unwrap().definition.columns.len(), 5);
}

#[test]
fn the_text_is_in_no_hash() {
    let one = valid(&[LATE, INFO, BASE]);
    let other = valid(&[&LATE.replace("> 30", "> 45"), INFO, BASE]);
    let hash = |set: &shipway_definitions::DefinitionSet| set.source("late_departures").unwrap().hash;
    assert_eq!(hash(&one), hash(&other));
    assert_ne!(one.source("late_departures").unwrap(), other.source("late_departures").unwrap());
}

#[test]
fn declared_columns_must_be_those_that_the_text_gives() {
    let declared = LATE.replace(
        "select: |",
        "columns: { flight_id: text, departed_at: timestamp, hours: int, tiers: text }\nselect: |",
    );
    assert_snapshot!(parse(&[&declared, INFO, BASE]).unwrap_err(), @r"
    a.yaml:5: source late_departures: column hours is int, and select gives float
      hint: write CAST(… AS …) in select, or leave columns out
    a.yaml:5: source late_departures: column tiers is not given by select
      hint: write … AS tiers in select, or leave columns out
    a.yaml:7: source late_departures: select gives column tier, which is not in columns
      hint: add tier: text, or leave columns out
    ");
    let fits = declared.replace("hours: int, tiers", "hours: float, tier");
    valid(&[&fits, INFO, BASE]);
}

#[test]
fn what_it_names_must_be_there() {
    assert_snapshot!(refused_select("select departed_at from departure"), @r"
    a.yaml:4: source s: source departure does not exist
      hint: did you mean departures?
    ");
    assert_snapshot!(refused_select("select departed_at, i.tier from departures left join carrier_inf i on i.code = origin"), @r"
    a.yaml:4: source s: view carrier_inf does not exist
      hint: did you mean carrier_info?
    ");
    assert_snapshot!(refused_select("select departed_at, i.teir from departures left join carrier_info i on i.code = origin"), @r"
    a.yaml:4: source s: select: column i.teir does not exist here (at character 21)
      hint: did you mean i.tier?
    ");
    assert_snapshot!(refused_select("select departed_at from departures left join carrier_info i on i.name = origin"), @r"
    a.yaml:4: source s: i.name in select is no key of view carrier_info
      hint: its key is code
    ");
    assert_snapshot!(refused_select("select departed_at from departures left join carrier_info i on i.code = dep_delay"), @"a.yaml:4: source s: column dep_delay is float, code of view carrier_info is text");
    assert_snapshot!(refused_select("select flight_id from departures"), @"a.yaml:3: source s: event_time departed_at is not given by select");
    assert_snapshot!(refused_select("select cast(departed_at as text) as departed_at from departures"), @r"
    a.yaml:3: source s: column departed_at of select is text; event_time needs timestamp
      hint: write CAST(… AS timestamp) in select
    ");
}

#[test]
fn what_needs_more_than_one_event_is_refused() {
    assert_snapshot!(refused_select("select departed_at, count(*) as flights from departures group by departed_at"), @r"
    a.yaml:4: source s: select: GROUP BY cannot be asked of one event at a time
      hint: select columns from one source, LEFT JOIN views, and filter with WHERE; aggregate in a view
    ");
}

#[test]
fn it_has_its_events_from_nowhere_else() {
    let text = LATE.replace("select: |", "stream: { broker: main, topic: late, format: json }\nselect: |");
    assert_snapshot!(parse(&[&text, INFO, BASE]).unwrap_err(), @r"
    a.yaml:5: source late_departures: a source with select has no stream
      hint: leave stream out: every event of it is selected from another source
    ");
}

#[test]
fn an_event_cannot_wait_for_itself() {
    let one = "kind: source\nname: one\nevent_time: at\nselect: select at from other\n";
    let other = "kind: source\nname: other\nevent_time: at\nselect: select at from one\n";
    assert_snapshot!(parse(&[one, other]).unwrap_err(), @r"
    a.yaml:4: source one: it is selected from itself, directly or by what it joins
      hint: take one of the references out: an event cannot wait for itself
    b.yaml:4: source other: it is selected from itself, directly or by what it joins
      hint: take one of the references out: an event cannot wait for itself
    ");
    assert_snapshot!(refused("kind: source\nname: s\nevent_time: at\nselect: select at from s\n"), @r"
    a.yaml:4: source s: it is selected from itself, directly or by what it joins
      hint: take one of the references out: an event cannot wait for itself
    ");
}

//! Overlaying, storing and restoring sets.

use insta::assert_snapshot;
use shipway_core::Failure as _;
use shipway_definitions::{DefinitionFile, DefinitionKind, DefinitionSet, RestoreError};

use crate::{BASE, SERVICE, VIEW, valid};

#[test]
fn files_may_refer_to_what_is_in_force_already() {
    let base = valid(&[BASE]);
    let set = DefinitionSet::parse_onto(&[DefinitionFile::new("v.yaml", VIEW)], &base).unwrap();
    assert_eq!(set.names(DefinitionKind::View).len(), 1);
    assert!(set.entities.is_empty(), "the base is not copied");
    assert_eq!(set, {
        let mut expected = valid(&[BASE, VIEW]);
        expected.entities.clear();
        expected.sources.clear();
        expected
    });
}

#[test]
fn an_older_version_stays_known_by_its_hash() {
    let old = valid(&[BASE, VIEW, SERVICE]);
    let new = valid(&[BASE, &VIEW.replace("[30m, 1h]", "[30m, 2h]"), SERVICE]);
    let (before, after) =
        (old.view("origin_traffic").unwrap().hash, new.view("origin_traffic").unwrap().hash);

    let kept = old.overlaid(&new, false);
    assert_eq!(kept.view("origin_traffic").unwrap().hash, after);
    assert!(kept.views_by_hash.contains_key(&before));
    assert_eq!(kept.services_by_hash.len(), 2);

    let pruned = old.overlaid(&valid(&[BASE]), true);
    assert!(pruned.views.is_empty());
    assert!(pruned.views_by_hash.contains_key(&before));
}

#[test]
fn a_set_survives_its_stored_form() {
    let gate = "kind: gate\nname: g\nmodel: m\nalias: a\nrequire: [{ metric: auc, beats: holder, by: 0.001 }, { evaluation: own_artifact }]";
    let latest = "kind: view\nname: w\nentity: route\nsource: departures\nlatest: [gate]\nttl: 3h\nowner: me";
    let distinct = "kind: view\nname: d\nentity: route\nsource: departures\naggregate: [{ column: gate, operations: [distinct_count], windows: [lifetime], bound: 7 }]";
    let set = valid(&[BASE, VIEW, SERVICE, gate, latest, distinct]);
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
fn a_stored_definition_that_was_altered_is_refused() {
    let set = valid(&[BASE, VIEW]);
    let (json, hash) = set.stored(DefinitionKind::View, "origin_traffic").unwrap();
    let altered = json.to_string().replace("30m", "31m");
    let error = DefinitionSet::default().restore(DefinitionKind::View, &altered, hash, true).unwrap_err();
    assert!(matches!(error, RestoreError::Altered { .. }), "{error}");
    let error = DefinitionSet::default().restore(DefinitionKind::View, "{}", hash, true).unwrap_err();
    assert_snapshot!(error, @"the stored view without a name cannot be read");
}

/// The stored form is read by every later version. If this test fails, the new code must still read this text.
#[test]
fn the_stored_form_of_a_view_stays_readable() {
    let (json, _) = valid(&[BASE, VIEW]).stored(DefinitionKind::View, "origin_traffic").unwrap();
    assert_snapshot!(json, @r#"{"name":"origin_traffic","entity":"origin","source":"departures","event_time":"departed_at","event_id":"flight_id","entity_keys":[["origin","text"]],"key_columns":["origin"],"column_types":{"dep_delay":"float","origin":"text"},"body":{"aggregates":[{"name":"count_30m","column":null,"operation":"count","window":"30m"},{"name":"count_1h","column":null,"operation":"count","window":"1h"},{"name":"dep_delay_avg_1h","column":["dep_delay","float"],"operation":"avg","window":"1h"}]},"freshness":{"objective":"1h","beyond":"serve"},"description":null,"owner":null}"#);
    let (json, _) = valid(&[BASE, VIEW, SERVICE]).stored(DefinitionKind::Service, "late_arrivals").unwrap();
    assert_snapshot!(json, @r#"{"name":"late_arrivals","views":[{"view":"origin_traffic","hash":"sha256:a13a6b02df066959f49d529dc0885103581f6d58e72b15fde8c5c7984748cdce","features":["count_30m","count_1h","dep_delay_avg_1h"]}],"request":[["month","int"]],"entity_keys":[["origin","text"]],"columns":[{"name":"origin_traffic__count_30m","data_type":"int","origin":{"feature":{"view":"origin_traffic","feature":"count_30m"}}},{"name":"origin_traffic__count_1h","data_type":"int","origin":{"feature":{"view":"origin_traffic","feature":"count_1h"}}},{"name":"origin_traffic__dep_delay_avg_1h","data_type":"float","origin":{"feature":{"view":"origin_traffic","feature":"dep_delay_avg_1h"}}},{"name":"month","data_type":"int","origin":"request"}],"description":null,"owner":null}"#);
}

#[test]
fn an_unknown_name_gets_the_nearest_one() {
    let set = valid(&[BASE, VIEW]);
    let error = set.view("origin_trafic").unwrap_err();
    assert_snapshot!(error, @"view origin_trafic does not exist");
    assert_eq!(error.hint().unwrap(), "did you mean origin_traffic?");
    assert_eq!(set.gate("g").unwrap_err().hint(), None);
}

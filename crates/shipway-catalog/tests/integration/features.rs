//! Every feature, found by what is known about it.

use insta::assert_json_snapshot;
use shipway_catalog::{Catalog, FeatureFilter};
use shipway_definitions::Pii;

use crate::{BASE, SERVICE, VIEW, apply, catalog};

const NOTES: &str = "owner: traffic
tags: [core]
description: How busy an origin is
features:
  count_1h: { owner: ada, tags: [hourly], pii: sensitive, deprecated: { reason: too short, use: count_30m } }
---
kind: view
name: gates
entity: origin
source: departures
latest: [gate, dep_delay]
ttl: 1d
pii: personal
features: { gate: { ttl: 2h, freshness: { objective: 5m, beyond: 'null' } } }
";

async fn described() -> Catalog {
    let catalog = catalog().await;
    let narrow = SERVICE.replace("[origin_traffic]", "['origin_traffic:count_1h', gates]");
    apply(&catalog, &[BASE, &format!("{VIEW}{NOTES}"), &narrow]).await;
    catalog
}

async fn found(catalog: &Catalog, change: impl FnOnce(&mut FeatureFilter)) -> Vec<String> {
    let mut filter = FeatureFilter::default();
    change(&mut filter);
    catalog.features(&filter).await.into_iter().map(|feature| feature.name).collect()
}

#[tokio::test]
async fn every_feature_is_told_with_all_that_is_known_about_it() {
    let catalog = described().await;
    let all = catalog.features(&FeatureFilter::default()).await;
    let names: Vec<_> = all.iter().map(|feature| feature.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "gates:gate",
            "gates:dep_delay",
            "origin_traffic:count_30m",
            "origin_traffic:count_1h",
            "origin_traffic:dep_delay_avg_1h"
        ]
    );
    assert_json_snapshot!([&all[0], &all[3]], @r#"
    [
      {
        "name": "gates:gate",
        "type": "text",
        "view": "gates",
        "version": "sha256:db5a035dff5a7a6bdf73ef2948e1875b4e92bea70050af64e0679f03f2e2f08a",
        "entity": "origin",
        "keys": [
          "origin"
        ],
        "source": "departures",
        "computes": "latest gate",
        "description": null,
        "owner": null,
        "tags": [],
        "pii": "personal",
        "freshness": {
          "objective": "5m",
          "beyond": "null"
        },
        "ttl": "2h",
        "deprecated": null,
        "services": [
          "late_arrivals"
        ]
      },
      {
        "name": "origin_traffic:count_1h",
        "type": "int",
        "view": "origin_traffic",
        "version": "sha256:a13a6b02df066959f49d529dc0885103581f6d58e72b15fde8c5c7984748cdce",
        "entity": "origin",
        "keys": [
          "origin"
        ],
        "source": "departures",
        "computes": "count over 1h",
        "description": "How busy an origin is",
        "owner": "ada",
        "tags": [
          "hourly",
          "core"
        ],
        "pii": "sensitive",
        "freshness": null,
        "ttl": null,
        "deprecated": {
          "reason": "too short",
          "use": "count_30m"
        },
        "services": [
          "late_arrivals"
        ]
      }
    ]
    "#);
}

#[tokio::test]
async fn features_are_found_by_what_is_known_about_them() {
    let catalog = described().await;
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(found(&catalog, |filter| filter.tag = some("hourly")).await, ["origin_traffic:count_1h"]);
    assert_eq!(found(&catalog, |filter| filter.tag = some("core")).await.len(), 3);
    assert_eq!(found(&catalog, |filter| filter.owner = some("ada")).await, ["origin_traffic:count_1h"]);
    assert_eq!(
        found(&catalog, |filter| filter.pii = Some(Pii::Personal)).await,
        ["gates:gate", "gates:dep_delay"]
    );
    assert_eq!(found(&catalog, |filter| filter.deprecated = Some(true)).await, ["origin_traffic:count_1h"]);
    assert_eq!(found(&catalog, |filter| filter.deprecated = Some(false)).await.len(), 4);
    assert_eq!(found(&catalog, |filter| filter.view = some("gates")).await.len(), 2);
    assert_eq!(found(&catalog, |filter| filter.entity = some("route")).await.len(), 0);
    assert_eq!(
        found(&catalog, |filter| filter.service = some("late_arrivals")).await,
        ["gates:gate", "gates:dep_delay", "origin_traffic:count_1h"]
    );
    assert_eq!(found(&catalog, |filter| filter.text = some("BUSY")).await.len(), 3);
    assert_eq!(
        found(&catalog, |filter| filter.text = some("avg")).await,
        ["origin_traffic:dep_delay_avg_1h"]
    );
    let both = found(&catalog, |filter| (filter.owner, filter.tag) = (some("ada"), some("nothing"))).await;
    assert!(both.is_empty(), "all that is given must hold");
}

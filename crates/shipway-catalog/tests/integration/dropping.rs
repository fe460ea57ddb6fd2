//! What may go, and what keeps it.

use insta::assert_snapshot;
use shipway_catalog::Binding;
use shipway_core::{Failure as _, Name};
use shipway_store::{Store, audit};

use crate::{
    BASE, SERVICE, VIEW, apply, catalog,
    impact::{bound, deployment, model},
    open, pretty, proposal,
};

const OTHER: &str = "kind: view
name: gates
entity: origin
source: departures
latest: [gate]
";

#[tokio::test]
async fn what_is_in_use_in_the_definitions_cannot_go() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, OTHER, SERVICE]).await;
    let mut refusals = Vec::new();
    for (kind, name) in [("entity", "origin"), ("source", "departures"), ("view", "origin_traffic")] {
        let refused = catalog.drop("ada", kind, name).await;
        assert_eq!(refused.as_ref().unwrap_err().code(), "catalog.in_use");
        assert_eq!(pretty(&refused), pretty(&catalog.plan_drop(kind, name).await), "a dry run says the same");
        refusals.push(pretty(&refused));
    }
    assert_snapshot!(refusals.join("\n"), @r"
    entity origin is in use by view gates, view origin_traffic
      hint: drop view gates, origin_traffic first
    source departures is in use by view gates, view origin_traffic
      hint: drop view gates, origin_traffic first
    view origin_traffic is in use by service late_arrivals
      hint: take it out of service late_arrivals and apply that, or drop the service first
    ");
    assert_eq!(catalog.current().views.len(), 2, "nothing was changed");
}

#[tokio::test]
async fn a_model_that_judges_cannot_go_while_it_is_asked() {
    let catalog = catalog().await;
    let judged = "kind: llm_guardrail
name: attack
action: reroute
find: { judge: { model: small, question: It asks to ignore instructions. } }
---
kind: llm_model
name: small
deployments: [{ provider: a, model: x }]
---
kind: llm_model
name: chat
deployments: [{ provider: a, model: y }]
guardrails: [attack]
on_guardrail: a
";
    apply(&catalog, &[judged]).await;
    let refused = catalog.drop("ada", "llm_model", "small").await;
    assert_eq!(refused.as_ref().unwrap_err().code(), "catalog.in_use");
    assert!(pretty(&refused).contains("llm_model small is in use by llm_model chat"), "{}", pretty(&refused));
    assert!(catalog.drop("ada", "llm_model", "chat").await.is_ok());
    assert!(catalog.drop("ada", "llm_model", "small").await.is_ok());
}

#[tokio::test]
async fn what_answers_somebody_cannot_go() {
    let (catalog, bound, version) = bound().await;
    bound.0.lock().unwrap().extend([
        model("late", 1, &[], version),
        model("late", 3, &["champion"], version),
        deployment("arrivals", 3, version),
    ]);
    assert_snapshot!(pretty(&catalog.drop("ada", "service", "late_arrivals").await), @r"
    service late_arrivals is in use by model late version 3 (champion), deployment arrivals
      hint: take the deployment down: shipway deploy arrivals --remove; give alias champion of model late to a version that does not need it
    ");
    // A later version of the service takes the view no more, but what is deployed still does.
    let changed = "kind: service\nname: late_arrivals\nrequest: { month: int }\n";
    apply(&catalog, &[changed]).await;
    assert_snapshot!(pretty(&catalog.drop("ada", "view", "origin_traffic").await), @r"
    view origin_traffic is in use by model late version 3 (champion), deployment arrivals
      hint: take the deployment down: shipway deploy arrivals --remove; give alias champion of model late to a version that does not need it
    ");
    bound.0.lock().unwrap().truncate(1);
    assert_snapshot!(pretty(&catalog.drop("ada", "view", "origin_traffic").await), @r"
    Removed view origin_traffic
      * its state is retired as soon as nothing needs it; the history of its source stays
      > model late 1 version without an alias was trained on it and is served by nobody
    ");
    assert_snapshot!(pretty(&catalog.drop("ada", "source", "departures").await), @r"
    Removed source departures
      * it takes no more events; its table and its history stay
    ");
}

#[tokio::test]
async fn a_deployment_whose_model_does_not_load_keeps_its_service() {
    let (catalog, bound, _) = bound().await;
    bound.0.lock().unwrap().push(Binding::Deployment {
        name: Name::new("arrivals").unwrap(),
        model: "late".to_owned(),
        version: None,
        service: Name::new("late_arrivals").unwrap(),
        service_version: None,
    });
    let refused = catalog.drop("ada", "service", "late_arrivals").await.unwrap_err();
    assert_eq!(refused.to_string(), "service late_arrivals is in use by deployment arrivals");
}

#[tokio::test]
async fn a_source_stays_while_a_service_takes_an_earlier_version_of_a_view_of_it() {
    let catalog = catalog().await;
    let moved = VIEW.replace("source: departures", "source: other");
    let other = BASE.split_once("---\n").unwrap().1.replace("name: departures", "name: other");
    apply(&catalog, &[BASE, &other, VIEW, SERVICE]).await;
    apply(&catalog, &[&moved]).await;
    assert_snapshot!(pretty(&catalog.drop("ada", "source", "departures").await), @r"
    source departures is in use by service late_arrivals
      hint: apply service late_arrivals with the views in force, or drop it
    ");
    apply(&catalog, &[SERVICE]).await;
    assert!(catalog.drop("ada", "source", "departures").await.is_ok());
}

#[tokio::test]
async fn a_dropped_definition_is_out_of_force_audited_and_known_by_its_versions() {
    let store = Store::in_memory().await.unwrap();
    let catalog = open(store.clone()).await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let (view, service) = {
        let set = catalog.current();
        (set.view("origin_traffic").unwrap().hash, set.service("late_arrivals").unwrap().hash)
    };

    let dry = catalog.plan_drop("service", "late_arrivals").await.unwrap();
    assert_eq!(catalog.current().services.len(), 1, "a dry run changes nothing");
    let dropped = catalog.drop("grace", "service", "late_arrivals").await.unwrap();
    assert_eq!(dropped, dry);
    catalog.drop("grace", "view", "origin_traffic").await.unwrap();

    let set = catalog.current();
    assert!(set.services.is_empty() && set.views.is_empty());
    assert!(set.views_by_hash.contains_key(&view) && set.services_by_hash.contains_key(&service));
    assert_eq!(catalog.detail("view", "origin_traffic").await.unwrap().hash, None);
    let lines: Vec<_> = audit::list(&store, 2)
        .await
        .unwrap()
        .iter()
        .map(|recorded| {
            let entry = &recorded.entry;
            format!("{} {} {} {}", entry.actor, entry.action, entry.subject, entry.detail)
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    grace definitions.drop view/origin_traffic {"action":"removed","before":"sha256:a13a6b02df066959f49d529dc0885103581f6d58e72b15fde8c5c7984748cdce","after":null}
    grace definitions.drop service/late_arrivals {"action":"removed","before":"sha256:5b590c5fa485896cf7de8d2d4531ccc4b19449a4095925d6e25b1d9760240198","after":null}
    "#);
    assert_eq!(open(store).await.current(), set, "also after a restart");

    let again = catalog.plan(&proposal(&[VIEW])).await;
    assert_snapshot!(pretty(&again), @r"
    Created view origin_traffic
      * its tiles will be built from the history of source departures
    kept entity origin
    kept source departures
    ");
}

#[tokio::test]
async fn only_what_is_in_force_can_go() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE]).await;
    assert_snapshot!(pretty(&catalog.drop("ada", "source", "departure").await), @r"
    source departure does not exist
      hint: did you mean departures?
    ");
    assert_snapshot!(pretty(&catalog.drop("ada", "sauce", "departures").await), @r"
    kind sauce does not exist
      hint: did you mean source?
    ");
    catalog.drop("ada", "source", "departures").await.unwrap();
    assert_snapshot!(pretty(&catalog.drop("ada", "source", "departures").await), @"source departures does not exist");
}

const LATE: &str = "kind: source
name: late
event_time: departed_at
select: SELECT departed_at, dep_delay, t.count_1h AS busy FROM departures LEFT JOIN origin_traffic t ON t.origin = departures.origin
";

#[tokio::test]
async fn what_a_selection_reads_cannot_go() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, LATE]).await;
    assert_snapshot!(pretty(&catalog.drop("ada", "view", "origin_traffic").await), @r"
    view origin_traffic is in use by source late
      hint: drop source late first
    ");
    assert_snapshot!(pretty(&catalog.drop("ada", "source", "departures").await), @r"
    source departures is in use by source late, view origin_traffic
      hint: drop view origin_traffic first; drop source late first
    ");
    // A column that it reads, and a feature.
    let without = BASE.replace("dep_delay: float, ", "");
    let view = VIEW
        .replace("windows: [30m, 1h]", "windows: [30m]")
        .replace("column: dep_delay", "column: gate")
        .replace("operations: [avg]", "operations: [last]");
    assert_snapshot!(pretty(&catalog.apply("ada", &proposal(&[&without, &view])).await), @r"
    source late: its select would not be valid any more: column dep_delay does not exist here (at character 21) (apply that source with it, changed so that both fit, or leave in place what it reads)
      hint: nothing was applied
    ");
    let changed = LATE.replace(", dep_delay, t.count_1h AS busy", "");
    assert!(catalog.apply("ada", &proposal(&[&view, &changed])).await.is_ok());
}

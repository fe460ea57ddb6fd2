//! What a plan costs and whom it touches.

use std::sync::{Arc, Mutex};

use insta::assert_snapshot;
use shipway_catalog::{Binding, Catalog, CatalogPorts, PortError, Rebuild, RebuildCosts, ServiceBindings};
use shipway_core::{Digest, Failure, Kind, Name};
use shipway_definitions::{Versioned, View};

use crate::{BASE, SERVICE, VIEW, apply, catalog, pretty, proposal, pruning};

/// What is bound to services, as a test says.
#[derive(Default)]
pub(crate) struct Bound(pub(crate) Mutex<Vec<Binding>>);

#[async_trait::async_trait]
impl ServiceBindings for Bound {
    async fn list(&self) -> Result<Vec<Binding>, PortError> {
        Ok(self.0.lock().unwrap().clone())
    }
}

/// A thousand rows a second, and nothing to build for what is known already.
struct Costs(Vec<Digest>);

#[async_trait::async_trait]
impl RebuildCosts for Costs {
    async fn of(&self, view: &Versioned<View>) -> Result<Option<Rebuild>, PortError> {
        let (rows, rows_per_second) = (5_000, 1_000.0);
        let rebuild =
            Rebuild { rows, files: 2, bytes: 70_000, seconds: 5.0, rows_per_second, measured_builds: 3 };
        Ok((!self.0.contains(&view.hash)).then_some(rebuild))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database is locked")]
struct Locked;

impl Failure for Locked {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn code(&self) -> &'static str {
        "store.busy"
    }
}

struct Failing;

#[async_trait::async_trait]
impl ServiceBindings for Failing {
    async fn list(&self) -> Result<Vec<Binding>, PortError> {
        Err(Box::new(Locked))
    }
}

#[async_trait::async_trait]
impl RebuildCosts for Failing {
    async fn of(&self, _: &Versioned<View>) -> Result<Option<Rebuild>, PortError> {
        Err(Box::new(Locked))
    }
}

pub(crate) fn model(name: &str, version: u64, aliases: &[&str], service_version: Digest) -> Binding {
    let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
    Binding::Model { name: name.to_owned(), version, aliases, service_version }
}

pub(crate) fn deployment(name: &str, version: u64, service_version: Digest) -> Binding {
    Binding::Deployment {
        name: Name::new(name).unwrap(),
        model: "late".to_owned(),
        version: Some(version),
        service: Name::new("late_arrivals").unwrap(),
        service_version: Some(service_version),
    }
}

/// A catalog with everything in force, and what is bound to it.
pub(crate) async fn bound() -> (Catalog, Arc<Bound>, Digest) {
    let catalog = catalog().await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let version = catalog.current().service("late_arrivals").unwrap().hash;
    let bound = Arc::new(Bound::default());
    let costs = Arc::new(Costs(vec![catalog.current().view("origin_traffic").unwrap().hash]));
    catalog.plug(CatalogPorts { costs: Some(costs), bindings: vec![bound.clone()] });
    (catalog, bound, version)
}

#[tokio::test]
async fn a_new_version_of_a_view_names_its_cost_and_everybody_down_to_the_deployments() {
    let (catalog, bound, version) = bound().await;
    *bound.0.lock().unwrap() = vec![
        model("late", 1, &[], version),
        model("late", 2, &[], version),
        model("late", 3, &["champion", "best"], version),
        model("other", 1, &[], Digest::of("of another service")),
        deployment("arrivals", 3, version),
    ];
    let changed = VIEW.replace("[30m, 1h]", "[30m, 2h]");

    let plan = catalog.plan(&proposal(&[BASE, &changed, SERVICE])).await;

    assert_snapshot!(pretty(&plan), @r"
    Changed view origin_traffic
      feature count_2h: - => count over 2h
      feature order: count_30m, count_1h, dep_delay_avg_1h => count_30m, count_2h, dep_delay_avg_1h
      feature count_1h: count over 1h => -
      * its tiles will be built from the history of source departures
      reads 5000 rows, 70000 bytes in 2 files, 5 s
      > service late_arrivals gets a new version: 5b590c5fa485 → c203c1280337
      > model late version 3 (champion, best) keeps version a13a6b02df06 of the view; train again to use the new one
      > deployment arrivals serves late version 3 and keeps version a13a6b02df06 of the view
      > model late 2 versions without an alias keep earlier versions of the view
    Changed service late_arrivals
      view origin_traffic: version a13a6b02df06 => version d8f2c9324ab9
      features of origin_traffic: count_30m, count_1h, dep_delay_avg_1h => count_30m, count_2h, dep_delay_avg_1h
      column order: origin_traffic__count_30m, origin_traffic__count_1h, origin_traffic__dep_delay_avg_1h, month => origin_traffic__count_30m, origin_traffic__count_2h, origin_traffic__dep_delay_avg_1h, month
      * its columns are others: a model has to be trained on this version
      * what was trained on an earlier version keeps it
      > model late version 3 (champion, best) keeps version 5b590c5fa485 of the service; train again to use the new one
      > deployment arrivals serves late version 3 and keeps version 5b590c5fa485 of the service
      > model late 2 versions without an alias keep earlier versions of the service
    unchanged entity origin
    unchanged source departures
    ");
    let alone = catalog.plan(&proposal(&[&changed])).await;
    assert_snapshot!(pretty(&alone), @r"
    Changed view origin_traffic
      feature count_2h: - => count over 2h
      feature order: count_30m, count_1h, dep_delay_avg_1h => count_30m, count_2h, dep_delay_avg_1h
      feature count_1h: count over 1h => -
      * its tiles will be built from the history of source departures
      reads 5000 rows, 70000 bytes in 2 files, 5 s
      > service late_arrivals is not in the files and stays with version a13a6b02df06 of the view
      > model late version 3 (champion, best) keeps version a13a6b02df06 of the view; train again to use the new one
      > deployment arrivals serves late version 3 and keeps version a13a6b02df06 of the view
      > model late 2 versions without an alias keep earlier versions of the view
    kept entity origin
    kept source departures
    kept service late_arrivals
    ");
}

#[tokio::test]
async fn what_is_built_already_costs_nothing() {
    let (catalog, _, _) = bound().await;
    let changed = VIEW.replace("[30m, 1h]", "[30m, 2h]");
    apply(&catalog, &[&changed]).await;
    let back = catalog.plan(&proposal(&[VIEW])).await.unwrap();
    assert_eq!(back.changes[0].rebuild, None);
}

#[tokio::test]
async fn an_apply_answers_the_plan_that_was_shown() {
    let (catalog, bound, version) = bound().await;
    bound.0.lock().unwrap().push(deployment("arrivals", 3, version));
    let files = proposal(&[&VIEW.replace("[30m, 1h]", "[30m, 2h]"), SERVICE]);
    let planned = catalog.plan(&files).await.unwrap();
    assert!(planned.changes[0].rebuild.is_some());
    assert_eq!(catalog.apply("ada", &files).await.unwrap(), planned);
}

#[tokio::test]
async fn words_for_people_touch_nobody_and_a_freshness_objective_touches_the_services() {
    let (catalog, bound, version) = bound().await;
    bound.0.lock().unwrap().push(deployment("arrivals", 3, version));
    let owned = catalog.plan(&proposal(&[&format!("{VIEW}owner: ops\ntags: [a]\n")])).await;
    assert_snapshot!(pretty(&owned), @r"
    Changed view origin_traffic same version
      owner: - => ops
      tags: - => a
      * no new version: every value stays as it is
    kept entity origin
    kept source departures
    kept service late_arrivals
    ");
    let stricter =
        format!("{VIEW}features: {{ count_1h: {{ freshness: {{ objective: 5m, beyond: refuse }} }} }}\n");
    assert_snapshot!(pretty(&catalog.plan(&proposal(&[&stricter])).await), @r"
    Changed view origin_traffic same version
      freshness of count_1h: - => 5m, beyond it refuse
      * no new version: every value stays as it is
      > service late_arrivals is answered by the new freshness objective at once
    kept entity origin
    kept source departures
    kept service late_arrivals
    ");
}

#[tokio::test]
async fn new_keys_of_an_entity_touch_its_views() {
    let (catalog, _, _) = bound().await;
    let keyed = BASE.replace("keys: { origin: text }", "keys: { origin: text, gate: text }");
    let plan = catalog.plan(&proposal(&[&keyed, VIEW])).await.unwrap();
    let consumers: Vec<_> =
        plan.changes[0].consumers.iter().map(|consumer| format!("{consumer} {}", consumer.effect)).collect();
    assert_eq!(consumers, ["view origin_traffic gets a new version"]);
}

#[tokio::test]
async fn personal_data_are_shown_and_inherited_by_services() {
    let (catalog, _, _) = bound().await;
    let personal = format!(
        "{VIEW}pii: personal\nfeatures: {{ count_30m: {{ pii: none }}, count_1h: {{ pii: sensitive }} }}\n"
    );
    let narrow = SERVICE
        .replace("[origin_traffic]", "['origin_traffic:count_30m', 'origin_traffic:dep_delay_avg_1h']");
    let plan = catalog.plan(&proposal(&[&personal, &narrow])).await;
    assert_snapshot!(pretty(&plan), @r"
    Changed view origin_traffic same version
      pii: - => personal
      pii of count_1h: - => sensitive
      pii of count_30m: - => none
      * no new version: every value stays as it is
      origin_traffic:count_1h is sensitive
      origin_traffic:dep_delay_avg_1h is personal
    Changed service late_arrivals
      features of origin_traffic: count_30m, count_1h, dep_delay_avg_1h => count_30m, dep_delay_avg_1h
      column order: origin_traffic__count_30m, origin_traffic__count_1h, origin_traffic__dep_delay_avg_1h, month => origin_traffic__count_30m, origin_traffic__dep_delay_avg_1h, month
      * its columns are others: a model has to be trained on this version
      * what was trained on an earlier version keeps it
      origin_traffic__dep_delay_avg_1h is personal
    kept entity origin
    kept source departures
    ");

    apply(&catalog, &[&personal, &narrow]).await;
    let detail = catalog.detail("service", "late_arrivals").await.unwrap();
    let columns: Vec<_> = detail.personal.iter().map(|data| (data.name.as_str(), data.pii.word())).collect();
    assert_eq!(columns, [("origin_traffic__dep_delay_avg_1h", "personal")]);
}

#[tokio::test]
async fn a_computed_column_is_as_personal_as_what_it_is_made_of() {
    let catalog = catalog().await;
    let personal =
        format!("{VIEW}features: {{ count_1h: {{ pii: sensitive }}, count_30m: {{ pii: personal }} }}\n");
    let computing = format!(
        "{SERVICE}compute: {{ doubled: origin_traffic__count_30m * 2, mixed: doubled + origin_traffic__count_1h, later: month + 1 }}\n"
    );
    apply(&catalog, &[BASE, &personal, &computing]).await;
    let detail = catalog.detail("service", "late_arrivals").await.unwrap();
    let columns: Vec<_> = detail.personal.iter().map(|data| (data.name.as_str(), data.pii.word())).collect();
    assert_eq!(
        columns,
        [
            ("origin_traffic__count_30m", "personal"),
            ("origin_traffic__count_1h", "sensitive"),
            ("doubled", "personal"),
            ("mixed", "sensitive")
        ]
    );
}

#[tokio::test]
async fn a_service_that_takes_a_deprecated_feature_is_warned() {
    let (catalog, _, _) = bound().await;
    let deprecated = format!(
        "{VIEW}features: {{ count_1h: {{ deprecated: {{ since: 2026-01-31, reason: too short, use: count_30m }} }} }}\n"
    );
    let view_alone = catalog.plan(&proposal(&[&deprecated])).await.unwrap();
    assert_eq!(
        view_alone.changes[0].warnings,
        [
            "service late_arrivals takes origin_traffic:count_1h, which is deprecated since 2026-01-31: too short; use count_30m"
        ]
    );
    apply(&catalog, &[&deprecated]).await;
    let takes_more = SERVICE.replace("month: int", "month: int, hour: int");
    let service = catalog.plan(&proposal(&[&takes_more])).await.unwrap();
    assert_eq!(
        service.changes[0].warnings,
        ["it takes origin_traffic:count_1h, which is deprecated since 2026-01-31: too short; use count_30m"]
    );
    let without = SERVICE.replace("[origin_traffic]", "['origin_traffic:count_30m']");
    assert!(catalog.plan(&proposal(&[&without])).await.unwrap().changes[0].warnings.is_empty());
}

#[tokio::test]
async fn without_a_word_on_who_is_bound_nothing_is_applied_but_a_cost_may_be_missing() {
    let catalog = catalog().await;
    apply(&catalog, &[BASE]).await;
    catalog.plug(CatalogPorts { costs: Some(Arc::new(Failing)), bindings: vec![Arc::new(Failing)] });
    let refused = catalog.apply("ada", &proposal(&[VIEW])).await;
    assert_snapshot!(pretty(&refused), @r"
    it is not known what is bound to the services: the database is locked
      hint: nothing was changed; try again
    ");
    assert_eq!(refused.unwrap_err().code(), "catalog.bindings_unknown");
    assert!(catalog.current().views.is_empty());

    let other = crate::catalog().await;
    apply(&other, &[BASE]).await;
    other.plug(CatalogPorts { costs: Some(Arc::new(Failing)), bindings: vec![] });
    assert_eq!(apply(&other, &[VIEW]).await.changes[0].rebuild, None);
}

#[tokio::test]
async fn what_is_pruned_must_not_be_in_use_outside_of_the_files() {
    let (catalog, bound, version) = bound().await;
    bound.0.lock().unwrap().extend([
        model("late", 1, &[], version),
        model("late", 3, &["champion"], version),
        deployment("arrivals", 3, version),
    ]);
    assert_snapshot!(pretty(&catalog.plan(&pruning(&[BASE])).await), @r"
    view origin_traffic is in use by model late version 3 (champion), deployment arrivals (take the deployment down: shipway deploy arrivals --remove; give alias champion of model late to a version that does not need it)
    service late_arrivals is in use by model late version 3 (champion), deployment arrivals (take the deployment down: shipway deploy arrivals --remove; give alias champion of model late to a version that does not need it)
      hint: nothing was changed
    ");
    *bound.0.lock().unwrap() = vec![model("late", 1, &[], version)];
    assert_snapshot!(pretty(&catalog.plan(&pruning(&[BASE])).await), @r"
    Removed view origin_traffic
      * its state is retired as soon as nothing needs it; the history of its source stays
      > model late 1 version without an alias was trained on it and is served by nobody
    Removed service late_arrivals
      * its versions stay known by their hashes for what was trained on them
      > model late 1 version without an alias was trained on it and is served by nobody
    unchanged entity origin
    unchanged source departures
    ");
}

//! All or nothing, once, audited, remembered.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};
use std::{future::Future as _, task::Poll};

use insta::{assert_json_snapshot, assert_snapshot};
use shipway_catalog::{CatalogError, DefinitionListener, ListenerError};
use shipway_core::{Failure, Kind};
use shipway_definitions::DefinitionSet;
use shipway_store::{Store, audit};

use crate::{BASE, SERVICE, VIEW, apply, catalog, open, pretty, proposal, pruning};

#[tokio::test]
async fn the_same_set_twice_does_nothing_the_second_time() {
    let store = Store::in_memory().await.unwrap();
    let catalog = open(store.clone()).await;
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let audited = audit::list(&store, 100).await.unwrap().len();

    let plan = apply(&catalog, &[BASE, VIEW, SERVICE]).await;

    assert!(!plan.has_changes());
    assert_eq!(plan.unchanged.len(), 4);
    assert_eq!(audit::list(&store, 100).await.unwrap().len(), audited);
    assert_eq!(catalog.detail("view", "origin_traffic").await.unwrap().revisions.len(), 1);
}

#[tokio::test]
async fn subscribers_see_the_set_before_the_answer() {
    let catalog = catalog().await;
    let mut subscription = catalog.subscribe();
    assert!(!subscription.has_changed().unwrap());

    apply(&catalog, &[BASE, VIEW]).await;

    assert!(subscription.has_changed().unwrap());
    assert!(subscription.borrow_and_update().view("origin_traffic").is_ok());
}

#[tokio::test]
async fn a_refused_set_leaves_no_trace() {
    let store = Store::in_memory().await.unwrap();
    let catalog = open(store.clone()).await;
    let broken = SERVICE.replace("origin_traffic", "origin_trafic");

    let error = catalog.apply("ada", &proposal(&[BASE, VIEW, &broken])).await.unwrap_err();

    assert_snapshot!(error, @"2.yaml:3: service late_arrivals: view origin_trafic does not exist (did you mean origin_traffic?)");
    assert!(catalog.current().is_empty());
    assert!(audit::list(&store, 100).await.unwrap().is_empty());
    assert!(catalog.list().await.is_empty());
}

#[tokio::test]
async fn every_change_is_audited() {
    let store = Store::in_memory().await.unwrap();
    let catalog = open(store.clone()).await;
    apply(&catalog, &[BASE]).await;
    catalog
        .apply("grace", &pruning(&["kind: entity\nname: origin\nkeys: { origin: text }\n"]))
        .await
        .unwrap();

    let entries = audit::list(&store, 100).await.unwrap();

    let lines: Vec<_> = entries
        .iter()
        .map(|recorded| {
            let entry = &recorded.entry;
            format!("{} {} {} {}", recorded.at, entry.actor, entry.action, entry.subject)
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r"
    2013-11-01T00:00:00Z grace definitions.apply source/departures
    2013-11-01T00:00:00Z ada definitions.apply source/departures
    2013-11-01T00:00:00Z ada definitions.apply entity/origin
    ");
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let store = Store::in_memory().await.unwrap();
    let catalog = open(store.clone()).await;
    let changed = VIEW.replace("[30m, 1h]", "[30m, 2h]");
    apply(&catalog, &[BASE, VIEW, SERVICE]).await;
    let old = catalog.current().view("origin_traffic").unwrap().hash;
    apply(&catalog, &[&changed]).await;
    apply(&catalog, &[&changed, SERVICE]).await;
    catalog.apply("ada", &pruning(&[BASE])).await.unwrap();
    apply(&catalog, &[&format!("{changed}owner: team\n")]).await;

    let reopened = open(store).await;

    assert_eq!(reopened.current(), catalog.current());
    assert_eq!(reopened.list().await, catalog.list().await);
    assert_eq!(
        reopened.detail("service", "late_arrivals").await.unwrap(),
        catalog.detail("service", "late_arrivals").await.unwrap()
    );
    let set = reopened.current();
    assert!(set.services.is_empty());
    assert_eq!(set.services_by_hash.len(), 2);
    assert!(set.views_by_hash.contains_key(&old));
    assert!(!reopened.plan(&proposal(&[BASE])).await.unwrap().has_changes());
    let retyped = BASE.replace("gate: text", "gate: int");
    assert_eq!(reopened.plan(&proposal(&[&retyped])).await.unwrap_err().code(), "catalog.change_refused");
}

#[tokio::test]
async fn revisions_are_kept_when_a_definition_comes_back() {
    let catalog = catalog().await;
    let changed = VIEW.replace("[30m, 1h]", "[30m, 2h]");
    apply(&catalog, &[BASE, VIEW]).await;
    apply(&catalog, &[&changed]).await;
    apply(&catalog, &[VIEW]).await;

    let detail = catalog.detail("view", "origin_traffic").await.unwrap();

    let lines: Vec<_> = detail
        .revisions
        .iter()
        .map(|revision| {
            let in_force = if revision.in_force { " in force" } else { "" };
            format!("{} {} by {}{in_force}", revision.revision, revision.hash.short(), revision.applied_by)
        })
        .collect();
    assert_snapshot!(lines.join("\n"), @r"
    1 a13a6b02df06 by ada
    2 d8f2c9324ab9 by ada
    3 a13a6b02df06 by ada in force
    ");
    assert_json_snapshot!(detail.fields, @r#"
    [
      [
        "entity",
        "origin"
      ],
      [
        "source",
        "departures"
      ],
      [
        "event_time",
        "departed_at"
      ],
      [
        "event_id",
        "flight_id"
      ],
      [
        "entity keys",
        "origin text"
      ],
      [
        "keys",
        "origin"
      ],
      [
        "feature count_30m",
        "count over 30m"
      ],
      [
        "feature count_1h",
        "count over 1h"
      ],
      [
        "feature dep_delay_avg_1h",
        "avg of dep_delay float over 1h"
      ],
      [
        "feature order",
        "count_30m, count_1h, dep_delay_avg_1h"
      ]
    ]
    "#);
}

#[derive(Debug, thiserror::Error)]
#[error("log of source departures: the disk is full")]
struct DiskFull;

impl Failure for DiskFull {
    fn kind(&self) -> Kind {
        Kind::Unavailable
    }

    fn code(&self) -> &'static str {
        "log.full"
    }
}

#[derive(Default)]
struct Recorder {
    installed: Mutex<Vec<usize>>,
    fails: AtomicBool,
}

#[async_trait::async_trait]
impl DefinitionListener for Recorder {
    async fn applied(&self, set: Arc<DefinitionSet>) -> Result<(), ListenerError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(Box::new(DiskFull));
        }
        self.installed.lock().unwrap().push(set.views.len());
        Ok(())
    }
}

#[tokio::test]
async fn a_listener_installs_before_the_answer_and_not_for_nothing() {
    let catalog = catalog().await;
    let recorder = Arc::new(Recorder::default());
    catalog.listen(recorder.clone()).await;

    apply(&catalog, &[BASE, VIEW]).await;
    apply(&catalog, &[BASE, VIEW]).await;

    assert_eq!(*recorder.installed.lock().unwrap(), [1]);
}

#[tokio::test]
async fn a_listener_that_fails_is_called_again_by_the_same_files() {
    let catalog = catalog().await;
    let recorder = Arc::new(Recorder::default());
    catalog.listen(recorder.clone()).await;
    recorder.fails.store(true, Ordering::SeqCst);

    let failed = catalog.apply("ada", &proposal(&[BASE, VIEW])).await;

    assert_snapshot!(pretty(&failed), @r"
    the definitions are recorded, but not in use yet: log of source departures: the disk is full
      hint: apply the same files again
    ");
    assert!(matches!(failed, Err(CatalogError::NotInstalled { .. })));
    assert!(catalog.current().is_empty(), "what is not installed is not published");

    recorder.fails.store(false, Ordering::SeqCst);
    let plan = apply(&catalog, &[BASE, VIEW]).await;
    assert!(!plan.has_changes(), "it was recorded the first time");
    assert_eq!(*recorder.installed.lock().unwrap(), [1]);
    assert!(catalog.current().view("origin_traffic").is_ok());
}

#[tokio::test]
async fn an_apply_whose_caller_went_away_is_carried_out() {
    let store = Store::in_memory().await.unwrap();
    let catalog = open(store.clone()).await;
    {
        let files = proposal(&[BASE, VIEW]);
        let mut abandoned = Box::pin(catalog.apply("ada", &files));
        let first_poll = std::future::poll_fn(|context| Poll::Ready(abandoned.as_mut().poll(context)));
        assert!(first_poll.await.is_pending());
    }

    catalog.close().await;

    assert!(catalog.current().view("origin_traffic").is_ok());
    assert_eq!(open(store).await.current(), catalog.current());
    let refused = catalog.apply("ada", &proposal(&[BASE])).await.unwrap_err();
    assert_eq!(refused.code(), "catalog.closed");
}

#[tokio::test]
async fn applies_at_the_same_time_queue() {
    let catalog = catalog().await;
    let files = proposal(&[BASE, VIEW]);
    let (left, right) = tokio::join!(catalog.apply("ada", &files), catalog.apply("grace", &files));
    let changed = [left, right].map(|plan| plan.unwrap().has_changes());
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
}

//! Takes deleted things away for good, with their files, once they are deleted long enough.
//!
//! Every step is a transaction of its own and may be done again, so a purge that was interrupted goes on with what is left. What a version in the
//! registry is made of stays. A blob goes when no path names it any more; which ones may have come to that is noted in the transaction that lets
//! them go.
//!
//! - `job`: the durable job, and the clock that begins it

mod job;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shipway_core::{Digest, ResourceType};
use shipway_web::Caller;
use tokio_util::sync::CancellationToken;

pub use job::PURGE_JOB;

use crate::{
    error::TrackingError,
    service::Tracking,
    store::{self, purge::Family},
};

/// Runs or models that go in one transaction.
const AT_ONCE: i64 = 20;
/// Traces that go in one transaction.
const TRACES_AT_ONCE: i64 = 100;
/// Blobs that are looked at under one lock.
const BLOBS_AT_ONCE: i64 = 100;
const NOTED_AT_ONCE: i64 = 1_000;
/// Protected things that are named.
const NAMED: i64 = 100;

/// What a purge would take away now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PurgePlan {
    pub(crate) experiments: i64,
    pub(crate) runs: i64,
    pub(crate) logged_models: i64,
    /// The bytes of their files; those of files that others share stay.
    pub(crate) file_bytes: i64,
    /// Deleted runs and logged models that stay because versions in the registry are made of them; the first of them.
    pub(crate) protected: Vec<String>,
}

impl PurgePlan {
    fn is_empty(&self) -> bool {
        self.experiments == 0 && self.runs == 0 && self.logged_models == 0
    }
}

/// What a purge took away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Purged {
    pub(crate) experiments: u64,
    pub(crate) runs: u64,
    pub(crate) logged_models: u64,
    pub(crate) traces: u64,
    pub(crate) blobs: u64,
    pub(crate) blob_bytes: u64,
}

impl Purged {
    fn things(&self) -> u64 {
        self.experiments + self.runs + self.logged_models + self.traces
    }
}

/// Whether a purge goes on after a step.
type GoesOn = Result<bool, TrackingError>;

impl Tracking {
    /// What has been deleted for longer than `older_than_ms`, and would go.
    pub(crate) async fn purge_plan(&self, older_than_ms: i64) -> Result<PurgePlan, TrackingError> {
        self.note_deletions().await?;
        let before_ms = self.before(older_than_ms)?;
        let rows = &mut self.reader();
        let (runs, run_bytes) = store::purge::weighed(rows, Family::Run, before_ms).await?;
        let (logged_models, model_bytes) =
            store::purge::weighed(rows, Family::LoggedModel, before_ms).await?;
        let mut protected = Vec::new();
        for (family, word) in [(Family::Run, "run"), (Family::LoggedModel, "logged model")] {
            let found = store::purge::protected(rows, family, before_ms, NAMED).await?;
            protected.extend(found.iter().map(|id| format!("{word} {id}")));
        }
        let experiments = store::purge::condemned_experiments(rows, before_ms).await?.len();
        Ok(PurgePlan {
            experiments: i64::try_from(experiments).unwrap_or(i64::MAX),
            runs,
            logged_models,
            file_bytes: run_bytes.saturating_add(model_bytes),
            protected,
        })
    }

    /// Takes away what has been deleted for longer than `older_than_ms`, until nothing is left of it or `stop` is raised. `told` hears how
    /// many things are gone.
    pub(crate) async fn purge(
        &self,
        caller: &str,
        older_than_ms: i64,
        stop: &CancellationToken,
        told: impl Fn(&str, u64) + Sync,
    ) -> Result<Purged, TrackingError> {
        self.note_deletions().await?;
        let before_ms = self.before(older_than_ms)?;
        self.purge_before(caller, before_ms, stop, told).await
    }

    /// As [`Tracking::purge`], of what has been deleted since before a moment and is noted.
    pub(super) async fn purge_before(
        &self,
        caller: &str,
        before_ms: i64,
        stop: &CancellationToken,
        told: impl Fn(&str, u64) + Sync,
    ) -> Result<Purged, TrackingError> {
        let mut purged = Purged::default();
        for family in [Family::Run, Family::LoggedModel] {
            while !stop.is_cancelled() && self.purge_some(family, before_ms, &mut purged).await? {
                told("removing runs and models", purged.things());
            }
        }
        for id in store::purge::condemned_experiments(&mut self.reader(), before_ms).await? {
            while !stop.is_cancelled() && self.purge_traces_of(id, &mut purged).await? {
                told("removing experiments", purged.things());
            }
            if stop.is_cancelled() {
                break;
            }
            self.purge_experiment(id, before_ms, &mut purged).await?;
        }
        while !stop.is_cancelled() && self.purge_blobs(&mut purged).await? {
            told("removing files", purged.blobs);
        }
        if purged.things() > 0 {
            let mut transaction = self.begin().await?;
            let detail = json!({ "deleted_before_ms": before_ms, "purged": purged });
            self.audit(&mut transaction, caller, "tracking.purge", "tracking".to_owned(), detail).await?;
            transaction.commit().await?;
        }
        Ok(purged)
    }

    fn before(&self, older_than_ms: i64) -> Result<i64, TrackingError> {
        if older_than_ms < 0 {
            return Err(TrackingError::invalid("older_than", "it must not be negative"));
        }
        Ok(self.now_ms().saturating_sub(older_than_ms))
    }

    /// Notes since when things are deleted that were not noted when they were: from now on.
    async fn note_deletions(&self) -> Result<(), TrackingError> {
        for family in Family::ALL {
            loop {
                let items = store::purge::unnoted(&mut self.reader(), family, NOTED_AT_ONCE).await?;
                if items.is_empty() {
                    break;
                }
                let mut transaction = self.begin().await?;
                store::purge::note(&mut transaction, family, &items, self.now_ms()).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    async fn purge_some(&self, family: Family, before_ms: i64, purged: &mut Purged) -> GoesOn {
        let mut transaction = self.begin().await?;
        let condemned = store::purge::condemned(&mut transaction, family, before_ms, AT_ONCE).await?;
        if condemned.is_empty() {
            return Ok(false);
        }
        store::purge::remove(&mut transaction, family, &condemned).await?;
        transaction.commit().await?;
        let count = if family == Family::Run { &mut purged.runs } else { &mut purged.logged_models };
        *count += condemned.len() as u64;
        Ok(true)
    }

    async fn purge_traces_of(&self, experiment_id: i64, purged: &mut Purged) -> GoesOn {
        let mut transaction = self.begin().await?;
        let ids = store::traces::oldest(&mut transaction, experiment_id, None, &[], TRACES_AT_ONCE).await?;
        if ids.is_empty() {
            return Ok(false);
        }
        purged.traces += store::traces::delete(&mut transaction, &ids).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes an experiment away, unless it was restored meanwhile or something came into it.
    async fn purge_experiment(
        &self,
        id: i64,
        before_ms: i64,
        purged: &mut Purged,
    ) -> Result<(), TrackingError> {
        // First: its id may be given to another experiment, which those who were granted this one have no business with.
        self.gone(&Caller::operator("purge"), ResourceType::Experiment, &id.to_string()).await?;
        let mut transaction = self.begin().await?;
        let due = store::purge::condemned_experiments(&mut transaction, before_ms).await?;
        if due.contains(&id) && store::purge::remove_experiment(&mut transaction, id).await? {
            transaction.commit().await?;
            purged.experiments += 1;
        }
        Ok(())
    }

    /// Looks at some loose blobs and removes those that no path names.
    async fn purge_blobs(&self, purged: &mut Purged) -> GoesOn {
        // Nobody may give a path to a blob between the look and the removal.
        let _alone = self.inner.paths.write().await;
        let mut transaction = self.begin().await?;
        let found = store::purge::loose(&mut transaction, BLOBS_AT_ONCE).await?;
        if found.is_empty() {
            return Ok(false);
        }
        for (text, is_needed) in &found {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            if *is_needed {
                continue;
            }
            let bytes = self.inner.blobs.size(&digest).await?.unwrap_or_default();
            if self.inner.blobs.delete(&digest).await? {
                purged.blobs += 1;
                purged.blob_bytes += bytes;
            }
        }
        let digests: Vec<String> = found.into_iter().map(|(digest, _)| digest).collect();
        store::purge::settle(&mut transaction, &digests).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

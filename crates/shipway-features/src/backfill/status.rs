//! Which views have their state, how far the others are, and what builds came to: for people, and for who plans the next one.

use serde::Serialize;
use shipway_core::{Digest, Name, Timestamp};

use super::job::BACKFILL_JOB;
use crate::{Features, error::FeaturesError, store::builds};

/// How far the state of a view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StateStatus {
    /// Reads are answered.
    Ready,
    /// It is built from history, or waits for somebody to go on.
    Building,
    /// The log has not come to where the view begins; or its state was retired.
    Absent,
}

/// One version of a view, and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewState {
    /// The view.
    pub view: Name,
    /// Its version.
    pub hash: Digest,
    /// Its source.
    pub source: Name,
    /// Whether it is the version in force.
    pub in_force: bool,
    /// How far its state is.
    pub state: StateStatus,
    /// Steps of the build that is under way that are done; a ready view may be built anew.
    pub steps_done: Option<u32>,
    /// Its steps, once they are known.
    pub steps: Option<u32>,
    /// Rows of history that it reads.
    pub rows: Option<u64>,
    /// Its last job, if there is one.
    pub job: Option<String>,
}

/// A build that has ended: what it took in, and how long that took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BuildRecord {
    /// The view.
    pub view: String,
    /// Its version.
    pub view_hash: Digest,
    /// Its source.
    pub source: String,
    /// Rows of history.
    pub rows: u64,
    /// How long it worked, in seconds.
    pub seconds: f64,
    /// Keys that were compared with the state that was read before; none for a new view.
    pub keys: Option<u64>,
    /// Keys that had another answer than history gives.
    pub differing: Option<u64>,
    /// When it ended.
    pub ended: Timestamp,
}

impl Features {
    /// Every view in force, and every other version that has a state or is to have one, by name.
    pub async fn view_states(&self) -> Result<Vec<ViewState>, FeaturesError> {
        let inner = &self.inner;
        let definitions = inner.definitions();
        let mut states = Vec::new();
        for (hash, view) in &definitions.views_by_hash {
            let view = &view.definition;
            let Ok(runtime) = inner.source(view.source.as_str()) else { continue };
            let build = runtime.build(hash);
            let in_force = definitions.views.get(&view.name).is_some_and(|held| held.hash == *hash);
            let state = match (runtime.is_ready(hash), build) {
                (true, _) => StateStatus::Ready,
                (false, Some(_)) => StateStatus::Building,
                (false, None) if in_force => StateStatus::Absent,
                (false, None) => continue,
            };
            let job = match inner.jobs.get() {
                Some(jobs) => jobs.latest(BACKFILL_JOB, &inner.build_subject(hash)).await,
                None => Ok(None),
            };
            let job = job.map_err(|failed| FeaturesError::Elsewhere(Box::new(failed)))?;
            states.push(ViewState {
                view: view.name.clone(),
                hash: *hash,
                source: view.source.clone(),
                in_force,
                state,
                steps_done: build.map(|build| build.done),
                steps: build.and_then(|build| build.buckets),
                rows: build.and_then(|build| build.buckets.map(|_| build.rows)),
                job: job.map(|job| job.id),
            });
        }
        states.sort_by(|left, right| (&left.view, right.in_force).cmp(&(&right.view, left.in_force)));
        Ok(states)
    }

    /// The newest `limit` builds that have ended, newest first: what they measured says what the next one costs.
    pub async fn builds(&self, limit: u32) -> Result<Vec<BuildRecord>, FeaturesError> {
        let builds = builds::newest(&self.inner.store, limit).await?;
        let record = |build: builds::BuildRow| BuildRecord {
            view: build.view,
            view_hash: build.view_hash,
            source: build.source,
            rows: build.rows,
            seconds: build.spent_us as f64 / 1e6,
            keys: build.keys,
            differing: build.differing,
            ended: build.ended,
        };
        Ok(builds.into_iter().map(record).collect())
    }
}

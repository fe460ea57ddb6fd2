//! Verification by deployment: brings what was served and what arrived into tables, hands both to the proof, and keeps the
//! outcome. On request, and on a schedule.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::Serialize;
use shipway_core::{Failure, Timestamp, failure::chain};

use crate::{
    Features,
    error::{FeaturesError, invalid},
    proof::{self, VerificationReport},
    store::verifications,
};

/// Where served feature vectors are logged. The binary plugs serving in here.
#[async_trait]
pub trait ServedVectorLog: Send + Sync {
    /// Writes every vector that `deployment` served before this call to its table, and names the table. An unknown deployment
    /// is an error that names the nearest.
    async fn flushed(&self, deployment: &str) -> Result<String, Box<dyn Failure + Send + Sync>>;

    /// Every deployment that logs vectors.
    fn deployments(&self) -> Vec<String>;
}

/// A replay that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The deployment.
    pub deployment: String,
    /// When it ended.
    pub ended: Timestamp,
    /// Vectors compared.
    pub compared: u64,
    /// Vectors that differ from history.
    pub differing: u64,
    /// Vectors that were right when served and would be another today.
    pub late_events: u64,
    /// Why nothing could be compared; then the counts are 0 and prove nothing.
    pub error: Option<String>,
}

/// When deployments are replayed without being asked.
#[derive(Debug, Clone, Copy)]
pub struct VerificationSchedule {
    /// The pause between two rounds.
    pub every: Duration,
    /// The newest vectors of each deployment that a round compares.
    pub vectors: usize,
}

impl Features {
    /// Plugs in the log of served vectors; the first one stays.
    pub fn set_served_vectors(&self, log: Arc<dyn ServedVectorLog>) {
        let _ = self.inner.served.set(log);
    }

    /// Replays the newest `limit` vectors that `deployment` served against history and compares every value. The outcome is
    /// kept, and counted in `shipway_verified_vectors_total` by deployment and outcome.
    pub async fn verify(
        &self,
        deployment: &str,
        limit: Option<usize>,
    ) -> Result<VerificationReport, FeaturesError> {
        let served = self.inner.served.get().ok_or_else(|| invalid("this server logs no served vectors"))?;
        let table = served.flushed(deployment).await.map_err(FeaturesError::Elsewhere)?;
        let proved = self.prove(&table, limit).await;
        let mut outcome = Verification {
            deployment: deployment.to_owned(),
            ended: self.inner.clock.now(),
            compared: 0,
            differing: 0,
            late_events: 0,
            error: None,
        };
        match &proved {
            Ok(report) => {
                outcome.compared = report.compared;
                outcome.differing = report.differing;
                outcome.late_events = report.late_events;
            }
            Err(error) => outcome.error = Some(chain(error)),
        }
        count(&outcome);
        verifications::record(&self.inner.store, &outcome).await?;
        proved
    }

    async fn prove(&self, table: &str, limit: Option<usize>) -> Result<VerificationReport, FeaturesError> {
        self.archive_everything().await?;
        let arrivals = self.load_arrivals().await?;
        let definitions = self.inner.definitions();
        let proved = proof::verify(&self.inner.lake, &definitions, table, limit, &arrivals);
        Ok(Box::pin(proved).await?)
    }

    /// The last replay of what `deployment` served that compared anything.
    pub async fn last_verification(&self, deployment: &str) -> Result<Option<Verification>, FeaturesError> {
        Ok(verifications::last(&self.inner.store, deployment).await?)
    }

    /// The newest `limit` replays, of one deployment or of all, newest first; those that failed too.
    pub async fn verifications(
        &self,
        deployment: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Verification>, FeaturesError> {
        Ok(verifications::newest(&self.inner.store, deployment, limit.into()).await?)
    }

    /// Replays every deployment again and again until the platform is shut down. A deployment that has served nothing yet is
    /// passed over; a difference is logged as an error with the deployment's name.
    pub fn verify_on(&self, schedule: VerificationSchedule) {
        let features = self.clone();
        let repeat = async move {
            let mut round = tokio::time::interval(schedule.every);
            round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            // The first tick comes at once, when there is nothing new to compare.
            round.tick().await;
            loop {
                round.tick().await;
                features.verify_all(schedule.vectors).await;
            }
        };
        let inner = &self.inner;
        let cancel = inner.cancel.clone();
        inner.tracker.spawn(inner.tasks.track_future(async move {
            cancel.run_until_cancelled(repeat).await;
        }));
    }

    async fn verify_all(&self, vectors: usize) {
        let deployments = self.inner.served.get().map(|served| served.deployments()).unwrap_or_default();
        for deployment in deployments {
            match Box::pin(self.verify(&deployment, Some(vectors))).await {
                Ok(report) if report.differing == 0 => {
                    tracing::info!(deployment, compared = report.compared, "served vectors equal history");
                }
                Ok(report) => {
                    let causes: Vec<_> = report
                        .differences
                        .iter()
                        .map(|found| (&found.feature, found.cause))
                        .take(5)
                        .collect();
                    tracing::error!(
                        deployment,
                        compared = report.compared,
                        differing = report.differing,
                        ?causes,
                        "served vectors differ from history"
                    );
                }
                Err(FeaturesError::Proof(proof::ProofError::NothingToCompare { .. })) => {}
                Err(error) => {
                    tracing::warn!(deployment, error = chain(&error), "served vectors could not be replayed");
                }
            }
        }
    }
}

fn count(outcome: &Verification) {
    let vectors = |what: &'static str, number: u64| {
        let deployment = outcome.deployment.clone();
        metrics::counter!("shipway_verified_vectors_total", "deployment" => deployment, "outcome" => what)
            .increment(number);
    };
    vectors("equal", outcome.compared.saturating_sub(outcome.differing));
    vectors("differs", outcome.differing);
    vectors("late", outcome.late_events);
    if outcome.error.is_some() {
        let deployment = outcome.deployment.clone();
        metrics::counter!("shipway_verification_failures_total", "deployment" => deployment).increment(1);
    }
}

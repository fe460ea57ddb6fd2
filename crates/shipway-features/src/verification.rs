//! Verification by deployment: brings what was served and what arrived into tables, then hands both to the proof.

use std::sync::Arc;

use async_trait::async_trait;
use shipway_core::Failure;

use crate::{
    Features,
    error::{FeaturesError, invalid},
    proof::{self, VerificationReport},
};

/// Where served feature vectors are logged. The binary plugs serving in here.
#[async_trait]
pub trait ServedVectorLog: Send + Sync {
    /// Writes every vector that `deployment` served before this call to its table, and names the table. An unknown deployment
    /// is an error that names the nearest.
    async fn flushed(&self, deployment: &str) -> Result<String, Box<dyn Failure + Send + Sync>>;
}

impl Features {
    /// Plugs in the log of served vectors; the first one stays.
    pub fn set_served_vectors(&self, log: Arc<dyn ServedVectorLog>) {
        let _ = self.inner.served.set(log);
    }

    /// Replays the newest `limit` vectors that `deployment` served against history and compares every value.
    pub async fn verify(
        &self,
        deployment: &str,
        limit: Option<usize>,
    ) -> Result<VerificationReport, FeaturesError> {
        let served = self.inner.served.get().ok_or_else(|| invalid("this server logs no served vectors"))?;
        let table = served.flushed(deployment).await.map_err(FeaturesError::Elsewhere)?;
        self.archive_everything().await?;
        let arrivals = self.load_arrivals().await?;
        let definitions = self.inner.definitions();
        let proved = proof::verify(&self.inner.lake, &definitions, &table, limit, &arrivals);
        Ok(Box::pin(proved).await?)
    }
}

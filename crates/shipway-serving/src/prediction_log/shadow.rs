//! Where the answers of candidates go that nobody sees: a table of its own for each deployment, like its prediction log.

use std::sync::Arc;

use shipway_core::Name;
use shipway_lake::{Lake, LakeError};
use tokio::sync::Mutex;

use super::schema::LogSchema;

/// The Delta table of what candidates answered for nobody to see: the columns of the prediction log, and its request ids.
pub fn shadow_table_of(deployment: &Name) -> String {
    format!("shadow__{deployment}")
}

/// The table that fits what a candidate is bound to.
#[derive(Debug, Default)]
pub(crate) struct ShadowTable {
    /// The schema of the prediction log that was asked for last, and the one that follows from it, whose table is there.
    known: Mutex<Option<(Arc<LogSchema>, Arc<LogSchema>)>>,
}

impl ShadowTable {
    /// The schema for rows of the prediction log's schema `log`. Its table is made where it is missing.
    pub(crate) async fn schema(
        &self,
        lake: &Lake,
        deployment: &Name,
        log: &Arc<LogSchema>,
    ) -> Result<Arc<LogSchema>, LakeError> {
        let mut known = self.known.lock().await;
        if let Some((_, shadow)) = known.as_ref().filter(|(of, _)| Arc::ptr_eq(of, log)) {
            return Ok(Arc::clone(shadow));
        }
        let shadow = Arc::new(log.in_table(shadow_table_of(deployment)));
        lake.ensure_table(&shadow.table, Arc::clone(&shadow.arrow)).await?;
        *known = Some((Arc::clone(log), Arc::clone(&shadow)));
        Ok(shadow)
    }
}

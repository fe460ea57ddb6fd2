//! Settled calls of a replica on their way to the table of the owner: through the metadata database, each once.

use std::sync::Arc;

use async_trait::async_trait;
use shipway_store::Store;
use tokio_util::sync::CancellationToken;

use crate::{
    error::GatewayError,
    ledger::{CallFact, CallTable, CarryError},
    store::{self, calls::Batch},
};

/// How often the owner looks for calls of replicas.
const EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Where a replica carries its calls.
pub(crate) struct CallsForOwner {
    pub(crate) store: Store,
    pub(crate) server: String,
}

impl CallsForOwner {
    async fn send(&self, calls: Vec<CallFact>, next: u64) -> Result<(), GatewayError> {
        let next = i64::try_from(next).unwrap_or(i64::MAX);
        let batch = Batch { server: self.server.clone(), next, calls };
        let mut transaction = self.store.begin_on(&format!("llm_calls_sent/{}", self.server)).await?;
        store::calls::send(&mut transaction, &batch).await?;
        store::servers::set_carried(&mut transaction, &self.server, next).await?;
        transaction.commit().await?;
        Ok(())
    }
}

#[async_trait]
impl CallTable for CallsForOwner {
    async fn carried(&self) -> Result<u64, CarryError> {
        store::servers::carried(&self.store, &self.server)
            .await
            .map_err(|error| Box::new(error) as CarryError)
    }

    async fn append(&self, calls: Vec<CallFact>, next: u64) -> Result<(), CarryError> {
        self.send(calls, next).await.map_err(|error| Box::new(error) as CarryError)
    }

    async fn append_from(&self, server: &str, _: Vec<CallFact>, _: u64) -> Result<(), CarryError> {
        let reason = format!("calls of {server} go to the owner");
        Err(Box::new(GatewayError::invalid("server", reason)) as CarryError)
    }
}

/// Carries what replicas have sent into the table, until the server stops.
pub(crate) async fn gather(store: Store, table: Arc<dyn CallTable>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = gather_once(&store, &*table).await {
            tracing::warn!(error = %shipway_core::failure::chain(&*error), "calls of replicas could not be carried into the table; it is tried again");
        }
    }
}

async fn gather_once(store: &Store, table: &dyn CallTable) -> Result<(), CarryError> {
    let failed = |error: shipway_store::StoreError| Box::new(error) as CarryError;
    loop {
        let oldest = store::calls::oldest(store).await.map_err(failed)?;
        if oldest.is_empty() {
            return Ok(());
        }
        for (server, next) in oldest {
            let mut batch = store::calls::batch(store, server, next).await.map_err(failed)?;
            let calls = std::mem::take(&mut batch.calls);
            table.append_from(&batch.server, calls, u64::try_from(next).unwrap_or(0)).await?;
            store::calls::forget(store, &batch).await.map_err(failed)?;
        }
    }
}

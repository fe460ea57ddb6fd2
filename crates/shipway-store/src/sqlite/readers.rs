//! Connections that only read. Each has a thread of its own for as long as a query takes.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{sync::Semaphore, time::timeout};

use super::{
    PATIENCE, blocking,
    connection::{Connection, SqliteOptions},
};
use crate::{Row, SqlValue, StoreError};

/// How many queries run at a time.
const READERS: u32 = 4;

#[derive(Clone)]
pub(super) struct Readers {
    options: Arc<SqliteOptions>,
    /// Those that nobody uses just now; more are opened when they are needed.
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(options: SqliteOptions) -> Self {
        let permits = Arc::new(Semaphore::new(READERS as usize));
        Self { options: Arc::new(options), idle: Arc::default(), permits }
    }

    pub(super) async fn fetch(&self, sql: &str, parameters: Vec<SqlValue>) -> Result<Vec<Row>, StoreError> {
        let permit = timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|waited| StoreError::Busy(waited.into()))?;
        let permit = permit.map_err(|_| StoreError::Closed)?;
        let (sql, options, idle) = (sql.to_owned(), Arc::clone(&self.options), Arc::clone(&self.idle));
        blocking(move || {
            let held = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = held.map_or_else(|| Connection::reading(&options), Ok)?;
            let found = connection.fetch(&sql, &parameters);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            // Only now may another query look for a connection.
            drop(permit);
            found
        })
        .await?
    }

    /// Waits for the queries that run, and closes their connections.
    pub(super) async fn close(&self) {
        // Whoever closed them before has left no permit to wait for.
        let _all = self.permits.acquire_many(READERS).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

//! Batches that nobody asks about are asked about now and then, so that what they did cost is booked.

use std::{sync::Weak, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Gateway, Inner};
use crate::{error::GatewayError, files};

/// How often is looked for them.
const EVERY: Duration = Duration::from_secs(60);

/// Looks for them until the gateway is shut down or gone.
pub(super) async fn follow(gateway: Weak<Inner>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let Some(inner) = gateway.upgrade() else { return };
        if let Err(error) = (Gateway { inner }).settle_forgotten_batches().await {
            tracing::warn!(error = %shipway_core::failure::chain(&error), "batches could not be looked after; it is tried again");
        }
    }
}

impl Gateway {
    /// Asks providers about batches that nobody has asked about for a while, and books what is over. It is done every minute.
    pub async fn settle_forgotten_batches(&self) -> Result<(), GatewayError> {
        files::settle_forgotten(self).await
    }
}

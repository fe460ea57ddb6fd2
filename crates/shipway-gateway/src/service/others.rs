//! What servers beside this one change: keys, groups and limits are read again when another server has committed a change, and calls of a
//! replica go to the owner.

use std::sync::{Arc, Weak};

use tokio_util::sync::CancellationToken;

use super::{Gateway, Inner};
use crate::{
    error::GatewayError,
    sharing::{CallsForOwner, LOOKS_EVERY},
    store,
};

/// Reads keys and groups again whenever they are others than at `version`, until the gateway is shut down or gone.
pub(super) async fn follow(gateway: Weak<Inner>, stop: CancellationToken, mut version: i64) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOKS_EVERY) => {}
        }
        let Some(inner) = gateway.upgrade() else { return };
        // That the store cannot be reached is said by what shares the limits.
        if let Ok(found) = (Gateway { inner }).look_for_changes(version).await {
            version = found;
        }
    }
}

impl Gateway {
    async fn look_for_changes(&self, version: i64) -> Result<i64, GatewayError> {
        let found = store::servers::version(&self.inner.store).await?;
        if found != version {
            let _turn = self.inner.changing.lock().await;
            self.read_again().await?;
        }
        Ok(found)
    }

    /// Where several servers share limits, what all of them have used is shown from now on as it is at this moment.
    pub(crate) async fn look_at_others(&self) -> Result<(), GatewayError> {
        match &self.inner.sharing {
            Some(sharing) => sharing.read_elsewhere().await,
            None => Ok(()),
        }
    }

    /// Carries the settled calls of a replica to its owner, whose table then has them, until the gateway is shut down.
    pub fn carry_calls_to_owner(&self) {
        let Some(sharing) = self.inner.sharing.as_ref().filter(|sharing| !sharing.server().is_owner) else {
            return;
        };
        let table = CallsForOwner { store: self.inner.store.clone(), server: sharing.server().id.clone() };
        self.spawn_later(self.inner.ledger.clone().carry_to(Arc::new(table)));
    }
}

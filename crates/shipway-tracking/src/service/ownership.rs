//! Who is told of things that are made, renamed and gone, so that their makers may do to them what they like.

use std::sync::Arc;

use async_trait::async_trait;
use shipway_core::{Failure, ResourceType};
use shipway_web::Caller;

use super::Tracking;
use crate::error::TrackingError;

type Told = Result<(), Box<dyn Failure + Send + Sync>>;

/// Knows what callers were granted. The binary plugs the accounts in here.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// The caller has made a thing.
    async fn made(&self, caller: &Caller, resource: ResourceType, id: &str) -> Told;

    /// A thing is called differently from now on.
    async fn renamed(&self, caller: &Caller, resource: ResourceType, from: &str, to: &str) -> Told;

    /// A thing is about to be gone for good.
    async fn gone(&self, caller: &Caller, resource: ResourceType, id: &str) -> Told;
}

impl Tracking {
    /// Plugs in who is told of things that are made, renamed and gone; the first one stays.
    pub fn set_ownership(&self, ownership: Arc<dyn Ownership>) {
        let _ = self.inner.ownership.set(ownership);
    }

    pub(crate) async fn made(
        &self,
        caller: &Caller,
        resource: ResourceType,
        id: &str,
    ) -> Result<(), TrackingError> {
        let Some(ownership) = self.inner.ownership.get() else { return Ok(()) };
        ownership.made(caller, resource, id).await.map_err(TrackingError::Elsewhere)
    }

    pub(crate) async fn renamed(
        &self,
        caller: &Caller,
        resource: ResourceType,
        from: &str,
        to: &str,
    ) -> Result<(), TrackingError> {
        let Some(ownership) = self.inner.ownership.get() else { return Ok(()) };
        ownership.renamed(caller, resource, from, to).await.map_err(TrackingError::Elsewhere)
    }

    pub(crate) async fn gone(
        &self,
        caller: &Caller,
        resource: ResourceType,
        id: &str,
    ) -> Result<(), TrackingError> {
        let Some(ownership) = self.inner.ownership.get() else { return Ok(()) };
        ownership.gone(caller, resource, id).await.map_err(TrackingError::Elsewhere)
    }
}

//! Tracking as it is seen from the workspace of a request: what every handler of this wire works with.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use shipway_core::Workspace;

use crate::service::Tracking;

/// Tracking, seen from the workspace that the gate noted; `default` where it noted none.
#[derive(Debug)]
pub(crate) struct Here(pub(crate) Tracking);

impl FromRequestParts<Tracking> for Here {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, tracking: &Tracking) -> Result<Self, Infallible> {
        let workspace = parts.extensions.get::<Workspace>().cloned().unwrap_or_default();
        Ok(Self(tracking.within(workspace)))
    }
}

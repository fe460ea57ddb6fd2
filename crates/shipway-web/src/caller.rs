//! Who asks, as a handler sees it.

use axum::extract::FromRequestParts;
use http::request::Parts;
use shipway_core::Kind;

use crate::Problem;

/// The caller that the guard let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// What the audit log calls them: `local` without authentication, `anonymous` on a public route, the user name of
    /// basic credentials, else `token`. Everybody shares one token, so the user name is what the caller says of itself.
    pub name: String,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(Kind::Internal, "web.no_guard", "no guard stands in front of this route")
        })
    }
}

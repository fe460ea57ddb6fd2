//! Who asks, as a handler sees it.

use axum::extract::FromRequestParts;
use http::request::Parts;
use shipway_core::{Access, Kind};

use crate::Problem;

/// The caller that the guard let in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What the audit log calls them: `local` without authentication, `anonymous` on a public route, a user by their name. Who shows the
    /// token of the operator is called by the user name of their basic credentials, which is what they say of themselves, else `token`.
    pub name: String,
    /// The account of the caller; `None` for the operator, for `local` and for `anonymous`.
    pub user_id: Option<i64>,
    /// What the caller may do.
    pub access: Access,
    /// Whether a token of an account was shown, and no password.
    pub by_token: bool,
}

impl Caller {
    /// A caller without bounds and without an account.
    pub fn operator(name: impl Into<String>) -> Self {
        Self { name: name.into(), user_id: None, access: Access::everything(), by_token: false }
    }

    /// Nobody in particular, who may do nothing.
    pub fn anonymous() -> Self {
        Self { name: "anonymous".to_owned(), user_id: None, access: Access::nothing(), by_token: false }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Problem::new(Kind::Internal, "web.no_guard", "no guard stands in front of this route")
        })
    }
}

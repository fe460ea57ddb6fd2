//! The things that are kept of accounts.
//!
//! - `directory`: all of them together, as requests are judged by it; pure
//! - `name`: names of users and roles

mod directory;
mod name;

use shipway_core::{Grant, Timestamp};

pub(crate) use directory::Directory;
pub(crate) use name::{role_name, token_name, user_name};

use crate::secret::SecretHash;

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// `None`: signs in with tokens only.
    pub(crate) password: Option<SecretHash>,
    /// Whether they may do everything.
    pub(crate) is_admin: bool,
    pub(crate) created: Timestamp,
}

/// A named set of grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) description: String,
    /// The user whose own grants these are; such a role is not listed.
    pub(crate) owner_id: Option<i64>,
    /// By id.
    pub(crate) grants: Vec<RoleGrant>,
}

/// A grant of a role, with an id of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleGrant {
    pub(crate) id: i64,
    pub(crate) role_id: i64,
    pub(crate) grant: Grant,
}

/// A role that a user has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) role_id: i64,
}

/// A secret that stands for its user, within its scopes, until it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiToken {
    pub(crate) id: String,
    pub(crate) user_id: i64,
    pub(crate) name: String,
    pub(crate) secret: SecretHash,
    /// Empty: all that the user may do.
    pub(crate) scopes: Vec<Grant>,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
}

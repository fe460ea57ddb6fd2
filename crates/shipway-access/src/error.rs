//! What can go wrong with accounts, in words for a person.

use std::borrow::Cow;

use shipway_core::{Failure, Kind, NotAGrant};
use shipway_store::StoreError;

use crate::password::WeakPassword;

/// The families of things that accounts are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// Somebody who may sign in.
    User,
    /// A named set of grants.
    Role,
    /// A level on something, in a role.
    Grant,
    /// A role that a user has.
    Assignment,
    /// A secret that stands for its user.
    Token,
}

impl Thing {
    const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Role => "role",
            Self::Grant => "grant",
            Self::Assignment => "assignment",
            Self::Token => "token",
        }
    }
}

/// Any failure of a use case of accounts.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The thing named does not exist.
    #[error("{} {name} does not exist", thing.word())]
    Missing {
        /// Its family.
        thing: Thing,
        /// How the caller named it.
        name: String,
    },
    /// Something of that name exists already.
    #[error("{} {name} exists already", thing.word())]
    Exists {
        /// Its family.
        thing: Thing,
        /// The name that is taken.
        name: String,
    },
    /// A field of the request is wrong or beyond a bound.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Something is no grant.
    #[error(transparent)]
    NotAGrant(#[from] NotAGrant),
    /// A password protects nothing.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// The caller may not do this to an account.
    #[error("{caller} may not {what}")]
    Forbidden {
        /// Who asked.
        caller: String,
        /// What they asked for.
        what: String,
        /// Who may.
        hint: &'static str,
    },
    /// The password that a change of it must state is not the one that the user has.
    #[error("the current password is wrong")]
    WrongPassword,
    /// Somebody tries passwords.
    #[error("too many attempts to sign in as {user}")]
    TooManyAttempts {
        /// Whose password is tried.
        user: String,
    },
    /// More secrets wait to be compared than this server takes.
    #[error("too many callers sign in at once")]
    Busy,
    /// Everybody is let in as the operator: accounts would protect nothing.
    #[error("this server asks nobody who they are")]
    Open,
    /// The source of random bytes or the hash failed.
    #[error("a secret could not be made or compared")]
    Secret,
    /// The metadata database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccessError {
    pub(crate) fn missing(thing: Thing, name: impl ToString) -> Self {
        Self::Missing { thing, name: name.to_string() }
    }

    pub(crate) fn exists(thing: Thing, name: impl ToString) -> Self {
        Self::Exists { thing, name: name.to_string() }
    }

    pub(crate) fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }
}

impl Failure for AccessError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } => Kind::NotFound,
            Self::Exists { .. } | Self::Open => Kind::Conflict,
            Self::Invalid { .. } | Self::NotAGrant(_) | Self::WeakPassword(_) => Kind::Invalid,
            Self::Forbidden { .. } | Self::WrongPassword => Kind::Forbidden,
            Self::TooManyAttempts { .. } => Kind::Exhausted,
            Self::Busy => Kind::Unavailable,
            Self::Secret => Kind::Internal,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "access.not_found",
            Self::Exists { .. } => "access.exists",
            Self::Invalid { .. } => "access.invalid",
            Self::NotAGrant(_) => "access.not_a_grant",
            Self::WeakPassword(_) => "access.weak_password",
            Self::Forbidden { .. } => "access.forbidden",
            Self::WrongPassword => "access.wrong_password",
            Self::TooManyAttempts { .. } => "access.too_many_attempts",
            Self::Busy => "access.busy",
            Self::Open => "access.open_server",
            Self::Secret => "access.secret_failed",
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::NotAGrant(error) => Some(error.hint().into()),
            Self::WeakPassword(weak) => Some(weak.hint().into()),
            Self::Forbidden { hint, .. } => Some((*hint).into()),
            Self::TooManyAttempts { .. } => {
                Some("wait a minute; a token, or who signed in before, is let in".into())
            }
            Self::Busy => Some("send the request again in a moment".into()),
            Self::Open => {
                Some("set SHIPWAY_TOKEN, start the server again, and make users with that token".into())
            }
            Self::Store(error) => error.hint(),
            Self::Missing { .. }
            | Self::Exists { .. }
            | Self::Invalid { .. }
            | Self::WrongPassword
            | Self::Secret => None,
        }
    }
}

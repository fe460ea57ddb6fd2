//! Virtual keys.

use shipway_core::{Name, Timestamp};

use super::{KeyTerms, Limits};
use crate::secret::SecretHash;

/// A secret that lets a program use models, within limits.
#[derive(Debug, Clone)]
pub struct VirtualKey {
    /// Its id, which is no secret.
    pub id: String,
    /// What people call it.
    pub name: String,
    pub(crate) secret: SecretHash,
    /// The secret before the last rotation, and until when it is still taken.
    pub(crate) previous: Option<(SecretHash, Timestamp)>,
    /// The group that its calls are charged to as well.
    pub group: Option<Name>,
    /// The models that it may use; empty: every one.
    pub models: Vec<String>,
    /// By which routes, with which tools, and whose its calls are.
    pub terms: KeyTerms,
    /// What it may use.
    pub limits: Limits,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused; none: never.
    pub expires: Option<Timestamp>,
}

impl VirtualKey {
    /// Whether `secret` is the one of this key, and is still taken.
    pub(crate) fn takes(&self, secret: &str, now: Timestamp) -> bool {
        let hash = SecretHash::of(secret);
        let is_current = self.secret.equals(&hash);
        let is_previous = self
            .previous
            .as_ref()
            .is_some_and(|(hash_before, until)| hash_before.equals(&hash) && now < *until);
        (is_current || is_previous) && self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it may use the model, under the name that the caller asks for or that the model has.
    pub fn may_use(&self, asked: &str, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|name| name == asked || name == model)
    }
}

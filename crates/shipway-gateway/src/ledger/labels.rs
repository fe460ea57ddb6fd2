//! What a caller says about a call, so that it is found again: facts, bounded, of no use to a provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a caller says about a call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// The session that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The prompt that it was made from, with its version: `greeting@3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The trace that it is part of, as the caller's `traceparent` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Names and values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl Labels {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

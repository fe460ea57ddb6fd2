//! The states of one source at one moment, wherever they are: in the store of this server, or fetched from a copy.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use shipway_core::Digest;
use shipway_online::Space;

use crate::{
    error::FeaturesError,
    materialise::{ActiveView, Published},
};

/// Exactly the events with an arrival before [`SourceStates::applied`] are in them.
#[derive(Clone)]
pub(crate) enum SourceStates {
    /// In the store of this server.
    Own(Arc<Published>),
    /// From a copy.
    Copied(CopiedStates),
}

/// The states of one source that a read needs, as a copy had them.
#[derive(Clone)]
pub(crate) struct CopiedStates {
    /// As that of what is published: one number is one moment of one source.
    pub(crate) number: u64,
    pub(crate) applied: u64,
    pub(crate) views: Arc<BTreeMap<Digest, ActiveView>>,
    /// The stored bytes by state key. A key that is not among them has no state.
    pub(crate) rows: Arc<HashMap<Bytes, Bytes>>,
}

impl SourceStates {
    pub(crate) fn number(&self) -> u64 {
        match self {
            Self::Own(published) => published.number,
            Self::Copied(copied) => copied.number,
        }
    }

    pub(crate) fn applied(&self) -> u64 {
        match self {
            Self::Own(published) => published.applied,
            Self::Copied(copied) => copied.applied,
        }
    }

    pub(crate) fn views(&self) -> &BTreeMap<Digest, ActiveView> {
        match self {
            Self::Own(published) => &published.views,
            Self::Copied(copied) => &copied.views,
        }
    }

    /// The stored bytes of `keys`, in their order.
    pub(crate) fn load(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, FeaturesError> {
        match self {
            Self::Own(published) => Ok(published.snapshot.get_many(Space::State, keys)?),
            Self::Copied(copied) => Ok(keys.iter().map(|key| copied.rows.get(key).cloned()).collect()),
        }
    }
}

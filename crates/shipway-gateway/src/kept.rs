//! Where responses lie that providers keep. Those of the last minutes are in memory, all of them in the database: the ledger carries
//! them there with its books.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use shipway_core::Timestamp;
use shipway_store::Store;

use crate::{error::GatewayError, ledger, model::KeptResponse, store};

/// How long one stays in memory, in microseconds: the books are written down several times meanwhile.
const RECENT_US: i64 = 3 * ledger::SNAPSHOT_EVERY.as_micros() as i64;
/// The most that are in memory. Beyond that the oldest are not found until the books are written down.
const MOST_RECENT: usize = 200_000;

/// Responses that providers keep.
#[derive(Debug)]
pub(crate) struct KeptResponses {
    store: Store,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    by_id: HashMap<String, KeptResponse>,
    order: VecDeque<(Timestamp, String)>,
}

impl KeptResponses {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, recent: Mutex::default() }
    }

    /// Remembers a response from the moment on at which its caller may know its id.
    pub(crate) fn remember(&self, kept: KeptResponse, now: Timestamp) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let Recent { by_id, order } = &mut *recent;
        order.push_back((now, kept.id.clone()));
        by_id.insert(kept.id.clone(), kept);
        let is_old = |(at, _): &(Timestamp, String)| at.0 < now.0 - RECENT_US;
        while order.len() > MOST_RECENT || order.front().is_some_and(is_old) {
            let Some((_, id)) = order.pop_front() else { break };
            by_id.remove(&id);
        }
    }

    /// Forgets a response that its provider has deleted.
    pub(crate) async fn forget(&self, id: &str) -> Result<(), GatewayError> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).by_id.remove(id);
        Ok(store::responses::delete(&self.store, id).await?)
    }

    /// Where a response lies, for one who owns it. Whoever does not learns nothing, not even that it is there.
    pub(crate) async fn find(&self, id: &str, owner: &str) -> Result<Option<KeptResponse>, GatewayError> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned();
        let found = match recent {
            Some(found) => Some(found),
            None => store::responses::find(&self.store, id).await?,
        };
        Ok(found.filter(|kept| kept.owner == owner))
    }
}

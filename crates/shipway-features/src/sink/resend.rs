//! Every key of a view, for its row to be sent once more: for readers that begin with an empty hand, and after some rows were missed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use shipway_core::{Digest, EntityKey, Value};
use shipway_online::OnlineError;

use super::book::Resend;
use crate::{
    error::{FeaturesError, damaged},
    materialise::{Published, views::stored_states},
};

/// So many keys make a run.
const KEYS_PER_RUN: usize = 1_000;

/// The keys of one state of a view, as they were when this was begun. Those that come later come with their events.
pub(super) struct EveryKey {
    version: Digest,
    generation: u32,
    states: Box<dyn Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send>,
}

/// Keys by their parts, and the last of them as it is kept.
type Found = (Vec<Vec<Value>>, String);

impl EveryKey {
    /// Those behind the one that was sent last.
    pub(super) fn of(
        published: &Published,
        (version, generation): (Digest, u32),
        resend: &Resend,
    ) -> Result<Self, FeaturesError> {
        let after =
            STANDARD.decode(&resend.after).map_err(|_| damaged("the last key that a sink has sent"))?;
        let states = stored_states(&published.snapshot, &version, generation);
        let states = states.skip_while(move |state| {
            !after.is_empty() && state.as_ref().is_ok_and(|(key, _)| key.as_ref() <= after.as_slice())
        });
        Ok(Self { version, generation, states: Box::new(states) })
    }

    pub(super) fn are_of(&self, version: &Digest, generation: u32) -> bool {
        self.version == *version && self.generation == generation
    }

    /// The next ones; none at the end.
    pub(super) fn take(&mut self) -> Result<Option<Found>, FeaturesError> {
        let mut parts = Vec::new();
        let mut last = Bytes::new();
        for state in self.states.by_ref().take(KEYS_PER_RUN) {
            let (key, _) = state?;
            parts.push(EntityKey::decode(&key).ok_or_else(|| damaged("the key of a state"))?);
            last = key;
        }
        Ok((!parts.is_empty()).then(|| (parts, STANDARD.encode(last))))
    }
}

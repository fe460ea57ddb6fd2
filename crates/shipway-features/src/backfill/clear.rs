//! Removes states that nobody reads any more: the one that a new one has replaced, those of builds that were given up, those of
//! views that were retired. In small batches, beside everything else; what a crash leaves is found by its note.

use std::sync::Arc;

use shipway_core::{Name, failure::chain};
use shipway_online::{Batch, Space};

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{
        off_the_executor,
        progress::Leftover,
        views::{state_key_in, stored_in, stored_states},
    },
};

/// Keys removed in one batch.
const KEYS_PER_BATCH: usize = 2_000;

/// Removes what is left over now, and whatever is later, until the server stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let cancel = inner.cancel.clone();
    let repeat = async {
        loop {
            for runtime in inner.sources() {
                if let Err(error) = clear(&inner, &runtime.name).await {
                    tracing::error!(source = %runtime.name, error = chain(&error), "states that nobody reads cannot be removed");
                }
            }
            inner.leftovers.notified().await;
        }
    };
    cancel.run_until_cancelled(repeat).await;
}

async fn clear(inner: &Arc<Inner>, source: &Name) -> Result<(), FeaturesError> {
    for leftover in Leftover::all(&inner.online.snapshot(), source)? {
        let mut removed = 0_u64;
        loop {
            let (then, source) = (Arc::clone(inner), source.clone());
            let keys = off_the_executor(inner, move || clear_some(&then, &source, leftover)).await?;
            removed += keys as u64;
            if keys == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
        let (view, generation) = (leftover.view, leftover.generation);
        tracing::info!(%source, %view, generation, removed, "a state that nobody reads any more was removed");
    }
    Ok(())
}

/// Removes some keys; none when nothing is left, and then the note of it too.
fn clear_some(inner: &Inner, source: &Name, leftover: Leftover) -> Result<usize, FeaturesError> {
    let mut batch = Batch::new();
    let Leftover { view, generation } = leftover;
    for state in stored_states(&inner.online.snapshot(), &view, generation).take(KEYS_PER_BATCH) {
        let (key, _) = state?;
        batch.delete(Space::State, state_key_in(&view, generation, &key));
    }
    for member in stored_in(&inner.online.snapshot(), Space::Member, &view, generation).take(KEYS_PER_BATCH) {
        batch.delete(Space::Member, member?.0);
    }
    let keys = batch.len();
    if keys == 0 {
        leftover.delete(&mut batch, source);
    }
    inner.online.commit(batch)?;
    Ok(keys)
}

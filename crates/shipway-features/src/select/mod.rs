//! Sources that are selected from other ones: every event of the one is asked as it arrives, and what comes out is an event of the other.
//!
//! A selected source has a log of its own, and is one more reader of the log it selects from. Its position there is stored with what it
//! delivers, by the same means as the positions of a broker, so each event is asked exactly once and stays as it was derived. That is also
//! where events of two sources meet: what a joined view of another source said is part of the derived event from then on.
//!
//! - `plan`: the text, compiled for the definitions in force
//! - `join`: what the joined views say at the times of events
//! - `task`: follows the log of one source
//! - `history`: rows that came before the log, or in bulk
//! - `status`: how far a selection is

mod history;
mod join;
mod plan;
mod status;
mod task;

use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
};

use shipway_core::Name;

use crate::{features::Inner, model::origin::Feed, source::SourceRuntime};

pub(crate) use status::SelectionBoard;
pub use status::{SelectionState, SelectionStatus};

/// The log of a source is read as one partition.
const LOG: u32 = 0;

/// Sees to it that every selected source in force is followed, until the server stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut followed: BTreeSet<Name> = BTreeSet::new();
    let (ended, mut is_ended) = tokio::sync::mpsc::unbounded_channel();
    loop {
        for source in inner.definitions().sources.values() {
            let name = &source.definition.name;
            if source.definition.select.is_none() || followed.contains(name) {
                continue;
            }
            let Ok(runtime) = inner.source(name.as_str()) else { continue };
            followed.insert(name.clone());
            let (inner_then, ended) = (Arc::clone(&inner), ended.clone());
            inner.tracker.spawn(inner.tasks.track_future(async move {
                let name = runtime.name.clone();
                task::Selector::new(inner_then, runtime).run().await;
                // Nobody listens any more when the server stops.
                let _ = ended.send(name);
            }));
        }
        tokio::select! {
            () = inner.cancel.cancelled() => return,
            () = inner.selections_due.notified() => {}
            Some(name) = is_ended.recv() => drop(followed.remove(&name)),
        }
    }
}

impl Inner {
    /// The first record of the log of `source` that a selected source in force has not asked yet; none when nobody selects from it.
    pub(crate) async fn selected_up_to(&self, source: &SourceRuntime) -> Option<u64> {
        let definitions = self.definitions();
        let feed = Feed::of_log(source.name.as_str());
        let mut least = None;
        for selected in definitions.sources.values() {
            if selected.definition.select.as_ref().is_none_or(|select| select.from != source.name) {
                continue;
            }
            let Ok(runtime) = self.source(selected.definition.name.as_str()) else { continue };
            let next = runtime.feeds.lock().await.next(feed, LOG).unwrap_or(0);
            least = Some(least.map_or(next, |least: u64| least.min(next)));
        }
        least
    }

    /// How the selection of a source is; none where it has none.
    pub(crate) fn selection_status(&self, runtime: &SourceRuntime) -> Option<SelectionStatus> {
        let definitions = self.definitions();
        let select = definitions.sources.get(&runtime.name)?.definition.select.as_ref()?;
        let end = self.source(select.from.as_str()).ok()?.topic.end();
        let board = runtime.selection.lock().unwrap_or_else(PoisonError::into_inner);
        Some(board.show(select.from.clone(), end))
    }
}

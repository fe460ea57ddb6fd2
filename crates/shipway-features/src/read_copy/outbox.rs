//! Between the materialiser of a source and the publisher of the copy: which keys changed, and the published state that has
//! all of their changes. The two are handed over together, so that neither is ahead of the other.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::{
    materialise::{ActiveView, Published},
    read_copy::changes::{Changes, StateId},
};

/// What waits for the publisher. Without a copy nothing is noted.
#[derive(Default)]
pub(crate) struct Outbox {
    is_open: AtomicBool,
    /// Keys that are remembered at most.
    most: usize,
    /// No state of an earlier offset is handed over.
    not_before: u64,
    changed: Arc<Notify>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    /// Noted before the commit that changes them.
    unpublished: Changes,
    /// In `published`.
    ready: Changes,
    published: Option<Arc<Published>>,
}

impl Outbox {
    /// One that remembers `most` keys, and tells `changed` of what is published. The copy may have been as far as `not_before` already:
    /// a kill takes back from the states what the log still has, and readers of the copy are not to see that.
    pub(crate) fn open(most: usize, not_before: u64, changed: Arc<Notify>) -> Self {
        Self { is_open: AtomicBool::new(true), most, not_before, changed, inside: Mutex::default() }
    }

    /// Notes that the states at `keys` are about to change. To be called before they are committed: a note too many does no
    /// harm.
    pub(crate) fn note(&self, active: &ActiveView, keys: impl IntoIterator<Item = Bytes>) {
        if self.is_open.load(Ordering::Relaxed) {
            self.inside().unpublished.note(StateId::of(active), keys, self.most);
        }
    }

    /// Notes that nobody keeps this state any more. What comes in its place under the same name is another one.
    pub(crate) fn leave(&self, state: StateId) {
        if self.is_open.load(Ordering::Relaxed) {
            self.inside().unpublished.note_all(state);
        }
    }

    /// Hands over a published state that has every change noted so far.
    pub(crate) fn publish(&self, published: &Arc<Published>) {
        if !self.is_open.load(Ordering::Relaxed) || published.applied < self.not_before {
            return;
        }
        let mut inside = self.inside();
        let unpublished = std::mem::take(&mut inside.unpublished);
        inside.ready.merge(unpublished, self.most);
        inside.published = Some(Arc::clone(published));
        drop(inside);
        self.changed.notify_one();
    }

    /// Takes what changed since the last time, and the published state that has it all.
    pub(crate) fn take(&self) -> (Changes, Option<Arc<Published>>) {
        let mut inside = self.inside();
        (std::mem::take(&mut inside.ready), inside.published.clone())
    }

    /// Whether changes are noted that no published state has.
    pub(crate) fn holds_back(&self) -> bool {
        !self.inside().unpublished.is_empty()
    }

    /// Notes nothing any more, and forgets all.
    pub(crate) fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
        *self.inside() = Inside::default();
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

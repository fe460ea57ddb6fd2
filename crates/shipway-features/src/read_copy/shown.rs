//! What the publisher tells of itself: to people, and to the next start.

use std::sync::Arc;

use shipway_core::Name;

use crate::{
    read_copy::{
        ledger::Ledger,
        note::Note,
        publisher::{Phase, Publisher},
        status::CopiedSource,
    },
    source::SourceRuntime,
};

impl Publisher {
    /// Whether anything is copied beside.
    pub(super) fn is_copying(&self) -> bool {
        self.phase != Phase::Following || self.ledgers.values().any(|ledger| !ledger.copies().is_empty())
    }

    /// Shows how far every source is.
    pub(super) fn show(&self) {
        let copied = |(name, ledger): (&Name, &Ledger)| {
            let copies = ledger.copies();
            let rows = copies.values().map(|copying| copying.rows).sum();
            let copied = CopiedSource {
                source: name.clone(),
                applied: ledger.moment().map(|moment| moment.applied),
                lag: None,
                watermark: None,
                copying: (!copies.is_empty()).then_some((copies.len(), rows)),
            };
            (name.clone(), copied)
        };
        for runtime in self.runtimes() {
            let published = runtime.published().map_or(0, |published| published.applied);
            let copied = self.ledgers.get(&runtime.name).and_then(Ledger::moment);
            let lag = published.saturating_sub(copied.map_or(0, |moment| moment.applied));
            metrics::gauge!("shipway_read_copy_lag_events", "source" => runtime.name.to_string())
                .set(lag as f64);
        }
        self.owner.shown().sources = self.ledgers.iter().map(copied).collect();
    }

    /// Leaves a note for the next start, if the copy has everything.
    pub(super) fn leave_note(&self) {
        let is_settled = |runtime: &Arc<SourceRuntime>| {
            let (ledger, published) = (self.ledgers.get(&runtime.name), runtime.outbox.take().1);
            match (ledger, published) {
                (Some(ledger), Some(published)) => {
                    !runtime.outbox.holds_back()
                        && ledger.is_settled(&published.views)
                        && ledger.moment().is_some_and(|moment| moment.applied == published.applied)
                }
                _ => false,
            }
        };
        if self.phase != Phase::Following
            || self.buckets.is_in_doubt()
            || !self.runtimes().iter().all(is_settled)
        {
            return;
        }
        let store = self.buckets.store();
        let place = (store.address(), store.prefix());
        let note = Note::new(place, self.buckets.heads(), &self.ledgers);
        if let Some(Err(error)) = note.map(|note| self.owner.note_file.leave(&note)) {
            tracing::warn!(%error, "the next start will copy everything anew: the note for it cannot be written");
        }
    }
}

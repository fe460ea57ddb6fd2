//! The state of one key of a latest-value view: the newest rows one by one, and the greatest of all older ones.

use shipway_core::Timestamp;

use crate::state::{Inexact, RecentEvent, insert_recent};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LatestState {
    /// The greatest row, by (time, event id), of those that are no longer kept one by one.
    pub(crate) base: Option<RecentEvent>,
    /// Sorted by (time, event id).
    pub(crate) recent: Vec<RecentEvent>,
}

impl LatestState {
    pub(crate) fn apply(&mut self, row: RecentEvent) {
        if let Some(oldest) = insert_recent(&mut self.recent, row)
            && self.base.as_ref().is_none_or(|base| oldest.order() > base.order())
        {
            self.base = Some(oldest);
        }
    }

    /// The last row before `q`, if it is not older than the time to live.
    pub(crate) fn row_at(&self, q: Timestamp, ttl_us: Option<i64>) -> Result<Option<&RecentEvent>, Inexact> {
        let before = self.recent.partition_point(|row| row.time < q);
        let recent = before.checked_sub(1).and_then(|last| self.recent.get(last));
        let found = match (&self.base, recent) {
            // Rows older than the base are gone, and one of them may be the last before q.
            (Some(base), _) if base.time >= q => return Err(Inexact),
            (Some(base), Some(recent)) if recent.order() > base.order() => Some(recent),
            (Some(base), _) => Some(base),
            (None, recent) => recent,
        };
        Ok(found.filter(|row| ttl_us.is_none_or(|ttl| q.micros().saturating_sub(row.time.micros()) <= ttl)))
    }
}

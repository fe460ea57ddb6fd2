//! The state of one key of a latest-value view: the newest rows one by one, and the greatest of all older ones.

use shipway_core::{Timestamp, Value};

use crate::state::{Inexact, Recent, RecentEvent};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct LatestState {
    /// The greatest row, by (time, event id), of those that are no longer kept one by one.
    pub(crate) base: Option<RecentEvent>,
    /// Sorted by (time, event id).
    pub(crate) recent: Recent,
}

/// What a latest-value view says at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LatestAnswer<'a> {
    /// Time of the last row before the moment, alive or not.
    pub(crate) event_time: Option<Timestamp>,
    /// The last row, while it is alive.
    row: Option<&'a RecentEvent>,
    q: Timestamp,
    /// The time to live of single columns.
    ttls_us: &'a [Option<i64>],
}

impl LatestAnswer<'_> {
    /// The columns at the positions `wanted`, each while it is alive.
    pub(crate) fn values(&self, wanted: &[usize]) -> Vec<Value> {
        let value = |&at: &usize| {
            let own_ttl_us = self.ttls_us.get(at).copied().flatten();
            let row = self.row.filter(|row| is_within(row, self.q, own_ttl_us));
            row.and_then(|row| row.values.get(at).cloned()).unwrap_or(Value::Null)
        };
        wanted.iter().map(value).collect()
    }
}

fn is_within(row: &RecentEvent, q: Timestamp, ttl_us: Option<i64>) -> bool {
    ttl_us.is_none_or(|ttl| q.micros().saturating_sub(row.time.micros()) <= ttl)
}

impl LatestState {
    /// The answer at `q` of a state in which rows before `built_from` were not counted.
    pub(crate) fn answer<'a>(
        &'a self,
        q: Timestamp,
        (ttl_us, ttls_us): (Option<i64>, &'a [Option<i64>]),
        built_from: i64,
    ) -> Result<LatestAnswer<'a>, Inexact> {
        let newest = self.row_at(q, None)?;
        let reaches_what_was_skipped =
            built_from != i64::MIN && ttl_us.is_none_or(|ttl| q.micros().saturating_sub(ttl) < built_from);
        // One of the rows that were skipped may be later than the one that is known.
        if reaches_what_was_skipped && newest.is_none_or(|row| row.time.micros() < built_from) {
            return Err(Inexact);
        }
        let row = newest.filter(|row| is_within(row, q, ttl_us));
        Ok(LatestAnswer { event_time: newest.map(|row| row.time), row, q, ttls_us })
    }

    pub(crate) fn apply(&mut self, row: RecentEvent) {
        if let Some(oldest) = self.recent.insert(row)
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

//! Who waits for a model: ordered by priority, then by arrival. Pure: time is told, nothing runs.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// Lower numbers go first, from 1; 0 goes behind all others.
    pub(super) priority: u32,
    pub(super) rows: usize,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) item: T,
}

/// All who wait.
#[derive(Debug)]
pub(super) struct Queue<T> {
    levels: BTreeMap<u32, VecDeque<Entry<T>>>,
    rows: usize,
    len: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { levels: BTreeMap::new(), rows: 0, len: 0 }
    }
}

/// Where a priority stands: 0 is the last.
const fn level(priority: u32) -> u32 {
    priority.wrapping_sub(1)
}

impl<T> Queue<T> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Rows of all who wait.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn push(&mut self, entry: Entry<T>) {
        self.len += 1;
        self.rows += entry.rows;
        self.levels.entry(level(entry.priority)).or_default().push_back(entry);
    }

    /// Since when the one waits who waits longest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.levels.values().filter_map(|entries| entries.front()).map(|entry| entry.since).min()
    }

    /// Those whose time is over; they wait no longer.
    pub(super) fn take_expired(&mut self, now: Instant) -> Vec<Entry<T>> {
        self.take_where(|entry| entry.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// Forgets those of whom `is_gone` is true.
    pub(super) fn drop_where(&mut self, is_gone: impl Fn(&Entry<T>) -> bool) {
        self.take_where(is_gone);
    }

    fn take_where(&mut self, wanted: impl Fn(&Entry<T>) -> bool) -> Vec<Entry<T>> {
        let mut taken = Vec::new();
        for entries in self.levels.values_mut() {
            if entries.iter().any(&wanted) {
                let (out, stay) = std::mem::take(entries).into_iter().partition(&wanted);
                let out: VecDeque<Entry<T>> = out;
                taken.extend(out);
                *entries = stay;
            }
        }
        self.took(&taken);
        taken
    }

    /// The next batch: whoever is first, however many rows it has, and those behind that join it and leave the batch within
    /// `most` rows. Who does not join or fit keeps its place, and nobody behind it of the same priority passes it.
    pub(super) fn take(&mut self, most: usize, joins: impl Fn(&T, &T) -> bool) -> Vec<Entry<T>> {
        let mut batch: Vec<Entry<T>> = Vec::new();
        let mut rows = 0_usize;
        for entries in self.levels.values_mut() {
            while let Some(next) = entries.front() {
                let goes = match batch.first() {
                    None => true,
                    Some(first) => rows.saturating_add(next.rows) <= most && joins(&first.item, &next.item),
                };
                if !goes {
                    break;
                }
                rows = rows.saturating_add(next.rows);
                batch.extend(entries.pop_front());
            }
        }
        self.levels.retain(|_, entries| !entries.is_empty());
        self.took(&batch);
        batch
    }

    fn took(&mut self, taken: &[Entry<T>]) {
        self.len -= taken.len();
        self.rows -= taken.iter().map(|entry| entry.rows).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn queue(entries: &[(u32, usize, char)]) -> (Queue<char>, Instant) {
        let now = Instant::now();
        let mut queue = Queue::default();
        for (priority, rows, item) in entries {
            let deadline = Some(now + Duration::from_secs(u64::from(*priority) + 1));
            queue.push(Entry { priority: *priority, rows: *rows, since: now, deadline, item: *item });
        }
        (queue, now)
    }

    fn taken(queue: &mut Queue<char>, most: usize) -> String {
        let joins = |first: &char, other: &char| first.is_uppercase() == other.is_uppercase();
        queue.take(most, joins).into_iter().map(|entry| entry.item).collect()
    }

    #[test]
    fn a_batch_is_those_in_front_that_fit() {
        let (mut queue, _) = queue(&[(0, 1, 'a'), (0, 2, 'b'), (0, 3, 'c'), (0, 1, 'd')]);
        assert_eq!((queue.len(), queue.rows()), (4, 7));
        assert_eq!(taken(&mut queue, 4), "ab", "d does not pass c");
        assert_eq!(taken(&mut queue, 4), "cd");
        assert_eq!(taken(&mut queue, 4), "");
        assert_eq!((queue.len(), queue.rows()), (0, 0));
    }

    #[test]
    fn one_with_more_rows_than_a_batch_goes_alone() {
        let (mut queue, _) = queue(&[(0, 100, 'a'), (0, 1, 'b')]);
        assert_eq!(taken(&mut queue, 8), "a");
        assert_eq!(taken(&mut queue, 8), "b");
    }

    #[test]
    fn lower_priorities_go_first_and_none_goes_last() {
        let (mut queue, _) = queue(&[(0, 1, 'a'), (2, 1, 'b'), (1, 1, 'c'), (2, 1, 'd')]);
        assert_eq!(taken(&mut queue, 8), "cbda");
    }

    #[test]
    fn what_does_not_join_waits_for_its_turn() {
        let (mut queue, _) = queue(&[(0, 1, 'a'), (0, 1, 'B'), (0, 1, 'c')]);
        assert_eq!(taken(&mut queue, 8), "a");
        assert_eq!(taken(&mut queue, 8), "B");
        assert_eq!(taken(&mut queue, 8), "c");
    }

    #[test]
    fn whose_time_is_over_is_taken_out() {
        let (mut queue, now) = queue(&[(0, 1, 'a'), (5, 2, 'b')]);
        let late: String =
            queue.take_expired(now + Duration::from_secs(2)).into_iter().map(|entry| entry.item).collect();
        assert_eq!(late, "a");
        assert_eq!((queue.len(), queue.rows(), queue.oldest()), (1, 2, Some(now)));
    }
}

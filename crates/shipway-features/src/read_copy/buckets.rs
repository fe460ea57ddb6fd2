//! Claiming the copy, and writing to it under the claim. Every write says which head it expects, and makes another one: whoever
//! lost the claim, or whose words come late, changes nothing.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use shipway_core::Timestamp;
use shipway_online::copy::{Committed, CopyCommit, CopyError, CopyKey, CopyStore};
use uuid::Uuid;

use crate::{
    error::FeaturesError,
    read_copy::head::{Head, OtherFormat},
};

/// Buckets that are written at a time.
const AT_ONCE: usize = 16;

/// The buckets of one copy, as their owner holds them.
pub(super) struct Buckets {
    store: CopyStore,
    /// This claim's owner: another one after each start.
    id: Uuid,
    term: u64,
    step: u64,
    held: Vec<Held>,
}

struct Held {
    /// Decoded from `bytes`.
    head: Head,
    /// The head that is there.
    bytes: Option<Bytes>,
    /// Heads that were sent and never answered: one of them may be there.
    unanswered: Vec<Bytes>,
    /// The head that the last claim was made on.
    claimed_on: Option<Bytes>,
}

/// Rows of one bucket.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) puts: Vec<(CopyKey, Bytes)>,
    pub(super) deletes: Vec<CopyKey>,
}

/// Why the copy cannot be written.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The copy is gone, older than it was, or was never claimed.
    Lost,
    /// Somebody else owns it.
    TakenOver,
    Failed(FeaturesError),
}

impl From<CopyError> for Trouble {
    fn from(error: CopyError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<FeaturesError> for Trouble {
    fn from(error: FeaturesError) -> Self {
        Self::Failed(error)
    }
}

impl From<OtherFormat> for Trouble {
    fn from(OtherFormat(format): OtherFormat) -> Self {
        let format = format.map_or_else(|| "none".to_owned(), |format| format.to_string());
        Self::Failed(FeaturesError::CopyForeign { what: format!("its format is {format}") })
    }
}

impl Buckets {
    pub(super) fn new(store: CopyStore) -> Self {
        let nothing =
            |_| Held { head: Head::of_nothing(), bytes: None, unanswered: Vec::new(), claimed_on: None };
        let held = (0..store.buckets()).map(nothing).collect();
        Self { store, id: Uuid::new_v4(), term: 0, step: 0, held }
    }

    pub(super) fn store(&self) -> &CopyStore {
        &self.store
    }

    pub(super) fn term(&self) -> u64 {
        self.term
    }

    pub(super) fn bucket_of(&self, key: &[u8]) -> u32 {
        self.store.bucket_of(key)
    }

    /// The heads as they are, the first bucket first.
    pub(super) fn heads(&self) -> impl Iterator<Item = Option<&Bytes>> {
        self.held.iter().map(|held| held.bytes.as_ref())
    }

    /// Whether some write was never answered.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.held.iter().any(|held| !held.unanswered.is_empty())
    }

    /// Claims the copy: whoever owned it before cannot write any more. What readers see stays as it is. Answers with the heads
    /// that the claim was made on.
    pub(super) async fn claim(&mut self, now: Timestamp) -> Result<Vec<Option<Bytes>>, Trouble> {
        let store = &self.store;
        let reads = stream::iter(0..store.buckets()).map(|bucket| store.read(bucket, &[]));
        let found: Vec<_> = reads.buffered(AT_ONCE).try_collect().await?;
        let mut heads = Vec::with_capacity(found.len());
        for read in &found {
            heads.push(read.head.as_ref().map(|head| Head::decode(head)).transpose()?);
        }
        let highest = heads.iter().flatten().map(|head| head.term).max().unwrap_or(0).max(self.term);
        // By the clock too, so that a copy that comes back from long ago has a lower one.
        self.term = highest.saturating_add(1).max(now.micros().unsigned_abs());
        for ((held, found), head) in self.held.iter_mut().zip(found).zip(heads) {
            if !found.head.as_ref().is_some_and(|found| held.unanswered.contains(found)) {
                held.claimed_on = found.head.clone();
            }
            held.head = head.unwrap_or_else(Head::of_nothing);
            held.bytes = found.head;
            held.unanswered.clear();
        }
        let nothing = (0..self.store.buckets()).map(|bucket| (bucket, Rows::default()));
        self.write(nothing.collect(), |_| {}).await?;
        Ok(self.held.iter().map(|held| held.claimed_on.clone()).collect())
    }

    /// Writes `rows`, each bucket at once, and leaves what the heads say as it is.
    pub(super) async fn put(&mut self, rows: Vec<(u32, Rows)>) -> Result<(), Trouble> {
        self.write(rows, |_| {}).await
    }

    /// Writes `rows` of some buckets, and changes every head; the first bucket before all others.
    pub(super) async fn step(
        &mut self,
        rows: Vec<(u32, Rows)>,
        change: impl Fn(&mut Head) + Copy,
    ) -> Result<(), Trouble> {
        let mut all: Vec<(u32, Rows)> =
            (0..self.store.buckets()).map(|bucket| (bucket, Rows::default())).collect();
        for (bucket, rows) in rows {
            all[bucket as usize].1 = rows;
        }
        let others = all.split_off(1);
        self.write(all, change).await?;
        self.write(others, change).await
    }

    async fn write(
        &mut self,
        rows: Vec<(u32, Rows)>,
        change: impl Fn(&mut Head) + Copy,
    ) -> Result<(), Trouble> {
        let claim = Claim { store: &self.store, id: self.id, term: self.term };
        let mut by_bucket: Vec<Option<Rows>> = self.held.iter().map(|_| None).collect();
        for (bucket, rows) in rows {
            by_bucket[bucket as usize] = Some(rows);
        }
        let mut writes = Vec::new();
        for (bucket, (held, rows)) in self.held.iter_mut().zip(by_bucket).enumerate() {
            let Some(rows) = rows else { continue };
            self.step += 1;
            writes.push(claim.commit(bucket as u32, held, (self.step, change), rows));
        }
        // All come to their end: one that was given up on its way would be nobody's.
        let outcomes: Vec<Result<(), Trouble>> =
            stream::iter(writes).buffer_unordered(AT_ONCE).collect().await;
        outcomes.into_iter().collect()
    }
}

/// Under whose name is written.
#[derive(Clone, Copy)]
struct Claim<'a> {
    store: &'a CopyStore,
    id: Uuid,
    term: u64,
}

impl Claim<'_> {
    async fn commit(
        self,
        bucket: u32,
        held: &mut Held,
        (step, change): (u64, impl Fn(&mut Head)),
        Rows { puts, deletes }: Rows,
    ) -> Result<(), Trouble> {
        let mut commit = CopyCommit { head: Bytes::new(), puts, deletes };
        loop {
            let mut head = held.head.clone();
            (head.owner, head.term, head.step) = (self.id, self.term, step);
            change(&mut head);
            commit.head = head.encode();
            match self.store.commit(bucket, held.bytes.as_deref(), &commit).await {
                Ok(Committed::Done) => {
                    (held.head, held.bytes) = (head, Some(commit.head));
                    held.unanswered.clear();
                    return Ok(());
                }
                // A write that was never answered was made after all. This one follows it.
                Ok(Committed::Other(Some(found))) if held.unanswered.contains(&found) => {
                    held.head = Head::decode(&found)?;
                    held.bytes = Some(found);
                    held.unanswered.clear();
                }
                Ok(Committed::Other(found)) => return Err(self.judge(found.as_ref())),
                Err(error) => {
                    held.unanswered.push(commit.head);
                    return Err(error.into());
                }
            }
        }
    }

    /// What it means that another head is there, or none.
    fn judge(self, found: Option<&Bytes>) -> Trouble {
        let Some(found) = found else { return Trouble::Lost };
        match Head::decode(found) {
            // Before this claim, or an earlier one of it: somebody put an older copy back.
            Ok(head) if head.owner == self.id || head.term <= self.term => Trouble::Lost,
            Ok(_) => Trouble::TakenOver,
            Err(other) => other.into(),
        }
    }
}

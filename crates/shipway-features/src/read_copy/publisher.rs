//! The task that keeps the copy: turn by turn it looks at what the materialisers have published, copies beside what is not in
//! the copy yet, and makes one step with what changed. It never holds a materialiser up; while the copy cannot be reached it
//! tries again, and what changed is remembered by key, or copied anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use shipway_core::Name;
use shipway_definitions::DefinitionSet;
use shipway_online::copy::{CopyError, Survey};
use uuid::Uuid;

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{Published, off_the_executor},
    read_copy::{
        buckets::{Buckets, Trouble},
        changes::StateId,
        ledger::Ledger,
        metadata::States,
        note::Note,
        owner::CopyOwner,
        piece::{KEYS_AT_ONCE, Piece, StoredRow, rows_after, rows_at},
        status::Told,
    },
    source::SourceRuntime,
};

/// A copy in which nothing changes is written to so often: readers see that its owner is there, and the owner that it is.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long to wait after a failure, at first and at most.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(1);
/// How often the server is asked whether it throws keys away.
const EVICTION_LOOK: Duration = Duration::from_secs(30);
/// In a cluster readers of several buckets need moments without a step, at least so long.
const CLUSTER_PAUSE: Duration = Duration::from_millis(5);

/// How far the claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The copy is not claimed, or lost.
    Unclaimed,
    /// Everything is copied anew; readers get what was there before, if it was whole.
    Anew,
    /// The copy is this owner's, and follows.
    Following,
}

/// What readers know.
pub(super) struct Current {
    pub(super) version: Uuid,
    pub(super) content: Bytes,
    /// What it was made of.
    pub(super) definitions: Arc<DefinitionSet>,
    pub(super) states: States,
}

/// A source as it is in this turn.
pub(super) struct Look {
    pub(super) name: Name,
    pub(super) published: Arc<Published>,
}

pub(super) struct Publisher {
    pub(super) inner: Arc<Inner>,
    pub(super) owner: Arc<CopyOwner>,
    pub(super) buckets: Buckets,
    pub(super) ledgers: BTreeMap<Name, Ledger>,
    pub(super) phase: Phase,
    pub(super) current: Option<Current>,
    /// Documents that no head names any more.
    pub(super) old_documents: Vec<Uuid>,
    /// Rows are left that no head leads to.
    pub(super) must_sweep: bool,
    pub(super) survey: Option<Survey>,
    /// When the last step was made.
    pub(super) written: Option<Instant>,
    pub(super) anew_since: Instant,
    note: Option<Note>,
    looked_at_eviction: Option<Instant>,
}

impl Publisher {
    pub(super) fn new(inner: Arc<Inner>, owner: Arc<CopyOwner>, note: Option<Note>) -> Self {
        let buckets = Buckets::new(owner.store.clone());
        Self {
            inner,
            owner,
            buckets,
            ledgers: BTreeMap::new(),
            phase: Phase::Unclaimed,
            note,
            current: None,
            old_documents: Vec::new(),
            must_sweep: false,
            survey: None,
            written: None,
            looked_at_eviction: None,
            anew_since: Instant::now(),
        }
    }

    /// Runs until the server stops, or somebody else owns the copy.
    pub(super) async fn run(mut self) {
        let mut retry = RETRY;
        loop {
            let is_finishing = self.owner.finishing.is_cancelled();
            let wait = match self.turn().await {
                Ok(is_busy) => {
                    retry = RETRY;
                    let state = if self.is_copying() { "copying" } else { "following" };
                    self.owner.stand(state, None, self.inner.clock.now());
                    self.show();
                    if is_finishing {
                        break self.leave_note();
                    }
                    if is_busy {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    HEARTBEAT
                }
                Err(trouble) => {
                    self.show();
                    if self.fails(trouble) || is_finishing {
                        break;
                    }
                    let wait = retry;
                    retry = (retry * 2).min(RETRY_MOST);
                    wait
                }
            };
            let is_failing = wait != HEARTBEAT;
            tokio::select! {
                () = self.owner.finishing.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // After a failure what is published waits for the next try.
                () = self.owner.changed.notified(), if !is_failing => {}
            }
        }
    }

    /// Shows why a turn failed; says whether there is no other.
    fn fails(&mut self, trouble: Trouble) -> bool {
        let now = self.inner.clock.now();
        match trouble {
            Trouble::Lost => {
                self.phase = Phase::Unclaimed;
                self.owner.stand("failing", Some(Told::of(&FeaturesError::CopyIncomplete)), now);
                false
            }
            Trouble::TakenOver => {
                self.owner.stand("taken_over", Some(Told::of(&FeaturesError::CopyTakenOver)), now);
                self.owner.give_up(&self.inner);
                true
            }
            Trouble::Failed(error) => {
                self.owner.stand("failing", Some(Told::of(&error)), now);
                false
            }
        }
    }

    /// One turn; says whether there is more to do at once.
    async fn turn(&mut self) -> Result<bool, Trouble> {
        let began = Instant::now();
        if self.phase == Phase::Unclaimed {
            self.claim().await?;
        }
        self.look_at_eviction().await?;
        let looks = self.look();
        let mut is_busy = self.copy_beside(&looks).await?;
        let has_stepped = self.step(&looks).await?;
        is_busy |= self.sweep().await?;
        if has_stepped && self.buckets.store().buckets() > 1 {
            tokio::time::sleep(began.elapsed().max(CLUSTER_PAUSE)).await;
        }
        Ok(is_busy)
    }

    /// Claims the copy, and finds out whether it is the one that this server left.
    async fn claim(&mut self) -> Result<(), Trouble> {
        let found = self.buckets.claim(self.inner.clock.now()).await?;
        self.looked_at_eviction = None;
        self.look_at_eviction().await?;
        let store = self.buckets.store();
        let place = (store.address(), store.prefix());
        let adopted = self.note.take().and_then(|note| note.adopt(place, &found));
        let is_adopted = adopted.is_some();
        self.phase = if is_adopted { Phase::Following } else { Phase::Anew };
        self.ledgers = adopted.unwrap_or_default();
        (self.current, self.survey) = (None, None);
        self.old_documents.clear();
        self.must_sweep = is_adopted;
        self.anew_since = Instant::now();
        tracing::info!(is_adopted, term = self.buckets.term(), "the read copy is claimed");
        Ok(())
    }

    /// A server that throws keys away must not be read.
    async fn look_at_eviction(&mut self) -> Result<(), Trouble> {
        if self.looked_at_eviction.is_some_and(|at| at.elapsed() < EVICTION_LOOK) {
            return Ok(());
        }
        match self.buckets.store().check_eviction().await {
            Ok(()) => {}
            Err(CopyError::Refused { what }) => {
                tracing::warn!(what, "the server of the read copy does not tell whether it drops keys");
            }
            Err(error @ CopyError::Evicts { .. }) => {
                self.phase = Phase::Unclaimed;
                self.buckets.step(Vec::new(), |head| head.is_whole = false).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
        self.looked_at_eviction = Some(Instant::now());
        Ok(())
    }

    /// The sources whose states are copied: readers need their definitions.
    pub(super) fn runtimes(&self) -> Vec<Arc<SourceRuntime>> {
        let definitions = self.inner.definitions();
        let is_defined = |runtime: &Arc<SourceRuntime>| definitions.sources.contains_key(&runtime.name);
        self.inner.sources().into_iter().filter(is_defined).collect()
    }

    /// Takes over what was published since the last turn.
    fn look(&mut self) -> Vec<Look> {
        let runtimes = self.runtimes();
        let before = self.ledgers.len();
        self.ledgers.retain(|name, _| runtimes.iter().any(|runtime| runtime.name == *name));
        self.must_sweep |= self.ledgers.len() < before;
        let mut looks = Vec::with_capacity(runtimes.len());
        for runtime in runtimes {
            // First: a build that ends meanwhile is in what was published then.
            let builds = Arc::clone(&runtime.builds.borrow());
            let (changes, published) = runtime.outbox.take();
            let Some(published) = published else { continue };
            let building: BTreeSet<StateId> = builds
                .iter()
                .map(|(view, build)| StateId { view: *view, generation: build.generation })
                .collect();
            let ledger = self.ledgers.entry(runtime.name.clone()).or_default();
            ledger.look(changes, &published.views, &building, self.owner.most, new_number);
            looks.push(Look { name: runtime.name.clone(), published });
        }
        looks
    }

    /// Goes on with every state that is copied beside; says whether one has further keys.
    async fn copy_beside(&mut self, looks: &[Look]) -> Result<bool, Trouble> {
        let mut is_busy = false;
        for Look { name, published } in looks {
            let Some(ledger) = self.ledgers.get(name) else { continue };
            let copies: Vec<_> =
                ledger.copies().iter().map(|(state, copying)| (*state, copying.clone())).collect();
            for (state, copying) in copies {
                let changed = self.ledgers.get(name).map(|ledger| ledger.changed_beside(&state));
                self.put_changed(published, state, copying.number, changed.unwrap_or_default()).await?;
                self.ledger(name).caught_up(&state);
                if copying.is_through {
                    continue;
                }
                let (then, after) = (Arc::clone(published), copying.position);
                let read = move || rows_after(&then.snapshot, state, after.as_ref());
                let (rows, last) = off_the_executor(&self.inner, read).await?;
                let count = rows.len() as u64;
                self.put(published.applied, copying.number, rows).await?;
                is_busy |= last.is_some();
                self.ledger(name).copied(&state, count, last);
            }
        }
        Ok(is_busy)
    }

    pub(super) fn ledger(&mut self, name: &Name) -> &mut Ledger {
        self.ledgers.entry(name.clone()).or_default()
    }

    async fn put_changed(
        &mut self,
        published: &Arc<Published>,
        state: StateId,
        number: u64,
        keys: Vec<Bytes>,
    ) -> Result<(), Trouble> {
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let rows = self.read(published, state, keys.to_vec()).await?;
            self.put(published.applied, number, rows).await?;
        }
        Ok(())
    }

    pub(super) async fn read(
        &self,
        published: &Arc<Published>,
        state: StateId,
        keys: Vec<Bytes>,
    ) -> Result<Vec<StoredRow>, FeaturesError> {
        let then = Arc::clone(published);
        off_the_executor(&self.inner, move || rows_at(&then.snapshot, state, &keys)).await
    }

    /// Writes rows that no head leads to yet.
    async fn put(&mut self, applied: u64, number: u64, rows: Vec<StoredRow>) -> Result<(), Trouble> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut piece = Piece::default();
        piece.add(&self.buckets, number, applied, rows);
        self.buckets.put(piece.into_rows()).await
    }
}

/// What rows are found under: never the same twice.
fn new_number() -> u64 {
    Uuid::new_v4().as_u64_pair().0 | 1
}

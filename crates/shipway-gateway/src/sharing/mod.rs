//! Limits that several servers share: leases are asked of the metadata database in the background, so that calls are decided in memory.
//!
//! A call asks the store only where nothing is left of a lease; then it waits a moment, together with all others that wait. One task talks
//! to the store, one message at a time. What is said and heard is in `meter/share.rs`, who gets what in `meter/pool.rs`.
//!
//! - `clock`: the clock of this server, set right by that of the store
//! - `silence`: which servers have not been heard of for so long that their leases are over
//! - `calls`: settled calls of replicas, on their way to the table of the owner
//! - `waiting`: a call that waits for a lease
//! - here: the task, and its messages

mod calls;
mod clock;
mod silence;
mod waiting;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use shipway_core::Clock;
use shipway_store::Store;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{
    error::GatewayError,
    meter::{Amount, Meter, Needs, Round, Says, Told},
    model::{Chain, Limits, Scope},
    store,
};
pub(crate) use calls::{CallsForOwner, gather};
pub(crate) use clock::SharedClock;
use silence::Silence;

/// How often it is looked whether somebody waits for a lease, and whether one will soon be used up.
pub(crate) const LOOKS_EVERY: Duration = Duration::from_millis(250);
/// So many looks are between two messages of everything that changed.
const LOOKS_IN_A_ROUND: u32 = 4;
/// How long the store may take for a message.
const PATIENCE: Duration = Duration::from_secs(2);
const CALLS_AT_ONCE: usize = 4_096;
const SCOPES_AT_ONCE: usize = 256;
/// Of messages that change what is leased there is one at a time, of all servers.
const SUBJECT: &str = "llm_pools";
/// A server that was heard of within this time runs, as far as a server can tell that has just started.
const HEARD_OF: Duration = Duration::from_secs(60);

/// Which of several servers this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id: the same for as long as its data folder lives, and no other server's.
    pub id: String,
    /// Whether the metadata belong to its data folder; others are its replicas.
    pub is_owner: bool,
}

/// Whether this server shares limits with others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Servers {
    /// It is alone: what it knows itself is exact.
    #[default]
    One,
    /// It is one of several on one metadata database.
    Several(Server),
}

/// The leases of this server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sharing {
    inner: Arc<Inner>,
    /// The task ends with the last of these.
    calls: mpsc::UnboundedSender<Waiting>,
}

struct Inner {
    server: Server,
    /// Of this process.
    epoch: String,
    store: Store,
    meter: Arc<Meter>,
    clock: Arc<SharedClock>,
    silence: Mutex<Silence>,
    is_failing: AtomicBool,
}

/// What the task is asked.
enum Waiting {
    /// A call needs more than is leased. It is told when the store was asked, and whether it answered.
    Call { chain: Chain, asked: Option<Amount>, answer: oneshot::Sender<bool> },
    /// The server stops.
    Close(oneshot::Sender<()>),
}

impl fmt::Debug for Sharing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sharing").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

impl Sharing {
    /// Tells the store what this server has spent, frees what it had leased before it was stopped or killed, and starts the task.
    pub(crate) async fn open(
        server: Server,
        store: Store,
        meter: Arc<Meter>,
        clock: Arc<SharedClock>,
        tracker: &TaskTracker,
    ) -> Result<Self, GatewayError> {
        if !server.is_owner {
            let has_owner = store::servers::all(&store).await?.iter().any(|row| row.is_owner);
            if !has_owner {
                return Err(GatewayError::NoOwner);
            }
        }
        let (calls, waiting) = mpsc::unbounded_channel();
        let epoch = uuid::Uuid::now_v7().simple().to_string();
        let silence = Mutex::default();
        let inner = Inner { server, epoch, store, meter, clock, silence, is_failing: AtomicBool::new(false) };
        let inner = Arc::new(inner);
        inner.take_up().await?;
        tracker.spawn(Arc::clone(&inner).run(waiting));
        Ok(Self { inner, calls })
    }

    pub(crate) fn server(&self) -> &Server {
        &self.inner.server
    }

    /// Reads what other servers have used of everything.
    pub(crate) async fn read_elsewhere(&self) -> Result<(), GatewayError> {
        let now = self.inner.clock.now();
        let pools = store::servers::all_pools(&self.inner.store).await?;
        let server = &self.inner.server.id;
        let elsewhere = pools.into_iter().map(|(scope, pool)| (scope, pool.elsewhere(server, now)));
        self.inner.meter.hears_of(elsewhere.collect());
        Ok(())
    }

    /// Says what was used last, and gives everything back. Called after the last call is over.
    pub(crate) async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.calls.send(Waiting::Close(done)).is_ok() {
            let _ = closed.await;
        }
    }
}

impl Inner {
    /// What was spent here and what was leased: of every account that this server, or the server before it, is known for.
    async fn take_up(&self) -> Result<(), GatewayError> {
        let mut scopes: HashMap<Scope, Option<Needs>> = HashMap::new();
        for (scope, pool) in store::servers::all_pools(&self.store).await? {
            if pool.has(&self.server.id) {
                scopes.insert(scope, None);
            }
        }
        scopes.extend(self.meter.due(Round::Full).into_iter().map(|scope| (scope, None)));
        self.exchange_all(scopes, true).await
    }

    /// Messages about all of these accounts, one after the other; at least one.
    async fn exchange_all(
        &self,
        scopes: HashMap<Scope, Option<Needs>>,
        keeps: bool,
    ) -> Result<(), GatewayError> {
        let mut scopes = scopes.into_iter().peekable();
        loop {
            let part = scopes.by_ref().take(SCOPES_AT_ONCE).collect();
            self.exchange(&part, keeps).await?;
            if scopes.peek().is_none() {
                return Ok(());
            }
        }
    }

    async fn run(self: Arc<Self>, mut calls: mpsc::UnboundedReceiver<Waiting>) {
        let mut looks = tokio::time::interval(LOOKS_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0_u32;
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                taken = calls.recv_many(&mut waiting, CALLS_AT_ONCE) => {
                    if taken == 0 {
                        return;
                    }
                    if let Some(done) = self.serve(&mut waiting).await {
                        self.give_back().await;
                        let _ = done.send(());
                        return;
                    }
                }
                _ = looks.tick() => {
                    count = count.wrapping_add(1);
                    let round = if count.is_multiple_of(LOOKS_IN_A_ROUND) { Round::Full } else { Round::Quick };
                    self.look(round).await;
                }
            }
        }
    }

    /// Asks for what calls need that wait, all of them at once. Returns who waits for the end, if the server stops.
    async fn serve(&self, waiting: &mut Vec<Waiting>) -> Option<oneshot::Sender<()>> {
        let (mut scopes, mut answers, mut closing) = (HashMap::new(), Vec::new(), None);
        for item in waiting.drain(..) {
            match item {
                Waiting::Call { chain, asked, answer } => {
                    for scope in chain {
                        let needs: &mut Option<Needs> = scopes.entry(scope).or_default();
                        needs.get_or_insert_default().add(asked.unwrap_or_default());
                    }
                    answers.push(answer);
                }
                Waiting::Close(done) => closing = Some(done),
            }
        }
        if !scopes.is_empty() {
            let is_answered = self.exchange(&scopes, true).await.is_ok();
            for answer in answers {
                // Whoever went away does not want to know.
                let _ = answer.send(is_answered);
            }
        }
        closing
    }

    /// Says what changed, and gives back what somebody waits for or what nobody uses.
    async fn look(&self, round: Round) {
        if round == Round::Quick && self.meter.is_away() {
            return;
        }
        let seen = tokio::time::timeout(PATIENCE, self.look_around(round)).await;
        if let Err(error) = seen.unwrap_or(Err(GatewayError::StoreSlow)) {
            // Calls that wait are told at once; the next full round tries again.
            return self.is_not_answered(&error, std::iter::empty());
        }
        let due = self.meter.due(round);
        // A full round goes out with nothing to say too: that this server lives is noted with it.
        if round == Round::Full || !due.is_empty() {
            // It has said by itself what failed.
            let _ = self.exchange_all(due.into_iter().map(|scope| (scope, None)).collect(), true).await;
        }
    }

    async fn look_around(&self, round: Round) -> Result<(), GatewayError> {
        let hungry = store::servers::hungry(&self.store).await?;
        self.meter.ask_back(&hungry);
        if round == Round::Full {
            let servers = store::servers::all(&self.store).await?;
            self.silence.lock().await.sees(&servers, &self.server.id, Instant::now());
        }
        Ok(())
    }

    /// Gives everything back that is not in use, as far as the store can be reached.
    async fn give_back(&self) {
        let due = self.meter.due(Round::Full);
        // It has said by itself what failed.
        let _ = self.exchange_all(due.into_iter().map(|scope| (scope, None)).collect(), false).await;
    }

    /// One message about these accounts, and the answer to it.
    async fn exchange(
        &self,
        scopes: &HashMap<Scope, Option<Needs>>,
        keeps: bool,
    ) -> Result<(), GatewayError> {
        let asked = Instant::now();
        let said = self.meter.says(&self.epoch, scopes, keeps);
        let answered = match tokio::time::timeout(PATIENCE, self.ask(said)).await {
            Ok(answered) => answered,
            Err(_) => Err(GatewayError::StoreSlow),
        };
        match answered {
            Ok(told) => {
                self.meter.hears(told, asked);
                metrics::counter!("shipway_llm_lease_messages_total", "result" => "answered").increment(1);
                metrics::gauge!("shipway_llm_lease_store_reachable").set(1.0);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("limits are shared again: the metadata database answers");
                }
                Ok(())
            }
            Err(error) => {
                self.is_not_answered(&error, scopes.keys().cloned());
                Err(error)
            }
        }
    }

    fn is_not_answered(&self, error: &GatewayError, scopes: impl Iterator<Item = Scope>) {
        self.meter.hears_nothing(scopes);
        metrics::counter!("shipway_llm_lease_messages_total", "result" => "failed").increment(1);
        metrics::gauge!("shipway_llm_lease_store_reachable").set(0.0);
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(error = %shipway_core::failure::chain(error), "the metadata database does not answer: calls go on as far as leases go");
        }
    }

    async fn ask(&self, said: Vec<(Scope, Limits, Says)>) -> Result<Vec<(Scope, Told)>, GatewayError> {
        let silent = self.silence.lock().await.silent(Instant::now());
        let names: Vec<String> = said.iter().map(|(scope, ..)| scope.to_string()).collect();
        let mut transaction = self.store.begin_on(SUBJECT).await?;
        let now = transaction.now().await?;
        self.clock.is_told(now);
        let mut pools = store::servers::pools(&mut transaction, &names).await?;
        let mut told = Vec::with_capacity(said.len());
        for (scope, limits, says) in said {
            let pool = pools.entry(scope.clone()).or_default();
            told.push((scope, pool.hear(&self.server.id, &says, &limits, (now, &silent))));
        }
        store::servers::put_pools(&mut transaction, &pools).await?;
        store::servers::beat(&mut transaction, &self.server.id, self.server.is_owner, now).await?;
        transaction.commit().await?;
        Ok(told)
    }
}

/// A server that shares its limits with nobody refuses to start beside servers that do.
pub(crate) async fn refuse_others(store: &Store) -> Result<(), GatewayError> {
    let servers = store::servers::all(store).await?;
    if servers.is_empty() {
        return Ok(());
    }
    let now = store.begin().await?.now().await?;
    let since = now.0.saturating_sub(i64::try_from(HEARD_OF.as_micros()).unwrap_or(i64::MAX));
    match servers.iter().find(|row| !row.is_owner && row.seen.0 > since) {
        Some(row) => Err(GatewayError::NotAlone { server: row.server.clone() }),
        None => Ok(()),
    }
}

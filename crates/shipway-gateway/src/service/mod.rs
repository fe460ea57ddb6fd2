//! Use cases: fetch, judge, record.
//!
//! - `keys`, `groups`, `labels`: what people ask for; every change is one transaction with its entry in the audit log
//! - `batches`: what batches did cost that nobody asks about
//! - `identify`: who a caller is
//! - `secrets`: secrets of providers
//! - `tenant`: who shares answers that are kept
//! - `traces`: calls that were made, and their words
//! - `others`: what servers beside this one change
//! - `installed`: the models in force, replaced whole when definitions change
//! - here: what all of them share

mod batches;
mod groups;
mod identify;
mod installed;
mod keys;
mod labels;
mod others;
mod secrets;
mod tenant;
mod traces;

use std::{
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use shipway_core::{Clock, Timestamp};
use shipway_guardrails::Detector;
use shipway_log::EventLog;
use shipway_outbound::Fetcher;
use shipway_store::{
    Store, Transaction,
    audit::{self, AuditEntry},
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, MutexGuard, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use groups::PutGroup;
pub use identify::IdentifyKeys;
pub(crate) use identify::Principal;
pub(crate) use installed::{Deployment, Installed, Model};
pub use keys::{CreateKey, NewKey};
pub use secrets::KeptSecret;

use crate::{
    cache::AnswerCache,
    credentials::Surroundings,
    error::GatewayError,
    kept::KeptResponses,
    ledger::{CallTable, Ledger},
    meter::{Amount, Meter, Reservation, Usage},
    model::{Chain, Directory, GuardrailSpec, ModelSpec, ProviderSpec, Scope},
    ports::{Classifiers, LocalModels},
    sharing::{self, Servers, SharedClock, Sharing},
    store,
    traces::{ContentLimits, Contents, TraceStore},
    vault::{Keyring, Vault},
};

/// How long connections may take to say goodbye.
const CONNECTIONS_END_WITHIN: Duration = Duration::from_secs(5);
/// Answers that are compared at once; more are not measured.
const MOST_COMPARED: usize = 32;

/// The gateway. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    directory: RwLock<Arc<Directory>>,
    /// What is in memory may be older than what was committed.
    is_stale: AtomicBool,
    changing: Mutex<()>,
    meter: Arc<Meter>,
    /// Where several servers share the limits.
    sharing: Option<Sharing>,
    ledger: Ledger,
    vault: Vault,
    kept: KeptResponses,
    installed: RwLock<Arc<Installed>>,
    local: OnceLock<Arc<dyn LocalModels>>,
    classifiers: OnceLock<Arc<dyn Classifiers>>,
    /// It answers calls for another server, and serves no models itself.
    is_replica: bool,
    answers: AnswerCache,
    /// Places for answers that are compared.
    comparing: Arc<Semaphore>,
    contents: Contents,
    media: Option<Fetcher>,
    tracker: TaskTracker,
    later: Handle,
    stop: CancellationToken,
    /// Connections over which both sides speak.
    connections: TaskTracker,
    connections_end: CancellationToken,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// What the gateway works with.
pub struct GatewayParts {
    /// The metadata database.
    pub store: Store,
    /// The event log that the ledger is a topic of.
    pub log: EventLog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where tasks run.
    pub tracker: TaskTracker,
    /// On which threads tasks run that nobody waits for, and that are long: calls into their table, their words.
    pub later: Handle,
    /// The bytes that answers may have together that are kept to be given again.
    pub cache_bytes: u64,
    /// The words of calls, where models keep them.
    pub content: ContentLimits,
    /// Whether it shares keys and limits with other servers.
    pub servers: Servers,
    /// The keys that secrets of providers are encrypted with.
    pub keyring: Keyring,
    /// Fetches images and documents that calls have by their address, for providers that do not; none: they are refused there.
    pub media: Option<Fetcher>,
}

/// A change that is being made. There is one at a time; what it reads is what was committed last.
struct Change<'a> {
    transaction: Transaction,
    directory: Arc<Directory>,
    _turn: MutexGuard<'a, ()>,
}

impl Gateway {
    /// Opens the gateway: creates or migrates its tables, reads keys and groups, and brings the books up to the end of the ledger. What a
    /// crash left running is charged what it had reserved.
    pub async fn open(parts: GatewayParts) -> Result<Self, GatewayError> {
        let GatewayParts { store, log, clock, tracker, later, cache_bytes, content, servers, keyring, media } =
            parts;
        store.migrate(store::OWNER, store::MIGRATIONS).await?;
        let shared = match servers {
            Servers::One => {
                sharing::refuse_others(&store).await?;
                None
            }
            Servers::Several(server) => Some((server, Arc::new(SharedClock::new(Arc::clone(&clock))))),
        };
        let clock = match &shared {
            Some((_, clock)) => Arc::clone(clock) as Arc<dyn Clock>,
            None => clock,
        };
        let version = store::servers::version(&store).await?;
        let directory = read_directory(&store).await?;
        let vault = Vault::new(keyring);
        vault.reads(&store::secrets::all(&store).await?);
        let replica = shared.as_ref().filter(|(server, _)| !server.is_owner);
        let replica = replica.map(|(server, _)| Arc::from(server.id.as_str()));
        let is_replica = replica.is_some();
        let ledger = Ledger::open(&log, (store.clone(), replica), &clock, &tracker).await?;
        let mut meter = Meter::starting_from(ledger.spent().await?);
        if shared.is_some() {
            meter = meter.shared();
        }
        set_limits(&meter, &directory);
        let meter = Arc::new(meter);
        let sharing = match shared {
            Some((server, clock)) => {
                Some(Sharing::open(server, store.clone(), Arc::clone(&meter), clock, &tracker).await?)
            }
            None => None,
        };
        let kept = KeptResponses::new(store.clone());
        let inner = Inner {
            store,
            clock,
            directory: RwLock::new(Arc::new(directory)),
            is_stale: AtomicBool::new(false),
            changing: Mutex::new(()),
            meter,
            sharing,
            ledger,
            vault,
            kept,
            installed: RwLock::default(),
            local: OnceLock::new(),
            classifiers: OnceLock::new(),
            is_replica,
            answers: AnswerCache::new(cache_bytes),
            comparing: Arc::new(Semaphore::new(MOST_COMPARED)),
            contents: Contents::new(content),
            media,
            tracker,
            later,
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
            connections_end: CancellationToken::new(),
        };
        let gateway = Self { inner: Arc::new(inner) };
        gateway
            .inner
            .tracker
            .spawn(batches::follow(Arc::downgrade(&gateway.inner), gateway.inner.stop.clone()));
        if gateway.inner.sharing.is_some() {
            let stop = gateway.inner.stop.clone();
            gateway.inner.tracker.spawn(others::follow(Arc::downgrade(&gateway.inner), stop, version));
        }
        Ok(gateway)
    }

    /// Says which models this server itself serves, under the same API.
    pub fn set_local_models(&self, local: Arc<dyn LocalModels>) {
        // It is plugged in once, when the server starts.
        let _ = self.inner.local.set(local);
    }

    /// Says which models this server itself serves that guardrails may ask.
    pub fn set_classifiers(&self, classifiers: Arc<dyn Classifiers>) {
        // It is plugged in once, when the server starts.
        let _ = self.inner.classifiers.set(classifiers);
    }

    /// Puts these models in force; calls that run go on with those that they began with. A deployment whose provider is not among
    /// `providers` is left out of every call.
    pub fn install(&self, models: Vec<ModelSpec>, providers: &[ProviderSpec]) -> Result<(), GatewayError> {
        self.install_guarded(models, Vec::new(), providers)
    }

    /// The same with the guardrails that the models name.
    pub fn install_guarded(
        &self,
        models: Vec<ModelSpec>,
        guardrails: Vec<GuardrailSpec>,
        providers: &[ProviderSpec],
    ) -> Result<(), GatewayError> {
        if self.inner.is_replica {
            refuse_classifiers(&models, &guardrails)?;
        }
        let surroundings =
            Surroundings { clock: Arc::clone(&self.inner.clock), tracker: self.inner.tracker.clone() };
        let installed = Installed::new(models, guardrails, providers, &self.installed(), &surroundings)?;
        *self.inner.installed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(installed);
        self.show_secrets();
        Ok(())
    }

    /// Ends connections over which both sides speak, and those that come later at once: their callers are told that the server stops.
    pub fn end_connections(&self) {
        self.inner.connections_end.cancel();
        self.inner.connections.close();
    }

    /// Ends connections, and writes what waits. Called after the last call is over.
    pub async fn shutdown(&self) -> Result<(), GatewayError> {
        self.end_connections();
        if tokio::time::timeout(CONNECTIONS_END_WITHIN, self.inner.connections.wait()).await.is_err() {
            tracing::warn!(
                "connections of callers did not end in time; what ran over them is charged what it had reserved"
            );
        }
        self.inner.contents.close();
        self.inner.stop.cancel();
        if let Some(sharing) = &self.inner.sharing {
            sharing.close().await;
        }
        self.inner.ledger.close().await
    }

    /// Carries settled calls into a table, from where it has come to, until the gateway is shut down; those of replicas too.
    pub fn carry_calls_to(&self, table: Arc<dyn CallTable>) {
        if self.inner.sharing.is_some() {
            let (store, stop) = (self.inner.store.clone(), self.inner.stop.clone());
            self.spawn_later(sharing::gather(store, Arc::clone(&table), stop));
        }
        self.spawn_later(self.inner.ledger.clone().carry_to(table));
    }

    /// Fetches what calls have by their address, where this server does.
    pub(crate) fn fetcher(&self) -> Option<&Fetcher> {
        self.inner.media.as_ref()
    }

    /// Spawns what nobody waits for.
    fn spawn_later(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner.tracker.spawn_on(work, &self.inner.later);
    }

    /// Keeps the words of calls in this store from here on, where models say so, and finds calls in it. Once.
    pub fn keep_traces_in(&self, store: Arc<dyn TraceStore>) {
        self.inner.contents.start(
            store,
            Arc::clone(&self.inner.clock),
            (&self.inner.tracker, &self.inner.later),
        );
    }

    /// What a key or a group has used.
    pub fn usage(&self, scope: &Scope) -> Usage {
        self.inner.meter.usage(scope, self.now())
    }

    /// Runs a connection, until [`Self::connections_end`] at most.
    pub(crate) fn spawn_connection(&self, connection: impl Future<Output = ()> + Send + 'static) {
        self.inner.connections.spawn(connection);
    }

    pub(crate) fn connections_end(&self) -> &CancellationToken {
        &self.inner.connections_end
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Reserves for a call. `asked`: none for one that uses neither tokens nor money whatever happens. It waits only where servers share
    /// limits, and nothing is left of what this one has leased.
    pub(crate) async fn reserve(
        &self,
        chain: &Chain,
        asked: Option<Amount>,
    ) -> Result<Reservation, GatewayError> {
        let Some(sharing) = &self.inner.sharing else {
            let reserved = match asked {
                Some(asked) => self.meter().reserve(chain, asked, self.now()),
                None => self.meter().reserve_nothing(chain, self.now()),
            };
            return reserved.map_err(|(scope, bound)| GatewayError::Limit { scope, bound });
        };
        sharing.reserve(chain, asked).await
    }

    /// Whether limits are shared with other servers.
    pub(crate) fn shares_limits(&self) -> bool {
        self.inner.sharing.is_some()
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.inner.contents
    }

    /// Compares answers beside the calls that got them, unless too many are compared already or the gateway stops. Whether it does.
    pub(crate) fn compares(&self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        let Ok(place) = Arc::clone(&self.inner.comparing).try_acquire_owned() else { return false };
        let stop = self.inner.stop.clone();
        self.inner.tracker.spawn(async move {
            stop.run_until_cancelled(work).await;
            drop(place);
        });
        true
    }

    pub(crate) fn answers(&self) -> &AnswerCache {
        &self.inner.answers
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.inner.tracker
    }

    pub(crate) fn kept(&self) -> &KeptResponses {
        &self.inner.kept
    }

    pub(crate) fn local(&self) -> Option<&Arc<dyn LocalModels>> {
        self.inner.local.get()
    }

    pub(crate) fn classifiers(&self) -> Option<&Arc<dyn Classifiers>> {
        self.inner.classifiers.get()
    }

    pub(crate) fn installed(&self) -> Arc<Installed> {
        Arc::clone(&self.inner.installed.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn held(&self) -> Arc<Directory> {
        Arc::clone(&self.inner.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All keys and groups as they were committed last.
    pub(crate) async fn directory(&self) -> Result<Arc<Directory>, GatewayError> {
        if self.inner.is_stale.load(Ordering::Acquire) {
            let _turn = self.inner.changing.lock().await;
            self.read_again().await?;
        }
        Ok(self.held())
    }

    async fn read_again(&self) -> Result<(), GatewayError> {
        let directory = read_directory(&self.inner.store).await?;
        self.inner.vault.reads(&store::secrets::all(&self.inner.store).await?);
        self.show_secrets();
        set_limits(&self.inner.meter, &directory);
        *self.inner.directory.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(directory);
        self.inner.is_stale.store(false, Ordering::Release);
        Ok(())
    }

    async fn change(&self) -> Result<Change<'_>, GatewayError> {
        let turn = self.inner.changing.lock().await;
        if self.inner.is_stale.load(Ordering::Acquire) {
            self.read_again().await?;
        }
        let transaction = self.inner.store.begin().await?;
        Ok(Change { transaction, directory: self.held(), _turn: turn })
    }

    /// Commits a change with who did it, and puts it in force.
    async fn commit(
        &self,
        change: Change<'_>,
        caller: &str,
        action: &str,
        subject: String,
        detail: Value,
    ) -> Result<(), GatewayError> {
        let Change { mut transaction, _turn, .. } = change;
        let entry = AuditEntry { actor: caller.to_owned(), action: action.to_owned(), subject, detail };
        audit::record(&mut transaction, &entry, self.now()).await?;
        store::servers::changed(&mut transaction).await?;
        // Before the commit: if the caller goes away or the database fails after it, the next one reads again.
        self.inner.is_stale.store(true, Ordering::Release);
        transaction.commit().await?;
        self.read_again().await
    }
}

/// A replica serves no models, so a guardrail that asks one would refuse every call there.
fn refuse_classifiers(models: &[ModelSpec], guardrails: &[GuardrailSpec]) -> Result<(), GatewayError> {
    let asks = |guardrail: &&GuardrailSpec| matches!(guardrail.detector, Detector::Classifier(_));
    for guardrail in guardrails.iter().filter(asks) {
        if let Some(model) = models.iter().find(|model| model.guardrails.contains(&guardrail.name)) {
            let reason = format!(
                "model {}: {} asks a classifier, and a replica serves no models",
                model.name, guardrail.name
            );
            return Err(GatewayError::invalid("guardrails", reason));
        }
    }
    Ok(())
}

async fn read_directory(store: &Store) -> Result<Directory, GatewayError> {
    let (keys, groups) = (store::keys::all(store).await?, store::groups::all(store).await?);
    Ok(Directory::new(keys, groups, store::labels::all(store).await?))
}

fn set_limits(meter: &Meter, directory: &Directory) {
    for key in directory.keys() {
        meter.set_limits(&Scope::Key(key.id.clone()), key.limits.clone());
    }
    for group in directory.groups() {
        meter.set_limits(&Scope::Group(group.name.clone()), group.limits.clone());
    }
    for label in directory.labels() {
        meter.set_limits(&label.scope(), label.limits.clone());
    }
}

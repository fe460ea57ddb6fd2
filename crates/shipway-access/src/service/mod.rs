//! Use cases: fetch, judge, record. Every change is one transaction with its entry in the audit log, and is in force when it returns.
//!
//! - `users`, `roles`, `grants`, `tokens`: what people and programs ask for
//! - `owners`: what tracking tells of things that are made, renamed and gone
//! - `identify`: who a caller is

mod grants;
mod identify;
mod owners;
mod roles;
mod tokens;
mod users;

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use shipway_core::{Clock, Timestamp};
use shipway_store::{
    Store, Transaction,
    audit::{self, AuditEntry},
};
use shipway_web::Caller;
use tokio::sync::{Mutex, MutexGuard};

pub use tokens::NewToken;

use crate::{
    error::{AccessError, Thing},
    model::{Directory, Role, User},
    store,
};
use identify::Verifier;

/// Users, roles, grants and tokens. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    /// Whether callers are asked who they are.
    asks: bool,
    directory: RwLock<Arc<Directory>>,
    /// What is in memory may be older than what was committed.
    is_stale: AtomicBool,
    changing: Mutex<()>,
    verifier: Verifier,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Accounts").finish_non_exhaustive()
    }
}

/// A change that is being made. There is one at a time; what it reads is what was committed last.
struct Change<'a> {
    transaction: Transaction,
    directory: Arc<Directory>,
    _turn: MutexGuard<'a, ()>,
}

impl Accounts {
    /// Opens the accounts of a metadata database: creates or migrates their tables and reads them. `asks`: whether this server asks
    /// callers who they are; where it does not, no accounts are made.
    pub async fn open(store: Store, clock: Arc<dyn Clock>, asks: bool) -> Result<Self, AccessError> {
        store.migrate(store::OWNER, store::MIGRATIONS).await?;
        let directory = RwLock::new(Arc::new(store::directory(&store).await?));
        let inner = Inner {
            store,
            clock,
            asks,
            directory,
            is_stale: AtomicBool::new(false),
            changing: Mutex::new(()),
            verifier: Verifier::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How many users there are.
    pub fn count(&self) -> usize {
        self.held().users().count()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn held(&self) -> Arc<Directory> {
        Arc::clone(&self.inner.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// All accounts as they were committed last.
    async fn directory(&self) -> Result<Arc<Directory>, AccessError> {
        if self.inner.is_stale.load(Ordering::Acquire) {
            let _turn = self.inner.changing.lock().await;
            self.read_again().await?;
        }
        Ok(self.held())
    }

    async fn read_again(&self) -> Result<(), AccessError> {
        let read = Arc::new(store::directory(&self.inner.store).await?);
        *self.inner.directory.write().unwrap_or_else(PoisonError::into_inner) = read;
        self.inner.verifier.forget();
        self.inner.is_stale.store(false, Ordering::Release);
        Ok(())
    }

    async fn change(&self) -> Result<Change<'_>, AccessError> {
        if !self.inner.asks {
            return Err(AccessError::Open);
        }
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
    ) -> Result<(), AccessError> {
        let Change { mut transaction, _turn, .. } = change;
        let entry = AuditEntry { actor: caller.to_owned(), action: action.to_owned(), subject, detail };
        audit::record(&mut transaction, &entry, self.now()).await?;
        // Before the commit: if the caller goes away or the database fails after it, the next one reads again.
        self.inner.is_stale.store(true, Ordering::Release);
        transaction.commit().await?;
        self.read_again().await
    }
}

fn user<'a>(directory: &'a Directory, name: &str) -> Result<&'a User, AccessError> {
    directory.user(name).ok_or_else(|| AccessError::missing(Thing::User, name))
}

fn role(directory: &Directory, id: i64) -> Result<&Role, AccessError> {
    directory.role(id).ok_or_else(|| AccessError::missing(Thing::Role, id))
}

/// Who a caller's account is, if they have one.
fn own_account<'a>(directory: &'a Directory, caller: &Caller) -> Option<&'a User> {
    directory.user_by_id(caller.user_id?)
}

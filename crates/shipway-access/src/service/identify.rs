//! Who a caller is. A secret is compared with its hash once, and is known by its digest afterwards until any account changes.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use shipway_core::Digest;
use shipway_web::{Caller, Credentials, Identify, Problem};
use tokio::sync::Semaphore;

use super::Accounts;
use crate::{
    error::AccessError,
    model::{ApiToken, Directory, User},
    secret::{SecretHash, TokenText},
};

/// Secrets that are compared at once. Each takes a core for tens of milliseconds, and 19 MiB.
const AT_ONCE: usize = 2;
/// Callers that wait for that at most.
const WAITING: usize = 64;
/// Secrets that are known by their digests at most.
const KNOWN: usize = 10_000;
/// Wrong passwords for one user within [`WINDOW`], after which no more are compared.
const ATTEMPTS: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Names whose wrong passwords are counted at most.
const COUNTED: usize = 10_000;

/// Compares secrets with hashes, within bounds.
pub(super) struct Verifier {
    turns: Semaphore,
    waiting: AtomicUsize,
    known: Mutex<HashMap<Digest, Known>>,
    /// Counts how often everything known was forgotten: what was compared before must not be known after.
    forgotten: AtomicU64,
    wrong: Mutex<HashMap<String, Wrong>>,
}

/// Whose secret it is.
#[derive(Debug, Clone)]
enum Known {
    Password { user_id: i64 },
    Token { id: String },
}

struct Wrong {
    since: Instant,
    count: u32,
}

impl Default for Verifier {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            waiting: AtomicUsize::new(0),
            known: Mutex::default(),
            forgotten: AtomicU64::new(0),
            wrong: Mutex::default(),
        }
    }
}

/// What is compared where there is no such user, so that it takes as long.
static NOBODY: LazyLock<Option<SecretHash>> =
    LazyLock::new(|| SecretHash::of("nobody has this password").ok());

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Verifier {
    /// Forgets every secret that is known.
    pub(super) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) async fn hash(&self, secret: &str) -> Result<SecretHash, AccessError> {
        let secret = secret.to_owned();
        self.apart(move || SecretHash::of(&secret)).await?
    }

    /// Whether this is the password of a user; after too many wrong ones none is compared for a while.
    pub(super) async fn compare_for(
        &self,
        user: &str,
        hash: SecretHash,
        secret: &str,
    ) -> Result<bool, AccessError> {
        self.must_not_be_guessing(user)?;
        let is_right = self.compare(hash, secret).await?;
        self.count_attempt(user, is_right);
        Ok(is_right)
    }

    async fn compare(&self, hash: SecretHash, secret: &str) -> Result<bool, AccessError> {
        let secret = secret.to_owned();
        self.apart(move || hash.matches(&secret)).await
    }

    /// Runs work of one core on a thread that serves nobody, when its turn comes.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccessError> {
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING {
            return Err(AccessError::Busy);
        }
        let _turn = self.turns.acquire().await.map_err(|_| AccessError::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| AccessError::Secret)
    }

    fn must_not_be_guessing(&self, user: &str) -> Result<(), AccessError> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let guessing = |wrong: &Wrong| wrong.count >= ATTEMPTS && wrong.since.elapsed() < WINDOW;
        if wrong.get(user).is_some_and(guessing) {
            return Err(AccessError::TooManyAttempts { user: user.to_owned() });
        }
        Ok(())
    }

    fn count_attempt(&self, user: &str, is_right: bool) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if is_right {
            wrong.remove(user);
            return;
        }
        if wrong.len() >= COUNTED {
            wrong.retain(|_, one| one.since.elapsed() < WINDOW);
        }
        if wrong.len() >= COUNTED && !wrong.contains_key(user) {
            return;
        }
        let one = wrong.entry(user.to_owned()).or_insert(Wrong { since: Instant::now(), count: 0 });
        if one.since.elapsed() >= WINDOW {
            *one = Wrong { since: Instant::now(), count: 0 };
        }
        one.count += 1;
    }

    fn known(&self, digest: &Digest) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn remember(&self, digest: Digest, whose: Known, forgotten: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if self.forgotten.load(Ordering::Acquire) != forgotten {
            return;
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(digest, whose);
    }
}

/// What a secret is known by. Kept in memory only, and gone with the process.
fn digest(credentials: &Credentials) -> Digest {
    match (TokenText::read(credentials.secret()), credentials) {
        (Some(token), _) => Digest::of(token.text()),
        (None, Credentials::Bearer(secret)) => Digest::of(format!("bearer\0{secret}")),
        (None, Credentials::Basic { user, password }) => Digest::of(format!("basic\0{user}\0{password}")),
    }
}

impl Accounts {
    async fn who(&self, credentials: &Credentials) -> Result<Option<Caller>, AccessError> {
        let forgotten = self.inner.verifier.forgotten.load(Ordering::Acquire);
        let directory = self.directory().await?;
        let digest = digest(credentials);
        if let Some(known) = self.inner.verifier.known(&digest) {
            return Ok(self.caller(&directory, &known));
        }
        let found = match (TokenText::read(credentials.secret()), credentials) {
            (Some(token), _) => self.of_token(&directory, &token).await?,
            (None, Credentials::Basic { user, password }) => {
                self.of_password(&directory, user, password).await?
            }
            (None, Credentials::Bearer(_)) => None,
        };
        let Some(found) = found else { return Ok(None) };
        self.inner.verifier.remember(digest, found.clone(), forgotten);
        Ok(self.caller(&directory, &found))
    }

    async fn of_token(&self, directory: &Directory, shown: &TokenText) -> Result<Option<Known>, AccessError> {
        // 64 bits of an id are not guessed; whether one exists need not be hidden.
        let Some(token) = directory.token(&shown.id) else { return Ok(None) };
        let is_right = self.inner.verifier.compare(token.secret.clone(), &shown.secret).await?;
        Ok(is_right.then(|| Known::Token { id: token.id.clone() }))
    }

    async fn of_password(
        &self,
        directory: &Directory,
        name: &str,
        password: &str,
    ) -> Result<Option<Known>, AccessError> {
        let user = directory.user(name).filter(|user| user.password.is_some());
        let hash = user.and_then(|user| user.password.clone()).or_else(|| NOBODY.clone());
        let Some(hash) = hash else { return Err(AccessError::Secret) };
        let matches = self.inner.verifier.compare_for(name, hash, password).await?;
        Ok(user.filter(|_| matches).map(|user| Known::Password { user_id: user.id }))
    }

    /// The caller that a secret belongs to, as the accounts are now; `None` when it is expired.
    fn caller(&self, directory: &Arc<Directory>, known: &Known) -> Option<Caller> {
        match known {
            Known::Password { user_id } => {
                let user = directory.user_by_id(*user_id)?;
                let access = directory.access_of(user);
                Some(Caller { name: user.name.clone(), user_id: Some(user.id), access, by_token: false })
            }
            Known::Token { id } => {
                let token: &ApiToken = directory.token(id).filter(|token| token.expires > self.now())?;
                let user: &User = directory.user_by_id(token.user_id)?;
                let access = directory.access_of_token(token, user);
                Some(Caller { name: user.name.clone(), user_id: Some(user.id), access, by_token: true })
            }
        }
    }
}

#[async_trait]
impl Identify for Accounts {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Caller>, Problem> {
        Ok(self.who(credentials).await?)
    }
}

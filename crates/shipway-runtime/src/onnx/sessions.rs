//! The sessions of one model, whatever its engine has for one. A session runs one batch at a time, so a model runs as many at once as
//! it has sessions.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// At least one session of the same model.
#[derive(Debug)]
pub(super) struct Sessions<Session> {
    first: Mutex<Session>,
    others: Vec<Mutex<Session>>,
}

impl<Session> Sessions<Session> {
    pub(super) fn new(first: Session, others: Vec<Session>) -> Self {
        Self { first: Mutex::new(first), others: others.into_iter().map(Mutex::new).collect() }
    }

    /// One that nobody uses. When all are in use, waits for the first one.
    pub(super) fn free(&self) -> MutexGuard<'_, Session> {
        let first = || self.first.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::once(&self.first).chain(&self.others).find_map(unused).unwrap_or_else(first)
    }
}

fn unused<Session>(session: &Mutex<Session>) -> Option<MutexGuard<'_, Session>> {
    match session.try_lock() {
        Ok(session) => Some(session),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

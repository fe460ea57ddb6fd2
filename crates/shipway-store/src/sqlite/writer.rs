//! The one connection that writes.
//!
//! Transactions take turns, in the order they came. A commit to the disk costs more than most transactions do, so those that waited
//! while the one before worked share it: each is a savepoint of one transaction of SQLite, in which it can still be rolled back
//! alone, and all of them are told that they are committed when the disk has them. Whoever comes later is of the next group.
//!
//! The committer queues for the turn as the transactions do, which is what bounds a group: it comes after those that waited when it was
//! called, and before those that came later.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard, oneshot},
    time::{Instant, sleep, timeout_at},
};

use super::{PATIENCE, blocking, connection::Connection};
use crate::{Row, SqlValue, StoreError};

/// How often a database that another process writes to is asked again.
const ASKED_AGAIN: Duration = Duration::from_millis(5);
/// What a statement may cost to run where its caller runs; beyond it takes longer than a task may hold up others.
const SHORT: usize = 512;
/// How many bytes of a text cost as much as a value.
const BYTES_OF_A_VALUE: usize = 256;

fn cost(parameters: &[SqlValue]) -> usize {
    let one = |parameter: &SqlValue| match parameter {
        SqlValue::Text(text) => 1 + text.len() / BYTES_OF_A_VALUE,
        SqlValue::Blob(bytes) => 1 + bytes.len() / BYTES_OF_A_VALUE,
        _ => 1,
    };
    parameters.iter().map(one).sum()
}

/// What the statements of a transaction may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Little each, as they change what belongs to one subject: they run where their caller runs, without a change of threads.
    Short,
    /// Anything.
    Any,
}

#[derive(Clone)]
pub(super) struct Writer {
    /// Nothing is in it once the writer is closed.
    turn: Arc<Mutex<Option<Desk>>>,
    waiting: Arc<AtomicUsize>,
}

/// What has its turn.
struct Desk {
    connection: Connection,
    /// Those whose work is in the open transaction, and who wait for it to be on the disk.
    group: Vec<oneshot::Sender<Result<(), Lost>>>,
    /// Whether somebody will commit the group.
    is_committer_called: bool,
}

type Turn = OwnedMutexGuard<Option<Desk>>;

/// Why a group was not committed, for each of its members.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{words}")]
struct Lost {
    words: String,
    meaning: fn(crate::Cause) -> StoreError,
}

impl From<&StoreError> for Lost {
    fn from(error: &StoreError) -> Self {
        let meaning = match error {
            StoreError::Full(_) => StoreError::Full,
            StoreError::Busy(_) => StoreError::Busy,
            StoreError::Damaged(_) => StoreError::Damaged,
            _ => StoreError::Statement,
        };
        let cause = std::error::Error::source(error).map(ToString::to_string);
        Self { words: cause.unwrap_or_else(|| error.to_string()), meaning }
    }
}

impl From<Lost> for StoreError {
    fn from(lost: Lost) -> Self {
        (lost.meaning)(lost.into())
    }
}

impl Desk {
    /// Commits the group, if it is still open, and tells its members.
    fn commit_group(&mut self) {
        self.is_committer_called = false;
        if self.group.is_empty() {
            return;
        }
        let committed = self.connection.execute("COMMIT", &[]);
        if committed.is_err() {
            self.end_transaction();
        }
        self.tell_group(committed.as_ref().map(|_| ()).map_err(Lost::from));
    }

    fn tell_group(&mut self, outcome: Result<(), Lost>) {
        for member in self.group.drain(..) {
            // A member who went away needs no answer.
            let _ = member.send(outcome.clone());
        }
    }

    fn end_transaction(&mut self) {
        if !self.connection.is_outside_transaction()
            && let Err(error) = self.connection.execute("ROLLBACK", &[])
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        let desk = Desk { connection, group: Vec::new(), is_committer_called: false };
        Self { turn: Arc::new(Mutex::new(Some(desk))), waiting: Arc::default() }
    }

    pub(super) async fn begin(&self, pace: Pace) -> Result<SqliteTransaction, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let turn = {
                let _waits = Waits::new(&self.waiting);
                timeout_at(deadline, Arc::clone(&self.turn).lock_owned()).await
            };
            let mut turn = turn.map_err(|waited| StoreError::Busy(waited.into()))?;
            if pace == Pace::Any && turn.as_ref().is_some_and(|desk| !desk.group.is_empty()) {
                // Those before it do not wait for what may take long.
                turn = blocking(move || {
                    turn.as_mut().map(Desk::commit_group);
                    turn
                })
                .await?;
            }
            match Member::join(turn) {
                Ok(member) => {
                    return Ok(SqliteTransaction { writer: self.clone(), pace, member: Some(member) });
                }
                // Another process writes, which is rare: its end is waited for without a thread.
                Err(StoreError::Busy(_)) if Instant::now() < deadline => sleep(ASKED_AGAIN).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets the group of this turn be committed: at once where nobody waits, else after those who wait.
    fn call_committer(&self, mut turn: Turn) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::spawn_blocking(move || turn.as_mut().map(Desk::commit_group));
            return;
        }
        let Some(desk) = turn.as_mut().filter(|desk| !desk.is_committer_called) else { return };
        desk.is_committer_called = true;
        drop(turn);
        let writer = Arc::clone(&self.turn);
        tokio::task::spawn_blocking(move || writer.blocking_lock().as_mut().map(Desk::commit_group));
    }

    /// Waits for its turn, commits what is open, and closes the connection.
    pub(super) async fn close(&self) {
        let mut turn = Arc::clone(&self.turn).lock_owned().await;
        let closed = blocking(move || {
            if let Some(mut desk) = turn.take() {
                desk.commit_group();
            }
        });
        if let Err(error) = closed.await {
            tracing::warn!(%error, "the metadata database was not closed in order");
        }
    }
}

/// Counts one who waits for the turn, for as long as that is.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The work of one transaction within its group. Dropped before it is kept, it is rolled back.
struct Member {
    turn: Option<Turn>,
    /// Whether others of the group came before it, so that it is a savepoint.
    is_nested: bool,
    /// Whether a part of the work has failed, so that it must not be kept.
    has_failed: bool,
}

impl Member {
    fn join(turn: Turn) -> Result<Self, StoreError> {
        let desk = turn.as_ref().ok_or(StoreError::Closed)?;
        let is_nested = !desk.group.is_empty();
        desk.connection.execute(if is_nested { "SAVEPOINT member" } else { "BEGIN IMMEDIATE" }, &[])?;
        Ok(Self { turn: Some(turn), is_nested, has_failed: false })
    }

    fn desk(&mut self) -> Result<&mut Desk, StoreError> {
        self.turn.as_deref_mut().and_then(Option::as_mut).ok_or(StoreError::Closed)
    }

    /// Runs a part of the work. Some failures end the transaction of the whole group, and then nothing of it is committed.
    fn work<T>(&mut self, part: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let desk = self.desk()?;
        if desk.connection.is_outside_transaction() {
            return Err(StoreError::Statement("the transaction has ended after a failure".into()));
        }
        let done = part(&desk.connection);
        if let Err(error) = &done {
            if desk.connection.is_outside_transaction() {
                desk.tell_group(Err(error.into()));
            }
            self.has_failed = true;
        }
        done
    }

    /// Makes the work a part of what its group commits; the answer comes when that is done.
    fn keep(mut self) -> Result<(Turn, oneshot::Receiver<Result<(), Lost>>), StoreError> {
        if self.has_failed {
            return Err(StoreError::Statement("a statement of the transaction has failed".into()));
        }
        let is_nested = self.is_nested;
        self.work(
            |connection| {
                if is_nested { connection.execute("RELEASE member", &[]).map(|_| ()) } else { Ok(()) }
            },
        )?;
        let (member, answer) = oneshot::channel();
        self.desk()?.group.push(member);
        let turn = self.turn.take().ok_or(StoreError::Closed)?;
        Ok((turn, answer))
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        let is_nested = self.is_nested;
        let desk = self.desk()?;
        if desk.connection.is_outside_transaction() {
            return Ok(());
        }
        if !is_nested {
            desk.end_transaction();
            return Ok(());
        }
        let undone = desk.connection.run_script("ROLLBACK TO member; RELEASE member");
        if let Err(error) = &undone {
            // What the others did cannot be told apart from what this one did any more.
            desk.end_transaction();
            desk.tell_group(Err(error.into()));
        }
        undone
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if self.turn.is_some()
            && let Err(error) = self.roll_back()
        {
            tracing::error!(%error, "a transaction could not be rolled back alone");
        }
    }
}

/// A write transaction, which has the turn.
pub(crate) struct SqliteTransaction {
    writer: Writer,
    pace: Pace,
    /// It is away while a thread works for it; if the caller goes away meanwhile, it ends there.
    member: Option<Member>,
}

impl SqliteTransaction {
    pub(crate) async fn fetch(
        &mut self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> Result<Vec<Row>, StoreError> {
        if self.is_short(cost(&parameters)) {
            return self.member()?.work(|connection| connection.fetch(sql, &parameters));
        }
        let sql = sql.to_owned();
        self.elsewhere(move |connection| connection.fetch(&sql, &parameters)).await
    }

    pub(crate) async fn execute(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Result<u64, StoreError> {
        if self.is_short(cost(&parameters)) {
            return self.member()?.work(|connection| connection.execute(sql, &parameters));
        }
        let sql = sql.to_owned();
        self.elsewhere(move |connection| connection.execute(&sql, &parameters)).await
    }

    pub(crate) async fn execute_each(
        &mut self,
        sql: &str,
        rows: Vec<Vec<SqlValue>>,
    ) -> Result<u64, StoreError> {
        if self.is_short(rows.iter().map(|row| cost(row)).sum()) {
            return self.member()?.work(|connection| connection.execute_each(sql, &rows));
        }
        let sql = sql.to_owned();
        self.elsewhere(move |connection| connection.execute_each(&sql, &rows)).await
    }

    pub(crate) async fn run_script(&mut self, sql: &str) -> Result<(), StoreError> {
        let sql = sql.to_owned();
        self.elsewhere(move |connection| connection.run_script(&sql)).await
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let member = self.member.take().ok_or(StoreError::Closed)?;
        let (turn, answer) = member.keep()?;
        self.writer.call_committer(turn);
        match answer.await {
            Ok(outcome) => Ok(outcome?),
            // The server is shutting down.
            Err(_) => Err(StoreError::Closed),
        }
    }

    fn is_short(&self, cost: usize) -> bool {
        self.pace == Pace::Short && cost <= SHORT
    }

    fn member(&mut self) -> Result<&mut Member, StoreError> {
        self.member.as_mut().ok_or(StoreError::Closed)
    }

    async fn elsewhere<T: Send + 'static>(
        &mut self,
        part: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut member = self.member.take().ok_or(StoreError::Closed)?;
        let work = move || {
            let done = member.work(part);
            (member, done)
        };
        let (member, done) = blocking(work).await?;
        self.member = Some(member);
        done
    }
}

impl fmt::Debug for SqliteTransaction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteTransaction").field("pace", &self.pace).finish_non_exhaustive()
    }
}

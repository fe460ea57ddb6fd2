//! What jobs promise: done once, resumed after a death, cancelled while waiting and while running, bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use shipway_core::{Clock, Failure, Kind, SystemClock};
use shipway_store::{
    Store, StoreError,
    jobs::{Job, JobError, JobFailure, JobHandler, JobOptions, JobRun, JobState, Jobs, NewJob},
};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

/// Counts how many run at once, waits for a permit, and answers with its payload.
#[derive(Default)]
struct Echo {
    gate: Option<Arc<Semaphore>>,
    began: Notify,
    attempts: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    deaf: bool,
}

#[async_trait]
impl JobHandler for Echo {
    async fn run(&self, run: JobRun) -> Result<Value, JobFailure> {
        self.attempts.fetch_add(1, Ordering::SeqCst);
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        run.report("echoing", 3, Some(4));
        self.began.notify_one();
        let outcome = self.wait(&run).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        outcome?;
        if run.payload == json!("fails") {
            return Err(StoreError::Closed.into());
        }
        assert_ne!(run.payload, json!("panics"));
        Ok(json!({ "said": run.payload, "attempt": run.attempt }))
    }
}

impl Echo {
    async fn wait(&self, run: &JobRun) -> Result<(), JobFailure> {
        let Some(gate) = &self.gate else { return Ok(()) };
        if self.deaf {
            std::future::pending::<()>().await;
        }
        tokio::select! {
            permit = gate.acquire() => { permit.unwrap().forget(); Ok(()) }
            () = run.cancelled.cancelled() => Err(JobError::Stopping.into()),
        }
    }
}

struct Server {
    jobs: Jobs,
    tracker: TaskTracker,
}

async fn serve(store: &Store, handler: &Arc<Echo>, options: JobOptions) -> Server {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let jobs = Jobs::open(store.clone(), clock, options).await.unwrap();
    jobs.register("echo", Arc::clone(handler) as Arc<dyn JobHandler>);
    let tracker = TaskTracker::new();
    jobs.start(&tracker);
    Server { jobs, tracker }
}

fn gated() -> (Arc<Semaphore>, Arc<Echo>) {
    let gate = Arc::new(Semaphore::new(0));
    (Arc::clone(&gate), Arc::new(Echo { gate: Some(gate), ..Echo::default() }))
}

fn echo(subject: &str, payload: &str) -> NewJob {
    NewJob { kind: "echo", subject: subject.to_owned(), payload: json!(payload), actor: "ann".to_owned() }
}

async fn outcome(server: &Server, job: &Job) -> (JobState, Option<Value>, Option<String>) {
    let job = server.jobs.wait(&job.id).await.unwrap();
    (job.state, job.result, job.error.map(|problem| problem.code))
}

#[tokio::test]
async fn a_job_is_recorded_done_and_shown() {
    let store = super::empty_store().await;
    let server = serve(&store, &Arc::default(), JobOptions::default()).await;

    let job = server.jobs.submit(echo("a", "hello")).await.unwrap();
    let job = server.jobs.wait(&job.id).await.unwrap();

    assert_eq!((job.state, job.result), (JobState::Done, Some(json!({ "said": "hello", "attempt": 1 }))));
    assert_eq!((job.progress.phase.as_str(), job.progress.done, job.progress.total), ("echoing", 3, Some(4)));
    assert_eq!((job.actor.as_str(), job.attempts), ("ann", 1));
    assert!(job.started_at >= Some(job.created_at) && job.ended_at >= job.started_at);
    assert_eq!(server.jobs.list(Some(JobState::Done), 10).await.unwrap().len(), 1);
    assert!(server.jobs.list(Some(JobState::Failed), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_keeps_its_code_and_hint_and_a_panic_is_a_failure() {
    let store = super::empty_store().await;
    let server = serve(&store, &Arc::default(), JobOptions::default()).await;
    let failed = server.jobs.submit(echo("a", "fails")).await.unwrap();
    assert_eq!(outcome(&server, &failed).await, (JobState::Failed, None, Some("store.closed".to_owned())));
    let broken = server.jobs.submit(echo("b", "panics")).await.unwrap();
    assert_eq!(outcome(&server, &broken).await, (JobState::Failed, None, Some("jobs.broken".to_owned())));
    let after = server.jobs.submit(echo("c", "goes on")).await.unwrap();
    assert_eq!(outcome(&server, &after).await.0, JobState::Done);
}

#[tokio::test]
async fn jobs_wait_for_their_turn() {
    let store = super::empty_store().await;
    let (gate, handler) = gated();
    let options = JobOptions { concurrency: 2, ..JobOptions::default() };
    let server = serve(&store, &handler, options).await;
    let mut jobs = Vec::new();
    for number in 0..6 {
        jobs.push(server.jobs.submit(echo(&number.to_string(), "x")).await.unwrap());
    }
    while handler.most_at_once.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(6);
    for job in &jobs {
        assert_eq!(outcome(&server, job).await.0, JobState::Done);
    }
    assert_eq!(handler.most_at_once.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_when_its_handler_hears_it() {
    let store = super::empty_store().await;
    let (_gate, handler) = gated();
    let server = serve(&store, &handler, JobOptions { concurrency: 1, ..JobOptions::default() }).await;
    let running = server.jobs.submit(echo("a", "x")).await.unwrap();
    handler.began.notified().await;
    let waiting = server.jobs.submit(echo("b", "x")).await.unwrap();

    assert_eq!(server.jobs.cancel(&waiting.id).await.unwrap().state, JobState::Cancelled);
    server.jobs.cancel(&running.id).await.unwrap();
    assert_eq!(outcome(&server, &running).await, (JobState::Cancelled, None, None));
    assert_eq!(handler.attempts.load(Ordering::SeqCst), 1, "the waiting one never began");
    assert_eq!(server.jobs.cancel(&running.id).await.unwrap().state, JobState::Cancelled, "twice is as once");
}

#[tokio::test]
async fn a_handler_that_does_not_hear_is_dropped() {
    let store = super::empty_store().await;
    let gate = Some(Arc::new(Semaphore::new(0)));
    let handler = Arc::new(Echo { gate, deaf: true, ..Echo::default() });
    let options = JobOptions { patience: Duration::from_millis(20), ..JobOptions::default() };
    let server = serve(&store, &handler, options).await;
    let job = server.jobs.submit(echo("a", "x")).await.unwrap();
    handler.began.notified().await;
    server.jobs.cancel(&job.id).await.unwrap();
    assert_eq!(outcome(&server, &job).await.0, JobState::Cancelled);
}

#[tokio::test]
async fn one_subject_one_job_and_the_same_request_is_the_same_job() {
    let store = super::empty_store().await;
    let (gate, handler) = gated();
    let server = serve(&store, &handler, JobOptions::default()).await;
    let first = server.jobs.submit(echo("table/a", "x")).await.unwrap();
    assert_eq!(server.jobs.submit(echo("table/a", "x")).await.unwrap().id, first.id);
    let refused = server.jobs.submit(echo("table/a", "y")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "jobs.busy"));
    gate.add_permits(2);
    assert_eq!(outcome(&server, &first).await.0, JobState::Done);
    let next = server.jobs.submit(echo("table/a", "y")).await.unwrap();
    assert_eq!(outcome(&server, &next).await.0, JobState::Done);
    let ended = server.jobs.cancel(&first.id).await.unwrap_err();
    assert_eq!((ended.kind(), ended.code()), (Kind::Conflict, "jobs.ended"));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_and_leaves_no_trace() {
    let store = super::empty_store().await;
    let server = serve(&store, &Arc::default(), JobOptions::default()).await;
    let refused = server.jobs.submit(NewJob { kind: "dance", ..echo("a", "x") }).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Invalid, "jobs.unknown_kind"));
    assert!(server.jobs.list(None, 10).await.unwrap().is_empty());
    assert_eq!(server.jobs.find("nobody").await.unwrap_err().code(), "jobs.unknown");
}

#[tokio::test]
async fn a_stopping_server_puts_its_jobs_back_and_the_next_one_does_them() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(&folder.path().join("meta.db")).await.unwrap();
    let (_gate, handler) = gated();
    let server = serve(&store, &handler, JobOptions::default()).await;
    let job = server.jobs.submit(echo("a", "x")).await.unwrap();
    handler.began.notified().await;
    server.jobs.stop().await;
    server.tracker.close();
    server.tracker.wait().await;
    assert_eq!(server.jobs.submit(echo("b", "x")).await.unwrap_err().code(), "jobs.stopping");
    let held = server.jobs.find(&job.id).await.unwrap();
    assert_eq!((held.state, held.attempts), (JobState::Queued, 0));
    store.close().await;

    let store = Store::open(&folder.path().join("meta.db")).await.unwrap();
    let server = serve(&store, &Arc::default(), JobOptions::default()).await;
    assert_eq!(outcome(&server, &job).await.0, JobState::Done);
}

/// The process dies: its tasks vanish in the middle of their work.
fn dies_while_running(folder: &TempDir, subject: &str, cancels: bool) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let id = runtime.block_on(async {
        let store = Store::open(&folder.path().join("meta.db")).await.unwrap();
        let gate = Some(Arc::new(Semaphore::new(0)));
        let handler = Arc::new(Echo { gate, deaf: true, ..Echo::default() });
        let server = serve(&store, &handler, JobOptions { most_attempts: 2, ..JobOptions::default() }).await;
        let job = server.jobs.submit(echo(subject, "x")).await.unwrap();
        handler.began.notified().await;
        if cancels {
            server.jobs.cancel(&job.id).await.unwrap();
        }
        job.id
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    id
}

#[test]
fn a_job_that_a_death_interrupted_is_begun_again_but_not_for_ever() {
    let folder = TempDir::new().unwrap();
    let first = dies_while_running(&folder, "a", false);
    // The second death meets the same job again: the subject is taken, and submitting it returns it.
    assert_eq!(dies_while_running(&folder, "a", false), first);
    let cancelled = dies_while_running(&folder, "b", true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&folder.path().join("meta.db")).await.unwrap();
        let server =
            serve(&store, &Arc::default(), JobOptions { most_attempts: 2, ..JobOptions::default() }).await;
        let abandoned = server.jobs.find(&first).await.unwrap();
        assert_eq!(abandoned.state, JobState::Failed);
        assert_eq!(abandoned.error.unwrap().code, "jobs.abandoned");
        assert_eq!(server.jobs.find(&cancelled).await.unwrap().state, JobState::Cancelled);
    });
}

#[tokio::test]
async fn ended_jobs_are_forgotten_beyond_a_number() {
    let store = super::empty_store().await;
    let server = serve(&store, &Arc::default(), JobOptions::default()).await;
    let mut last = String::new();
    for number in 0..5 {
        last = server.jobs.submit(echo(&number.to_string(), "x")).await.unwrap().id;
        server.jobs.wait(&last).await.unwrap();
    }
    let server = serve(&store, &Arc::default(), JobOptions { kept: 2, ..JobOptions::default() }).await;
    let kept = server.jobs.list(None, 10).await.unwrap();
    assert_eq!((kept.len(), kept[0].id.as_str()), (2, last.as_str()));
}

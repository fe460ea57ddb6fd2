//! The batcher over a runner that notes what it ran.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::*;

/// Answers each number with itself doubled, notes the batches, and runs only while its gate is open.
#[derive(Default)]
struct Doubling {
    batches: Mutex<Vec<Vec<u64>>>,
    closed: Mutex<bool>,
    opened: Condvar,
    panics: AtomicBool,
}

impl Doubling {
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn batches(&self) -> Vec<Vec<u64>> {
        self.batches.lock().unwrap().clone()
    }
}

impl Runner for Arc<Doubling> {
    type Work = u64;
    type Done = u64;

    fn rows(&self, _: &u64) -> usize {
        1
    }

    fn joins(&self, first: &u64, other: &u64) -> bool {
        (*first < 1_000) == (*other < 1_000)
    }

    fn run(&self, batch: Vec<u64>, _: &Statistics) -> Vec<Result<u64, ServingError>> {
        self.batches.lock().unwrap().push(batch.clone());
        let mut closed = self.closed.lock().unwrap();
        while *closed {
            closed = self.opened.wait(closed).unwrap();
        }
        drop(closed);
        assert!(!self.panics.load(Ordering::SeqCst), "told to");
        batch.into_iter().map(|number| Ok(number * 2)).collect()
    }
}

fn batcher(
    batching: BatchingSettings,
    limits: QueueSettings,
) -> (Arc<Batcher<Arc<Doubling>>>, Arc<Doubling>) {
    let runner = Arc::new(Doubling::default());
    let batcher = Batcher::new(Arc::clone(&runner), batching, limits, Arc::default(), TaskTracker::new());
    (Arc::new(batcher), runner)
}

fn of_rows(max_rows: usize) -> BatchingSettings {
    BatchingSettings { max_rows: Some(max_rows), ..BatchingSettings::default() }
}

/// Submits a number in the background, and returns when it waits or runs.
async fn submitted(
    batcher: &Arc<Batcher<Arc<Doubling>>>,
    number: u64,
    urgency: Urgency,
) -> tokio::task::JoinHandle<Result<u64, ServingError>> {
    let before = batcher.waiting() + batcher.shared.runner.batches().iter().flatten().count();
    let task = {
        let batcher = Arc::clone(batcher);
        let tracker = batcher.tracker.clone();
        tracker.spawn(async move { batcher.submit(number, urgency).await })
    };
    while batcher.waiting() + batcher.shared.runner.batches().iter().flatten().count() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    task
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_come_while_a_batch_runs_are_the_next_one() {
    let (batcher, runner) = batcher(of_rows(8), QueueSettings::default());
    runner.close();
    let mut tasks = vec![submitted(&batcher, 1, Urgency::default()).await];
    while runner.batches().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for number in [2, 3, 4, 1_000, 5] {
        tasks.push(submitted(&batcher, number, Urgency::default()).await);
    }
    let urgent = Urgency { priority: 1, timeout: None };
    tasks.push(submitted(&batcher, 6, urgent).await);
    runner.open();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap().unwrap());
    }
    assert_eq!(answers, [2, 4, 6, 8, 2_000, 10, 12], "each caller gets its own");
    assert_eq!(runner.batches(), [vec![1], vec![6, 2, 3, 4], vec![1_000], vec![5]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_batches_run_at_once_as_there_are_instances() {
    let batching = BatchingSettings { instances: 2, ..of_rows(8) };
    let (batcher, runner) = batcher(batching, QueueSettings::default());
    runner.close();
    let mut tasks = Vec::new();
    for number in [1, 2] {
        tasks.push(submitted(&batcher, number, Urgency::default()).await);
        while runner.batches().len() < tasks.len() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    for number in [3, 4] {
        tasks.push(submitted(&batcher, number, Urgency::default()).await);
    }
    assert_eq!(batcher.waiting(), 2, "there is no third instance");
    runner.open();
    for (task, answer) in tasks.into_iter().zip([2, 4, 6, 8]) {
        assert_eq!(task.await.unwrap().unwrap(), answer);
    }
    assert_eq!(runner.batches(), [vec![1], vec![2], vec![3, 4]]);
    while batcher.shared.state().running > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_and_a_hopeless_deadline_are_refused_at_once() {
    let limits = QueueSettings { max_requests: 2, ..QueueSettings::default() };
    let (batcher, runner) = batcher(of_rows(1), limits);
    assert_eq!(batcher.submit(7, Urgency::default()).await.unwrap(), 14);
    runner.close();
    let running = submitted(&batcher, 1, Urgency::default()).await;
    while runner.batches().len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let soon = Urgency { priority: 0, timeout: Some(Duration::from_millis(500)) };
    let late = submitted(&batcher, 2, soon).await;
    let waiting = submitted(&batcher, 3, Urgency::default()).await;
    let full = batcher.submit(4, Urgency::default()).await.unwrap_err();
    assert!(matches!(full, ServingError::QueueFull { waiting: 2, limit: 2 }), "{full}");
    tokio::time::sleep(Duration::from_millis(600)).await;
    runner.open();
    assert_eq!(running.await.unwrap().unwrap(), 2);
    let late = late.await.unwrap().unwrap_err();
    assert!(matches!(late, ServingError::TooLate { .. }), "{late}");
    assert_eq!(waiting.await.unwrap().unwrap(), 6);
    assert_eq!(runner.batches(), [vec![7], vec![1], vec![3]], "who is late does not run");

    // A batch has just taken more than half a second, so who may wait a millisecond behind another has no hope.
    runner.close();
    let running = submitted(&batcher, 1, Urgency::default()).await;
    let waiting = submitted(&batcher, 8, Urgency::default()).await;
    let hopeless = Urgency { priority: 0, timeout: Some(Duration::from_millis(1)) };
    let refused = batcher.submit(9, hopeless).await.unwrap_err();
    assert!(matches!(refused, ServingError::TooLate { waited: Duration::ZERO, .. }), "{refused}");
    runner.open();
    assert_eq!((running.await.unwrap().unwrap(), waiting.await.unwrap().unwrap()), (2, 16));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_company_waits_no_longer_than_told() {
    let batching = BatchingSettings { max_delay_us: 60_000_000, ..of_rows(3) };
    let (batcher, runner) = batcher(batching, QueueSettings::default());
    let tasks = [
        submitted(&batcher, 1, Urgency::default()).await,
        submitted(&batcher, 2, Urgency::default()).await,
        submitted(&batcher, 3, Urgency::default()).await,
    ];
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(runner.batches(), [vec![1, 2, 3]], "a full batch does not wait");

    let batching = BatchingSettings { max_delay_us: 20_000, ..of_rows(3) };
    let (batcher, _) = self::batcher(batching, QueueSettings::default());
    let started = Instant::now();
    assert_eq!(batcher.submit(1, Urgency::default()).await.unwrap(), 2);
    assert!(started.elapsed() >= Duration::from_millis(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_is_not_run_for() {
    let (batcher, runner) = batcher(of_rows(1), QueueSettings::default());
    runner.close();
    let running = submitted(&batcher, 1, Urgency::default()).await;
    while runner.batches().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let gone = submitted(&batcher, 2, Urgency::default()).await;
    gone.abort();
    assert!(gone.await.is_err());
    runner.open();
    running.await.unwrap().unwrap();
    assert_eq!(batcher.submit(3, Urgency::default()).await.unwrap(), 6);
    assert_eq!(runner.batches(), [vec![1], vec![3]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_panics_fails_its_callers_and_runs_for_the_next() {
    let (batcher, runner) = batcher(of_rows(8), QueueSettings::default());
    runner.panics.store(true, Ordering::SeqCst);
    let failed = batcher.submit(1, Urgency::default()).await.unwrap_err();
    assert!(matches!(failed, ServingError::ModelFailed), "{failed}");
    runner.panics.store(false, Ordering::SeqCst);
    assert_eq!(batcher.submit(2, Urgency::default()).await.unwrap(), 4);
}

//! The answers of one view in memory: events are grouped by key as they come, and each group is answered over ranges.
//!
//! The spine is read first and gives each key a number; events of other keys are dropped where they are met. Keys are dealt into
//! shares. While the scan runs, each event goes to its share; then every share by itself is sorted by key and time and answered, and
//! its memory is free again. The answers lie in the order of the shares, and are taken from there in the order of the spine. So a view
//! costs a scan, one move of each event, and one pass over its windows; nothing is merged and nothing is sorted that came in order.
//!
//! All of it needs memory for the events in reach of the view. Where the pool has too little, this gives up without an answer, and
//! the view is answered by sorts that spill. Lists, labels and rows with watermarks of their own are answered that way too.
//!
//! - `directory`: the keys of the spine and its rows by key; `intake`: events by share; `cells`: their values
//! - `share`: one share sorted and answered; `general`: the aggregations that ranges do not know
//! - `arranged`: the answers, taken in the order of the spine

mod arranged;
mod cells;
mod directory;
mod general;
mod intake;
mod share;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use arrow::{array::ArrayRef, compute::concat};
use datafusion::{
    common::runtime::SpawnedTask,
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, streaming::PartitionStream},
};
use futures::StreamExt;
use shipway_core::DataType;

pub(crate) use arranged::Arranged;
pub(crate) use directory::Directory;

use super::{
    OfflineError,
    events::{ArrivalRule, EventColumns},
    spine_rows::SharedSpineRows,
    view_plan::{PlannedBody, ViewPlan},
};
use directory::SHARES;
use intake::{Chunk, Intake};

/// Whether a view can be answered this way.
pub(crate) fn suits(view: &ViewPlan, arrival: &ArrivalRule) -> bool {
    let is_scalar = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Bool | DataType::Int | DataType::Float | DataType::Text | DataType::Timestamp
        )
    };
    arrival.carried.is_none()
        && !matches!(view.body, PlannedBody::Label(_))
        && view.inputs.iter().all(|(_, data_type)| is_scalar(data_type))
}

/// The spine's rows by key as a view sees them; `None` when memory is short.
pub(crate) async fn directory(
    rows: SharedSpineRows,
    context: &Arc<TaskContext>,
) -> Result<Option<Directory>, OfflineError> {
    let memory = MemoryConsumer::new("training set keys").register(context.memory_pool());
    Directory::build(rows.execute(Arc::clone(context)), memory).await
}

/// The answers of `view` for the rows of `directory` out of `events`, on up to `workers` threads; `None` when memory is short.
pub(crate) async fn answers(
    view: &Arc<ViewPlan>,
    directory: &Arc<Directory>,
    (events, columns): (Arc<dyn ExecutionPlan>, EventColumns),
    context: &Arc<TaskContext>,
    workers: usize,
) -> Result<Option<Arranged>, OfflineError> {
    let memory = Arc::new(MemoryConsumer::new("training set events").register(context.memory_pool()));
    let gave_up = Arc::new(AtomicBool::new(false));
    let partitions = events.output_partitioning().partition_count();
    let mut tasks = Vec::with_capacity(partitions);
    for partition in 0..partitions {
        let mut batches = events.execute(partition, Arc::clone(context))?;
        let mut intake = Intake::new(Arc::clone(view), columns, Arc::clone(directory), Arc::clone(&memory));
        let gave_up = Arc::clone(&gave_up);
        tasks.push(SpawnedTask::spawn(async move {
            while let Some(batch) = batches.next().await {
                if gave_up.load(Ordering::Relaxed) || !intake.take_in(&batch?)? {
                    gave_up.store(true, Ordering::Relaxed);
                    return Ok(Vec::new());
                }
            }
            Ok::<_, OfflineError>(intake.finish())
        }));
    }
    let mut shares: Vec<Vec<Chunk>> = (0..SHARES).map(|_| Vec::new()).collect();
    for task in tasks {
        let taken = task.join_unwind().await.map_err(|_| OfflineError::Cancelled)??;
        shares.iter_mut().zip(taken).for_each(|(share, chunks)| share.extend(chunks));
    }
    let answers_memory = MemoryConsumer::new("training set answers").register(context.memory_pool());
    let answer_bytes = directory.rows() * view.outputs.len() * size_of::<u64>();
    if gave_up.load(Ordering::Relaxed) || answers_memory.try_grow(answer_bytes).is_err() {
        return Ok(None);
    }
    let shares: Vec<_> = shares.into_iter().map(|chunks| Mutex::new(Some(chunks))).collect();
    let (of_view, of_directory) = (Arc::clone(view), Arc::clone(directory));
    let answered = in_parallel(SHARES, workers, move |share| {
        let chunks = shares[share].lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let bytes: usize = chunks.iter().map(|chunk| chunk.reserved_bytes).sum();
        let answered = share::answer(&of_view, of_directory.share(share), chunks);
        memory.shrink(bytes);
        answered
            .map_err(|(output, source)| OfflineError::Feature { feature: of_view.reference(output), source })
    });
    let answered: Vec<Mutex<Vec<Option<ArrayRef>>>> = answered
        .await?
        .into_iter()
        .map(|columns| Mutex::new(columns.into_iter().map(Some).collect()))
        .collect();
    // Column by column, so that of no more than one per thread there are two copies.
    let columns = in_parallel(view.outputs.len(), workers, move |output| {
        let parts: Vec<ArrayRef> = answered
            .iter()
            .filter_map(|columns| columns.lock().unwrap_or_else(PoisonError::into_inner)[output].take())
            .collect();
        Ok(concat(&parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>())?)
    });
    Ok(Some(Arranged::new(columns.await?, Arc::clone(directory), answers_memory)))
}

/// `work` for each number below `count`, on up to `workers` threads. The outcomes are in order; the first error ends it.
async fn in_parallel<T: Send + 'static>(
    count: usize,
    workers: usize,
    work: impl Fn(usize) -> Result<T, OfflineError> + Send + Sync + 'static,
) -> Result<Vec<T>, OfflineError> {
    let (work, next) = (Arc::new(work), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..workers.clamp(1, count.max(1)))
        .map(|_| {
            let (work, next) = (Arc::clone(&work), Arc::clone(&next));
            SpawnedTask::spawn(async move {
                let mut done = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<_, OfflineError>(done);
                    }
                    done.push((number, work(number)?));
                    // Where a task that was given up ends, and where others have their turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    drop(work);
    let mut outcomes = Vec::with_capacity(count);
    for task in tasks {
        outcomes.extend(task.join_unwind().await.map_err(|_| OfflineError::Cancelled)??);
    }
    outcomes.sort_unstable_by_key(|(number, _)| *number);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

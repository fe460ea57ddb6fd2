//! News among files: new ones are loaded, known ones are left alone, and one that changed is told, never counted twice.

use std::collections::BTreeMap;

use shipway_definitions::BatchFrom;
use shipway_lake::{CopiedFile, OutsideFile, files};

use super::{
    BatchError, BatchProblem,
    error::error,
    item::{Copy, format_of, load_id, problem_of},
    look::Look,
};
use crate::{
    error::FeaturesError,
    store::batch::{self, ItemRow, ItemState},
};

/// Loads every file that is not loaded yet.
pub(super) async fn load_new(look: &mut Look) -> Result<(), FeaturesError> {
    look.run.report("listing the files", 0, None);
    let lake = look.inner.lake.clone();
    let location = look.batch.location().clone();
    let listed = tokio::select! {
        () = look.run.cancelled.cancelled() => return Err(look.cancelled()),
        listed = lake.list_outside(&location) => listed?,
    };
    let mut known = batch::items(&look.inner.store, look.name()).await?;
    note_gone(look, &listed, &known).await?;
    look.looked.found = listed.len() as u64;
    let total = listed.len() as u64;
    for (done, file) in (0_u64..).zip(&listed) {
        look.check_wanted()?;
        // Somebody has made it and not written it yet.
        if file.bytes == 0 && !file.is_link() {
            continue;
        }
        let item = known.remove(&file.name());
        if let Some(item) = &item
            && item.state == ItemState::Loaded
            && item.stamp == file.stamp
        {
            if let Some(problem) = item.problem.clone() {
                look.fails(BatchProblem::new(&item.item, problem));
            }
            continue;
        }
        look.run.report(&format!("loading {}", file.name()), done, Some(total));
        load(look, file, item).await?;
    }
    Ok(())
}

/// Notes which files of this pattern went away, and which came back. Their rows stay either way.
async fn note_gone(
    look: &Look,
    listed: &[OutsideFile],
    known: &BTreeMap<String, ItemRow>,
) -> Result<(), FeaturesError> {
    let there: std::collections::BTreeSet<String> = listed.iter().map(OutsideFile::name).collect();
    let location = look.location();
    let mut changed = Vec::new();
    for item in known.values().filter(|item| item.location == location) {
        let is_gone = !there.contains(&item.item);
        if is_gone && item.state == ItemState::Failed {
            // What never was loaded and is not there any more is no problem of anybody.
            batch::forget(&look.inner.store, look.name(), &item.item).await?;
        } else if is_gone != item.is_gone {
            changed.push((item.item.clone(), is_gone));
        }
    }
    Ok(batch::gone(&look.inner.store, look.name(), &changed).await?)
}

/// Brings one file to its place. `item` is what is known of it.
async fn load(look: &mut Look, file: &OutsideFile, item: Option<ItemRow>) -> Result<(), FeaturesError> {
    let now = look.inner.clock.now();
    let mut fresh = ItemRow {
        item: file.name(),
        location: look.location(),
        stamp: file.stamp.clone(),
        digest: String::new(),
        load_id: String::new(),
        state: ItemState::Failed,
        rows: 0,
        skipped: 0,
        problem: None,
        is_gone: false,
        changed: now,
    };
    let mut item = item;
    // Before anything else: rows that an earlier process may have left in the table under the content of then.
    if let Some(earlier) = item.as_mut()
        && earlier.state == ItemState::Loading
        && let Some(load) = look.settled(earlier).await?
    {
        let settled = earlier.clone();
        earlier.state = ItemState::Loaded;
        look.note_loaded(settled, &load).await?;
        if earlier.stamp == file.stamp {
            return Ok(());
        }
    }
    let copy = Copy::place(&look.inner).await?;
    let lake = look.inner.lake.clone();
    let copied = tokio::select! {
        () = look.run.cancelled.cancelled() => return Err(look.cancelled()),
        copied = lake.copy_outside(file, &copy.path) => copied,
    };
    let copied = match copied {
        Ok(copied) => copied,
        Err(failure) => {
            let problem = problem_of(failure.into());
            return match item.filter(|item| item.state == ItemState::Loaded) {
                // Loaded as it was, and not readable as it is: its rows stay, and it is looked at again.
                Some(mut loaded) => {
                    loaded.stamp = String::new();
                    loaded.problem = Some(problem.clone());
                    look.record(&loaded).await?;
                    look.fails(BatchProblem::new(&loaded.item, problem));
                    Ok(())
                }
                None => look.note_failed(fresh, problem).await,
            };
        }
    };
    if let Some(loaded) = item.filter(|item| item.state == ItemState::Loaded) {
        return note_changed(look, loaded, file, &copied).await;
    }
    fresh.digest = copied.digest.to_string();
    fresh.load_id = load_id(&fresh.item, &fresh.digest);
    let BatchFrom::Files { format, nulls, .. } = &look.batch.from else { return Ok(()) };
    let Some(format) = format_of(*format, file.unpacked_name()) else {
        let problem = problem_of(error(BatchError::FormatUnclear { file: file.name() }));
        return look.note_failed(fresh, problem).await;
    };
    let adaptation = look.adaptation(nulls);
    let declared = look.runtime.shape().schema.declared();
    let rows = async move {
        let rows = files::open_adapted(&copy.path, format, declared, &adaptation).await?;
        Ok(keeping(copy, rows))
    };
    look.load_item(fresh, rows).await
}

/// A loaded file with another stamp: with the same content it is the same file; with another one it is a problem.
async fn note_changed(
    look: &mut Look,
    mut loaded: ItemRow,
    file: &OutsideFile,
    copied: &CopiedFile,
) -> Result<(), FeaturesError> {
    loaded.stamp.clone_from(&file.stamp);
    loaded.is_gone = false;
    loaded.changed = look.inner.clock.now();
    loaded.problem = None;
    if loaded.digest != copied.digest.to_string() {
        let problem = problem_of(error(BatchError::FileChanged { file: file.name() }));
        loaded.problem = Some(problem.clone());
        look.fails(BatchProblem::new(&loaded.item, problem));
    }
    look.record(&loaded).await
}

/// The same batches; the copy stays until they are read.
pub(super) fn keeping(
    copy: Copy,
    rows: datafusion::execution::SendableRecordBatchStream,
) -> datafusion::execution::SendableRecordBatchStream {
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::StreamExt as _;
    let schema = rows.schema();
    let kept = rows.map(move |batch| {
        let _copy = &copy;
        batch
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, kept))
}

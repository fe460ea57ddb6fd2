//! Answers of views kept on disk across requests and restarts, each under the digest of everything that made it.
//!
//! A file is an Arrow IPC file of one view's answers in the order of the spine. It is written aside, synced, and moved to its
//! name; so a file under a name is whole. The digest covers the view, the rows asked (their moments, keys and watermarks, in
//! order), which events had arrived, and the version of the engine: equal digests are equal answers.

use std::{
    io::BufWriter,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Decimal128Type, Int64Type, SchemaRef},
    ipc::{reader::FileReader, writer::FileWriter},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{Stream, StreamExt};
use sha2::{Digest as _, Sha256};
use shipway_core::{Clock, Digest};

use super::{
    OfflineError,
    events::{ArrivalClock, ArrivalRule},
    keys::time_of,
    spine_rows::row_column,
    view_plan::ViewPlan,
};

/// Changes whenever the engine gives another answer to the same question: kept answers of other versions are not used.
pub(crate) const ENGINE_VERSION: u32 = 1;

/// The folder of kept answers.
#[derive(Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    /// How much may be kept; the answers that were not used for longest go first.
    limit_bytes: u64,
}

impl Shelf {
    /// Opens the folder, creating it; removes what a killed process left half-written.
    pub(crate) fn open(folder: &Path, limit_bytes: u64, clock: Arc<dyn Clock>) -> Result<Self, OfflineError> {
        let failed = |source| OfflineError::Kept { action: "found", source };
        fs_err::create_dir_all(folder).map_err(failed)?;
        for entry in fs_err::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == "unfinished") {
                fs_err::remove_file(path).map_err(failed)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), clock, limit_bytes })
    }

    fn path(&self, key: &Digest) -> PathBuf {
        self.folder.join(format!("{}.arrow", key.hex()))
    }

    /// The kept answers of that digest, `None` when there are none. A file that cannot be read is as none.
    pub(crate) fn find(&self, key: &Digest, schema: &SchemaRef) -> Option<SendableRecordBatchStream> {
        let path = self.path(key);
        let file = fs_err::File::open(&path).ok()?;
        let reader = FileReader::try_new_buffered(file.into_file(), None).ok()?;
        if reader.schema().fields() != schema.fields() {
            return None;
        }
        // The files that go first are those that were not used for longest. One that cannot be marked may go early.
        let _ = self.mark_used(&path);
        let batches = futures::stream::iter(reader).map(|batch| batch.map_err(DataFusionError::from));
        Some(Box::pin(RecordBatchStreamAdapter::new(schema.clone(), batches)))
    }

    fn mark_used(&self, path: &Path) -> std::io::Result<()> {
        let now = Duration::from_micros(self.clock.now().micros().max(0).unsigned_abs());
        let file = fs_err::OpenOptions::new().append(true).open(path)?;
        file.file().set_modified(SystemTime::UNIX_EPOCH + now)
    }

    /// Keeps `answers` under the digest, to their end.
    pub(crate) async fn keep(
        &self,
        key: &Digest,
        schema: &SchemaRef,
        mut answers: impl Stream<Item = Result<RecordBatch, OfflineError>> + Unpin,
    ) -> Result<(), OfflineError> {
        let failed = |source| OfflineError::Kept { action: "written", source };
        let unfinished =
            Unfinished(self.folder.join(format!("{}.unfinished", uuid::Uuid::new_v4().simple())));
        let file = fs_err::File::create(&unfinished.0).map_err(failed)?;
        let mut writer = FileWriter::try_new(BufWriter::new(file), schema)?;
        while let Some(batch) = answers.next().await {
            writer.write(&batch?)?;
        }
        let file = writer.into_inner()?.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs_err::rename(&unfinished.0, self.path(key)).map_err(failed)?;
        self.mark_used(&self.path(key)).map_err(failed)?;
        fs_err::File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        self.make_room(key)
    }

    /// Removes the answers that were not used for longest, until the rest fits the limit. `kept` stays.
    fn make_room(&self, kept: &Digest) -> Result<(), OfflineError> {
        let failed = |source| OfflineError::Kept { action: "counted", source };
        let mut files = Vec::new();
        for entry in fs_err::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let facts = entry.metadata().map_err(failed)?;
            files.push((facts.modified().map_err(failed)?, facts.len(), entry.path()));
        }
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        files.sort();
        for (_, bytes, path) in files {
            if total <= self.limit_bytes {
                break;
            }
            if path != self.path(kept) && path.extension().is_some_and(|extension| extension == "arrow") {
                fs_err::remove_file(path).map_err(failed)?;
                total -= bytes;
            }
        }
        Ok(())
    }
}

/// A file that is removed unless it was moved to its name.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What cannot be removed now is removed when the shelf is opened again.
        let _ = fs_err::remove_file(&self.0);
    }
}

/// The digest of one view's answers.
pub(crate) async fn digest_of(
    view: &ViewPlan,
    rule: &ArrivalRule,
    table_version: Option<u64>,
    mut rows: SendableRecordBatchStream,
) -> Result<Digest, OfflineError> {
    let mut hasher = Sha256::new();
    hasher.update(format!("answers {ENGINE_VERSION} {} {}\n", view.identity, view.source));
    hasher.update(format!("table {table_version:?} before {:?}\n", rule.before));
    let counted = rule.loads.iter().filter(|(_, offset)| rule.before.is_none_or(|before| **offset < before));
    for (load, offset) in counted {
        hasher.update(format!("load {load} {offset}\n"));
    }
    match &rule.carried {
        Some(ArrivalClock::Received(moments)) => {
            for (load, moment) in moments {
                hasher.update(format!("moment {load} {}\n", moment.micros()));
            }
        }
        Some(ArrivalClock::Offset) => hasher.update("offsets\n"),
        None => hasher.update("all\n"),
    }
    while let Some(batch) = rows.next().await {
        update_with_rows(&mut hasher, &batch?);
    }
    Ok(Digest::from_bytes(hasher.finalize().into()))
}

fn update_with_rows(hasher: &mut Sha256, batch: &RecordBatch) {
    let orders = batch.column(row_column::ORDER).as_primitive::<Decimal128Type>();
    let keys = batch.column(row_column::KEY).as_binary::<i32>();
    let watermarks = (batch.num_columns() > row_column::WATERMARK)
        .then(|| batch.column(row_column::WATERMARK).as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        hasher.update(time_of(orders.value(row)).to_le_bytes());
        if keys.is_null(row) {
            hasher.update(u64::MAX.to_le_bytes());
        } else {
            let key = keys.value(row);
            hasher.update((key.len() as u64).to_le_bytes());
            hasher.update(key);
        }
        if let Some(watermarks) = watermarks {
            hasher.update(watermarks.value(row).to_le_bytes());
        }
    }
}

//! Rows of history on their way into states. One pass over history deals them out by bucket, each row narrowed to its key and
//! what the view keeps of it; then bucket after bucket is read back. So memory holds the states of one bucket only, and
//! history is gone through once however many buckets there are.

use std::{
    collections::HashMap,
    io::{BufReader, BufWriter, ErrorKind, Read as _, Write as _},
    path::PathBuf,
    sync::Arc,
};

use arrow::array::RecordBatch;
use bytes::Bytes;
use fs_err::File;
use futures::TryStreamExt as _;
use uuid::Uuid;

use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        ActiveView,
        bulk::{RowReader, bucket_of},
        history::{HistoryRows, Rows},
        off_the_executor,
        progress::BuildProgress,
    },
    source::SourceShape,
    state::{KeyState, Reach, codec},
};

/// So many buckets are written in one pass; each has an open file and a buffer.
const MOST_FILES: u32 = 256;
const BUFFER_BYTES: usize = 32 << 10;

/// The states of one bucket, by key, in the order of the keys.
pub(super) type States = Vec<(Bytes, KeyState)>;

/// What history has of some buckets of a build.
pub(super) struct Spool {
    view: ActiveView,
    reach: Reach,
    /// The first of the buckets.
    first: u32,
    of: u32,
    dealt: Dealt,
}

/// Rows wait on disk, unless there is one bucket only: then they become states at once.
enum Dealt {
    States(HashMap<Vec<u8>, KeyState>),
    Files { folder: PathBuf, files: Vec<BufWriter<File>> },
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Dealt::Files { folder, .. } = &self.dealt {
            // What cannot be removed now is removed at the next start.
            let _ = fs_err::remove_dir_all(folder);
        }
    }
}

impl Spool {
    /// Goes through history and deals out the rows of the buckets that are not done, as many as go in one pass. What lies
    /// before `reach` is not kept; `told` hears how many rows were read.
    pub(super) async fn fill(
        inner: &Arc<Inner>,
        shape: &Arc<SourceShape>,
        (view, reach): (ActiveView, Reach),
        progress: &BuildProgress,
        told: impl Fn(u64),
    ) -> Result<Self, FeaturesError> {
        let of = progress.buckets.unwrap_or(1).max(1);
        let mut spool = Self::new(inner, (view, reach), progress, of)?;
        let (rows, schema) = (Rows::ArrivedBefore(progress.marker), &shape.schema);
        let views = std::slice::from_ref(&spool.view);
        let marked = (rows, progress.marker);
        let history = HistoryRows::of(inner, schema, views, marked, progress.rows_from).await?;
        let mut batches = history.stream(inner, schema).await?;
        let mut read = 0;
        while let Some(rows) = batches.try_next().await? {
            read += rows.num_rows() as u64;
            let shape = Arc::clone(shape);
            spool = off_the_executor(inner, move || {
                spool.deal(&rows, &shape)?;
                Ok(spool)
            })
            .await?;
            told(read);
        }
        Ok(spool)
    }

    fn new(
        inner: &Inner,
        (view, reach): (ActiveView, Reach),
        progress: &BuildProgress,
        of: u32,
    ) -> Result<Self, FeaturesError> {
        let (first, count) = (progress.done, of.saturating_sub(progress.done).min(MOST_FILES));
        let dealt = if of == 1 {
            Dealt::States(HashMap::new())
        } else {
            // A name of its own: an attempt that was given up may still be at its last rows.
            let folder = inner.builds_folder().join(Uuid::now_v7().to_string());
            fs_err::create_dir_all(&folder)?;
            let file = |number| File::create(folder.join(format!("{number}")));
            let file = |number| Ok(BufWriter::with_capacity(BUFFER_BYTES, file(number)?));
            let files = (first..first + count).map(file).collect::<Result<_, FeaturesError>>()?;
            Dealt::Files { folder, files }
        };
        Ok(Self { view, reach, first, of, dealt })
    }

    fn deal(&mut self, rows: &RecordBatch, shape: &SourceShape) -> Result<(), FeaturesError> {
        let layout = Arc::clone(&self.view.layout);
        let reader = RowReader::new(rows, shape, std::slice::from_ref(&self.view))?;
        let mut record = Vec::new();
        for row in 0..rows.num_rows() {
            let event = reader.event(row)?;
            let event = reader.seen_by(0, row, &event);
            let Some(seen) = layout.see(&event) else { continue };
            let Some(key) = layout.key(&seen) else { continue };
            match &mut self.dealt {
                Dealt::States(states) => {
                    let key = key.as_bytes().to_vec();
                    let state = states.entry(key).or_insert_with(|| KeyState::empty(&layout));
                    state.apply(&layout, &self.reach, layout.narrow(&seen));
                }
                Dealt::Files { files, .. } => {
                    let bucket = bucket_of(&self.view, &key, self.of);
                    let at = bucket.checked_sub(self.first).map(|at| at as usize);
                    let Some(file) = at.and_then(|at| files.get_mut(at)) else { continue };
                    record.clear();
                    codec::write_event(&layout.narrow(&seen), &mut record);
                    for part in [key.as_bytes(), &record] {
                        file.write_all(&(part.len() as u32).to_le_bytes())?;
                        file.write_all(part)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The states of the next bucket; `None` when this pass has no more.
    pub(super) fn next(&mut self, number: u32) -> Result<Option<States>, FeaturesError> {
        let states = match &mut self.dealt {
            Dealt::States(states) => std::mem::take(states),
            Dealt::Files { folder, files } => {
                let at = number.checked_sub(self.first).map(|at| at as usize);
                let Some(file) = at.and_then(|at| files.get_mut(at)) else { return Ok(None) };
                file.flush()?;
                let path = folder.join(format!("{number}"));
                let states = read_back(&self.view, &self.reach, File::open(&path)?)?;
                fs_err::remove_file(&path)?;
                states
            }
        };
        let mut states: States = states.into_iter().map(|(key, state)| (Bytes::from(key), state)).collect();
        // Every attempt divides a bucket into the same parts.
        states.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        Ok(Some(states))
    }
}

/// The states that the records of a file make.
fn read_back(
    view: &ActiveView,
    reach: &Reach,
    file: File,
) -> Result<HashMap<Vec<u8>, KeyState>, FeaturesError> {
    let layout = &view.layout;
    let wrong = || damaged(format!("a file of the build of view {}", layout.name));
    let mut file = BufReader::with_capacity(BUFFER_BYTES, file);
    let mut states: HashMap<Vec<u8>, KeyState> = HashMap::new();
    let (mut key, mut record) = (Vec::new(), Vec::new());
    while read_part(&mut file, &mut key)? {
        if !read_part(&mut file, &mut record)? {
            return Err(wrong());
        }
        let mut bytes = record.as_slice();
        let event = codec::read_event(layout.width(), &mut bytes).ok_or_else(wrong)?;
        let state = match states.get_mut(&key) {
            Some(state) => state,
            None => states.entry(key.clone()).or_insert_with(|| KeyState::empty(layout)),
        };
        state.apply(layout, reach, event);
    }
    Ok(states)
}

/// Reads bytes with their number in front; `false` at the end of the file.
fn read_part(file: &mut BufReader<File>, into: &mut Vec<u8>) -> Result<bool, FeaturesError> {
    let mut length = [0; 4];
    match file.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    into.resize(u32::from_le_bytes(length) as usize, 0);
    file.read_exact(into)?;
    Ok(true)
}

//! Reads the log, replays each vector twice (as of its arrival, and as known now), and judges.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{dataframe::DataFrame, execution::SendableRecordBatchStream};
use futures::StreamExt;
use shipway_definitions::DefinitionSet;
use shipway_lake::Lake;

use super::{
    ProofError, VerificationReport,
    compare::compare,
    log::{self, AT, ServedVectors, watermark_name},
};
use crate::offline::{AsOf, Pins, TrainingSetRequest, training_set};

/// For each source, the log offset at which each bulk load arrived, by load id.
pub type LoadArrivals = BTreeMap<String, BTreeMap<String, u64>>;

/// The most vectors that one verification compares; they are held in memory.
pub const MAX_VECTORS: usize = 1_000_000;

/// Replays the newest `limit` vectors of the prediction log `table` (`None`: as many as [`MAX_VECTORS`]) and compares
/// them with what was served.
///
/// History must hold the events up to the watermarks of these vectors: the caller waits for the archiver. It is an error,
/// not a pass, when there is no vector, or one of a service version that `definitions` does not know.
pub async fn verify(
    lake: &Lake,
    definitions: &Arc<DefinitionSet>,
    table: &str,
    limit: Option<usize>,
    load_arrivals: &LoadArrivals,
) -> Result<VerificationReport, ProofError> {
    let limit = limit.unwrap_or(MAX_VECTORS).min(MAX_VECTORS);
    let mut report = VerificationReport::default();
    for vectors in log::read(lake, definitions, table, limit).await? {
        let spine = lake.session().read_batches(vectors.spine.iter().cloned())?;
        let watermarks = vectors.sources.iter().map(|source| (source.clone(), watermark_name(source)));
        let request = |spine: DataFrame, as_of: AsOf| TrainingSetRequest {
            service: Arc::clone(&vectors.service),
            definitions: Arc::clone(definitions),
            spine,
            time_column: AT.to_owned(),
            as_of,
            load_arrivals: load_arrivals.clone(),
            labels: Vec::new(),
            pins: Pins::default(),
        };
        let as_served = request(spine.clone(), AsOf::ArrivalColumns(watermarks.collect()));
        let as_known = request(spine, AsOf::EventTime);
        let replayed = Chunks::of(Box::pin(training_set(lake, as_served)).await?);
        let known = Chunks::of(Box::pin(training_set(lake, as_known)).await?);
        compare_all(&vectors, replayed, known, &mut report).await?;
    }
    if report.compared == 0 {
        return Err(ProofError::NothingToCompare { table: table.to_owned() });
    }
    Ok(report)
}

async fn compare_all(
    vectors: &ServedVectors,
    mut replayed: Chunks,
    mut known: Chunks,
    report: &mut VerificationReport,
) -> Result<(), ProofError> {
    let mut rows = 0;
    loop {
        let at_hand = replayed.at_hand().await?.min(known.at_hand().await?);
        let (Some(replayed), Some(known)) = (replayed.take(at_hand), known.take(at_hand)) else { break };
        compare(&vectors.service.definition, &replayed, &known, report)?;
        rows += at_hand as u64;
    }
    if rows == vectors.rows {
        Ok(())
    } else {
        Err(ProofError::OutOfStep { replayed: rows, logged: vectors.rows })
    }
}

/// A stream of batches, taken in pieces of any length.
struct Chunks {
    stream: SendableRecordBatchStream,
    present: Option<RecordBatch>,
}

impl Chunks {
    fn of(stream: SendableRecordBatchStream) -> Self {
        Self { stream, present: None }
    }

    /// How many rows can be taken, 0 at the end.
    async fn at_hand(&mut self) -> Result<usize, ProofError> {
        loop {
            if let Some(present) = self.present.as_ref().filter(|present| present.num_rows() > 0) {
                return Ok(present.num_rows());
            }
            self.present = self.stream.next().await.transpose()?;
            if self.present.is_none() {
                return Ok(0);
            }
        }
    }

    /// The next `rows` rows, `None` for none.
    fn take(&mut self, rows: usize) -> Option<RecordBatch> {
        if rows == 0 {
            return None;
        }
        let present = self.present.take()?;
        self.present = Some(present.slice(rows, present.num_rows() - rows));
        Some(present.slice(0, rows))
    }
}

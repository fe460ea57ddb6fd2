//! Files that come as batches already, Parquet and Arrow, handed on in the declared columns.

use arrow::{error::ArrowError, record_batch::RecordBatch};

use super::rows::BatchSender;
use crate::{BadRow, LakeError, RowUnit, conform::Conformer};

/// Hands every batch on. Stops at the first bad row: a value of another kind is a fault of the column rather than of a few rows.
pub(super) fn hand_on(
    read: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    conformer: &Conformer,
    unreadable: impl Fn(ArrowError) -> LakeError,
    batches: BatchSender,
) -> Result<(), LakeError> {
    let mut rows = 0;
    for batch in read {
        let batch = batch.map_err(&unreadable)?;
        let conformed = conformer.conform(&batch).map_err(|bad| {
            let number = rows + bad.row as u64 + 1;
            let row = BadRow { number, column: Some(bad.column), reason: bad.reason };
            LakeError::BadRows { rows: vec![row], unit: RowUnit::Row, more: true }
        })?;
        rows += batch.num_rows() as u64;
        if !batches.send(conformed) {
            break;
        }
    }
    Ok(())
}

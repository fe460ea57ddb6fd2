//! Arrow IPC streams: what another process sent batch by batch.

use std::{fs::File, io::BufReader};

use arrow::{datatypes::SchemaRef, ipc::reader::StreamReader, record_batch::RecordBatch};

use super::rows::BatchSender;
use crate::{
    BadRow, LakeError, RowUnit,
    conform::{Absent, Conformer, Undeclared},
    evolve::stored_schema,
};

/// An Arrow IPC stream whose columns fit the declared ones.
pub(super) struct ArrowFile {
    reader: StreamReader<BufReader<File>>,
    conformer: Conformer,
    schema: SchemaRef,
}

impl ArrowFile {
    pub(super) fn open(
        file: File,
        declared: Option<SchemaRef>,
        refuse_undeclared: bool,
    ) -> Result<Self, LakeError> {
        let reader = StreamReader::try_new_buffered(file, None).map_err(unreadable)?;
        let found = reader.schema();
        let schema = match declared {
            Some(schema) => schema,
            None => stored_schema(&found)?,
        };
        let undeclared = if refuse_undeclared { Undeclared::Refused } else { Undeclared::Ignored };
        let conformer = Conformer::new(&found, schema.clone(), Absent::Refused, undeclared)?;
        Ok(Self { reader, conformer, schema })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Stops at the first bad row: a value of another kind is a fault of the column rather than of a few rows.
    pub(super) fn read(self, batches: BatchSender) -> Result<(), LakeError> {
        let mut rows = 0;
        for batch in self.reader {
            let batch: RecordBatch = batch.map_err(unreadable)?;
            let conformed = self.conformer.conform(&batch).map_err(|bad| {
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
}

fn unreadable(error: impl std::error::Error) -> LakeError {
    LakeError::UnreadableFile { format: "an Arrow IPC stream", reason: error.to_string() }
}

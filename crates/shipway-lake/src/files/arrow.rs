//! Arrow IPC streams: what another process sent batch by batch.

use std::{fs::File, io::BufReader};

use arrow::{datatypes::SchemaRef, ipc::reader::StreamReader};

use super::{batches::hand_on, rows::BatchSender};
use crate::{
    LakeError,
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

    pub(super) fn read(self, batches: BatchSender) -> Result<(), LakeError> {
        hand_on(self.reader, &self.conformer, unreadable, batches)
    }
}

/// The names of the stream's columns.
pub(super) fn column_names(file: File) -> Result<Vec<String>, LakeError> {
    let reader = StreamReader::try_new_buffered(file, None).map_err(unreadable)?;
    Ok(reader.schema().fields().iter().map(|field| field.name().clone()).collect())
}

fn unreadable(error: impl std::error::Error) -> LakeError {
    LakeError::UnreadableFile { format: "an Arrow IPC stream", reason: error.to_string() }
}

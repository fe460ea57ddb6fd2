//! CSV with a header: fields are text, typed by the declared columns.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read},
    rc::Rc,
};

use arrow::datatypes::SchemaRef;
use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use shipway_core::nearest;

use super::{
    infer::{Guess, guessed_schema},
    rewind,
    rows::{BatchSender, LONGEST_ROW_BYTES, Next, RowSink, TextColumns},
};
use crate::LakeError;

/// Fails once more than the longest row was read since the last row ended: an unclosed quote must not fill the memory.
struct BoundedRows<R> {
    inner: R,
    since_row: Rc<Cell<usize>>,
}

impl<R: Read> Read for BoundedRows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row.get() > LONGEST_ROW_BYTES {
            return Err(io::Error::other(format!(
                "a row is longer than {LONGEST_ROW_BYTES} bytes; is a quote unclosed?"
            )));
        }
        let count = self.inner.read(buffer)?;
        self.since_row.set(self.since_row.get() + count);
        Ok(count)
    }
}

struct Rows {
    reader: Reader<BoundedRows<File>>,
    since_row: Rc<Cell<usize>>,
}

impl Rows {
    fn open(file: File) -> Self {
        let since_row = Rc::new(Cell::new(0));
        let reader = ReaderBuilder::new()
            .flexible(true)
            .buffer_capacity(64 << 10)
            .from_reader(BoundedRows { inner: file, since_row: since_row.clone() });
        Self { reader, since_row }
    }

    fn header(&mut self) -> Result<StringRecord, LakeError> {
        let header = self.reader.headers().map_err(unreadable)?.clone();
        if header.is_empty() {
            return Err(LakeError::UnreadableFile { format: "csv", reason: "it has no header".to_owned() });
        }
        let mut names: Vec<&str> = header.iter().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let reason = format!("its header names column {} twice", twice[0]);
            return Err(LakeError::UnreadableFile { format: "csv", reason });
        }
        Ok(header)
    }

    /// Reads the next row; false at the end.
    fn read(&mut self, record: &mut ByteRecord) -> Result<bool, LakeError> {
        let found = self.reader.read_byte_record(record).map_err(unreadable)?;
        self.since_row.set(0);
        Ok(found)
    }
}

fn unreadable(error: csv::Error) -> LakeError {
    LakeError::UnreadableFile { format: "csv", reason: error.to_string() }
}

/// Guesses the columns' types from the first rows, and puts the file back to its start.
pub(super) fn infer(file: &File, null_tokens: &[String], most_rows: usize) -> Result<SchemaRef, LakeError> {
    let mut rows = Rows::open(file.try_clone().map_err(LakeError::io("read", "the file"))?);
    let header = rows.header()?;
    let mut guesses = vec![Guess::default(); header.len()];
    let mut record = ByteRecord::new();
    for _ in 0..most_rows {
        if !rows.read(&mut record)? {
            break;
        }
        for (guess, field) in guesses.iter_mut().zip(&record) {
            if let Ok(text) = std::str::from_utf8(field)
                && !is_null(text, null_tokens)
            {
                guess.observe_text(text);
            }
        }
    }
    rewind(file)?;
    guessed_schema(header.iter().zip(guesses))
}

/// The columns that the header names.
pub(super) fn column_names(file: File) -> Result<Vec<String>, LakeError> {
    Ok(Rows::open(file).header()?.iter().map(str::to_owned).collect())
}

fn is_null(text: &str, null_tokens: &[String]) -> bool {
    text.is_empty() || null_tokens.iter().any(|token| token == text)
}

/// A CSV file whose header fits the declared columns.
pub(super) struct CsvFile {
    file: File,
    columns: TextColumns,
    null_tokens: Vec<String>,
    /// The field that each declared column is in.
    places: Vec<usize>,
    fields: usize,
}

impl CsvFile {
    pub(super) fn open(
        file: File,
        columns: TextColumns,
        null_tokens: Vec<String>,
        refuse_undeclared: bool,
    ) -> Result<Self, LakeError> {
        let header = Rows::open(file.try_clone().map_err(LakeError::io("read", "the file"))?).header()?;
        rewind(&file)?;
        let places = columns
            .names()
            .map(|name| {
                header.iter().position(|field| field == name).ok_or_else(|| LakeError::MissingColumn {
                    column: name.to_owned(),
                    nearest: nearest(name, header.iter()).map(str::to_owned),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let stranger = header.iter().enumerate().find(|(place, _)| !places.contains(place));
        if let (true, Some((_, stranger))) = (refuse_undeclared, stranger) {
            return Err(LakeError::UnknownColumn {
                column: stranger.to_owned(),
                nearest: nearest(stranger, columns.names()).map(str::to_owned),
            });
        }
        let fields = header.len();
        Ok(Self { file, columns, null_tokens, places, fields })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }

    pub(super) fn read(self, batches: BatchSender) -> Result<(), LakeError> {
        let mut rows = Rows::open(self.file);
        rows.header()?;
        let mut sink = RowSink::new(self.columns, batches);
        let mut record = ByteRecord::new();
        let mut next = Next::Continue;
        while next == Next::Continue && rows.read(&mut record)? {
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != self.fields {
                next =
                    sink.refuse_row(line, format!("expected {} fields, got {}", self.fields, record.len()));
                continue;
            }
            for (column, place) in self.places.iter().enumerate() {
                match std::str::from_utf8(&record[*place]) {
                    Ok(text) if is_null(text, &self.null_tokens) => sink.append_null(column),
                    Ok(text) => sink.append_text(column, line, text),
                    Err(_) => {
                        sink.append_null(column);
                        sink.refuse_value(column, line, "is not UTF-8".to_owned());
                    }
                }
            }
            next = sink.end_row(line);
        }
        sink.finish(next)
    }
}

//! JSON lines: one object per line, each value typed by its declared column.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, Read as _},
};

use arrow::datatypes::SchemaRef;
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Timestamp, Value, exact_json, nearest};

use super::{
    infer::{Guess, guessed_schema},
    rewind,
    rows::{BatchSender, LONGEST_ROW_BYTES, Next, RowSink, TextColumns},
};
use crate::LakeError;

/// The lines of a file, each at most as long as the longest row.
struct Lines {
    reader: BufReader<File>,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines {
    fn open(file: File) -> Self {
        Self { reader: BufReader::with_capacity(64 << 10, file), number: 0, buffer: Vec::new() }
    }

    /// The next line that is not blank, and its number.
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, LakeError> {
        loop {
            self.buffer.clear();
            let most = LONGEST_ROW_BYTES as u64 + 1;
            let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.buffer);
            let count = read.map_err(LakeError::io("read", "the file"))?;
            if count == 0 {
                return Ok(None);
            }
            self.number += 1;
            if count > LONGEST_ROW_BYTES {
                let reason = format!("line {} is longer than {LONGEST_ROW_BYTES} bytes", self.number);
                return Err(LakeError::UnreadableFile { format: "jsonl", reason });
            }
            let is_blank = self.buffer.iter().all(u8::is_ascii_whitespace);
            if !is_blank {
                return Ok(Some((self.number, self.buffer.as_slice())));
            }
        }
    }
}

/// One object; the members that are decimals keep the digits that they are written with.
fn parse(line: &[u8], is_decimal: impl Fn(&str) -> bool) -> Result<Map<String, Json>, String> {
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(match serde_json::from_slice::<Json>(line) {
            Ok(_) => "is not a JSON object".to_owned(),
            Err(fault) => format!("is not JSON: {fault}"),
        });
    }
    exact_json::object(line, is_decimal).map_err(|fault| format!("is not JSON: {fault}"))
}

/// Guesses the columns and their types from the first rows, and puts the file back to its start.
pub(super) fn infer(file: &File, most_rows: usize) -> Result<SchemaRef, LakeError> {
    let mut lines = Lines::open(file.try_clone().map_err(LakeError::io("read", "the file"))?);
    let mut names: Vec<String> = Vec::new();
    let mut guesses: HashMap<String, Guess> = HashMap::new();
    for _ in 0..most_rows {
        let Some((_, line)) = lines.next()? else { break };
        // A line that does not parse is reported when the rows are read.
        for (name, json) in parse(line, |_| false).unwrap_or_default() {
            let guess = guesses.entry(name.clone()).or_insert_with(|| {
                names.push(name);
                Guess::default()
            });
            if let Some(found) = type_of(&json) {
                guess.observe(found);
            }
        }
    }
    rewind(file)?;
    if names.is_empty() {
        return Err(LakeError::UnreadableFile { format: "jsonl", reason: "it has no rows".to_owned() });
    }
    guessed_schema(names.iter().map(|name| (name.as_str(), guesses.get(name).copied().unwrap_or_default())))
}

fn type_of(json: &Json) -> Option<DataType> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(_) => DataType::Bool,
        Json::Number(number) if number.is_i64() => DataType::Int,
        Json::Number(_) => DataType::Float,
        Json::String(text) if Timestamp::parse(text).is_ok() => DataType::Timestamp,
        _ => DataType::Text,
    })
}

/// A file of JSON lines and the columns to read from it.
pub(super) struct JsonLinesFile {
    file: File,
    columns: TextColumns,
    refuse_undeclared: bool,
}

impl JsonLinesFile {
    pub(super) fn new(file: File, columns: TextColumns, refuse_undeclared: bool) -> Self {
        Self { file, columns, refuse_undeclared }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }

    pub(super) fn read(self, batches: BatchSender) -> Result<(), LakeError> {
        let mut lines = Lines::open(self.file);
        let mut sink = RowSink::new(self.columns, batches);
        let schema = sink.schema();
        let decimals: Vec<String> = (0..schema.fields().len())
            .filter(|column| sink.kind(*column).has_decimals())
            .map(|column| schema.field(column).name().clone())
            .collect();
        let mut next = Next::Continue;
        while next == Next::Continue
            && let Some((number, line)) = lines.next()?
        {
            let object = match parse(line, |name| decimals.iter().any(|decimal| decimal == name)) {
                Ok(object) => object,
                Err(reason) => {
                    next = sink.refuse_row(number, reason);
                    continue;
                }
            };
            if let (true, Some(reason)) = (self.refuse_undeclared, stranger(&object, &schema)) {
                next = sink.refuse_row(number, reason);
                continue;
            }
            for (column, field) in schema.fields().iter().enumerate() {
                let json = object.get(field.name()).unwrap_or(&Json::Null);
                match Value::from_json(json, sink.kind(column)) {
                    Ok(value) => sink.append_value(column, &value),
                    Err(mismatch) => {
                        sink.append_null(column);
                        sink.refuse_value(column, number, mismatch.to_string());
                    }
                }
            }
            next = sink.end_row(number);
        }
        sink.finish(next)
    }
}

fn stranger(object: &Map<String, Json>, schema: &SchemaRef) -> Option<String> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let key = object.keys().find(|key| !names().any(|name| name == key.as_str()))?;
    Some(match nearest(key, names()) {
        Some(nearest) => format!("column {key} is not declared; did you mean {nearest}?"),
        None => format!("column {key} is not declared"),
    })
}

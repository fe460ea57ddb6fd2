//! Reads a source.

use shipway_core::{DataType, Length, Name, nearest};
use shipway_expression::Select;

use crate::{
    Batch, Stream,
    parse::{
        batch,
        corrections::{self, CorrectionsDraft},
        reader::{Columns, Fields, Head, Lists, Located, Reader},
        stream,
    },
    yaml::Node,
};

pub(super) const FIELDS: &[&str] = &[
    "kind",
    "name",
    "event_time",
    "event_id",
    "same_id",
    "deleted",
    "columns",
    "max_ahead",
    "dedupe",
    "retention",
    "batch",
    "stream",
    "select",
    "description",
    "owner",
    "tags",
];

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 24 * 60 * MINUTE_US;
const DEFAULT_MAX_AHEAD_US: i64 = 5 * MINUTE_US;
const DEFAULT_DEDUPE_US: i64 = 7 * DAY_US;
const DEFAULT_RETENTION_US: i64 = 400 * DAY_US;

/// A source as it is written, with its defaults.
#[derive(Debug)]
pub(crate) struct SourceDraft {
    pub(crate) head: Head,
    pub(crate) event_time: Option<Located<Name>>,
    pub(crate) event_id: Option<Located<Name>>,
    pub(crate) corrections: Option<CorrectionsDraft>,
    pub(crate) columns: Columns,
    pub(crate) max_ahead: Option<Length>,
    pub(crate) dedupe: Option<Length>,
    pub(crate) retention: Option<Length>,
    pub(crate) batch: Option<Batch>,
    pub(crate) stream: Option<Stream>,
    pub(crate) select: Option<Located<SelectDraft>>,
}

/// A `SELECT` as it is written, and taken apart.
#[derive(Debug)]
pub(crate) struct SelectDraft {
    pub(crate) sql: String,
    pub(crate) select: Select,
}

pub(super) fn read(mut head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> SourceDraft {
    let event_time = fields.required("event_time", reader).and_then(|node| reader.name("event_time", node));
    let event_id = fields.optional("event_id").and_then(|node| reader.name("event_id", node));
    let select = fields.optional("select").and_then(|node| select(node, fields, reader));
    // A selection says itself which columns it gives.
    let columns = if fields.is_written("select") {
        fields.optional("columns")
    } else {
        fields.required("columns", reader)
    };
    let columns =
        columns.map(|node| reader.columns("columns", "column", node, Lists::Allowed)).unwrap_or_default();
    if !columns.is_empty() {
        if let Some(column) = &event_time {
            check(column, "event_time", &[DataType::Timestamp], &columns, reader);
        }
        if let Some(column) = &event_id {
            check(column, "event_id", &[DataType::Text, DataType::Int], &columns, reader);
        }
    }
    let length = |name: &str, default_us: i64, reader: &mut Reader<'_>| -> Option<Length> {
        fields.optional(name).map_or(Length::from_micros(default_us), |node: &Node| {
            reader.length(name, node).map(|located| located.value)
        })
    };
    let max_ahead = length("max_ahead", DEFAULT_MAX_AHEAD_US, reader);
    let dedupe = length("dedupe", DEFAULT_DEDUPE_US, reader);
    let retention = length("retention", DEFAULT_RETENTION_US, reader);
    let needed: Vec<&Name> =
        [&event_time, &event_id].into_iter().flatten().map(|column| &column.value).collect();
    let corrections = corrections::read(fields, reader);
    let batch = fields.optional("batch").and_then(|node| batch::read(node, &columns, &needed, reader));
    let stream = fields.optional("stream").and_then(|node| stream::read(node, &columns, reader));
    corrections::check_stream(corrections.as_ref(), stream.as_ref(), fields, reader);
    head.broken = reader.has_refused();
    SourceDraft {
        head,
        event_time,
        event_id,
        corrections,
        columns,
        max_ahead,
        dedupe,
        retention,
        batch,
        stream,
        select,
    }
}

fn select(node: &Node, fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Located<SelectDraft>> {
    for other in ["batch", "stream"] {
        if let Some(node) = fields.optional(other) {
            let hint = format!("leave {other} out: every event of it is selected from another source");
            reader.refuse(node.line, format!("a source with select has no {other}"), Some(hint));
        }
    }
    let text = reader.text("select", node)?;
    match Select::parse(&text.value) {
        Ok(select) => Some(Located { line: text.line, value: SelectDraft { sql: text.value, select } }),
        Err(error) => {
            reader.refuse(text.line, format!("select: {error}"), error.hint());
            None
        }
    }
}

fn check(column: &Located<Name>, what: &str, types: &[DataType], columns: &Columns, reader: &mut Reader<'_>) {
    let words: Vec<_> = types.iter().map(DataType::to_string).collect();
    let needs = words.join(" or ");
    match columns.iter().find(|(name, _)| name.value == column.value) {
        None => {
            let hint = nearest(column.value.as_str(), columns.iter().map(|(name, _)| name.value.as_str()))
                .map_or_else(
                    || format!("add {}: {} to columns", column.value, words[0]),
                    |nearest| format!("did you mean {nearest}?"),
                );
            reader.refuse(column.line, format!("{what} {} is not in columns", column.value), Some(hint));
        }
        Some((name, data_type)) if !types.contains(data_type) => {
            let message = format!("column {} is {data_type}; {what} needs {needs}", name.value);
            reader.refuse(name.line, message, Some(format!("declare it as {needs}")));
        }
        Some(_) => {}
    }
}

//! A source: the shape of its events, and where they come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use shipway_core::{DataType, Length, Name};

use super::{Tag, stream::StreamDocument};

/// A stream of events with its history.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SourceDocument {
    kind: SourceKind,
    /// Its name, unique among sources; also the name of its table.
    name: Name,
    /// The column that holds the event time; a timestamp.
    event_time: Name,
    /// The column that identifies an event; text or int.
    event_id: Option<Name>,
    /// What an event is whose id was there before: left out (`once`, the default), or the one that takes its place (`replace`).
    same_id: Option<SameId>,
    /// With `same_id: replace`: the condition under which an event only takes the earlier one away.
    deleted: Option<String>,
    /// The columns and their types. Columns can be added later; a type cannot change. Only a source with `select` may leave them out:
    /// then they are what it gives.
    columns: Option<BTreeMap<Name, DataType>>,
    /// How far in the future an event may lie before it is quarantined. Default 5m.
    max_ahead: Option<Length>,
    /// How long an event id is remembered. Default 7d.
    dedupe: Option<Length>,
    /// How long events are kept. Default 400d.
    retention: Option<Length>,
    /// Where its history comes from, beside the stream.
    batch: Option<BatchDocument>,
    /// The topic of a broker from which its events come, beside those that are sent to this server.
    stream: Option<StreamDocument>,
    /// A SELECT over the events of another source, from which this one's events come: it filters, computes, and may LEFT JOIN views
    /// by their keys.
    select: Option<String>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
}

/// What becomes of an event whose id was there before.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SameId {
    Once,
    Replace,
}

/// Files or a Delta table that are loaded into the source, each file or version once: `files` or `delta`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchDocument {
    /// A path or a pattern of files: `s3://bucket/folder/*/*.parquet`, `/folder/**/*.csv`. `*` and `?` stay within a name, `**`
    /// crosses folders.
    files: Option<String>,
    /// The folder of a Delta table: `s3://bucket/table` or `/folder/table`.
    delta: Option<String>,
    /// The format of every file. Default: what its name ends with.
    format: Option<BatchFormatWord>,
    /// Text that means null in a CSV file, beside the empty field.
    #[schemars(length(min = 1))]
    nulls: Option<Vec<String>>,
    /// Columns that have another name there: the name in the source to the name there.
    columns: Option<BTreeMap<Name, String>>,
    /// Columns that may be missing there, and are null then.
    #[schemars(length(min = 1))]
    optional: Option<Vec<Name>>,
    /// How often it is looked for new files or versions; at least 1m. Default: only when it is asked for.
    every: Option<Length>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum BatchFormatWord {
    Csv,
    Jsonl,
    Parquet,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SourceKind {
    Source,
}

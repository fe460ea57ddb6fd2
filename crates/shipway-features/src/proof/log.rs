//! The prediction log as a spine: the vectors of one service version, with their watermarks as columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch},
    compute::{concat_batches, filter_record_batch},
    datatypes::{Field, Schema},
};
use datafusion::{dataframe::DataFrame, prelude::ident};
use shipway_core::{DataType, Digest, Timestamp, Value};
use shipway_definitions::{ColumnOrigin, DefinitionSet, Service, Versioned};
use shipway_lake::Lake;

use super::ProofError;
use crate::offline::Column;

/// The columns of the spine that the proof reads back.
pub(crate) const REQUEST_ID: &str = "proof.request_id";
pub(crate) const ROW: &str = "proof.row";
pub(crate) const AT: &str = "proof.at";

/// The columns that every prediction log has; a key or request column of one of these names is logged behind a prefix.
const FIXED: [&str; 15] = [
    "request_id",
    "row",
    "at",
    "served_at",
    "deployment",
    "model",
    "model_version",
    "artifact_digest",
    "service",
    "service_hash",
    "watermarks",
    "prediction",
    "latency_us",
    "overridden",
    "variant",
];

const BATCH_ROWS: usize = 8_192;

/// The name in the log of a key, feature or request column.
fn logged_name(name: &str) -> String {
    if FIXED.contains(&name) { format!("input__{name}") } else { name.to_owned() }
}

/// The spine's column of a value that was served.
pub(crate) fn served_name(column: &str) -> String {
    format!("proof.served.{column}")
}

/// The spine's column of a source's watermark.
pub(crate) fn watermark_name(source: &str) -> String {
    format!("proof.watermark.{source}")
}

/// The vectors of one service version.
#[derive(Debug)]
pub(crate) struct ServedVectors {
    pub(crate) service: Arc<Versioned<Service>>,
    pub(crate) spine: Vec<RecordBatch>,
    pub(crate) rows: u64,
    /// The sources that the service reads.
    pub(crate) sources: BTreeSet<String>,
}

/// The newest vectors of `table`, at most `limit`, by service version.
pub(crate) async fn read(
    lake: &Lake,
    definitions: &DefinitionSet,
    table: &str,
    limit: usize,
) -> Result<Vec<ServedVectors>, ProofError> {
    let logged = newest(lake.scan(table).await?, limit)?.collect().await?;
    let Some(schema) = logged.first().map(RecordBatch::schema) else { return Ok(Vec::new()) };
    let logged = concat_batches(&schema, &logged)?;
    let Column::Text(hashes) = column(&logged, table, "service_hash", DataType::Text)? else {
        return Ok(Vec::new());
    };
    let distinct: BTreeSet<&str> = hashes.iter().flatten().collect();
    let mut served = Vec::new();
    for hash in distinct {
        let own = BooleanArray::from_iter(hashes.iter().map(|logged| Some(logged == Some(hash))));
        let vectors = filter_record_batch(&logged, &own)?;
        let service = hash.parse::<Digest>().ok().and_then(|hash| definitions.services_by_hash.get(&hash));
        let service = service.ok_or_else(|| ProofError::UnknownService {
            table: table.to_owned(),
            hash: hash.to_owned(),
            vectors: vectors.num_rows() as u64,
        })?;
        served.push(ServedVectors::new(definitions, table, service, &vectors)?);
    }
    Ok(served)
}

/// Newest first; the order is total, because a request and its row are logged once.
fn newest(log: DataFrame, limit: usize) -> Result<DataFrame, ProofError> {
    let order = [
        ident("at").sort(false, false),
        ident("request_id").sort(true, false),
        ident("row").sort(true, false),
    ];
    let vectors = log.filter(ident("service_hash").is_not_null())?;
    Ok(vectors.sort(order.to_vec())?.limit(0, Some(limit))?)
}

fn array<'batch>(
    batch: &'batch RecordBatch,
    table: &str,
    name: &str,
) -> Result<&'batch ArrayRef, ProofError> {
    batch
        .column_by_name(name)
        .ok_or_else(|| ProofError::MissingColumn { table: table.to_owned(), column: name.to_owned() })
}

fn column(batch: &RecordBatch, table: &str, name: &str, data_type: DataType) -> Result<Column, ProofError> {
    Ok(Column::read(array(batch, table, name)?, data_type)?)
}

impl ServedVectors {
    fn new(
        definitions: &DefinitionSet,
        table: &str,
        service: &Arc<Versioned<Service>>,
        vectors: &RecordBatch,
    ) -> Result<Self, ProofError> {
        let definition = &service.definition;
        let views = definition.views.iter().filter_map(|view| definitions.views_by_hash.get(&view.hash));
        let sources: BTreeSet<String> = views.map(|view| view.definition.source.to_string()).collect();
        let logged = |name: &str| array(vectors, table, name).map(Arc::clone);
        let mut columns: Vec<(String, ArrayRef)> = vec![
            (REQUEST_ID.to_owned(), logged("request_id")?),
            (ROW.to_owned(), logged("row")?),
            (AT.to_owned(), logged("at")?),
        ];
        for (source, watermarks) in watermarks(table, vectors, &sources)? {
            columns.push((watermark_name(&source), watermarks));
        }
        let mut taken = BTreeSet::new();
        for (name, _) in definition.entity_keys.iter().chain(&definition.request) {
            if taken.insert(name) {
                columns.push((name.to_string(), logged(&logged_name(name.as_str()))?));
            }
        }
        for column in definition.columns() {
            if column.origin != ColumnOrigin::Request {
                columns.push((served_name(&column.name), logged(&logged_name(&column.name))?));
            }
        }
        let fields = columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let whole = RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect())?;
        let rows = whole.num_rows();
        let slices = (0..rows).step_by(BATCH_ROWS);
        let spine = slices.map(|first| whole.slice(first, BATCH_ROWS.min(rows - first))).collect();
        Ok(Self { service: Arc::clone(service), spine, rows: rows as u64, sources })
    }
}

/// The watermark of each source for each vector. A vector without one cannot be replayed, which is an error.
fn watermarks(
    table: &str,
    vectors: &RecordBatch,
    sources: &BTreeSet<String>,
) -> Result<Vec<(String, ArrayRef)>, ProofError> {
    let logged = column(vectors, table, "watermarks", DataType::Text)?;
    let request_ids = column(vectors, table, "request_id", DataType::Text)?;
    let mut by_source: Vec<Vec<i64>> = vec![Vec::with_capacity(vectors.num_rows()); sources.len()];
    for row in 0..vectors.num_rows() {
        let unusable = |what: String| {
            let request_id = match request_ids.value(row) {
                Value::Text(request_id) => request_id.to_string(),
                _ => "without an id".to_owned(),
            };
            ProofError::Unusable { table: table.to_owned(), request_id, what }
        };
        let Value::Text(json) = logged.value(row) else {
            return Err(unusable("no watermarks were logged".to_owned()));
        };
        let offsets: BTreeMap<String, u64> = serde_json::from_str(&json)
            .map_err(|error| unusable(format!("the watermarks cannot be read: {error}")))?;
        for (source, offsets_of_source) in sources.iter().zip(&mut by_source) {
            let offset = offsets.get(source).copied().and_then(|offset| i64::try_from(offset).ok());
            let offset =
                offset.ok_or_else(|| unusable(format!("no watermark of source {source} was logged")))?;
            offsets_of_source.push(offset);
        }
    }
    let columns = by_source.into_iter().map(|offsets| Arc::new(Int64Array::from(offsets)) as ArrayRef);
    Ok(sources.iter().cloned().zip(columns).collect())
}

/// The identity of one vector.
#[derive(Debug)]
pub(crate) struct Identity {
    request_ids: Column,
    rows: Column,
    times: Column,
}

impl Identity {
    pub(crate) fn read(batch: &RecordBatch) -> Result<Self, ProofError> {
        let read = |name: &str, data_type| column(batch, "replay", name, data_type);
        Ok(Self {
            request_ids: read(REQUEST_ID, DataType::Text)?,
            rows: read(ROW, DataType::Int)?,
            times: read(AT, DataType::Timestamp)?,
        })
    }

    pub(crate) fn of(&self, index: usize) -> (String, i64, Timestamp) {
        let request_id = match self.request_ids.value(index) {
            Value::Text(request_id) => request_id.to_string(),
            _ => String::new(),
        };
        let row = if let Value::Int(row) = self.rows.value(index) { row } else { 0 };
        let at = if let Value::Timestamp(at) = self.times.value(index) { at } else { Timestamp(0) };
        (request_id, row, at)
    }
}

//! The events of a source as one view sees them: scanned from history, pruned by time, keyed and hashed as the spine is.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int64Array, RecordBatch, UInt64Array},
    compute::filter_record_batch,
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimestampMicrosecondType},
};
use datafusion::{
    common::ScalarValue,
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{ExecutionPlan, stream::RecordBatchStreamAdapter, streaming::PartitionStream},
    prelude::{ident, lit},
};
use futures::StreamExt;
use shipway_core::{DataType, Timestamp};

use super::{
    OfflineError,
    canonical::{arrow_type, canonical, is_readable_as},
    column::Column,
    corrected::UNTIL_COLUMN,
    keys::{self, KeyColumns},
    spine_rows::{HASH, ORDER},
    view_plan::ViewPlan,
};
use crate::model::schema::{ARRIVAL_COLUMN, LOAD_COLUMN, RECEIVED_COLUMN};

/// The arrival of an event that has not arrived: a bulk load whose marker is not in the log yet.
pub(crate) const NOT_ARRIVED: u64 = u64::MAX;

/// The end of an event that nothing has taken away.
pub(crate) const STILL_COUNTS: u64 = u64::MAX;

/// Which events have arrived, and for whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct ArrivalRule {
    /// Events with this log offset or a later one count for no row, and are dropped here.
    pub(crate) before: Option<u64>,
    /// The log offset at which each bulk load arrived. Rows of a load that is not listed have not arrived.
    pub(crate) loads: BTreeMap<String, u64>,
    /// Where each row of the spine has a watermark of its own: what it counts in. The arrival goes along then.
    pub(crate) carried: Option<ArrivalClock>,
    /// Above all these watermarks: events that had not arrived for any row are dropped here.
    pub(crate) highest: u64,
}

/// What the arrival of an event is measured in.
#[derive(Debug, Clone)]
pub(crate) enum ArrivalClock {
    /// Offsets in the log of the source.
    Offset,
    /// The moment at which the server took the event in; of a bulk load, that of its marker.
    Received(BTreeMap<String, Timestamp>),
}

impl ArrivalRule {
    fn needs_offsets(&self) -> bool {
        self.before.is_some() || matches!(self.carried, Some(ArrivalClock::Offset))
    }

    fn needs_moments(&self) -> bool {
        matches!(self.carried, Some(ArrivalClock::Received(_)))
    }
}

/// Makes a moment a number that is never negative and keeps the order.
const SHIFT_US: i64 = 62_135_596_800_000_001;

/// The watermark of a row that asks at `q`: what was received up to and with `q` has arrived.
pub(crate) fn watermark_of_moment(q_us: i64) -> i64 {
    q_us.saturating_add(SHIFT_US + 1).max(0)
}

/// The arrival of an event that was received at this moment; it compares with [`watermark_of_moment`].
fn arrival_of_moment(received_us: i64) -> u64 {
    received_us.saturating_add(SHIFT_US).max(0).cast_unsigned()
}

/// How a view's events are encoded: the columns of the scan, and those of the result.
#[derive(Debug)]
pub(crate) struct EventEncoding {
    view: Arc<ViewPlan>,
    arrival: ArrivalRule,
    hash_mask: u64,
    schema: SchemaRef,
}

/// Positions of the columns of encoded events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventColumns {
    pub(crate) order: usize,
    pub(crate) key: usize,
    pub(crate) event_id: Option<usize>,
    pub(crate) arrival: Option<usize>,
    /// The arrival of what took the event away, where events can be.
    pub(crate) until: Option<usize>,
    pub(crate) first_input: usize,
}

impl EventEncoding {
    pub(crate) fn new(view: Arc<ViewPlan>, arrival: ArrivalRule, hash_mask: u64) -> Self {
        let mut fields = vec![
            Field::new(HASH, ArrowType::UInt64, false),
            Field::new(ORDER, keys::ORDER_TYPE, false),
            Field::new("key", ArrowType::Binary, false),
        ];
        if view.needs_event_id() {
            fields.push(Field::new("event_id", ArrowType::Utf8, true));
        }
        if arrival.carried.is_some() {
            fields.push(Field::new("arrival", ArrowType::UInt64, false));
        }
        if view.is_corrected && arrival.carried.is_some() {
            fields.push(Field::new("until", ArrowType::UInt64, false));
        }
        for (index, (_, data_type)) in view.inputs.iter().enumerate() {
            fields.push(Field::new(format!("input_{index}"), arrow_type(*data_type), true));
        }
        Self { view, arrival, hash_mask, schema: Arc::new(Schema::new(fields)) }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(crate) fn arrival(&self) -> &ArrivalRule {
        &self.arrival
    }

    pub(crate) fn columns(&self) -> EventColumns {
        let event_id = self.view.needs_event_id().then_some(3);
        let after_id = 3 + usize::from(event_id.is_some());
        let arrival = self.arrival.carried.is_some().then_some(after_id);
        let after_arrival = after_id + usize::from(arrival.is_some());
        let until = self.ends().map(|_| after_arrival);
        let first_input = after_arrival + usize::from(until.is_some());
        EventColumns { order: 1, key: 2, event_id, arrival, until, first_input }
    }

    /// What the end of an event is measured in, where events are taken away for some rows and not for others.
    fn ends(&self) -> Option<&ArrivalClock> {
        self.arrival.carried.as_ref().filter(|_| self.view.is_corrected)
    }

    /// The columns in the order in which [`EventEncoding::encode`] reads them.
    fn wanted(&self) -> Vec<(String, DataType)> {
        let view = &self.view;
        let mut columns = vec![(view.event_time.to_string(), DataType::Timestamp)];
        let keys = view.event_keys.iter().zip(&view.spine_keys);
        columns.extend(keys.map(|(column, (_, data_type))| (column.to_string(), *data_type)));
        columns.extend(view.inputs.iter().map(|(column, data_type)| (column.to_string(), *data_type)));
        if view.needs_event_id() {
            columns.push((view.event_id.clone(), DataType::Text));
        }
        if self.arrival.needs_offsets() {
            columns.push((ARRIVAL_COLUMN.to_owned(), DataType::Int));
        }
        if self.arrival.needs_moments() {
            columns.push((RECEIVED_COLUMN.to_owned(), DataType::Timestamp));
        }
        if self.arrival.needs_offsets() || self.arrival.needs_moments() {
            columns.push((LOAD_COLUMN.to_owned(), DataType::Text));
        }
        match self.ends() {
            Some(ArrivalClock::Offset) => columns.push((UNTIL_COLUMN.to_owned(), DataType::Int)),
            Some(ArrivalClock::Received(_)) => columns.push((UNTIL_COLUMN.to_owned(), DataType::Timestamp)),
            None => {}
        }
        columns
    }

    /// The scan: only the columns that matter, only events between the view's reach before the earliest query time and
    /// the latest query time, exclusive. `times` are those of the spine.
    pub(crate) fn scan(&self, history: DataFrame, times: (i64, i64)) -> Result<DataFrame, OfflineError> {
        let history_schema = Arc::new(history.schema().as_arrow().clone());
        let mut projected = Vec::new();
        let (mut scanned, expressions) = (self.wanted(), self.view.expressions.as_ref());
        if let Some(expressions) = expressions {
            scanned = expressions.scanned(scanned);
        }
        for (index, (column, expected)) in scanned.into_iter().enumerate() {
            // Columns can repeat (a key that is also an input), so each gets its own name.
            let alias = format!("c{index}");
            let Ok(field) = history_schema.field_with_name(&column) else {
                // Declared after this history was written: no event has a value yet.
                projected.push(lit(ScalarValue::try_from(&arrow_type(expected))?).alias(alias));
                continue;
            };
            if !is_readable_as(field.data_type(), expected) {
                let (table, got) = (self.view.source.to_string(), field.data_type().to_string());
                return Err(OfflineError::HistoryType { table, column, got, expected });
            }
            projected.push(ident(column).alias(alias));
        }
        Ok(history.filter(self.view.wanted(times, &history_schema))?.select(projected)?)
    }

    fn encode(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let view = &self.view;
        let derived = view.expressions.as_ref().map(|held| held.apply(&self.wanted(), batch)).transpose()?;
        let batch = derived.as_ref().unwrap_or(batch);
        let mut scanned = batch.columns().iter();
        let mut next =
            || scanned.next().ok_or_else(|| DataFusionError::Internal("the scan lacks a column".to_owned()));
        let times = canonical(next()?, DataType::Timestamp)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let mut parts = Vec::with_capacity(view.spine_keys.len());
        for (_, data_type) in &view.spine_keys {
            parts.push((next()?, *data_type));
        }
        let key_columns = KeyColumns::read(parts)?;
        let mut inputs = Vec::with_capacity(view.inputs.len());
        for (_, data_type) in &view.inputs {
            inputs.push(canonical(next()?, *data_type)?);
        }
        let event_id = if view.needs_event_id() { Some(canonical(next()?, DataType::Text)?) } else { None };
        let arrived = self.arrived(&mut next)?;
        let until = self.ends().map(|clock| ends(next()?, clock)).transpose()?;
        let rows = batch.num_rows();
        let (mut hashes, mut orders) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut encoded = BinaryBuilder::with_capacity(rows, rows * 16);
        let mut kept = Vec::with_capacity(rows);
        let mut key = Vec::new();
        for row in 0..rows {
            let is_kept = arrived.by_anyone(row) && !times.is_null(row) && key_columns.encode(row, &mut key);
            kept.push(is_kept);
            if is_kept {
                let hash = keys::hash(&key) & self.hash_mask;
                hashes.push(hash);
                orders.push(keys::order_of(hash, times.value(row)));
                encoded.append_value(&key);
            }
        }
        let carried = arrived.carried.map(|arrivals| Arc::new(UInt64Array::from(arrivals)) as ArrayRef);
        let until = until.map(|until| Arc::new(UInt64Array::from(until)) as ArrayRef);
        let beside = event_id.into_iter().chain(carried).chain(until).chain(inputs);
        let beside = only(&kept, beside.collect())?;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(hashes)),
            Arc::new(keys::order_column(orders)),
            Arc::new(encoded.finish()),
        ];
        columns.extend(beside);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// The arrivals of a batch, read from the last columns of the scan.
    fn arrived<'a>(
        &self,
        next: &mut impl FnMut() -> Result<&'a ArrayRef, DataFusionError>,
    ) -> Result<Arrived, DataFusionError> {
        let rule = &self.arrival;
        let offsets = if rule.needs_offsets() { Some(next()?) } else { None };
        let moments = if rule.needs_moments() { Some(next()?) } else { None };
        let loads = if offsets.is_some() || moments.is_some() { Some(next()?) } else { None };
        let offsets = match (offsets, loads) {
            (Some(own), Some(loads)) => Some(arrivals(own, loads, &rule.loads)?),
            _ => None,
        };
        let moments = match (moments, loads, &rule.carried) {
            (Some(own), Some(loads), Some(ArrivalClock::Received(marked))) => {
                Some(self.received(own, loads, marked)?)
            }
            _ => None,
        };
        let carried = match rule.carried {
            Some(ArrivalClock::Offset) => offsets.clone(),
            Some(ArrivalClock::Received(_)) => moments,
            None => None,
        };
        Ok(Arrived { offsets: offsets.zip(rule.before), carried, highest: rule.highest })
    }

    /// When each event was received: its own moment, or that of its bulk load's marker.
    fn received(
        &self,
        own: &ArrayRef,
        loads: &ArrayRef,
        marked: &BTreeMap<String, Timestamp>,
    ) -> Result<Vec<u64>, DataFusionError> {
        let Column::Timestamp(own) = Column::read(own, DataType::Timestamp)? else { return Ok(Vec::new()) };
        let Column::Text(loads) = Column::read(loads, DataType::Text)? else { return Ok(Vec::new()) };
        let mut moments = Vec::with_capacity(own.len());
        for row in 0..own.len() {
            moments.push(if !loads.is_null(row) {
                marked.get(loads.value(row)).map_or(NOT_ARRIVED, |moment| arrival_of_moment(moment.micros()))
            } else if own.is_null(row) {
                let source_name = self.view.source.to_string();
                return Err(OfflineError::ReceiveTimeUnknown { source_name }.into());
            } else {
                arrival_of_moment(own.value(row))
            });
        }
        Ok(moments)
    }
}

/// The arrival of what took each event away; one that nobody reaches while it counts.
fn ends(until: &ArrayRef, clock: &ArrivalClock) -> Result<Vec<u64>, DataFusionError> {
    let data_type = match clock {
        ArrivalClock::Offset => DataType::Int,
        ArrivalClock::Received(_) => DataType::Timestamp,
    };
    Ok(match Column::read(until, data_type)? {
        Column::Int(offsets) => {
            offsets.iter().map(|end| end.map_or(STILL_COUNTS, i64::cast_unsigned)).collect()
        }
        Column::Timestamp(moments) => {
            moments.iter().map(|end| end.map_or(STILL_COUNTS, arrival_of_moment)).collect()
        }
        _ => Vec::new(),
    })
}

/// The arrivals of the events of a batch.
struct Arrived {
    /// Log offsets, and the first that counts for no row.
    offsets: Option<(Vec<u64>, u64)>,
    /// What goes along for rows with watermarks of their own.
    carried: Option<Vec<u64>>,
    highest: u64,
}

impl Arrived {
    /// Whether the event counts for any row.
    fn by_anyone(&self, row: usize) -> bool {
        self.offsets.as_ref().is_none_or(|(offsets, before)| offsets[row] < *before)
            && self.carried.as_ref().is_none_or(|carried| carried[row] < self.highest)
    }
}

/// The kept rows of `columns`.
pub(crate) fn only(kept: &[bool], columns: Vec<ArrayRef>) -> Result<Vec<ArrayRef>, DataFusionError> {
    if columns.is_empty() || kept.iter().all(|is_kept| *is_kept) {
        return Ok(columns);
    }
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| Field::new(index.to_string(), column.data_type().clone(), true))
        .collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    Ok(filter_record_batch(&batch, &BooleanArray::from(kept.to_vec()))?.columns().to_vec())
}

/// The log offset at which each event arrived: its own, or that of its bulk load's marker.
pub(crate) fn arrivals(
    own: &ArrayRef,
    loads: &ArrayRef,
    offsets: &BTreeMap<String, u64>,
) -> Result<Vec<u64>, DataFusionError> {
    let Column::Int(own) = Column::read(own, DataType::Int)? else { return Ok(Vec::new()) };
    let Column::Text(loads) = Column::read(loads, DataType::Text)? else { return Ok(Vec::new()) };
    let arrival = |(row, own): (usize, Option<i64>)| match own {
        Some(offset) => offset.cast_unsigned(),
        None if loads.is_null(row) => NOT_ARRIVED,
        None => offsets.get(loads.value(row)).copied().unwrap_or(NOT_ARRIVED),
    };
    Ok(Int64Array::iter(&own).enumerate().map(arrival).collect())
}

/// One partition of a scan, encoded.
#[derive(Debug)]
pub(crate) struct EncodedEvents {
    pub(crate) scan: Arc<dyn ExecutionPlan>,
    pub(crate) partition: usize,
    pub(crate) encoding: Arc<EventEncoding>,
}

impl PartitionStream for EncodedEvents {
    fn schema(&self) -> &SchemaRef {
        &self.encoding.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let encoding = Arc::clone(&self.encoding);
        let schema = encoding.schema();
        match self.scan.execute(self.partition, context) {
            Ok(batches) => {
                let encoded = batches.map(move |batch| encoding.encode(&batch?));
                Box::pin(RecordBatchStreamAdapter::new(schema, encoded))
            }
            Err(error) => {
                Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Err(error)])))
            }
        }
    }
}

//! The spine's rows as one view sees them: the key's hash, the sort order, the position, the key, the watermark.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, BinaryBuilder, Int64Array, RecordBatch, UInt64Array},
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimestampMicrosecondType},
};
use datafusion::{
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::StreamExt;
use shipway_core::DataType;

use super::{
    OfflineError,
    events::watermark_of_moment,
    keys::{self, KeyColumns},
    spine::Spine,
    view_plan::ViewPlan,
};

/// By name, the columns that rows and events share.
pub(crate) const HASH: &str = "hash";
pub(crate) const ORDER: &str = "order";

/// Positions of the columns of spine rows.
pub(crate) mod row_column {
    pub(crate) const ORDER: usize = 1;
    pub(crate) const POSITION: usize = 2;
    pub(crate) const KEY: usize = 3;
    pub(crate) const WATERMARK: usize = 4;
}

/// Where the watermark of a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowWatermark {
    /// A column of the spine.
    Column(usize),
    /// The moment of the row.
    Moment,
}

/// A stream of the spine's rows for one view, in spine order.
#[derive(Debug)]
pub(crate) struct SpineRows {
    spine: Arc<Spine>,
    keys: Vec<(usize, DataType)>,
    watermark: Option<RowWatermark>,
    shift_us: i64,
    hash_mask: u64,
    schema: SchemaRef,
}

impl SpineRows {
    pub(crate) fn new(
        spine: Arc<Spine>,
        view: &ViewPlan,
        watermark: Option<RowWatermark>,
        hash_mask: u64,
    ) -> Self {
        let keys = view
            .spine_keys
            .iter()
            .filter_map(|(name, data_type)| spine.layout.keys.get(name).map(|index| (*index, *data_type)));
        let keys = keys.collect();
        let mut fields = vec![
            Field::new(HASH, ArrowType::UInt64, false),
            Field::new(ORDER, keys::ORDER_TYPE, false),
            Field::new("position", ArrowType::UInt64, false),
            Field::new("key", ArrowType::Binary, true),
        ];
        if watermark.is_some() {
            fields.push(Field::new("watermark", ArrowType::Int64, false));
        }
        let shift_us = view.shift_us;
        Self { spine, keys, watermark, shift_us, hash_mask, schema: Arc::new(Schema::new(fields)) }
    }

    fn rows_of(&self, batch: &RecordBatch, first: u64) -> Result<RecordBatch, DataFusionError> {
        let rows = batch.num_rows();
        let parts = self.keys.iter().map(|(index, data_type)| (batch.column(*index), *data_type));
        let key_columns = KeyColumns::read(parts)?;
        let times = batch.column(self.spine.layout.time).as_primitive::<TimestampMicrosecondType>().values();
        let (mut hashes, mut orders) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut encoded = BinaryBuilder::with_capacity(rows, rows * 16);
        let mut key = Vec::new();
        for (row, (position, time)) in (first..).zip(times).enumerate() {
            // Rows without a key need no neighbours: they spread over the partitions by their position.
            let hash = if key_columns.encode(row, &mut key) {
                encoded.append_value(&key);
                keys::hash(&key)
            } else {
                encoded.append_null();
                keys::mix(position)
            };
            let hash = hash & self.hash_mask;
            hashes.push(hash);
            orders.push(keys::order_of(hash, time.saturating_add(self.shift_us)));
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(hashes)),
            Arc::new(keys::order_column(orders)),
            Arc::new(UInt64Array::from_iter_values(first..first + rows as u64)),
            Arc::new(encoded.finish()),
        ];
        match self.watermark {
            Some(RowWatermark::Column(watermark)) => columns.push(Arc::clone(batch.column(watermark))),
            Some(RowWatermark::Moment) => columns.push(Arc::new(Int64Array::from_iter_values(
                times.iter().map(|time| watermark_of_moment(*time)),
            ))),
            None => {}
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

/// The stream with what it needs to encode, shared so that the stream can own it.
#[derive(Debug)]
pub(crate) struct SharedSpineRows(pub(crate) Arc<SpineRows>);

impl PartitionStream for SharedSpineRows {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = Arc::clone(&self.0);
        let schema = Arc::clone(&rows.schema);
        match rows.spine.stream() {
            Ok(batches) => {
                let encoded = batches.scan(0, move |first, batch| {
                    let encoded = batch.and_then(|batch| {
                        let start = *first;
                        *first += batch.num_rows() as u64;
                        rows.rows_of(&batch, start)
                    });
                    futures::future::ready(Some(encoded))
                });
                Box::pin(RecordBatchStreamAdapter::new(schema, encoded))
            }
            Err(error) => {
                let failed = futures::stream::iter([Err(OfflineError::into(error))]);
                Box::pin(RecordBatchStreamAdapter::new(schema, failed))
            }
        }
    }
}

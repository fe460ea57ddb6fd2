//! Events of a source as rows that ask: each with its columns, its place in the order of arrival, and a watermark that is its
//! own arrival, inclusive.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch},
    compute::filter_record_batch,
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef},
};
use datafusion::{
    common::ScalarValue,
    dataframe::DataFrame,
    error::DataFusionError,
    prelude::{ident, lit},
};
use futures::{StreamExt, TryStreamExt};
use shipway_core::{DataType, Name};

use super::{
    OfflineError,
    canonical::{arrow_type, canonical, is_readable_as},
    events::{NOT_ARRIVED, arrivals},
    spine::{Spine, SpineLayout},
    training_set::Engine,
    view_plan::ViewPlan,
};
use crate::model::schema::{ARRIVAL_COLUMN, EVENT_ID_COLUMN, LOAD_COLUMN, RECEIVED_COLUMN};

/// The column of the watermark: one more than the arrival.
pub(crate) const SEEN_COLUMN: &str = "_seen";

/// What kept events are called in messages about memory.
pub(crate) const EVENTS: &str = "events of a chained view";

/// Which events of which source become rows.
pub(crate) struct EventRows<'a> {
    pub(crate) source: &'a Name,
    pub(crate) time: &'a Name,
    /// Columns of the source and their types.
    pub(crate) columns: BTreeMap<Name, DataType>,
    /// The log offset at which each bulk load arrived. An event that has not arrived has no row: nobody can say yet what
    /// will have arrived before it.
    pub(crate) loads: &'a BTreeMap<String, u64>,
    /// Events with this arrival or a later one have no row either.
    pub(crate) before: u64,
}

impl EventRows<'_> {
    /// Declared columns first, in the order of their names, then those of the system.
    fn read(&self) -> Vec<(String, DataType)> {
        let declared = self.columns.iter().map(|(name, data_type)| (name.to_string(), *data_type));
        let system = [
            (EVENT_ID_COLUMN, DataType::Text),
            (RECEIVED_COLUMN, DataType::Timestamp),
            (ARRIVAL_COLUMN, DataType::Int),
            (LOAD_COLUMN, DataType::Text),
        ];
        declared.chain(system.map(|(name, data_type)| (name.to_owned(), data_type))).collect()
    }

    fn schema(&self) -> SchemaRef {
        let columns = self.read();
        let fields = columns.iter().map(|(name, data_type)| Field::new(name, arrow_type(*data_type), true));
        let seen = Field::new(SEEN_COLUMN, ArrowType::Int64, false);
        Arc::new(Schema::new(fields.chain([seen]).collect::<Vec<_>>()))
    }

    /// The rows of `history`, read once and kept.
    pub(crate) async fn keep(
        &self,
        engine: &Engine<'_>,
        history: DataFrame,
    ) -> Result<Arc<Spine>, OfflineError> {
        let schema = self.schema();
        let layout = SpineLayout::of_events(
            Arc::clone(&schema),
            self.source.as_str(),
            self.time.as_str(),
            SEEN_COLUMN,
        )?;
        let read = self.read();
        let rows = self.project(history, &read)?.execute_stream().await?;
        let rows = rows.map_err(OfflineError::from).map(|batch| self.row_of(&batch?, &read, &schema));
        let spine = Spine::keep(rows, layout, EVENTS, &engine.context, engine.settings).await?;
        Ok(Arc::new(spine))
    }

    fn project(&self, history: DataFrame, read: &[(String, DataType)]) -> Result<DataFrame, OfflineError> {
        let held = Arc::new(history.schema().as_arrow().clone());
        let mut projected = Vec::with_capacity(read.len());
        for (column, expected) in read {
            projected.push(match held.field_with_name(column) {
                // Declared after this history was written: no event has a value yet.
                Err(_) => lit(ScalarValue::try_from(&arrow_type(*expected))?).alias(column),
                Ok(field) if is_readable_as(field.data_type(), *expected) => ident(column),
                Ok(field) => {
                    return Err(OfflineError::HistoryType {
                        table: self.source.to_string(),
                        column: column.clone(),
                        got: field.data_type().to_string(),
                        expected: *expected,
                    });
                }
            });
        }
        Ok(history.filter(ident(self.time.as_str()).is_not_null())?.select(projected)?)
    }

    fn row_of(
        &self,
        batch: &RecordBatch,
        read: &[(String, DataType)],
        schema: &SchemaRef,
    ) -> Result<RecordBatch, OfflineError> {
        let columns = batch.columns().iter().zip(read);
        let columns = columns.map(|(column, (_, data_type))| canonical(column, *data_type));
        let mut columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
        let [.., own, load] = columns.as_slice() else {
            return Err(
                DataFusionError::Internal("history without the columns of the system".to_owned()).into()
            );
        };
        let arrivals = arrivals(own, load, self.loads)?;
        let has_row = |arrival: &u64| *arrival != NOT_ARRIVED && *arrival < self.before;
        let kept = BooleanArray::from(arrivals.iter().map(has_row).collect::<Vec<_>>());
        let seen = arrivals.iter().map(|arrival| arrival.saturating_add(1).cast_signed());
        columns.push(Arc::new(Int64Array::from_iter_values(seen)));
        Ok(filter_record_batch(&RecordBatch::try_new(Arc::clone(schema), columns)?, &kept)?)
    }
}

impl ViewPlan {
    /// The columns of the source that are read to make the events of this view what they are.
    pub(crate) fn source_columns(&self) -> BTreeMap<Name, DataType> {
        let mut columns = self.reads.clone();
        columns.insert(self.event_time.clone(), DataType::Timestamp);
        self.without_enriched(&mut columns);
        for inner in &self.enrich {
            inner.add_key_columns(&mut columns);
        }
        columns
    }

    /// Whether a part of the key is a column that the view derives.
    pub(crate) fn has_derived_key(&self) -> bool {
        let derives = |key: &Name| {
            self.expressions.as_ref().is_some_and(|expressions| expressions.derives(key.as_str()))
        };
        self.event_keys.iter().any(derives)
    }

    /// The columns of an event that are read to ask this view.
    fn key_reads(&self) -> BTreeMap<Name, DataType> {
        let keys = self.event_keys.iter().zip(&self.spine_keys);
        let mut reads: BTreeMap<Name, DataType> =
            keys.map(|(column, (_, data_type))| (column.clone(), *data_type)).collect();
        if let Some(expressions) = self.expressions.as_ref().filter(|_| self.has_derived_key()) {
            reads.retain(|column, _| !expressions.derives(column.as_str()));
            reads.extend(expressions.reads().cloned());
        }
        reads
    }

    /// Adds the columns of the source that are read to ask this view.
    fn add_key_columns(&self, into: &mut BTreeMap<Name, DataType>) {
        let mut own = self.key_reads();
        self.without_enriched(&mut own);
        into.extend(own);
        for inner in self.key_enrichment() {
            inner.add_key_columns(into);
        }
    }

    /// The views that give events what this view is asked by.
    pub(crate) fn key_enrichment(&self) -> Vec<Arc<ViewPlan>> {
        let reads = self.key_reads();
        let gives =
            |inner: &&Arc<Self>| inner.outputs.iter().any(|(column, _)| reads.contains_key(column.as_str()));
        self.enrich.iter().filter(gives).map(Arc::clone).collect()
    }

    fn without_enriched(&self, columns: &mut BTreeMap<Name, DataType>) {
        for (column, _) in self.enrich.iter().flat_map(|inner| &inner.outputs) {
            columns.remove(column.as_str());
        }
    }
}

//! The rows of a request that comes in columns, in Arrow or over gRPC: one column per key and request column.
//!
//! A key column of lists asks for several entities in each row, as a list in JSON does; a row whose list is null asks for one
//! entity, whose key is null.

use arrow::{array::RecordBatch, datatypes::DataType as ArrowType};
use shipway_core::{DataType, Name, Value};

use crate::{
    error::{FeaturesError, invalid},
    model::columns::ColumnReader,
    read::{
        plan::ReadPlan,
        rows::{ListedKey, RequestRow, RequestRows, check_columns, check_count, expand},
    },
};

/// Gathers rows that may list entities.
pub(crate) struct RowsBuilder<'a> {
    plan: &'a ReadPlan,
    limit: usize,
    rows: Vec<RequestRow>,
    lists: Vec<Option<crate::read::rows::EntityList>>,
}

impl<'a> RowsBuilder<'a> {
    /// At most `limit` rows may come of it, one for each entity.
    pub(crate) fn new(plan: &'a ReadPlan, limit: usize) -> Self {
        Self { plan, limit, rows: Vec::new(), lists: Vec::new() }
    }

    /// Adds the row `row`; of its keys those in `listed` came as lists.
    pub(crate) fn push(&mut self, row: RequestRow, listed: Vec<ListedKey>) -> Result<(), FeaturesError> {
        if listed.is_empty() {
            self.rows.push(row);
            self.lists.push(None);
        } else {
            let list = expand(self.plan, self.lists.len(), &row, listed, &mut self.rows)?;
            self.lists.push(Some(list));
        }
        check_count(self.rows.len(), self.limit)
    }

    pub(crate) fn finish(self) -> RequestRows {
        let has_lists = self.lists.iter().any(Option::is_some);
        RequestRows { rows: self.rows, lists: has_lists.then_some(self.lists) }
    }
}

/// Adds the rows of `batch`.
pub(crate) fn add_batch(
    plan: &ReadPlan,
    batch: &RecordBatch,
    rows: &mut RowsBuilder<'_>,
) -> Result<(), FeaturesError> {
    let schema = batch.schema();
    check_columns(plan, schema.fields().iter().map(|field| field.name().as_str()), None)?;
    let reader = |(name, data_type): &(Name, DataType), kind: &str, may_list: bool| {
        let array = batch.column_by_name(name.as_str());
        let array = array.ok_or_else(|| invalid(format!("the {kind} {name} is missing")))?;
        let is_list = matches!(
            array.data_type(),
            ArrowType::List(_) | ArrowType::LargeList(_) | ArrowType::FixedSizeList(..)
        );
        let data_type = match data_type.as_scalar() {
            Some(scalar) if is_list && may_list => DataType::list(scalar),
            _ => *data_type,
        };
        ColumnReader::new(name.as_str(), array, data_type)
    };
    let keys: Vec<ColumnReader> =
        plan.keys.iter().map(|key| reader(key, "key column", true)).collect::<Result<_, _>>()?;
    let request: Vec<ColumnReader> = plan
        .request
        .iter()
        .map(|column| reader(column, "request column", false))
        .collect::<Result<_, _>>()?;
    for row in 0..batch.num_rows() {
        let mut listed = Vec::new();
        let mut key = |(position, reader): (usize, &ColumnReader)| match reader.value(row) {
            Value::List(values) => {
                listed.push(ListedKey { key: position, values: values.to_vec() });
                Value::Null
            }
            value => value,
        };
        let row = RequestRow {
            keys: keys.iter().enumerate().map(&mut key).collect(),
            request: request.iter().map(|reader| reader.value(row)).collect(),
        };
        rows.push(row, listed)?;
    }
    Ok(())
}

//! The rows of a request, checked: every key and request column is there and has its type.

use arrow::array::RecordBatch;
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Name, Value, nearest};

use crate::{
    error::{FeaturesError, invalid},
    model::columns::ColumnReader,
    read::plan::ReadPlan,
};

/// One row of a request.
#[derive(Clone)]
pub(crate) struct RequestRow {
    /// As the service's keys.
    pub(crate) keys: Vec<Value>,
    /// As the service's request columns.
    pub(crate) request: Vec<Value>,
}

/// The rows that are read, and how the rows of the request became them.
pub(crate) struct RequestRows {
    pub(crate) rows: Vec<RequestRow>,
    /// As the rows of the request, where at least one of them lists entities.
    pub(crate) lists: Option<Vec<Option<EntityList>>>,
}

/// A row of a request that asks for several entities: one row is read for each of them, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntityList {
    pub(crate) entities: usize,
    /// Positions of the key columns that came as lists.
    pub(crate) keys: Vec<usize>,
}

impl From<Vec<RequestRow>> for RequestRows {
    fn from(rows: Vec<RequestRow>) -> Self {
        Self { rows, lists: None }
    }
}

/// Reads JSON rows, each with one value per key.
pub(crate) fn parse(plan: &ReadPlan, rows: &[Map<String, Json>]) -> Result<RequestRows, FeaturesError> {
    let rows = rows.iter().enumerate().map(|(index, row)| parse_row(plan, index, row));
    Ok(rows.collect::<Result<Vec<_>, _>>()?.into())
}

/// Reads JSON rows whose key columns may also be lists: `"item": ["a", "b"]` asks for two items beside the other keys of the
/// row. Lists in one row belong together by position. At most `limit` rows come of it.
pub(crate) fn parse_lists(
    plan: &ReadPlan,
    rows: &[Map<String, Json>],
    limit: usize,
) -> Result<RequestRows, FeaturesError> {
    if rows.iter().all(|row| plan.keys.iter().all(|(key, _)| !is_list(row, key))) {
        return parse(plan, rows);
    }
    let (mut read, mut lists) = (Vec::new(), Vec::with_capacity(rows.len()));
    for (index, row) in rows.iter().enumerate() {
        let listed: Vec<usize> =
            (0..plan.keys.len()).filter(|&key| is_list(row, &plan.keys[key].0)).collect();
        if listed.is_empty() {
            read.push(parse_row(plan, index, row)?);
            lists.push(None);
        } else {
            let list = expand(plan, index, row, listed, &mut read)?;
            lists.push(Some(list));
        }
        check_count(read.len(), limit)?;
    }
    Ok(RequestRows { rows: read, lists: Some(lists) })
}

/// Reads the rows of a batch: one column per key and request column.
pub(crate) fn parse_batch(plan: &ReadPlan, batch: &RecordBatch) -> Result<Vec<RequestRow>, FeaturesError> {
    let schema = batch.schema();
    check_columns(plan, schema.fields().iter().map(|field| field.name().as_str()), None)?;
    let readers = |columns: &[(Name, DataType)], kind: &str| {
        let reader = |(name, data_type): &(Name, DataType)| {
            let array = batch.column_by_name(name.as_str());
            let array = array.ok_or_else(|| invalid(format!("the {kind} {name} is missing")))?;
            ColumnReader::new(name.as_str(), array, *data_type)
        };
        columns.iter().map(reader).collect::<Result<Vec<_>, FeaturesError>>()
    };
    let (keys, request) = (readers(&plan.keys, "key column")?, readers(&plan.request, "request column")?);
    let values = |readers: &[ColumnReader], row| readers.iter().map(|reader| reader.value(row)).collect();
    let row = |row| RequestRow { keys: values(&keys, row), request: values(&request, row) };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Refuses more than `limit` rows.
pub(crate) fn check_count(rows: usize, limit: usize) -> Result<(), FeaturesError> {
    let (got, limit) = (rows as u64, limit as u64);
    if got > limit {
        return Err(FeaturesError::TooLarge { what: "number of rows", got, limit });
    }
    Ok(())
}

/// Refuses a column that the service does not take, in the row at `index` or in all.
pub(crate) fn check_columns<'a>(
    plan: &ReadPlan,
    mut columns: impl Iterator<Item = &'a str>,
    index: Option<usize>,
) -> Result<(), FeaturesError> {
    let known = || plan.keys.iter().chain(&plan.request).map(|(name, _)| name.as_str());
    let Some(stranger) = columns.find(|column| known().all(|name| name != *column)) else { return Ok(()) };
    let near = nearest(stranger, known()).map(|near| format!("; did you mean {near}")).unwrap_or_default();
    let place = index.map(|index| format!("row {index}: ")).unwrap_or_default();
    Err(invalid(format!(
        "{place}column {stranger} is neither a key nor a request column of service {}{near}",
        plan.service
    )))
}

fn parse_row(plan: &ReadPlan, index: usize, row: &Map<String, Json>) -> Result<RequestRow, FeaturesError> {
    check_columns(plan, row.keys().map(String::as_str), Some(index))?;
    Ok(RequestRow {
        keys: scalars(&plan.keys, index, row, "key column")?,
        request: scalars(&plan.request, index, row, "request column")?,
    })
}

fn is_list(row: &Map<String, Json>, key: &Name) -> bool {
    row.get(key.as_str()).is_some_and(Json::is_array)
}

fn scalars(
    columns: &[(Name, DataType)],
    index: usize,
    row: &Map<String, Json>,
    kind: &str,
) -> Result<Vec<Value>, FeaturesError> {
    let value = |(name, data_type): &(Name, DataType)| {
        let json = row
            .get(name.as_str())
            .ok_or_else(|| invalid(format!("row {index}: the {kind} {name} is missing")))?;
        Value::from_json(json, *data_type)
            .map_err(|mismatch| invalid(format!("row {index}: {kind} {name}: {mismatch}")))
    };
    columns.iter().map(value).collect()
}

/// One row for each entity of the lists in `row`; one with null keys where the lists are empty, for the other views.
fn expand(
    plan: &ReadPlan,
    index: usize,
    row: &Map<String, Json>,
    listed: Vec<usize>,
    into: &mut Vec<RequestRow>,
) -> Result<EntityList, FeaturesError> {
    let items = |key: usize| row.get(plan.keys[key].0.as_str()).and_then(Json::as_array);
    let entities = listed.first().and_then(|&key| items(key)).map_or(0, Vec::len);
    let mut one = row.clone();
    for &key in &listed {
        let name = &plan.keys[key].0;
        let length = items(key).map_or(0, Vec::len);
        if length != entities {
            return Err(invalid(format!(
                "row {index}: key column {name} lists {length} entities, {} lists {entities}",
                plan.keys[listed[0]].0
            )));
        }
        one.insert(name.to_string(), Json::Null);
    }
    let shared = parse_row(plan, index, &one)?;
    for entity in 0..entities.max(1) {
        let mut expanded = shared.clone();
        for &key in &listed {
            let (name, data_type) = &plan.keys[key];
            let Some(item) = items(key).and_then(|items| items.get(entity)) else { continue };
            expanded.keys[key] = Value::from_json(item, *data_type).map_err(|mismatch| {
                invalid(format!("row {index}: key column {name}: entity {entity}: {mismatch}"))
            })?;
        }
        into.push(expanded);
    }
    Ok(EntityList { entities, keys: listed })
}

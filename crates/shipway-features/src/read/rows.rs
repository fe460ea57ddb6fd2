//! The rows of a request, checked: every key and request column is there and has its type.

use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Name, Value, exact_json, nearest};

use crate::{
    error::{FeaturesError, invalid},
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

/// Puts the digits of decimals back into `rows`, which were read from the body `text`.
pub(crate) fn restore_digits(
    plan: &ReadPlan,
    rows: &mut [Map<String, Json>],
    text: &[u8],
) -> Result<(), FeaturesError> {
    exact_json::restore_rows(rows, text, |column| plan.is_decimal(column))
        .map_err(|fault| invalid(format!("request body: {fault}")))
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
            let (shared, keys) = shared_row(plan, index, row, &listed)?;
            lists.push(Some(expand(plan, index, &shared, keys, &mut read)?));
        }
        check_count(read.len(), limit)?;
    }
    Ok(RequestRows { rows: read, lists: Some(lists) })
}

/// A key column of one row that came as a list.
pub(crate) struct ListedKey {
    /// Its position among the keys.
    pub(crate) key: usize,
    /// One value for each entity.
    pub(crate) values: Vec<Value>,
}

/// Adds one row for each entity of `listed` to `into`, each with the other keys of `shared`; one with null keys where the lists
/// are empty, for the other views. Lists of one row have one length.
pub(crate) fn expand(
    plan: &ReadPlan,
    index: usize,
    shared: &RequestRow,
    listed: Vec<ListedKey>,
    into: &mut Vec<RequestRow>,
) -> Result<EntityList, FeaturesError> {
    let entities = listed.first().map_or(0, |list| list.values.len());
    if let Some(other) = listed.iter().find(|list| list.values.len() != entities) {
        return Err(invalid(format!(
            "row {index}: key column {} lists {} entities, {} lists {entities}",
            plan.keys[other.key].0,
            other.values.len(),
            plan.keys[listed[0].key].0
        )));
    }
    let first = into.len();
    into.extend(std::iter::repeat_n(shared.clone(), entities.max(1)));
    let keys = listed.iter().map(|list| list.key).collect();
    for list in listed {
        for (row, value) in into[first..].iter_mut().zip(list.values) {
            row.keys[list.key] = value;
        }
    }
    Ok(EntityList { entities, keys })
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
    let near = nearest(stranger, known()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
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

/// The values of the lists in `row`, and the row with null in their places.
fn shared_row(
    plan: &ReadPlan,
    index: usize,
    row: &Map<String, Json>,
    listed: &[usize],
) -> Result<(RequestRow, Vec<ListedKey>), FeaturesError> {
    let mut one = row.clone();
    let mut lists = Vec::with_capacity(listed.len());
    for &key in listed {
        let (name, data_type) = &plan.keys[key];
        let items = row.get(name.as_str()).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let values = items.iter().enumerate().map(|(entity, item)| {
            Value::from_json(item, *data_type).map_err(|mismatch| {
                invalid(format!("row {index}: key column {name}: entity {entity}: {mismatch}"))
            })
        });
        lists.push(ListedKey { key, values: values.collect::<Result<Vec<_>, _>>()? });
        one.insert(name.to_string(), Json::Null);
    }
    Ok((parse_row(plan, index, &one)?, lists))
}

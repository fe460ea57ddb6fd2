//! The rows of a request, checked: every key and request column is there and has its type.

use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Name, Value, nearest};

use crate::{
    error::{FeaturesError, invalid},
    read::plan::ReadPlan,
};

/// One row of a request.
pub(crate) struct RequestRow {
    /// As the service's keys.
    pub(crate) keys: Vec<Value>,
    /// As the service's request columns.
    pub(crate) request: Vec<Value>,
}

pub(crate) fn parse(
    plan: &ReadPlan,
    index: usize,
    row: &Map<String, Json>,
) -> Result<RequestRow, FeaturesError> {
    let known = || plan.keys.iter().chain(&plan.request).map(|(name, _)| name.as_str());
    if let Some(stranger) = row.keys().find(|key| known().all(|name| name != key.as_str())) {
        let near =
            nearest(stranger, known()).map(|near| format!("; did you mean {near}")).unwrap_or_default();
        return Err(invalid(format!(
            "row {index}: column {stranger} is neither a key nor a request column of service {}{near}",
            plan.service
        )));
    }
    let values = |columns: &[(Name, DataType)], kind: &str| -> Result<Vec<Value>, FeaturesError> {
        let value = |(name, data_type): &(Name, DataType)| {
            let json = row
                .get(name.as_str())
                .ok_or_else(|| invalid(format!("row {index}: the {kind} {name} is missing")))?;
            Value::from_json(json, *data_type)
                .map_err(|mismatch| invalid(format!("row {index}: {kind} {name}: {mismatch}")))
        };
        columns.iter().map(value).collect()
    };
    Ok(RequestRow {
        keys: values(&plan.keys, "key column")?,
        request: values(&plan.request, "request column")?,
    })
}

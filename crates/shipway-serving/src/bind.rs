//! Decides whether a feature service feeds a model, and which column feeds which input.
//!
//! Pure: no clock, no store, no caller.

use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Digest, Value, nearest};
use shipway_runtime::{Binding, InputKind, Model};

use crate::{
    error::ServingError,
    ports::{ResolvedModel, ServiceShape},
};

/// A model tied to one version of a feature service.
#[derive(Debug)]
pub(crate) struct ServiceBinding {
    pub(crate) shape: ServiceShape,
    pub(crate) columns: Vec<String>,
    pub(crate) binding: Binding,
}

/// The version of the service that a model version was trained with, if its tags say so.
pub(crate) fn pinned_service(model: &ResolvedModel) -> Result<Option<Digest>, ServingError> {
    model
        .tags
        .get(crate::ports::SERVICE_HASH_TAG)
        .map(|digest| {
            digest.parse().map_err(|source| ServingError::WrongPin {
                model: model.name.clone(),
                version: model.version,
                source,
            })
        })
        .transpose()
}

/// Ties `model` to `shape`, or names every column that is missing, each with the nearest one that there is.
pub(crate) fn bind(
    model: &Model,
    resolved: &ResolvedModel,
    service: &str,
    shape: ServiceShape,
) -> Result<ServiceBinding, ServingError> {
    let names: Vec<&str> = shape.columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut missing = Vec::new();
    for input in model.inputs() {
        match shape.columns.iter().find(|(name, _)| *name == input.name) {
            None => missing.push(match nearest(&input.name, names.iter().copied()) {
                Some(nearest) => format!("`{}` (nearest: `{nearest}`)", input.name),
                None => format!("`{}`", input.name),
            }),
            Some((_, data_type @ (DataType::Text | DataType::Timestamp)))
                if input.kind == InputKind::Number =>
            {
                return Err(ServingError::NotANumber {
                    model: resolved.name.clone(),
                    column: input.name.clone(),
                    data_type: *data_type,
                });
            }
            Some((_, data_type @ (DataType::List(_) | DataType::Map(_)))) => {
                return Err(ServingError::NotASingleValue {
                    model: resolved.name.clone(),
                    column: input.name.clone(),
                    data_type: *data_type,
                });
            }
            Some(_) => {}
        }
    }
    if !missing.is_empty() {
        return Err(ServingError::ColumnsMissing {
            service: service.to_owned(),
            model: resolved.name.clone(),
            version: resolved.version,
            missing: missing.join(", "),
        });
    }
    let columns: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let binding = model.bind(&columns)?;
    Ok(ServiceBinding { shape, columns, binding })
}

/// The ids of a row as values. The features were read with them, so they fit; a row that lacks one has null there.
pub(crate) fn key_values(shape: &ServiceShape, row: &Map<String, Json>) -> Vec<Value> {
    shape
        .keys
        .iter()
        .map(|(name, data_type)| {
            row.get(name).and_then(|json| Value::from_json(json, *data_type).ok()).unwrap_or(Value::Null)
        })
        .collect()
}

/// The values of an answer, each row in the order of `wanted`; moved as they are when the orders agree.
pub(crate) fn in_order(
    wanted: &[String],
    columns: &[String],
    rows: Vec<Vec<Value>>,
) -> Result<Vec<Vec<Value>>, ServingError> {
    if columns == wanted {
        return Ok(rows);
    }
    let places = wanted
        .iter()
        .map(|name| columns.iter().position(|given| given == name))
        .collect::<Option<Vec<usize>>>()
        .ok_or_else(|| {
            ServingError::WrongRequest("the features lack a column of their service".to_owned())
        })?;
    let pick = |row: &Vec<Value>| {
        places.iter().map(|place| row.get(*place).cloned().unwrap_or(Value::Null)).collect()
    };
    Ok(rows.iter().map(pick).collect())
}

/// The values of a model's inputs out of rows that bring all of them.
pub(crate) fn direct_values(
    model: &Model,
    rows: &[Map<String, Json>],
) -> Result<Vec<Vec<Value>>, ServingError> {
    rows.iter()
        .enumerate()
        .map(|(place, row)| {
            model
                .inputs()
                .iter()
                .map(|input| {
                    let wrong = |reason: String| ServingError::WrongValue {
                        row: place,
                        column: input.name.clone(),
                        reason,
                    };
                    let json = row.get(&input.name).ok_or_else(|| {
                        wrong(match nearest(&input.name, row.keys().map(String::as_str)) {
                            Some(nearest) => format!("missing; the row has `{nearest}`"),
                            None => "missing".to_owned(),
                        })
                    })?;
                    direct_value(json, input.kind).ok_or_else(|| {
                        wrong(match input.kind {
                            InputKind::Number => "expected a number, true, false or null".to_owned(),
                            InputKind::Category => "expected text, a number, true, false or null".to_owned(),
                        })
                    })
                })
                .collect()
        })
        .collect()
}

fn direct_value(json: &Json, kind: InputKind) -> Option<Value> {
    match (json, kind) {
        (Json::Null, _) => Some(Value::Null),
        (Json::Bool(flag), _) => Some(Value::Bool(*flag)),
        (Json::Number(number), _) => {
            number.as_i64().map(Value::Int).or_else(|| number.as_f64().map(Value::float))
        }
        (Json::String(text), InputKind::Category) => Some(Value::text(text.as_str())),
        (json @ Json::String(_), InputKind::Number) => Value::from_json(json, DataType::Float).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_categories_are_read_from_json() {
        assert_eq!(direct_value(&json!(3), InputKind::Number), Some(Value::Int(3)));
        assert_eq!(direct_value(&json!(0.5), InputKind::Category), Some(Value::float(0.5)));
        assert_eq!(direct_value(&json!("NaN"), InputKind::Number), Some(Value::float(f64::NAN)));
        assert_eq!(direct_value(&json!("UA"), InputKind::Category), Some(Value::text("UA")));
        assert_eq!(direct_value(&json!("UA"), InputKind::Number), None);
        assert_eq!(direct_value(&json!([1]), InputKind::Number), None);
    }
}

//! The judgement what a change event of Debezium says, however it was written.

use shipway_core::Value;

use crate::{
    columns::Places,
    error::MessageError,
    row::{Change, Decoded, Row},
};

/// What Debezium writes for a large value that it was not told, because it has not changed.
const NOT_TOLD: &str = "__debezium_unavailable_value";

/// The change of `operation`, with the rows before and after it.
pub(crate) fn change(
    operation: Option<&str>,
    before: Option<Vec<Value>>,
    after: Option<Vec<Value>>,
    places: &Places,
) -> Result<Decoded, MessageError> {
    let envelope = |reason: String| MessageError::Envelope { reason };
    let row = match (operation, before, after) {
        (Some("c" | "r"), _, Some(values)) => Row { values, change: Change::Insert },
        (Some("u"), before, Some(values)) => Row { values, change: Change::Update { before } },
        (Some("d"), Some(values), _) => Row { values, change: Change::Delete },
        (Some("t" | "m"), ..) => return Ok(Decoded::Nothing),
        (Some(operation @ ("c" | "r" | "u")), ..) => {
            return Err(envelope(format!("op {operation} without the row after")));
        }
        (Some("d"), ..) => {
            return Err(envelope("op d without the row before; the table must log whole rows".to_owned()));
        }
        (Some(other), ..) => {
            let other: String = other.chars().take(20).collect();
            return Err(envelope(format!("there is no op {other:?}")));
        }
        (None, ..) => return Err(envelope("op is missing".to_owned())),
    };
    let images = std::iter::once(&row.values).chain(match &row.change {
        Change::Update { before: Some(before) } => Some(before),
        _ => None,
    });
    for values in images {
        let not_told = |value: &Value| matches!(value, Value::Text(text) if **text == *NOT_TOLD);
        if let Some(column) = values.iter().position(not_told) {
            let reason = "its value was not told, as it did not change; the table must log whole rows";
            return Err(places.mismatch(column, reason.to_owned()));
        }
    }
    Ok(Decoded::Rows(vec![row]))
}

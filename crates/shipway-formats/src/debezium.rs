//! The judgement what a change event of Debezium says, however it was written.

use shipway_core::{Timestamp, Value};

use crate::{
    columns::Places,
    error::MessageError,
    row::{Change, Decoded, Row},
};

/// What Debezium writes for a large value that it was not told, because it has not changed.
const NOT_TOLD: &str = "__debezium_unavailable_value";

/// The moments that an envelope may tell, by the names of their fields, and how many of their units a microsecond has or takes: the finest
/// comes first.
const MOMENTS: [(&str, Unit); 3] =
    [("ts_us", Unit::Microseconds), ("ts_ns", Unit::Nanoseconds), ("ts_ms", Unit::Milliseconds)];

#[derive(Debug, Clone, Copy)]
enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// When a change was made, as far as is known: what the source says stands before what the connector says.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Moments {
    of_source: Moment,
    of_connector: Moment,
}

/// One moment, told up to three times; by the places of [`MOMENTS`].
#[derive(Debug, Default, Clone, Copy)]
struct Moment([Option<i64>; 3]);

impl Moments {
    /// Whether a field of this name tells a moment.
    pub(crate) fn are_in(field: &str) -> bool {
        MOMENTS.iter().any(|(name, _)| *name == field)
    }

    /// Notes what a field says; of the part `source` where it is in that.
    pub(crate) fn note(&mut self, is_of_source: bool, field: &str, number: i64) {
        let Some(place) = MOMENTS.iter().position(|(name, _)| *name == field) else { return };
        let moment = if is_of_source { &mut self.of_source } else { &mut self.of_connector };
        moment.0[place] = Some(number);
    }

    fn best(self) -> Option<Timestamp> {
        self.of_source.best().or_else(|| self.of_connector.best())
    }
}

impl Moment {
    fn best(self) -> Option<Timestamp> {
        let (number, unit) =
            self.0.into_iter().zip(MOMENTS).find_map(|(number, (_, unit))| Some((number?, unit)))?;
        let micros = match unit {
            Unit::Milliseconds => number.checked_mul(1_000)?,
            Unit::Microseconds => number,
            Unit::Nanoseconds => number.div_euclid(1_000),
        };
        Some(Timestamp(micros))
    }
}

/// The change of `operation`, with the rows before and after it.
pub(crate) fn change(
    (operation, moments): (Option<&str>, Moments),
    before: Option<Vec<Value>>,
    after: Option<Vec<Value>>,
    places: &Places,
) -> Result<Decoded, MessageError> {
    let envelope = |reason: String| MessageError::Envelope { reason };
    let changed = moments.best();
    let row = match (operation, before, after) {
        (Some("c" | "r"), _, Some(values)) => Row { values, change: Change::Insert, changed },
        (Some("u"), before, Some(values)) => Row { values, change: Change::Update { before }, changed },
        (Some("d"), Some(values), _) => Row { values, change: Change::Delete, changed },
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

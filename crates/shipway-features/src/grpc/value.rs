//! Values between the gRPC wire and the domain.

use serde_json::Value as Json;
use shipway_core::{DataType, Decimal, Timestamp, Value};

use super::v1::{self, value::Kind};

/// A value of the wire as one of `data_type`, or why it is none. An integer is a float or a decimal where one is declared; a
/// decimal comes and goes as text, because a double has not its digits.
pub(super) fn read(value: &v1::Value, data_type: DataType) -> Result<Value, String> {
    Ok(match (&value.kind, data_type) {
        (None, _) => Value::Null,
        (Some(Kind::Bool(flag)), DataType::Bool) => Value::Bool(*flag),
        (Some(Kind::Int(number)), DataType::Int) => Value::Int(*number),
        (Some(Kind::Int(number)), DataType::Float) => Value::float(*number as f64),
        (Some(Kind::Float(number)), DataType::Float) => Value::float(*number),
        (Some(Kind::Text(text)), DataType::Text) => Value::text(text.as_str()),
        (Some(Kind::Text(text)), DataType::Decimal(decimal)) => Decimal::parse(text, decimal)
            .map(Value::Decimal)
            .ok_or_else(|| format!("expected {data_type}, got {text}"))?,
        (Some(Kind::Int(number)), DataType::Decimal(decimal)) => {
            Decimal::from_int(i128::from(*number), decimal)
                .map(Value::Decimal)
                .ok_or_else(|| format!("expected {data_type}, got {number}"))?
        }
        (Some(Kind::TimestampUs(micros)), DataType::Timestamp) => Value::Timestamp(Timestamp(*micros)),
        (Some(kind @ (Kind::List(_) | Kind::Map(_))), _) => {
            Value::from_json(&json(kind), data_type).map_err(|mismatch| mismatch.to_string())?
        }
        (Some(kind), _) => return Err(format!("expected {data_type}, got {}", word(kind))),
    })
}

/// A value as the ingest of JSON events reads it. The source's types are checked there.
pub(super) fn event_json(value: &v1::Value) -> Json {
    value.kind.as_ref().map_or(Json::Null, json)
}

/// A value for the wire.
pub(super) fn write(value: &Value) -> v1::Value {
    let kind = match value {
        Value::Null => None,
        Value::Bool(flag) => Some(Kind::Bool(*flag)),
        Value::Int(number) => Some(Kind::Int(*number)),
        Value::Float(number) => Some(Kind::Float(*number)),
        Value::Timestamp(moment) => Some(Kind::TimestampUs(moment.micros())),
        other => from_json(&other.to_json()),
    };
    v1::Value { kind }
}

fn json(kind: &Kind) -> Json {
    match kind {
        Kind::Bool(flag) => (*flag).into(),
        Kind::Int(number) => (*number).into(),
        Kind::Float(number) => Value::float(*number).to_json(),
        Kind::Text(text) => text.as_str().into(),
        Kind::TimestampUs(micros) => Timestamp(*micros).to_string().into(),
        Kind::List(list) => list.values.iter().map(event_json).collect(),
        Kind::Map(map) => {
            let entries = map.entries.iter().map(|(key, value)| (key.clone(), event_json(value)));
            Json::Object(entries.collect())
        }
    }
}

fn from_json(json: &Json) -> Option<Kind> {
    let value = |json: &Json| v1::Value { kind: from_json(json) };
    Some(match json {
        Json::Null => return None,
        Json::Bool(flag) => Kind::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Kind::Int(number),
            None => Kind::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Kind::Text(text.clone()),
        Json::Array(items) => Kind::List(v1::List { values: items.iter().map(value).collect() }),
        Json::Object(entries) => Kind::Map(v1::Map {
            entries: entries.iter().map(|(key, item)| (key.clone(), value(item))).collect(),
        }),
    })
}

const fn word(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool(_) => "bool",
        Kind::Int(_) => "int",
        Kind::Float(_) => "float",
        Kind::Text(_) => "text",
        Kind::TimestampUs(_) => "timestamp",
        Kind::List(_) => "list",
        Kind::Map(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::DecimalType;

    use super::*;

    fn price() -> DataType {
        DataType::Decimal(DecimalType::new(5, 2).unwrap())
    }

    #[test]
    fn a_value_survives_the_wire_bit_for_bit() {
        let values = [
            (Value::Null, DataType::Int),
            (Value::Bool(true), DataType::Bool),
            (Value::Int(i64::MIN), DataType::Int),
            (Value::float(0.1 + 0.2), DataType::Float),
            (Value::float(f64::NEG_INFINITY), DataType::Float),
            (Value::text("naïve"), DataType::Text),
            (Value::Timestamp(Timestamp(-1)), DataType::Timestamp),
            (Value::Decimal(Decimal::new(-1250, 2).unwrap()), price()),
            (
                Value::list([Value::Decimal(Decimal::new(1, 2).unwrap()), Value::Null]),
                DataType::list(price().as_scalar().unwrap()),
            ),
        ];
        for (value, data_type) in values {
            assert_eq!(read(&write(&value), data_type), Ok(value));
        }
        let nan = read(&write(&Value::float(f64::NAN)), DataType::Float).unwrap();
        assert!(matches!(nan, Value::Float(number) if number.is_nan()));
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_an_integer_may_be_a_float() {
        let wrong = |kind, data_type| read(&v1::Value { kind: Some(kind) }, data_type).unwrap_err();
        assert_eq!(wrong(Kind::Float(1.0), DataType::Int), "expected int, got float");
        assert_eq!(wrong(Kind::Int(1), DataType::Timestamp), "expected timestamp, got int");
        assert_eq!(wrong(Kind::TimestampUs(1), DataType::Text), "expected text, got timestamp");
        assert!(wrong(Kind::List(v1::List::default()), DataType::Text).starts_with("expected text"));
        assert_eq!(read(&v1::Value { kind: Some(Kind::Int(2)) }, DataType::Float), Ok(Value::float(2.0)));
        let two = Value::Decimal(Decimal::new(200, 2).unwrap());
        assert_eq!(read(&v1::Value { kind: Some(Kind::Int(2)) }, price()), Ok(two));
        assert_eq!(wrong(Kind::Float(1.5), price()), "expected decimal(5,2), got float");
        assert_eq!(wrong(Kind::Text("1.005".into()), price()), "expected decimal(5,2), got 1.005");
        assert_eq!(wrong(Kind::Int(1_000), price()), "expected decimal(5,2), got 1000");
    }
}

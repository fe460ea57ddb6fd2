//! Lists and maps: the ways into them.

use shipway_core::Value;

/// The item at a position from 1; null beyond the list.
pub(crate) fn item(list: &Value, position: &Value) -> Value {
    let (Value::List(items), Value::Int(position)) = (list, position) else { return Value::Null };
    let position = position.checked_sub(1).and_then(|position| usize::try_from(position).ok());
    position.and_then(|position| items.get(position)).cloned().unwrap_or(Value::Null)
}

/// The value under a text; null where the map has none.
pub(crate) fn entry(map: &Value, key: &Value) -> Value {
    let (Value::Map(entries), Value::Text(key)) = (map, key) else { return Value::Null };
    let found = entries.binary_search_by(|(held, _)| held.cmp(key));
    found.ok().and_then(|at| entries.get(at)).map_or(Value::Null, |(_, value)| value.clone())
}

/// How many items a list has, nulls among them, or entries a map.
pub(crate) fn cardinality(value: &Value) -> Value {
    let count = match value {
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        _ => return Value::Null,
    };
    i64::try_from(count).map_or(Value::Null, Value::Int)
}

pub(crate) fn contains(list: &Value, item: &Value) -> Value {
    match list {
        Value::List(items) => Value::Bool(items.contains(item)),
        _ => Value::Null,
    }
}

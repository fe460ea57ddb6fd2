//! Rows to bytes, for whoever sends them on: an object of JSON, or a datum of Avro.

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Value as Json, json};
use shipway_core::{DataType, DecimalType, ItemType, Value};

use crate::{error::FormatError, framing, registry::RegistryClient};

/// Columns by the names that they have in messages.
type Columns = Box<[(Box<str>, DataType)]>;

fn named<N: AsRef<str>>(columns: &[(N, DataType)]) -> Columns {
    columns.iter().map(|(name, data_type)| (name.as_ref().into(), *data_type)).collect()
}

/// Writes rows as objects of JSON: decimals as text, moments as RFC 3339, floats that are no numbers as `"NaN"`,
/// `"Infinity"` and `"-Infinity"`. What is written is read back as the same values.
#[derive(Debug, Clone)]
pub struct JsonEncoder {
    columns: Columns,
}

/// Writes rows as data of Avro, of a schema made of the columns.
#[derive(Debug, Clone)]
pub struct AvroEncoder {
    columns: Columns,
    schema: String,
    /// The id of the schema where it is registered: then each message begins with it.
    id: Option<u32>,
}

impl JsonEncoder {
    /// For rows of these columns.
    pub fn new<N: AsRef<str>>(columns: &[(N, DataType)]) -> Self {
        Self { columns: named(columns) }
    }

    /// Appends a row to `into`; nothing is appended where it is refused.
    pub fn encode(&self, row: &[Value], into: &mut Vec<u8>) -> Result<(), FormatError> {
        check(row, &self.columns)?;
        let start = into.len();
        serde_json::to_writer(&mut *into, &Object { columns: &self.columns, row }).map_err(|error| {
            into.truncate(start);
            FormatError::RowMismatch { reason: error.to_string() }
        })
    }
}

struct Object<'a> {
    columns: &'a [(Box<str>, DataType)],
    row: &'a [Value],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.row.len()))?;
        for ((name, _), value) in self.columns.iter().zip(self.row) {
            object.serialize_entry(&**name, value)?;
        }
        object.end()
    }
}

impl AvroEncoder {
    /// For rows of these columns, as records of the name `record`, which may have a namespace before it.
    ///
    /// Every field may be null. Ints are `long`, floats `double`, moments `timestamp-micros`, decimals `bytes` with the logical
    /// type.
    pub fn new<N: AsRef<str>>(record: &str, columns: &[(N, DataType)]) -> Result<Self, FormatError> {
        let is_name = |part: &str| {
            let starts = part.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            starts && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if !record.split('.').all(is_name) {
            return Err(FormatError::Invalid { reason: format!("`{record}` is not the name of a record") });
        }
        if let Some((column, _)) = columns.iter().find(|(column, _)| !is_name(column.as_ref())) {
            let column = column.as_ref();
            return Err(FormatError::Invalid {
                reason: format!("`{column}` cannot be the name of a field of Avro"),
            });
        }
        let fields = columns.iter().map(|(name, data_type)| {
            json!({ "name": name.as_ref(), "type": nullable(*data_type), "default": null })
        });
        let fields: Vec<Json> = fields.collect();
        let schema = json!({ "type": "record", "name": record, "fields": fields }).to_string();
        Ok(Self { columns: named(columns), schema, id: None })
    }

    /// The schema, as JSON.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Registers the schema under `subject`; from then on each message begins with its id, as Confluent's clients write.
    pub async fn register(&mut self, registry: &RegistryClient, subject: &str) -> Result<u32, FormatError> {
        let id = registry.register_avro(subject, &self.schema).await?;
        self.id = Some(id);
        Ok(id)
    }

    /// Appends a row to `into`; nothing is appended where it is refused.
    pub fn encode(&self, row: &[Value], into: &mut Vec<u8>) -> Result<(), FormatError> {
        check(row, &self.columns)?;
        if let Some(id) = self.id {
            framing::write(id, into);
        }
        for value in row {
            write(value, into);
        }
        Ok(())
    }
}

fn check(row: &[Value], columns: &[(Box<str>, DataType)]) -> Result<(), FormatError> {
    if row.len() != columns.len() {
        let reason = format!("it has {} values, and there are {} columns", row.len(), columns.len());
        return Err(FormatError::RowMismatch { reason });
    }
    match columns.iter().zip(row).find(|((_, data_type), value)| !value.is_of(*data_type)) {
        None => Ok(()),
        Some(((name, data_type), value)) => {
            let reason = format!("column {name}: expected {data_type}, got {}", value.word());
            Err(FormatError::RowMismatch { reason })
        }
    }
}

fn nullable(data_type: DataType) -> Json {
    let item = |item: ItemType| nullable(item.data_type());
    let own = match data_type {
        DataType::Bool => json!("boolean"),
        DataType::Int => json!("long"),
        DataType::Float => json!("double"),
        DataType::Text => json!("string"),
        DataType::Timestamp => json!({ "type": "long", "logicalType": "timestamp-micros" }),
        DataType::Decimal(decimal) => decimal_schema(decimal),
        DataType::List(items) => json!({ "type": "array", "items": item(items) }),
        DataType::Map(values) => json!({ "type": "map", "values": item(values) }),
    };
    json!(["null", own])
}

fn decimal_schema(decimal: DecimalType) -> Json {
    let (precision, scale) = (decimal.precision(), decimal.scale());
    json!({ "type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale })
}

/// A value as a union of null and its own type.
fn write(value: &Value, into: &mut Vec<u8>) {
    if value.is_null() {
        into.push(0);
        return;
    }
    into.push(2);
    match value {
        Value::Null => {}
        Value::Bool(flag) => into.push(u8::from(*flag)),
        Value::Int(number) => long(*number, into),
        Value::Float(number) => into.extend(number.to_le_bytes()),
        Value::Text(text) => bytes(text.as_bytes(), into),
        Value::Timestamp(moment) => long(moment.micros(), into),
        Value::Decimal(decimal) => {
            let digits = decimal.unscaled().to_be_bytes();
            bytes(&digits[spare_bytes(&digits)..], into);
        }
        Value::List(items) => {
            block(items.len(), into, |into| items.iter().for_each(|item| write(item, into)));
        }
        Value::Map(entries) => block(entries.len(), into, |into| {
            for (key, value) in entries.iter() {
                bytes(key.as_bytes(), into);
                write(value, into);
            }
        }),
    }
}

/// How many of the first bytes say no more than the sign, which the next one says too.
fn spare_bytes(digits: &[u8; 16]) -> usize {
    let sign = if digits[0] & 0x80 == 0 { 0 } else { 0xff };
    let spare = digits.windows(2).take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0);
    spare.count()
}

fn block(count: usize, into: &mut Vec<u8>, items: impl FnOnce(&mut Vec<u8>)) {
    if count > 0 {
        length(count, into);
        items(into);
    }
    into.push(0);
}

fn bytes(bytes: &[u8], into: &mut Vec<u8>) {
    length(bytes.len(), into);
    into.extend(bytes);
}

fn length(length: usize, into: &mut Vec<u8>) {
    // No allocation is longer than that.
    long(i64::try_from(length).unwrap_or(i64::MAX), into);
}

/// Zigzag; then seven bits a byte, the lowest first.
fn long(number: i64, into: &mut Vec<u8>) {
    let mut number = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while number >= 0x80 {
        into.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

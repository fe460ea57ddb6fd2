//! What a user writes about the bytes of a source's messages, and what can be said of it before any message comes.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_core::{DataType, ItemType, Name, ScalarType, nearest};

use crate::error::FormatError;

/// How the messages of a source are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// The encoding.
    pub format: Encoding,
    /// The schema itself: the JSON of an Avro schema, or the text of a `.proto` file. Without a registry only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Where schemas are looked up by the id that each message begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_registry: Option<SchemaRegistry>,
    /// The full name of the Protobuf message, such as `flights.v1.Departure`. Not needed where the schema has one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the values are wrapped in.
    #[serde(default)]
    pub envelope: Envelope,
    /// What happens to fields that no column names.
    #[serde(default)]
    pub unknown_fields: UnknownFields,
    /// Where a column lies in the message, if not in the field of its own name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Name, Paths>,
    /// What the numbers of a timestamp column count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub time_unit: BTreeMap<Name, TimeUnit>,
}

/// An encoding of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// One JSON object per message.
    Json,
    /// One Avro datum per message, without a file header.
    Avro,
    /// One Protobuf message per message.
    Protobuf,
}

/// A registry that speaks Confluent's REST interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaRegistry {
    /// `http://…` or `https://…`, with a path where the registry has one.
    pub address: String,
    /// The subject that ids are looked up under, where the registry keeps several contexts; and that an encoder registers under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The user for basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The password for basic authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// Certificates in PEM that are trusted beside those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// Text that is not shown in logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// What the values of a message are wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// Nothing: each message is a row.
    #[default]
    None,
    /// Debezium's: each message is a change of a row, with the row before and after it.
    Debezium,
}

/// What happens to fields that no column names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownFields {
    /// They are skipped.
    #[default]
    Ignore,
    /// The message is refused.
    Refuse,
}

/// What a number counts that stands for a moment: such units since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds; a moment keeps whole microseconds of them.
    Nanoseconds,
    /// No number: only text is a moment. This is so for a column without a unit, too.
    #[serde(rename = "rfc3339", alias = "RFC 3339")]
    Rfc3339,
}

/// Where a column lies: one path, or several of which the first that is there counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Paths {
    /// Names of fields, one in the other, with points between them: `flight.origin.code`.
    One(String),
    /// Newer and older places of one thing.
    FirstOf(Vec<String>),
}

impl Paths {
    fn texts(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::FirstOf(paths) => paths,
        }
    }
}

/// The most names that a path may have.
const LONGEST_PATH: usize = 16;

/// The most places that are given for one column.
const MOST_PATHS: usize = 8;

/// A declared column and where it is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: Name,
    pub(crate) data_type: DataType,
    pub(crate) unit: Option<TimeUnit>,
    /// At least one, each of at least one name.
    pub(crate) paths: Vec<Path>,
}

/// The names of fields from the outermost inwards.
pub(crate) type Path = Vec<Box<str>>;

impl Format {
    /// A format of this encoding, without anything else.
    pub const fn new(format: Encoding) -> Self {
        Self {
            format,
            schema: None,
            schema_registry: None,
            message: None,
            envelope: Envelope::None,
            unknown_fields: UnknownFields::Ignore,
            fields: BTreeMap::new(),
            time_unit: BTreeMap::new(),
        }
    }

    /// Whether messages may say that a row changed or went.
    pub const fn has_changes(&self) -> bool {
        matches!(self.envelope, Envelope::Debezium)
    }

    /// The columns with their places; refused is what no message could ever satisfy.
    pub(crate) fn columns(&self, declared: &[(Name, DataType)]) -> Result<Vec<Column>, FormatError> {
        self.check_schema_source()?;
        for name in self.fields.keys().chain(self.time_unit.keys()) {
            if !declared.iter().any(|(column, _)| column == name) {
                let near = nearest(name.as_str(), declared.iter().map(|(column, _)| column.as_str()));
                let near = near.map(|near| format!("; did you mean {near}")).unwrap_or_default();
                return Err(invalid(format!("column {name} is not declared{near}")));
            }
        }
        let mut columns = Vec::with_capacity(declared.len());
        for (name, data_type) in declared {
            let unit = self.time_unit.get(name).copied();
            if unit.is_some() && !has_moments(*data_type) {
                return Err(invalid(format!("column {name}: {data_type} has no time_unit")));
            }
            let own = Paths::One(name.to_string());
            let paths = self.fields.get(name).unwrap_or(&own).texts().iter();
            let paths = paths.map(|text| path(name, text)).collect::<Result<Vec<_>, _>>()?;
            if paths.is_empty() || paths.len() > MOST_PATHS {
                return Err(invalid(format!("column {name}: fields needs 1 to {MOST_PATHS} paths")));
            }
            columns.push(Column { name: name.clone(), data_type: *data_type, unit, paths });
        }
        check_apart(&columns)?;
        Ok(columns)
    }

    fn check_schema_source(&self) -> Result<(), FormatError> {
        let wrong = match (self.format, &self.schema, &self.schema_registry) {
            (Encoding::Json, Some(_), _) => {
                "format json takes no schema; the declared columns are the schema"
            }
            (Encoding::Avro | Encoding::Protobuf, None, None) => {
                "formats avro and protobuf need a schema or a schema_registry"
            }
            (_, Some(_), Some(_)) => "schema and schema_registry exclude each other",
            _ if self.message.is_some() && self.format != Encoding::Protobuf => {
                "message belongs to format protobuf"
            }
            _ if self.envelope == Envelope::Debezium && self.format == Encoding::Protobuf => {
                "envelope debezium is read from json and avro"
            }
            _ => return Ok(()),
        };
        Err(invalid(wrong.to_owned()))
    }
}

fn path(column: &Name, text: &str) -> Result<Path, FormatError> {
    let path: Path = text.split('.').map(Box::from).collect();
    if path.len() > LONGEST_PATH || path.iter().any(|name| name.is_empty()) {
        let what = format!("column {column}: `{text}` is not a path of 1 to {LONGEST_PATH} names");
        return Err(invalid(what));
    }
    Ok(path)
}

/// A place belongs to one column, and no column lies in another: so each value is read once, wherever it is met.
fn check_apart(columns: &[Column]) -> Result<(), FormatError> {
    let mut all: Vec<(&Path, &Name)> =
        columns.iter().flat_map(|column| column.paths.iter().map(move |path| (path, &column.name))).collect();
    all.sort();
    for pair in all.windows(2) {
        let ((outer, first), (inner, second)) = (pair[0], pair[1]);
        if inner.starts_with(outer) {
            let what =
                format!("columns {first} and {second}: {} lies in {}", inner.join("."), outer.join("."));
            return Err(invalid(what));
        }
    }
    Ok(())
}

fn invalid(reason: String) -> FormatError {
    FormatError::Invalid { reason }
}

const fn has_moments(data_type: DataType) -> bool {
    match data_type {
        DataType::Timestamp => true,
        DataType::List(item) | DataType::Map(item) => matches!(
            item,
            ItemType::Scalar(ScalarType::Timestamp)
                | ItemType::List(ScalarType::Timestamp)
                | ItemType::Map(ScalarType::Timestamp)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declared() -> Vec<(Name, DataType)> {
        [("id", DataType::Int), ("at", DataType::Timestamp)]
            .map(|(name, data_type)| (Name::new(name).unwrap(), data_type))
            .to_vec()
    }

    fn refusal(json: serde_json::Value) -> String {
        let format: Format = serde_json::from_value(json).unwrap();
        format.columns(&declared()).unwrap_err().to_string()
    }

    #[test]
    fn a_format_is_read_as_users_write_it() {
        let format: Format = serde_json::from_value(json!({
            "format": "protobuf",
            "schema_registry": { "address": "https://registry:8081", "user": "a", "password": "hidden" },
            "message": "flights.Departure",
            "fields": { "id": ["flight.id", "id"], "at": "meta.at" },
            "time_unit": { "at": "milliseconds" },
            "unknown_fields": "refuse",
        }))
        .unwrap();
        let columns = format.columns(&declared()).unwrap();
        assert_eq!(columns[0].paths[0].join("/"), "flight/id");
        assert_eq!(columns[1].unit, Some(TimeUnit::Milliseconds));
        assert!(!format!("{format:?}").contains("hidden"));
        let back: Format = serde_json::from_value(serde_json::to_value(&format).unwrap()).unwrap();
        assert_eq!(back, format);
        assert_eq!(serde_json::from_value::<TimeUnit>(json!("RFC 3339")).unwrap(), TimeUnit::Rfc3339);
    }

    #[test]
    fn what_no_message_could_satisfy_is_refused_before_any_comes() {
        let refusals = [
            json!({ "format": "avro" }),
            json!({ "format": "json", "schema": "{}" }),
            json!({ "format": "avro", "schema": "x", "schema_registry": { "address": "http://r" } }),
            json!({ "format": "json", "message": "a" }),
            json!({ "format": "protobuf", "schema": "x", "envelope": "debezium" }),
            json!({ "format": "json", "time_unit": { "ad": "seconds" } }),
            json!({ "format": "json", "time_unit": { "id": "seconds" } }),
            json!({ "format": "json", "fields": { "id": "a..b" } }),
            json!({ "format": "json", "fields": { "id": [] } }),
            json!({ "format": "json", "fields": { "id": "at.x" } }),
        ]
        .map(refusal);
        for (refusal, words) in refusals.iter().zip([
            "need a schema",
            "takes no schema",
            "exclude each other",
            "belongs to format protobuf",
            "read from json and avro",
            "did you mean at",
            "int has no time_unit",
            "not a path",
            "1 to 8 paths",
            "at.x lies in at",
        ]) {
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}

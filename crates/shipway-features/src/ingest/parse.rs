//! Request bodies to events of a source. What does not fit is refused one by one, with its position and the reason.

use std::sync::Arc;

use arrow::{array::RecordBatch, ipc::reader::StreamReader};
use bytes::Bytes;
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Timestamp, Value, exact_json, nearest};
use uuid::Uuid;

use crate::{
    error::{FeaturesError, invalid},
    ingest::{accept::Refused, json},
    model::{
        columns::readers,
        event::{SourceEvent, Standing, is_computable},
        schema::SourceSchema,
    },
    options::Limits,
};

/// The longest event id, in bytes.
const LONGEST_ID: usize = 512;

/// Events as they come in.
#[derive(Debug, Clone)]
pub enum Events {
    /// One JSON object per line.
    JsonLines(Bytes),
    /// An Arrow IPC stream.
    Arrow(Bytes),
    /// Objects already read.
    Objects(Vec<Map<String, Json>>),
}

/// The events that fit, with their positions in the request, and the others.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) events: Vec<(usize, SourceEvent)>,
    pub(crate) refused: Vec<Refused>,
}

/// What every event of one request shares.
pub(crate) struct Intake<'a> {
    pub(crate) schema: &'a SourceSchema,
    pub(crate) limits: &'a Limits,
    pub(crate) received: Timestamp,
    /// The newest event time so far, for telling late events.
    pub(crate) watermark: Timestamp,
}

impl Events {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::JsonLines(body) | Self::Arrow(body) => body.len(),
            Self::Objects(_) => 0,
        }
    }
}

impl Intake<'_> {
    /// Reads all events of a request.
    pub(crate) fn parse(&self, events: Events) -> Result<Parsed, FeaturesError> {
        let limit = self.limits.ingest_bytes;
        if events.bytes() > limit {
            let got = events.bytes() as u64;
            return Err(FeaturesError::TooLarge { what: "request size in bytes", got, limit: limit as u64 });
        }
        let mut parsed = Parsed::default();
        match events {
            Events::JsonLines(body) => {
                let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
                for (index, line) in lines.enumerate() {
                    self.bound(index + 1)?;
                    parsed.add(index, self.json_line(line));
                }
            }
            Events::Objects(objects) => {
                self.bound(objects.len())?;
                for (index, object) in objects.iter().enumerate() {
                    parsed.add(index, self.json_event(object));
                }
            }
            Events::Arrow(body) => {
                let mut index = 0;
                for batch in StreamReader::try_new(body.as_ref(), None)? {
                    let batch = batch?;
                    self.bound(index + batch.num_rows())?;
                    self.add_batch(&batch, &mut index, &mut parsed)?;
                }
            }
        }
        Ok(parsed)
    }

    fn bound(&self, count: usize) -> Result<(), FeaturesError> {
        let limit = self.limits.ingest_events;
        if count <= limit {
            return Ok(());
        }
        Err(FeaturesError::TooLarge { what: "number of events", got: count as u64, limit: limit as u64 })
    }

    fn json_line(&self, line: &[u8]) -> Result<SourceEvent, String> {
        if let Some(values) = json::plain(line, &self.schema.columns) {
            return self.event(values, random_id);
        }
        let object = self.json_object(line).map_err(|error| format!("not a JSON object: {error}"))?;
        self.json_event(&object)
    }

    /// The object in `line`; decimals keep the digits that they are written with.
    fn json_object(&self, line: &[u8]) -> serde_json::Result<Map<String, Json>> {
        let columns = &self.schema.columns;
        if columns.iter().all(|(_, data_type)| !data_type.has_decimals()) {
            return serde_json::from_slice(line);
        }
        exact_json::object(line, |column| {
            columns.iter().any(|(name, data_type)| name.as_str() == column && data_type.has_decimals())
        })
    }

    fn json_event(&self, object: &Map<String, Json>) -> Result<SourceEvent, String> {
        if let Some(stranger) = object.keys().find(|key| self.schema.index_of(key).is_none()) {
            return Err(self.unknown_column(stranger));
        }
        let mut values = Vec::with_capacity(self.schema.columns.len());
        for (name, data_type) in &self.schema.columns {
            let value = match object.get(name.as_str()) {
                None => Value::Null,
                Some(json) => Value::from_json(json, *data_type).map_err(|mismatch| {
                    let why = match data_type {
                        DataType::Timestamp if json.is_number() => ": a number has no unit, write RFC 3339",
                        DataType::Decimal(_) if json.is_f64() => ": a float may lack its digits, send text",
                        _ => "",
                    };
                    format!("column {name}: {mismatch}{why}")
                })?,
            };
            values.push(value);
        }
        self.event(values, random_id)
    }

    fn add_batch(
        &self,
        batch: &RecordBatch,
        index: &mut usize,
        parsed: &mut Parsed,
    ) -> Result<(), FeaturesError> {
        let fields = batch.schema();
        if let Some(stranger) =
            fields.fields().iter().find(|field| self.schema.index_of(field.name()).is_none())
        {
            return Err(invalid(self.unknown_column(stranger.name())));
        }
        let columns = self.schema.columns.iter().map(|(name, data_type)| (name.as_str(), *data_type));
        let readers = readers(batch, columns)?;
        for row in 0..batch.num_rows() {
            let values = readers
                .iter()
                .map(|reader| reader.as_ref().map_or(Value::Null, |reader| reader.value(row)))
                .collect();
            parsed.add(*index, self.event(values, random_id));
            *index += 1;
        }
        Ok(())
    }

    /// Checks what every event needs, and says where it goes. `own_id` gives the id where the source declares none.
    pub(crate) fn event(
        &self,
        values: Vec<Value>,
        own_id: impl FnOnce() -> Arc<str>,
    ) -> Result<SourceEvent, String> {
        let schema = self.schema;
        if schema.corrections.as_ref().is_some_and(|deletions| deletions.has(&values)) {
            let (received, standing) = (self.received, Standing::Deletion);
            let id = self.id(&values, own_id)?;
            return Ok(SourceEvent { id, time: received, received, standing, values });
        }
        let time_column = &schema.columns[schema.time_index].0;
        let Some(Value::Timestamp(time)) = values.get(schema.time_index) else {
            return Err(format!("column {time_column}: the event time is missing"));
        };
        let time = *time;
        if !is_computable(time) {
            return Err(format!("column {time_column}: the event time is outside the years 1 to 9999"));
        }
        let id = self.id(&values, own_id)?;
        let standing = if time.micros() > self.received.micros().saturating_add(schema.max_ahead_us) {
            Standing::Quarantined
        } else if time.micros() < self.watermark.micros().saturating_sub(schema.retention_us) {
            Standing::Late
        } else {
            Standing::Regular
        };
        Ok(SourceEvent { id, time, received: self.received, standing, values })
    }

    fn id(&self, values: &[Value], own_id: impl FnOnce() -> Arc<str>) -> Result<Arc<str>, String> {
        let Some(at) = self.schema.id_index else { return Ok(own_id()) };
        event_id(&values[at]).map_err(|why| format!("column {}: {why}", self.schema.columns[at].0))
    }

    fn unknown_column(&self, stranger: &str) -> String {
        let near = nearest(stranger, self.schema.columns.iter().map(|(name, _)| name.as_str()));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        format!("column {stranger} is not declared in source {}{near}", self.schema.name)
    }
}

impl Parsed {
    fn add(&mut self, index: usize, event: Result<SourceEvent, String>) {
        match event {
            Ok(event) => self.events.push((index, event)),
            Err(reason) => self.refused.push(Refused { index, reason }),
        }
    }
}

/// Every event is its own, where nothing says otherwise.
fn random_id() -> Arc<str> {
    Arc::from(Uuid::now_v7().to_string())
}

/// The text that identifies an event, from the declared column.
pub(crate) fn event_id(value: &Value) -> Result<Arc<str>, String> {
    let id: Arc<str> = match value {
        Value::Null => return Err("the event id is missing".to_owned()),
        Value::Text(text) => Arc::clone(text),
        Value::Int(number) => number.to_string().into(),
        Value::Bool(flag) => flag.to_string().into(),
        Value::Float(number) => number.to_string().into(),
        Value::Timestamp(moment) => moment.to_string().into(),
        Value::Decimal(decimal) => decimal.to_string().into(),
        Value::List(_) | Value::Map(_) => return Err("the event id is a list or a map".to_owned()),
    };
    if id.is_empty() {
        return Err("the event id is empty".to_owned());
    }
    if id.len() > LONGEST_ID {
        return Err(format!("the event id has {} bytes, the limit is {LONGEST_ID}", id.len()));
    }
    Ok(id)
}

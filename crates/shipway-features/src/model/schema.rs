//! What a source's events look like: columns, event time, event id, and the limits that its definition states.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use shipway_core::{DataType, Digest, Name, Timestamp, Value};
use shipway_definitions::{Corrections, Source, View, ViewReference};
use shipway_expression::{Expression, Row};

use crate::{
    error::{FeaturesError, damaged, invalid},
    model::event::SourceEvent,
};

/// The event id of a row of history.
pub const EVENT_ID_COLUMN: &str = "_event_id";
/// The log offset of a row that came in live; null for a loaded row.
pub const ARRIVAL_COLUMN: &str = "_arrival";
/// The load id of a row that came in bulk; null for a live row.
pub const LOAD_COLUMN: &str = "_load";

/// The moment at which the server took in a row that came live; null for a loaded row, which came at its load's marker, and
/// for rows that a release before this column wrote.
pub const RECEIVED_COLUMN: &str = "_received";

/// Whether a row only takes away the row that has its event id; there only where events are corrected by their ids.
pub(crate) const DELETED_COLUMN: &str = "_deleted";

/// A source's columns and limits, ready for use.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceSchema {
    pub(crate) name: Name,
    pub(crate) columns: Vec<(Name, DataType)>,
    pub(crate) time_index: usize,
    pub(crate) id_index: Option<usize>,
    /// Where an event takes the place of an earlier one with its id: what tells an event that only takes it away.
    pub(crate) corrections: Option<Deletions>,
    /// Identifies names, types and order of the columns in log records.
    pub(crate) fingerprint: u64,
    pub(crate) max_ahead_us: i64,
    pub(crate) dedupe_us: i64,
    pub(crate) retention_us: i64,
}

/// Which events only take an earlier one away.
#[derive(Debug, Clone)]
pub(crate) struct Deletions {
    said: Corrections,
    condition: Option<Expression>,
}

impl PartialEq for Deletions {
    fn eq(&self, other: &Self) -> bool {
        self.said == other.said
    }
}

impl Deletions {
    /// Whether the event with these columns is one.
    pub(crate) fn has(&self, values: &[Value]) -> bool {
        self.condition.as_ref().is_some_and(|condition| condition.is_true(Row::new(values, &[])))
    }
}

impl SourceSchema {
    pub(crate) fn new(source: &Source) -> Result<Self, FeaturesError> {
        let columns: Vec<(Name, DataType)> =
            source.columns.iter().map(|(name, data_type)| (name.clone(), *data_type)).collect();
        let position = |wanted: &Name| columns.iter().position(|(name, _)| name == wanted);
        let missing =
            |column: &Name| invalid(format!("source {}: column {column} is not declared", source.name));
        let time_index = position(&source.event_time).ok_or_else(|| missing(&source.event_time))?;
        let id_index = match &source.event_id {
            Some(column) => Some(position(column).ok_or_else(|| missing(column))?),
            None => None,
        };
        Ok(Self {
            name: source.name.clone(),
            time_index,
            id_index,
            corrections: source.corrections.as_ref().map(|said| deletions(source, said)).transpose()?,
            fingerprint: fingerprint(&columns),
            columns,
            max_ahead_us: source.max_ahead.micros(),
            dedupe_us: source.dedupe.micros(),
            retention_us: source.retention.micros(),
        })
    }

    /// Whether an event whose id was there before is left out.
    pub(crate) fn has_ids_once(&self) -> bool {
        self.id_index.is_some() && self.corrections.is_none()
    }

    /// Where each column of this source is among `columns`; a column that is not there, or is of another type, is null.
    pub(crate) fn places_in(&self, columns: &[(Name, DataType)]) -> Vec<Option<usize>> {
        self.columns.iter().map(|wanted| columns.iter().position(|column| column == wanted)).collect()
    }

    pub(crate) fn index_of(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|(name, _)| name.as_str() == column)
    }

    /// What the events of this source look like to `view`: with the columns that it is enriched with behind all others.
    pub(crate) fn seen_by(&self, view: &View) -> Cow<'_, Self> {
        if view.enrich.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut seen = self.clone();
        for (_, column) in view.enrich.iter().flat_map(ViewReference::columns) {
            let found = view.column_types.get_key_value(column.as_str());
            seen.columns.extend(found.map(|(name, data_type)| (name.clone(), *data_type)));
        }
        Cow::Owned(seen)
    }

    /// The declared columns as Arrow fields.
    pub(crate) fn declared(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|(name, data_type)| Field::new(name.as_str(), arrow_type(*data_type), true))
            .collect();
        Arc::new(Schema::new(fields))
    }

    /// The schema of the source's history: the declared columns and those of the system.
    pub(crate) fn history(&self) -> SchemaRef {
        let mut fields: Vec<Arc<Field>> = self.declared().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(EVENT_ID_COLUMN, ArrowType::Utf8, true)));
        fields.push(Arc::new(Field::new(ARRIVAL_COLUMN, ArrowType::Int64, true)));
        fields.push(Arc::new(Field::new(LOAD_COLUMN, ArrowType::Utf8, true)));
        fields.push(Arc::new(Field::new(RECEIVED_COLUMN, arrow_type(DataType::Timestamp), true)));
        if self.corrections.is_some() {
            fields.push(Arc::new(Field::new(DELETED_COLUMN, ArrowType::Boolean, true)));
        }
        Arc::new(Schema::new(fields))
    }

    /// The table of events that came too far from the future.
    pub(crate) fn quarantine_table(&self) -> String {
        format!("{}__quarantine", self.name)
    }

    /// The table of messages that are no events of this source.
    pub(crate) fn dead_letter_table(&self) -> String {
        format!("{}__dead_letters", self.name)
    }

    /// The table of events that came after their retention.
    pub(crate) fn late_table(&self) -> String {
        format!("{}__late", self.name)
    }
}

fn deletions(source: &Source, said: &Corrections) -> Result<Deletions, FeaturesError> {
    let compiled = said.deleted.as_ref().map(|text| Expression::condition(text, &source.scope()));
    let condition = compiled.transpose().map_err(|error| FeaturesError::Expression {
        thing: format!("source {}", source.name),
        source: Box::new(error),
    })?;
    Ok(Deletions { said: said.clone(), condition })
}

/// The Arrow type that carries values of `data_type` in history.
pub(crate) fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Bool => ArrowType::Boolean,
        DataType::Int => ArrowType::Int64,
        DataType::Float => ArrowType::Float64,
        DataType::Text => ArrowType::Utf8,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => shipway_lake::arrow_type(data_type),
    }
}

fn fingerprint(columns: &[(Name, DataType)]) -> u64 {
    let mut text = String::new();
    for (name, data_type) in columns {
        text.push_str(name.as_str());
        text.push(':');
        text.push_str(&data_type.to_string());
        text.push('\n');
    }
    let digest = Digest::of(text);
    let (head, _) = digest.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*head)
}

/// All schemas that a source's events were logged with, and the way from each to the present one.
#[derive(Debug, Default)]
pub(crate) struct SchemaBook {
    schemas: HashMap<u64, Vec<(Name, DataType)>>,
}

impl SchemaBook {
    pub(crate) fn new(schemas: HashMap<u64, Vec<(Name, DataType)>>) -> Self {
        Self { schemas }
    }

    /// Puts the values of an event, logged under `fingerprint`, into the order of `present`. Columns that were added
    /// later are null.
    pub(crate) fn align(
        &self,
        fingerprint: u64,
        mut event: SourceEvent,
        present: &SourceSchema,
    ) -> Result<SourceEvent, FeaturesError> {
        if fingerprint == present.fingerprint {
            return Ok(event);
        }
        let logged = self
            .schemas
            .get(&fingerprint)
            .ok_or_else(|| damaged(format!("an event of source {} with an unknown schema", present.name)))?;
        event.values = present
            .columns
            .iter()
            .map(|(name, data_type)| {
                let found = logged.iter().position(|(logged_name, _)| logged_name == name);
                match (found.and_then(|position| event.values.get(position)), data_type) {
                    (Some(Value::Int(number)), DataType::Float) => Value::float(*number as f64),
                    (Some(value), _) if value.is_of(*data_type) => value.clone(),
                    _ => Value::Null,
                }
            })
            .collect();
        Ok(event)
    }
}

/// The moment before every other: no watermark yet.
pub(crate) const NO_WATERMARK: Timestamp = Timestamp(i64::MIN);

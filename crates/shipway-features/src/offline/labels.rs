//! Labels: what came after a row's moment. The meaning is stated in docs/decisions (labels look forward).
//!
//! A label is swept like a view. Its rows ask at the end of their window, `q + after + window`, and its window is as exact at
//! its tail as at its head: it holds the events with `q + after <= time < q + after + window`.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use shipway_aggregate::{Aggregation, EventOrder, Operation, SlidingWindow};
use shipway_core::{DataType, Digest, Length, Name, Timestamp, Value, nearest};
use shipway_definitions::DefinitionSet;
use shipway_lake::decimal_of;

use super::{
    OfflineError,
    aggregates::{FeatureError, SweptEvent},
    canonical::is_readable_as,
    view_plan::{Failure, PlannedBody, PlannedLabel, ViewPlan},
};
use crate::model::schema::EVENT_ID_COLUMN;

/// One label of a training set: an aggregate of the events after each row's moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// The label's column is `label__<name>`; by default the name is `<column>_<operation>_<window>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The source whose events are looked at; this or `table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Name>,
    /// The plain table whose rows are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The column of `table` that holds the time of a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Name>,
    /// The text column of `table` that decides which of two rows at one moment is the first; `first` and `last` need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Name>,
    /// The columns that must be equal.
    pub keys: LabelKeys,
    /// The column that is aggregated; without one, events are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<Name>,
    /// The aggregation: `count`, `sum`, `avg`, `min`, `max`, `first`, `last`, …
    pub operation: String,
    /// How long after the row's moment the window begins; at once by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Length>,
    /// How long the window is.
    pub window: Length,
}

/// Which columns of the spine meet which columns of the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LabelKeys {
    /// Columns of one name on both sides.
    Same(Vec<Name>),
    /// Column of the spine to column of the events.
    Named(BTreeMap<Name, Name>),
}

impl Label {
    /// The name of the label's column.
    pub fn column_name(&self) -> String {
        let given = self.name.as_ref().map(Name::to_string);
        format!("label__{}", given.unwrap_or_else(|| self.default_name()))
    }

    fn default_name(&self) -> String {
        let column = self.column.as_ref().map(|column| format!("{column}_")).unwrap_or_default();
        let operation =
            self.parsed().map_or_else(|| self.operation.clone(), |operation| operation.name_part());
        format!("{column}{operation}_{}", self.window)
    }

    /// The operation, if it is one; parameters are part of the text.
    fn parsed(&self) -> Option<Operation> {
        self.operation.parse().ok()
    }

    /// The table that holds the events.
    pub(crate) fn table_name(&self) -> Result<&str, OfflineError> {
        match (&self.source, &self.table) {
            (Some(source), None) => Ok(source.as_str()),
            (None, Some(table)) => Ok(table),
            _ => Err(self.refused("name either a source or a table")),
        }
    }

    fn refused(&self, why: impl Into<String>) -> OfflineError {
        OfflineError::Label { label: self.column_name(), why: why.into() }
    }

    /// The label as the engine's views are. `table` is the schema of the plain table, where it is one.
    pub(crate) fn plan(
        &self,
        definitions: &DefinitionSet,
        table: Option<&Schema>,
    ) -> Result<ViewPlan, OfflineError> {
        let events = self.events(definitions, table)?;
        let type_of = |column: &Name| {
            events.columns.get(column.as_str()).copied().ok_or_else(|| {
                let near = nearest(column.as_str(), events.columns.keys().map(String::as_str));
                let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                self.refused(format!("{} has no column {column}{near}", events.table))
            })
        };
        let keys: Vec<(Name, Name)> = match &self.keys {
            LabelKeys::Same(names) => names.iter().map(|name| (name.clone(), name.clone())).collect(),
            LabelKeys::Named(names) => {
                names.iter().map(|(spine, event)| (spine.clone(), event.clone())).collect()
            }
        };
        if keys.is_empty() {
            return Err(self.refused("name at least one key"));
        }
        let mut spine_keys = Vec::with_capacity(keys.len());
        for (spine, event) in &keys {
            spine_keys.push((spine.clone(), type_of(event)?));
        }
        let operation =
            self.parsed().ok_or_else(|| self.refused(format!("{} is not an aggregation", self.operation)))?;
        let inputs = match &self.column {
            Some(column) => vec![(column.clone(), type_of(column)?)],
            None => Vec::new(),
        };
        let input_type = inputs.first().map(|(_, data_type)| *data_type);
        let aggregation =
            Aggregation::new(operation, input_type).map_err(|error| self.refused(error.to_string()))?;
        let name = self.name.clone().map_or_else(|| self.default_name().parse::<Name>(), Ok);
        let after_us = self.after.map_or(0, Length::micros);
        let planned = ViewPlan {
            name: name.map_err(|error| self.refused(error.to_string()))?,
            is_corrected: events.is_corrected,
            source: events.table.parse().map_err(|_| self.refused("the table's name cannot be used"))?,
            event_time: events.time.clone(),
            event_keys: keys.into_iter().map(|(_, event)| event).collect(),
            spine_keys,
            body: PlannedBody::Label(PlannedLabel {
                aggregation,
                length: self.window,
                input: (!inputs.is_empty()).then_some(0),
            }),
            inputs,
            expressions: None,
            outputs: vec![(self.column_name(), aggregation.output_type())],
            event_id: events.event_id.unwrap_or_default(),
            shift_us: after_us.saturating_add(self.window.micros()),
            identity: Digest::of(format!("label {}", serde_json::to_string(self).unwrap_or_default())),
            enrich: Vec::new(),
            reads: BTreeMap::new(),
            failure: Failure::Refused,
        };
        if planned.needs_event_id() && planned.event_id.is_empty() {
            return Err(
                self.refused("first and last need an id column, which decides between rows of one moment")
            );
        }
        Ok(planned)
    }

    fn events(&self, definitions: &DefinitionSet, table: Option<&Schema>) -> Result<Events, OfflineError> {
        let name = self.table_name()?.to_owned();
        if self.source.is_some() {
            let source = definitions.sources.get(name.as_str()).ok_or_else(|| {
                OfflineError::MissingDefinition { what: format!("source {name} of {}", self.column_name()) }
            })?;
            let source = &source.definition;
            if self.time.is_some() || self.id.is_some() {
                return Err(self.refused("time and id are for tables; a source says its own"));
            }
            return Ok(Events {
                table: name,
                is_corrected: source.corrections.is_some(),
                time: source.event_time.clone(),
                event_id: Some(EVENT_ID_COLUMN.to_owned()),
                columns: source
                    .columns
                    .iter()
                    .map(|(column, data_type)| (column.to_string(), *data_type))
                    .collect(),
            });
        }
        let schema = table.ok_or_else(|| self.refused(format!("table {name} does not exist")))?;
        let time =
            self.time.clone().ok_or_else(|| self.refused("a table needs `time`, its column of times"))?;
        Ok(Events {
            table: name,
            is_corrected: false,
            time,
            event_id: self.id.as_ref().map(Name::to_string),
            columns: schema
                .fields()
                .iter()
                .filter_map(|field| {
                    let decimal = decimal_of(field.data_type()).map(DataType::Decimal);
                    let types =
                        [DataType::Bool, DataType::Int, DataType::Float, DataType::Text, DataType::Timestamp];
                    let fits = decimal
                        .into_iter()
                        .chain(types)
                        .find(|data_type| is_readable_as(field.data_type(), *data_type))?;
                    Some((field.name().clone(), fits))
                })
                .collect(),
        })
    }
}

/// Where the events of a label are.
struct Events {
    table: String,
    is_corrected: bool,
    time: Name,
    event_id: Option<String>,
    columns: BTreeMap<String, DataType>,
}

/// The label's window of one key.
#[derive(Debug)]
pub(crate) struct LabelState(SlidingWindow);

impl LabelState {
    pub(crate) fn new(label: &PlannedLabel) -> Self {
        Self(SlidingWindow::exact(label.aggregation, label.length))
    }

    pub(crate) fn push(&mut self, label: &PlannedLabel, event: SweptEvent<'_>) -> Result<(), FeatureError> {
        let at = EventOrder { time: Timestamp(event.time), event_id: event.event_id };
        let value = label.input.map_or(&Value::Null, |input| &event.values[input]);
        self.0.push(value, at).map_err(|error| (0, error))
    }

    /// The value in the window that ends at `end`.
    pub(crate) fn at(&mut self, end: i64) -> Result<Value, FeatureError> {
        self.0.value_at(Timestamp(end)).map_err(|error| (0, error))
    }
}

/// The labels as views, in their order.
pub(crate) fn plan(
    labels: &[Label],
    definitions: &DefinitionSet,
    tables: &BTreeMap<String, Arc<Schema>>,
) -> Result<Vec<Arc<ViewPlan>>, OfflineError> {
    let planned = labels.iter().map(|label| {
        let table = label.table.as_ref().and_then(|table| tables.get(table));
        label.plan(definitions, table.map(Arc::as_ref)).map(Arc::new)
    });
    planned.collect()
}

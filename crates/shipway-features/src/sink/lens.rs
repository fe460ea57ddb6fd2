//! One version of a view, as a sink looks at events and rows: which key an event touches, and what a row of it has.

use std::{iter, sync::Arc};

use shipway_core::{DataType, EntityKey, Timestamp, Value};
use shipway_definitions::{DefinitionSet, Versioned, View};

use crate::{
    error::FeaturesError,
    materialise::ActiveView,
    model::event::SourceEvent,
    read::{AnsweredRow, ReadPlan},
    source::SourceShape,
};

/// The columns of a row between its keys and its features. Names of definitions never begin with `_`.
const OWN_COLUMNS: [(&str, DataType); 5] = [
    ("_at", DataType::Timestamp),
    ("_arrival", DataType::Int),
    ("_event_time", DataType::Timestamp),
    ("_view", DataType::Text),
    ("_version", DataType::Text),
];

/// One version of a view over the present columns of its source.
pub(super) struct Lens {
    pub(super) shape: Arc<SourceShape>,
    pub(super) active: ActiveView,
    pub(super) plan: Arc<ReadPlan>,
    /// As the rows.
    pub(super) columns: Arc<[(String, DataType)]>,
    /// Positions of the keys.
    pub(super) key: Arc<[usize]>,
    /// How many columns of an event other views fill in. A sink does not know them.
    carried: usize,
    /// Whether an event counts cannot be told without them. Then each one touches its key: a row too many does no harm.
    is_blind: bool,
    view: Value,
    version: Value,
}

impl Lens {
    pub(super) fn new(
        view: &Versioned<View>,
        shape: Arc<SourceShape>,
        definitions: &DefinitionSet,
    ) -> Result<Self, FeaturesError> {
        let definition = &view.definition;
        if let Some(unsendable) = definition.unsendable() {
            return Err(FeaturesError::Unsendable { unsendable });
        }
        // Nothing is counted with it, so it does not matter which of its states it is.
        let active = ActiveView::new(Arc::new(definition.clone()), view.hash, &shape.schema, i64::MIN, 0)?;
        let keys = definition.entity_keys.iter().map(|(key, data_type)| (key.to_string(), *data_type));
        let own = OWN_COLUMNS.iter().map(|(name, data_type)| ((*name).to_owned(), *data_type));
        let features =
            definition.outputs().into_iter().map(|(feature, data_type)| (feature.to_string(), data_type));
        Ok(Self {
            active,
            plan: Arc::new(ReadPlan::of_view(view, definitions)?),
            columns: keys.chain(own).chain(features).collect(),
            key: (0..definition.entity_keys.len()).collect(),
            carried: shape.schema.seen_by(definition).columns.len() - shape.schema.columns.len(),
            is_blind: definition.is_filtered_by_other_views(),
            view: Value::text(definition.name.as_str()),
            version: Value::text(view.hash.to_string()),
            shape,
        })
    }

    /// The key that an event touches; none where it does not count for the view.
    pub(super) fn key_of(&self, mut event: SourceEvent) -> Option<EntityKey> {
        let layout = &self.active.layout;
        event.values.extend(iter::repeat_n(Value::Null, self.carried));
        if self.is_blind {
            return layout.key(&layout.look_at(&event).0);
        }
        layout.key(&layout.see(&event)?)
    }

    /// A row, from what a read answered.
    pub(super) fn row(
        &self,
        keys: Vec<Value>,
        answered: AnsweredRow,
        at: Timestamp,
        arrival: u64,
    ) -> Vec<Value> {
        let event_time = answered.views.first().and_then(|view| view.event_time);
        let mut row = keys;
        row.extend([
            Value::Timestamp(at),
            Value::Int(arrival.cast_signed()),
            event_time.map_or(Value::Null, Value::Timestamp),
            self.view.clone(),
            self.version.clone(),
        ]);
        row.extend(answered.values);
        row
    }
}

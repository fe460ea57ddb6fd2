//! The text of a selection, compiled for the definitions in force.

use std::sync::Arc;

use shipway_core::{DataType, Name, Value};
use shipway_definitions::{DefinitionSet, Selection, Source, View, ViewReference};
use shipway_expression::{Projection, Row};

use crate::{error::FeaturesError, model::event::SourceEvent};

/// A selection, ready to be asked.
pub(crate) struct SelectPlan {
    /// The source that it selects from.
    pub(crate) from: Name,
    /// The columns of that source: an event has its values in this order.
    pub(crate) from_columns: Vec<(Name, DataType)>,
    /// The columns that it gives.
    pub(crate) columns: Vec<(Name, DataType)>,
    pub(crate) joins: Vec<PlannedJoin>,
    projection: Projection,
}

/// A view that is asked at the time of each event.
pub(crate) struct PlannedJoin {
    /// The view at its version in force, with the features that the text reads.
    pub(crate) reference: ViewReference,
    /// The source of the view.
    pub(crate) source: Name,
    /// Where an event has the parts of the view's key.
    pub(crate) keys: Vec<usize>,
    /// The features that the text reads, by their positions in the view.
    pub(crate) wanted: Vec<usize>,
    /// How many features the view has.
    pub(crate) width: usize,
}

impl SelectPlan {
    /// Compiles the selection of `source`; none when it has none.
    pub(crate) fn of(definitions: &DefinitionSet, source: &Name) -> Result<Option<Self>, FeaturesError> {
        let Some(selected) = definitions.sources.get(source) else { return Ok(None) };
        let Some(selection) = &selected.definition.select else { return Ok(None) };
        let missing = |what: String| FeaturesError::MissingDefinition { what };
        let from = definitions.sources.get(&selection.from);
        let from = &from.ok_or_else(|| missing(format!("source {}", selection.from)))?.definition;
        let mut views = Vec::with_capacity(selection.joins.len());
        for join in &selection.joins {
            let view = definitions.views.get(&join.view);
            views.push(Arc::clone(view.ok_or_else(|| missing(format!("view {}", join.view)))?));
        }
        let joined: Vec<&View> = views.iter().map(|view| &view.definition).collect();
        let projection = selection.projection(from, &joined).map_err(|error| FeaturesError::Expression {
            thing: format!("source {source}"),
            source: Box::new(error),
        })?;
        let mut joins = Vec::with_capacity(views.len());
        let mut first = from.columns.len();
        for (join, view) in selection.joins.iter().zip(&views) {
            let outputs = view.definition.outputs();
            let wanted: Vec<usize> =
                (0..outputs.len()).filter(|position| projection.reads(first + position)).collect();
            let features = wanted.iter().map(|position| outputs[*position].0.clone()).collect();
            first += outputs.len();
            joins.push(PlannedJoin {
                reference: view.reference(features),
                source: view.definition.source.clone(),
                keys: keys(from, selection, &join.keys)?,
                wanted,
                width: outputs.len(),
            });
        }
        let given = projection.columns();
        let columns =
            given.filter_map(|(name, data_type)| Some((Name::new(name).ok()?, data_type))).collect();
        let from_columns = from.columns.clone();
        Ok(Some(Self { from: from.name.clone(), from_columns, columns, joins, projection }))
    }

    /// The row that comes out of `event`, with the features that are `joined` to it; none where the condition is not true.
    pub(crate) fn row(&self, event: &SourceEvent, joined: &[Value]) -> Option<Vec<Value>> {
        self.projection.row(Row::new(&event.values, joined))
    }
}

fn keys(from: &Source, selection: &Selection, columns: &[Name]) -> Result<Vec<usize>, FeaturesError> {
    let position = |column: &Name| {
        let found = from.columns.iter().position(|(name, _)| name == column);
        found.ok_or_else(|| FeaturesError::MissingDefinition {
            what: format!("column {column} of source {}", selection.from),
        })
    };
    columns.iter().map(position).collect()
}

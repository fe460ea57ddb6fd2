//! A source whose events are selected from those of another one.

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Name};
use shipway_expression::{ExpressionError, Projection, Select};

use super::{Source, View};

/// A `SELECT` over the events of another source, each asked as it arrives.
///
/// No part of the hash: an event that was derived stays as it is, whatever the text says later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Selection {
    /// The text.
    pub sql: String,
    /// The source whose events it selects from.
    pub from: Name,
    /// The views whose features it joins, in the order of the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joins: Vec<SelectionJoin>,
}

/// A view that is asked for its features at the time of each event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SelectionJoin {
    /// The view; its version in force is asked.
    pub view: Name,
    /// The columns of the event that are the view's key, in the order of its entity's keys.
    pub keys: Vec<Name>,
}

impl Selection {
    /// Compiles the text over the columns of `from` and the features of `views`, one for each join.
    pub fn projection(&self, from: &Source, views: &[&View]) -> Result<Projection, ExpressionError> {
        compiled(&Select::parse(&self.sql)?, from, views)
    }
}

/// The same of a text that was taken apart before.
pub(crate) fn compiled(
    select: &Select,
    from: &Source,
    views: &[&View],
) -> Result<Projection, ExpressionError> {
    let named = |columns: Vec<(Name, DataType)>| -> Vec<(String, DataType)> {
        columns.into_iter().map(|(name, data_type)| (name.to_string(), data_type)).collect()
    };
    let joined: Vec<_> = views.iter().map(|view| named(view.outputs())).collect();
    select.compile(&named(from.columns.clone()), &joined)
}

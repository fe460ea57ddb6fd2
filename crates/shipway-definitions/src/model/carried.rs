//! What of a view rests on the columns that its events carry of other views. Who has an event and not what it carried can say
//! which key it has, and whether it counts, only where neither rests on them.

use std::{collections::BTreeSet, fmt};

use shipway_core::Name;
use shipway_expression::{Expression, ExpressionError, Scope};

use crate::View;

/// The columns of a view, in the order in which an expression can name them.
struct Columns<'v> {
    names: Vec<&'v str>,
    scope: Scope,
    /// Those whose values come of other views.
    carried: BTreeSet<&'v str>,
}

impl<'v> Columns<'v> {
    fn of(view: &'v View) -> Self {
        let names: Vec<&str> = view.column_types.keys().map(Name::as_str).collect();
        let types = view.column_types.iter().map(|(name, data_type)| (name.as_str(), *data_type));
        let carried = names.iter().copied().filter(|name| view.is_enriched_with(name)).collect();
        let mut columns = Self { scope: Scope::of(types), names, carried };
        for derived in &view.derived {
            let name = derived.name.as_str();
            if columns.is_carried_by(&Expression::compile(&derived.expression, &columns.scope)) {
                columns.carried.insert(name);
            }
            columns.scope.add(name, derived.data_type, columns.names.len());
            columns.names.push(name);
        }
        columns
    }

    /// Whether an expression reads one of them. What does not compile might.
    fn is_carried_by(&self, compiled: &Result<Expression, ExpressionError>) -> bool {
        let Ok(compiled) = compiled else { return true };
        let mut reads = compiled.reads().iter().filter_map(|at| self.names.get(*at));
        reads.any(|name| self.carried.contains(name))
    }
}

/// Why a sink cannot send the rows of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsendable {
    /// A row has a column for each key and each feature, and two of them have one name.
    FeatureIsKey {
        /// The view.
        view: Name,
        /// The name.
        feature: Name,
    },
    /// An event alone does not say whose row has changed.
    KeyedByOtherViews {
        /// The view.
        view: Name,
    },
}

impl Unsendable {
    /// What can be done about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::FeatureIsKey { .. } => "a row has a column for each; rename the feature",
            Self::KeyedByOtherViews { .. } => {
                "an event alone does not say whose row has changed; send a view with keys of its own"
            }
        }
    }
}

impl fmt::Display for Unsendable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FeatureIsKey { view, feature } => {
                write!(formatter, "feature {feature} of view {view} has the name of a key")
            }
            Self::KeyedByOtherViews { view } => {
                write!(formatter, "the keys of view {view} come of what other views say")
            }
        }
    }
}

impl View {
    /// Why a sink cannot send its rows; none: it can.
    pub fn unsendable(&self) -> Option<Unsendable> {
        let is_key = |feature: &Name| self.entity_keys.iter().any(|(key, _)| key == feature);
        if let Some((feature, _)) = self.outputs().into_iter().find(|(feature, _)| is_key(feature)) {
            return Some(Unsendable::FeatureIsKey { view: self.name.clone(), feature });
        }
        self.is_keyed_by_other_views().then(|| Unsendable::KeyedByOtherViews { view: self.name.clone() })
    }

    /// Whether the key of an event rests on what the event carries of other views.
    fn is_keyed_by_other_views(&self) -> bool {
        if self.enrich.is_empty() {
            return false;
        }
        let columns = Columns::of(self);
        self.key_columns.iter().any(|column| columns.carried.contains(column.as_str()))
    }

    /// Whether it rests on what an event carries of other views if the event counts.
    pub fn is_filtered_by_other_views(&self) -> bool {
        let Some(filter) = self.filter.as_ref().filter(|_| !self.enrich.is_empty()) else { return false };
        let columns = Columns::of(self);
        columns.is_carried_by(&Expression::condition(filter, &columns.scope))
    }
}

//! How the rows of a table lie best.

use std::collections::BTreeSet;

use shipway_core::Name;
use shipway_lake::{Effort, Upkeep};

use crate::{features::Inner, source::SourceRuntime};

/// More columns than these make no difference to which parts of a file a reader can leave out.
const MOST_COLUMNS: usize = 3;

impl Inner {
    /// How `table` is to be kept. The history of a source, and what was late for it, is sorted by the keys of its views and
    /// joined along its time; any other table keeps the order in which its rows came.
    pub(crate) fn upkeep_of(&self, table: &str, effort: Effort) -> Upkeep {
        let of_source = self.sources().into_iter().find(|runtime| {
            let shape = runtime.shape();
            table == runtime.name.as_str() || table == shape.schema.late_table()
        });
        let (cluster_by, time) = of_source.map_or_else(Default::default, |runtime| {
            let shape = runtime.shape();
            let time = shape.schema.columns[shape.schema.time_index].0.to_string();
            (self.keys_of(&runtime), Some(time))
        });
        Upkeep { cluster_by, time, retention: self.limits.retention, now: self.clock.now(), effort }
    }

    /// The key columns of the views of a source; those of the first view first.
    fn keys_of(&self, runtime: &SourceRuntime) -> Vec<String> {
        let definitions = self.definitions();
        let views = definitions.views.values().filter(|view| view.definition.source == runtime.name);
        let mut seen = BTreeSet::new();
        let keys = views.flat_map(|view| {
            // A key that is derived, or that other views give to events, is no column of the table.
            let view = &view.definition;
            let is_held =
                |key: &&Name| view.column_types.contains_key(*key) && !view.is_enriched_with(key.as_str());
            view.key_columns.iter().filter(is_held)
        });
        let keys = keys.map(ToString::to_string);
        keys.filter(|key| seen.insert(key.clone())).take(MOST_COLUMNS).collect()
    }
}

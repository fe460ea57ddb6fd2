//! Which changes of a source would make its history wrong.
//!
//! Events are stored with the columns that the source had, ordered by its event time and told apart by its event id. A
//! change of those cannot be undone in what is stored, so it is refused; a column can be added at any time.

use std::collections::BTreeMap;

use shipway_core::{DataType, Name};
use shipway_definitions::{Corrections, DefinitionKind, DefinitionSet, SinkTo, Source, View, ViewReference};

use crate::plan::{RefusedChange, Subject};

/// What a source has been over all its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceHistory {
    event_time: Name,
    event_id: Option<Name>,
    corrections: Option<Corrections>,
    /// Every column that there ever was, with its type: the stored history has them all.
    columns: BTreeMap<Name, DataType>,
    /// The columns of the last revision.
    present: Vec<Name>,
}

impl SourceHistory {
    /// The history of a source with one revision.
    pub(crate) fn of(source: &Source) -> Self {
        Self {
            event_time: source.event_time.clone(),
            event_id: source.event_id.clone(),
            corrections: source.corrections.clone(),
            columns: source.columns.iter().cloned().collect(),
            present: source.columns.iter().map(|(column, _)| column.clone()).collect(),
        }
    }

    /// The same history with one more revision, which [`refusals`] has let pass.
    pub(crate) fn extend(&mut self, source: &Source) {
        let mut next = Self::of(source);
        next.columns.extend(std::mem::take(&mut self.columns));
        *self = next;
    }
}

/// Why `source` cannot come after `history`. `result` is what would be in force: its views must find their columns.
pub(crate) fn refusals(
    history: &SourceHistory,
    source: &Source,
    result: &DefinitionSet,
) -> Vec<RefusedChange> {
    let mut refusals = Vec::new();
    let mut refuse = |what: String, hint: &str| {
        refusals.push(RefusedChange {
            subject: Subject { kind: DefinitionKind::Source, name: source.name.clone() },
            message: format!("source {}: {what}", source.name),
            hint: hint.to_owned(),
        });
    };
    if source.event_time != history.event_time {
        let what = format!("event_time cannot change from {} to {}", history.event_time, source.event_time);
        refuse(what, "the history is ordered by it; define a new source and load the history into that");
    }
    if source.event_id != history.event_id {
        let word = |id: &Option<Name>| id.as_ref().map_or_else(|| "none".to_owned(), Name::to_string);
        let what =
            format!("event_id cannot change from {} to {}", word(&history.event_id), word(&source.event_id));
        refuse(what, "events are told apart by it; define a new source and load the history into that");
    }
    if source.corrections != history.corrections {
        let what = "same_id and deleted cannot change".to_owned();
        refuse(
            what,
            "they say what every event of the history means; define a new source and load the history into that",
        );
    }
    for (column, data_type) in &source.columns {
        if let Some(recorded) = history.columns.get(column)
            && recorded != data_type
        {
            let what = format!("column {column} cannot change from {recorded} to {data_type}");
            refuse(what, "the history holds it; add a column of another name, or define a new source");
        }
    }
    for (column, _) in source.columns.iter().filter(|(column, _)| !history.present.contains(column)) {
        let mut views = result.views_by_hash.values().map(|versioned| &versioned.definition);
        let carrying =
            views.find(|view| view.source == source.name && view.is_enriched_with(column.as_str()));
        if let Some(view) = carrying {
            let what = format!("column {column} cannot be added, the events of view {} carry one", view.name);
            refuse(what, "give it another name");
        }
    }
    for column in &history.present {
        if source.column_type(column.as_str()).is_some() {
            continue;
        }
        if let Some(view) = readers(source, column, result).next() {
            let what = format!("column {column} cannot go, view {} reads it", view.name);
            refuse(what, "keep the column, or remove the views and services that use it first");
        }
    }
    refusals
}

/// Why sources that are selected from others, and are not among the `proposed` ones, could not be what they are. `result` is what would
/// be in force.
pub(crate) fn broken_selections(proposed: &DefinitionSet, result: &DefinitionSet) -> Vec<RefusedChange> {
    let sources = result.sources.values().map(|source| &source.definition);
    let untouched = sources.filter(|source| !proposed.sources.contains_key(&source.name));
    let broken = untouched.filter_map(|source| {
        let why = broken_selection(source, result)?;
        Some(RefusedChange {
            subject: Subject { kind: DefinitionKind::Source, name: source.name.clone() },
            message: format!("source {}: its select would not be valid any more: {why}", source.name),
            hint: "apply that source with it, changed so that both fit, or leave in place what it reads"
                .to_owned(),
        })
    });
    broken.collect()
}

fn broken_selection(source: &Source, result: &DefinitionSet) -> Option<String> {
    let select = source.select.as_ref()?;
    // What would not be there at all is told where it goes.
    let from = &result.sources.get(&select.from)?.definition;
    let mut views = Vec::with_capacity(select.joins.len());
    for join in &select.joins {
        let view = &result.views.get(&join.view)?.definition;
        let types = join.keys.iter().map(|column| from.column_type(column.as_str()));
        if !types.eq(view.entity_keys.iter().map(|(_, data_type)| Some(*data_type))) {
            return Some(format!("view {} has another key", view.name));
        }
        views.push(view);
    }
    let given = match select.projection(from, &views) {
        Ok(projection) => {
            projection.columns().map(|(name, data_type)| (name.to_owned(), data_type)).collect::<Vec<_>>()
        }
        Err(error) => return Some(error.to_string()),
    };
    let differs = source.columns.iter().find(|(name, data_type)| {
        !given.iter().any(|(given, given_type)| given == name.as_str() && given_type == data_type)
    });
    differs.map(|(name, data_type)| format!("it would not give column {name} as {data_type}"))
}

/// Why the history of `source` cannot have the table of its name: a sink fills it.
pub(crate) fn taken_table(source: &Source, result: &DefinitionSet) -> Option<RefusedChange> {
    let sinks = result.sinks.values().map(|sink| &sink.definition);
    let mut filling = sinks.filter(|sink| matches!(&sink.to, SinkTo::Table(table) if *table == source.name));
    let sink = filling.next()?;
    Some(RefusedChange {
        subject: Subject { kind: DefinitionKind::Source, name: source.name.clone() },
        message: format!("source {}: its table is filled by sink {}", source.name, sink.name),
        hint: "give the source another name, or have the sink fill another table".to_owned(),
    })
}

/// The views that read `column`: those in force, the versions that services in force are bound to, and all that these stand
/// on.
fn readers<'a>(
    source: &'a Source,
    column: &'a Name,
    result: &'a DefinitionSet,
) -> impl Iterator<Item = &'a View> {
    let mut views: Vec<&View> = result.views.values().map(|versioned| &versioned.definition).collect();
    let bound = result.services.values().flat_map(|service| &service.definition.views);
    views.extend(bound.filter_map(|reference| version(result, reference)));
    let mut next = 0;
    while let Some(view) = views.get(next) {
        next += 1;
        views.extend(view.enrich.iter().filter_map(|reference| version(result, reference)));
    }
    views.into_iter().filter(move |view| {
        view.source == source.name
            && view.column_types.contains_key(column)
            && !view.is_enriched_with(column.as_str())
    })
}

fn version<'a>(result: &'a DefinitionSet, reference: &ViewReference) -> Option<&'a View> {
    result.views_by_hash.get(&reference.hash).map(|versioned| &versioned.definition)
}

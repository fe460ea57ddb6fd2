//! What a change leads to, in sentences for the person who is about to apply it.

use shipway_core::Name;
use shipway_definitions::{
    Batch, BatchFrom, DefinitionKind, DefinitionSet, Service, Source, View, ViewReference,
};

use crate::plan::Subject;

pub(super) fn of_removal(subject: &Subject) -> Vec<String> {
    let sentence = match subject.kind {
        DefinitionKind::Source => "it takes no more events; its table and its history stay",
        DefinitionKind::View => {
            "its state is retired as soon as nothing needs it; the history of its source stays"
        }
        DefinitionKind::Service => "its versions stay known by their hashes for what was trained on them",
        DefinitionKind::Gate => "its alias can be given without these requirements",
        DefinitionKind::Entity => return Vec::new(),
    };
    vec![sentence.to_owned()]
}

/// `result` is what would be in force.
pub(super) fn of_change(current: &DefinitionSet, result: &DefinitionSet, subject: &Subject) -> Vec<String> {
    let name = subject.name.as_str();
    match subject.kind {
        DefinitionKind::Source => match (current.sources.get(name), result.sources.get(name)) {
            (None, Some(after)) => {
                let mut sentences = vec!["it takes events and loads from now on".to_owned()];
                sentences.extend(after.definition.batch.as_ref().map(of_batch));
                sentences
            }
            (Some(before), Some(after)) => of_source(&before.definition, &after.definition),
            _ => Vec::new(),
        },
        DefinitionKind::View => {
            let Some(after) = result.views.get(name) else { return Vec::new() };
            match current.views.get(name) {
                Some(before) if before.hash == after.hash => vec![no_new_version()],
                before => {
                    let mut sentences = of_view(result, &after.definition, before.is_some());
                    sentences.extend(
                        before.iter().flat_map(|before| of_inner(&before.definition, &after.definition)),
                    );
                    sentences
                }
            }
        }
        DefinitionKind::Service => {
            let Some(after) = result.services.get(name) else { return Vec::new() };
            match current.services.get(name) {
                Some(before) if before.hash == after.hash => vec![no_new_version()],
                Some(before) => of_service(&before.definition, &after.definition),
                None => {
                    vec![format!(
                        "it makes vectors of {}",
                        counted(after.definition.columns().len(), "column")
                    )]
                }
            }
        }
        DefinitionKind::Entity => of_entity(current, result, &subject.name),
        DefinitionKind::Gate => Vec::new(),
    }
}

fn no_new_version() -> String {
    "no new version: every value stays as it is".to_owned()
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn of_entity(current: &DefinitionSet, result: &DefinitionSet, name: &Name) -> Vec<String> {
    let keys =
        |set: &DefinitionSet| set.entities.get(name).map(|versioned| versioned.definition.keys.clone());
    let (before, after) = (keys(current), keys(result));
    if before.is_none() || before == after {
        return Vec::new();
    }
    let stale =
        result.views.values().map(|versioned| &versioned.definition).filter(|view| {
            view.entity == *name && after.as_ref().is_some_and(|keys| *keys != view.entity_keys)
        });
    stale.map(|view| format!("view {} is not in the files and keeps the keys it has", view.name)).collect()
}

fn of_source(before: &Source, after: &Source) -> Vec<String> {
    let missing_in = |other: &Source, source: &Source| -> Vec<Name> {
        let columns = source.columns.iter().map(|(column, _)| column);
        columns.filter(|column| other.column_type(column.as_str()).is_none()).cloned().collect()
    };
    let added = missing_in(before, after);
    let dropped = missing_in(after, before);
    let mut sentences: Vec<_> =
        added.iter().map(|column| format!("column {column} is null in the events so far")).collect();
    sentences
        .extend(dropped.iter().map(|column| format!("column {column} is taken no more; its history stays")));
    let content = |source: &Source| source.batch.as_ref().map(|batch| (batch.from.clone(), batch.every));
    if content(before) != content(after) {
        sentences.push(match &after.batch {
            Some(batch) => of_batch(batch),
            None => "nothing more is loaded from elsewhere; what is loaded stays".to_owned(),
        });
    }
    sentences
}

fn of_batch(batch: &Batch) -> String {
    let what = match &batch.from {
        BatchFrom::Files { pattern, .. } => format!("every file of {pattern} is loaded once"),
        BatchFrom::Delta { table } => {
            format!("the rows of table {table} are loaded, then what each version adds")
        }
    };
    match batch.every {
        Some(every) => format!("{what}, looked for now and every {every}"),
        None => format!("{what}, looked for now and when it is asked for"),
    }
}

fn of_view(result: &DefinitionSet, view: &View, is_new_version: bool) -> Vec<String> {
    let mut sentences = vec![format!("its tiles will be built from the history of source {}", view.source)];
    if !is_new_version {
        return sentences;
    }
    let hash = result.views.get(&view.name).map(|versioned| versioned.hash);
    let outer = result.views.values().map(|versioned| &versioned.definition);
    let services = result.services.values().map(|versioned| &versioned.definition);
    let outer = outer.flat_map(|outer| outer.enrich.iter().map(|reference| (&outer.name, reference)));
    let services =
        services.flat_map(|service| service.views.iter().map(|reference| (&service.name, reference)));
    for (kind, consumers) in [("view", outer.collect::<Vec<_>>()), ("service", services.collect())] {
        let consumers = consumers.into_iter().filter(|(_, reference)| reference.view == view.name);
        let (taking, keeping): (Vec<_>, Vec<_>) =
            consumers.partition(|(_, reference)| Some(reference.hash) == hash);
        if !taking.is_empty() {
            sentences.push(format!("it gives a new version to {kind} {}", names(&taking)));
        }
        if !keeping.is_empty() {
            let names = names(&keeping);
            sentences.push(format!("{kind} {names} is not in the files and stays with the version it has"));
        }
    }
    sentences
}

fn names(consumers: &[(&Name, &ViewReference)]) -> String {
    consumers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Which of the views that it stands on are at another version.
fn of_inner(before: &View, after: &View) -> Vec<String> {
    let moved = after.enrich.iter().filter_map(|reference| {
        let earlier = before.enrich.iter().find(|earlier| earlier.view == reference.view)?;
        let (view, from, to) = (&reference.view, earlier.hash.short(), reference.hash.short());
        (earlier.hash != reference.hash)
            .then(|| format!("it is enriched with view {view} at version {to}, before {from}"))
    });
    moved.collect()
}

fn of_service(before: &Service, after: &Service) -> Vec<String> {
    let mut sentences = Vec::new();
    for reference in &after.views {
        let earlier = before.views.iter().find(|earlier| earlier.view == reference.view);
        if let Some(earlier) = earlier
            && earlier.hash != reference.hash
        {
            let (view, from, to) = (&reference.view, earlier.hash.short(), reference.hash.short());
            sentences.push(format!("it takes view {view} at version {to}, before {from}"));
        }
    }
    let columns = |service: &Service| -> Vec<String> {
        service.columns().iter().map(|column| format!("{} {}", column.name, column.data_type)).collect()
    };
    if columns(before) != columns(after) {
        sentences.push("its columns are others: a model has to be trained on this version".to_owned());
    } else if before.computed != after.computed {
        sentences.push("it computes something else: a model has to be trained on this version".to_owned());
    }
    sentences.push("what was trained on an earlier version keeps it".to_owned());
    sentences
}

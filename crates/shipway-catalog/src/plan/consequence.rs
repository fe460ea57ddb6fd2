//! What a change leads to, in sentences for the person who is about to apply it.
//!
//! Whom it touches is said once, by `impact`; which versions it takes, by the fields that differ.

use shipway_core::Name;
use shipway_definitions::{
    Batch, BatchFrom, DefinitionKind, DefinitionSet, Selection, Service, Sink, SinkFrom, SinkTo, Source,
    Stream, StreamStart,
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
        DefinitionKind::Sink => "it sends no more, and how far it was is forgotten; what it has sent stays",
        DefinitionKind::LlmModel => {
            "callers that ask for it are refused; what it has cost stays in the ledger"
        }
        DefinitionKind::LlmGuardrail | DefinitionKind::Entity => return Vec::new(),
    };
    vec![sentence.to_owned()]
}

/// `result` is what would be in force.
pub(super) fn of_change(current: &DefinitionSet, result: &DefinitionSet, subject: &Subject) -> Vec<String> {
    let name = subject.name.as_str();
    match subject.kind {
        DefinitionKind::Source => match (current.sources.get(name), result.sources.get(name)) {
            (None, Some(after)) => {
                if let Some(select) = &after.definition.select {
                    return vec![of_selection(select)];
                }
                let mut sentences = vec!["it takes events and loads from now on".to_owned()];
                sentences.extend(after.definition.batch.as_ref().map(of_batch));
                sentences.extend(after.definition.stream.as_ref().map(of_stream));
                sentences
            }
            (Some(before), Some(after)) => of_source(&before.definition, &after.definition),
            _ => Vec::new(),
        },
        DefinitionKind::View => {
            let Some(after) = result.views.get(name) else { return Vec::new() };
            match current.views.get(name) {
                Some(before) if before.hash == after.hash => vec![no_new_version()],
                _ => vec![format!(
                    "its tiles will be built from the history of source {}",
                    after.definition.source
                )],
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
        DefinitionKind::LlmModel | DefinitionKind::LlmGuardrail => {
            vec!["calls that begin from now on go by it".to_owned()]
        }
        DefinitionKind::Sink => {
            let Some(after) = result.sinks.get(name) else { return Vec::new() };
            of_sink(
                current.sinks.get(name).map(|before| &before.definition),
                &after.definition,
                current,
                result,
            )
        }
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
    let topic =
        |source: &Source| source.stream.as_ref().map(|stream| (stream.broker.clone(), stream.topic.clone()));
    if topic(before) != topic(after) {
        sentences.push(match &after.stream {
            Some(stream) => of_stream(stream),
            None => "nothing more is read from a broker; what came stays".to_owned(),
        });
    } else if before.stream != after.stream {
        sentences.push(
            "messages are read in the new way from the next one on; dead letters can be replayed".to_owned(),
        );
    }
    if before.select != after.select {
        sentences.push(match &after.select {
            Some(select) if before.select.is_none() => of_selection(select),
            Some(_) => {
                "events are selected in the new way from the next one on; what was selected stays".to_owned()
            }
            None => "it takes events and loads from now on; what was selected stays".to_owned(),
        });
    }
    sentences
}

fn of_selection(select: &Selection) -> String {
    format!(
        "its events are selected from source {}: from its history first, then from each that arrives",
        select.from
    )
}

fn of_sink(
    before: Option<&Sink>,
    after: &Sink,
    current: &DefinitionSet,
    result: &DefinitionSet,
) -> Vec<String> {
    let source_of = |set: &DefinitionSet, from: &SinkFrom| match from {
        SinkFrom::View(view) => set.views.get(view).map(|view| view.definition.source.clone()),
        SinkFrom::Deployment(_) | SinkFrom::Table(_) => None,
    };
    // Views of one source are read from one log, so that a place in it is good for all of them.
    let goes_on = before.is_some_and(|before| {
        let (was, is) = (source_of(current, &before.from), source_of(result, &after.from));
        before.from == after.from || (was.is_some() && was == is)
    });
    if goes_on {
        return vec!["it goes on where it is".to_owned()];
    }
    let what = match &after.from {
        SinkFrom::View(view) => format!("a row of each key of view {view} whose events come from now on"),
        SinkFrom::Deployment(deployment) => format!("what deployment {deployment} predicts from now on"),
        SinkFrom::Table(table) => format!("each row that table {table} gains from now on"),
    };
    let mut sentences = vec![format!("it sends {what} to {}", after.to)];
    if let SinkTo::Topic { .. } = after.to {
        sentences.push("the topic has to be there: none is made".to_owned());
    }
    sentences
}

fn of_stream(stream: &Stream) -> String {
    let Stream { broker, topic, start, .. } = stream;
    let from = match start {
        StreamStart::Earliest => "its oldest message",
        StreamStart::Latest => "the next message",
    };
    format!("events are read from topic {topic} of broker {broker}, from {from} on where it was never read")
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

fn of_service(before: &Service, after: &Service) -> Vec<String> {
    let mut sentences = Vec::new();
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

//! The sinks of a view, and which changes of it they could not follow.

use shipway_core::Name;
use shipway_definitions::{DefinitionKind, DefinitionSet, Sink, SinkFrom, View};

use crate::plan::{RefusedChange, Subject};

/// The sinks in force that send a view.
pub(super) fn sending<'a>(set: &'a DefinitionSet, view: &'a Name) -> impl Iterator<Item = &'a Sink> {
    let sinks = set.sinks.values().map(|sink| &sink.definition);
    sinks.filter(move |sink| matches!(&sink.from, SinkFrom::View(name) if name == view))
}

/// Why `view` cannot come while a sink that stays in force sends it.
pub(super) fn refusal(view: &View, result: &DefinitionSet) -> Option<RefusedChange> {
    let sink = sending(result, &view.name).next()?;
    let unsendable = view.unsendable()?;
    Some(RefusedChange {
        subject: Subject { kind: DefinitionKind::View, name: view.name.clone() },
        message: format!("view {}: sink {} could not send it: {unsendable}", view.name, sink.name),
        hint: format!("{}, or drop the sink first", unsendable.hint()),
    })
}

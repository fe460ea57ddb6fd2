//! Resolves a sink: the view whose rows it sends, and the table that it fills.

use std::{collections::BTreeMap, sync::Arc};

use shipway_core::Name;

use crate::{
    DefinitionKind, SinkFrom, SinkTo, Versioned,
    parse::{Head, Located, SinkDraft},
    resolve::{Found, Resolver},
};

impl Resolver<'_> {
    /// `filled`: the tables that sinks before this one fill, and by which.
    pub(super) fn sink(&mut self, draft: SinkDraft, filled: &mut BTreeMap<Name, Name>) {
        let errors_before = self.report.count();
        let head = draft.head.clone();
        let mut is_complete = !head.broken;
        if let Some(Located { line, value: SinkFrom::View(name) }) = &draft.from {
            match self.find_view(&head, *line, name) {
                Found::Silent => is_complete = false,
                Found::Known(view) => {
                    if view.definition.is_corrected {
                        let message = format!("view {name}: its events are replaced (same_id: replace)");
                        let hint = "send a view whose events stay: an event that is taken away does not say whose row it changes";
                        self.refuse(&head, *line, &message, Some(hint.to_owned()));
                    }
                    if let Some(unsendable) = view.definition.unsendable() {
                        let hint = Some(unsendable.hint().to_owned());
                        self.refuse(&head, *line, &unsendable.to_string(), hint);
                    }
                }
            }
        }
        if let Some((to, table)) = draft.to.as_ref().and_then(|to| Some((to, to.table()?))) {
            self.check_table(&head, to.line, table, filled);
        }
        if !is_complete || self.report.count() > errors_before {
            self.broken.insert((DefinitionKind::Sink, head.name));
            return;
        }
        if let Some(sink) = draft.into_sink() {
            self.set.sinks.insert(head.name, Arc::new(Versioned::sink(sink)));
        }
    }

    fn check_table(&mut self, head: &Head, line: u64, table: &Name, filled: &mut BTreeMap<Name, Name>) {
        let is_source =
            |table: &Name| self.set.sources.contains_key(table) || self.base.sources.contains_key(table);
        let before = filled.insert(table.clone(), head.name.clone());
        let others = self.base.sinks.values().map(|sink| &sink.definition);
        let of_base = others.filter(|other| {
            other.name != head.name && matches!(&other.to, SinkTo::Table(name) if name == table)
        });
        // One that is defined anew in the files says itself where it goes.
        let mut of_base = of_base.filter(|other| !self.defined_sinks.contains(&other.name));
        let other = before.or_else(|| of_base.next().map(|other| other.name.clone()));
        let message = if is_source(table) {
            format!("table {table} is the history of source {table}")
        } else if let Some(other) = other {
            format!("table {table} is filled by sink {other} already")
        } else {
            return;
        };
        self.refuse(head, line, &message, Some("give it another name".to_owned()));
    }
}

//! Resolves sources that are selected from other ones, and the order in which sources and views are taken: a selection needs its source
//! and the views that it joins, a view its source.

use std::collections::BTreeSet;

use shipway_core::{DataType, Name, nearest};
use shipway_expression::Join;

use crate::{
    DefinitionKind, Selection, SelectionJoin, Source, View,
    model::compiled,
    parse::{Columns, Head, Located, SelectDraft, SourceDraft, ViewDraft},
    resolve::{Found, Resolver},
};

impl Resolver<'_> {
    /// Takes sources and views, each after what it needs.
    pub(super) fn sources_and_views(&mut self, sources: Vec<SourceDraft>, views: Vec<ViewDraft>) {
        let (mut selected, plain): (Vec<_>, Vec<_>) =
            sources.into_iter().partition(|source| source.select.is_some());
        for draft in plain {
            self.source(draft);
        }
        let mut views = self.inner_first(views);
        loop {
            let waiting: BTreeSet<Name> = selected.iter().map(|source| source.head.name.clone()).collect();
            let (ready, later): (Vec<_>, Vec<_>) = views
                .into_iter()
                .partition(|view| view.source.as_ref().is_none_or(|source| !waiting.contains(&source.value)));
            for draft in ready {
                self.view(draft);
            }
            views = later;
            let waiting_views: BTreeSet<&Name> = views.iter().map(|view| &view.head.name).collect();
            let can_go = |source: &SourceDraft| {
                source.select.as_ref().is_none_or(|select| {
                    !waiting.iter().any(|name| name.as_str() == select.value.select.from())
                        && !select
                            .value
                            .select
                            .joins()
                            .iter()
                            .any(|join| waiting_views.iter().any(|view| view.as_str() == join.view))
                })
            };
            let (ready, later): (Vec<_>, Vec<_>) = selected.into_iter().partition(can_go);
            selected = later;
            if ready.is_empty() {
                break;
            }
            for draft in ready {
                self.source(draft);
            }
        }
        for draft in selected {
            self.refuse_selection_of_itself(&draft);
        }
        // What is left stands on a source that was refused, and is passed over in silence.
        for draft in views {
            self.view(draft);
        }
    }

    fn refuse_selection_of_itself(&mut self, draft: &SourceDraft) {
        let (name, line) =
            (&draft.head.name, draft.select.as_ref().map_or(draft.head.line, |select| select.line));
        let message = "it is selected from itself, directly or by what it joins";
        let hint = "take one of the references out: an event cannot wait for itself".to_owned();
        self.broken.insert((DefinitionKind::Source, name.clone()));
        self.refuse(&draft.head, line, message, Some(hint));
    }

    /// The selection and the columns that it gives, among them those that are `needed`, each with the word and the type for it. `None`
    /// when it has an error, or what it needs has one.
    pub(super) fn selection<'n>(
        &mut self,
        head: &Head,
        draft: Located<SelectDraft>,
        declared: &Columns,
        mut needed: impl Iterator<Item = (&'n Located<Name>, &'static str, DataType)>,
    ) -> Option<(Selection, Vec<(Name, DataType)>)> {
        let line = draft.line;
        let SelectDraft { sql, select } = draft.value;
        let from = self.table_name(head, line, "source", select.from())?;
        let Found::Known(source) = self.find_source(head, line, &from) else { return None };
        if !self.needs_events_that_stay(head, line, &source.definition, "select") {
            return None;
        }
        let mut views = Vec::with_capacity(select.joins().len());
        let mut joins = Vec::with_capacity(select.joins().len());
        for join in select.joins() {
            let name = self.table_name(head, line, "view", &join.view)?;
            let Found::Known(view) = self.find_view(head, line, &name) else { return None };
            joins.push(self.join(head, line, join, &source.definition, &view.definition)?);
            views.push(view);
        }
        let joined: Vec<&View> = views.iter().map(|view| &view.definition).collect();
        let projection = match compiled(&select, &source.definition, &joined) {
            Ok(projection) => projection,
            Err(error) => {
                self.refuse(head, line, &format!("select: {error}"), error.hint());
                return None;
            }
        };
        let mut given = Vec::new();
        for (name, data_type) in projection.columns() {
            match Name::new(name) {
                Ok(name) if data_type.is_of_columns() => given.push((name, data_type)),
                Ok(name) => {
                    let hint = Some("compute something else, or leave it out".to_owned());
                    self.refuse(
                        head,
                        line,
                        &format!("column {name} of select is {data_type}, which no source has"),
                        hint,
                    );
                    return None;
                }
                Err(_) => {
                    let hint = Some(
                        "give it another one with AS: a lower-case letter, then a-z, 0-9 and _".to_owned(),
                    );
                    self.refuse(
                        head,
                        line,
                        &format!("column {name} of select has a name that no column can have"),
                        hint,
                    );
                    return None;
                }
            }
        }
        let selection = Selection { sql, from, joins };
        if declared.is_empty() {
            let has_all =
                needed.all(|(column, what, data_type)| self.gives(head, column, (what, data_type), &given));
            return has_all.then_some((selection, given));
        }
        // Whether these have what is needed was judged when they were read.
        if !self.declares(head, line, declared, &given) {
            return None;
        }
        let columns = declared.iter().map(|(name, data_type)| (name.value.clone(), *data_type));
        Some((selection, columns.collect()))
    }

    /// Whether `column` is among the `given` ones with a type that it needs; an int is as good as a text.
    fn gives(
        &mut self,
        head: &Head,
        column: &Located<Name>,
        (what, needs): (&str, DataType),
        given: &[(Name, DataType)],
    ) -> bool {
        let found = given.iter().find(|(name, _)| *name == column.value).map(|(_, data_type)| *data_type);
        let (message, hint) = match found {
            Some(got) if got == needs || (needs == DataType::Text && got == DataType::Int) => return true,
            Some(got) => (
                format!("column {} of select is {got}; {what} needs {needs}", column.value),
                Some(format!("write CAST(… AS {needs}) in select")),
            ),
            None => {
                let near = nearest(column.value.as_str(), given.iter().map(|(name, _)| name.as_str()));
                let hint = near.map(|near| format!("did you mean {near}?"));
                (format!("{what} {} is not given by select", column.value), hint)
            }
        };
        self.refuse(head, column.line, &message, hint);
        false
    }

    fn table_name(&mut self, head: &Head, line: u64, what: &str, name: &str) -> Option<Name> {
        let parsed = Name::new(name);
        if parsed.is_err() {
            self.refuse(head, line, &format!("{name} in select is not the name of a {what}"), None);
        }
        parsed.ok()
    }

    /// The columns of the event that are the key of the view.
    fn join(
        &mut self,
        head: &Head,
        line: u64,
        join: &Join,
        source: &Source,
        view: &View,
    ) -> Option<SelectionJoin> {
        if view.is_corrected {
            let message =
                format!("select joins view {}, whose events are replaced (same_id: replace)", view.name);
            let hint =
                "join a latest-value view of a source of every change, with changes: all and without same_id";
            self.refuse(head, line, &message, Some(hint.to_owned()));
            return None;
        }
        let mut keys = Vec::with_capacity(view.entity_keys.len());
        let alias = &join.alias;
        for (key, _) in &join.on {
            if !view.entity_keys.iter().any(|(name, _)| name.as_str() == key) {
                let known: Vec<&str> = view.entity_keys.iter().map(|(name, _)| name.as_str()).collect();
                let hint = format!("its key is {}", known.join(", "));
                self.refuse(
                    head,
                    line,
                    &format!("{alias}.{key} in select is no key of view {}", view.name),
                    Some(hint),
                );
                return None;
            }
        }
        for (key, key_type) in &view.entity_keys {
            let named: Vec<&str> = join
                .on
                .iter()
                .filter(|(name, _)| name == key.as_str())
                .map(|(_, column)| column.as_str())
                .collect();
            let [column] = named.as_slice() else {
                let hint = format!("join it ON {alias}.{key} = a column of source {}", source.name);
                let times = if named.is_empty() { "does not say" } else { "says twice" };
                self.refuse(
                    head,
                    line,
                    &format!("select {times} what {key} of view {} is", view.name),
                    Some(hint),
                );
                return None;
            };
            match source.columns.iter().find(|(name, _)| name.as_str() == *column) {
                Some((name, data_type)) if data_type == key_type => keys.push(name.clone()),
                Some((_, data_type)) => {
                    let message =
                        format!("column {column} is {data_type}, {key} of view {} is {key_type}", view.name);
                    self.refuse(head, line, &message, None);
                    return None;
                }
                None => {
                    let near = nearest(column, source.columns.iter().map(|(name, _)| name.as_str()));
                    let hint = near.map(|near| format!("did you mean {near}?"));
                    self.refuse(
                        head,
                        line,
                        &format!("column {column} is not in source {}", source.name),
                        hint,
                    );
                    return None;
                }
            }
        }
        Some(SelectionJoin { view: view.name.clone(), keys })
    }

    /// Whether the declared columns are those that the text gives.
    fn declares(&mut self, head: &Head, line: u64, declared: &Columns, given: &[(Name, DataType)]) -> bool {
        let mut fits = true;
        for (name, data_type) in declared {
            let found = given.iter().find(|(given, _)| *given == name.value);
            let (message, hint) = match found {
                Some((_, given)) if given == data_type => continue,
                Some((_, given)) => (
                    format!("column {} is {data_type}, and select gives {given}", name.value),
                    "write CAST(… AS …) in select, or leave columns out".to_owned(),
                ),
                None => (
                    format!("column {} is not given by select", name.value),
                    format!("write … AS {} in select, or leave columns out", name.value),
                ),
            };
            fits = false;
            self.refuse(head, name.line, &message, Some(hint));
        }
        for (name, data_type) in given {
            if !declared.iter().any(|(declared, _)| declared.value == *name) {
                fits = false;
                let hint = format!("add {name}: {data_type}, or leave columns out");
                self.refuse(
                    head,
                    line,
                    &format!("select gives column {name}, which is not in columns"),
                    Some(hint),
                );
            }
        }
        fits
    }
}

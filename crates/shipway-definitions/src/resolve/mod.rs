//! Drafts to definitions: follows references, knows types, finds clashes.
//!
//! Kinds are resolved in the order in which they build on each other. A reference to something that has errors of its own
//! is passed over in silence: its errors are already reported.
//!
//! - `view`: keys, columns, features and their names
//! - `enrich`: the views that a view stands on, and the order in which views are taken
//! - `selection`: sources that are selected from other ones
//! - `choice`: references to views and their features
//! - `metadata`: what is said about features
//! - `expressions`: names and types of expressions
//! - `service`: views at their versions, the order of columns, clashes with the request
//! - `llm_model`: names that two models are called by, guardrails that models name
//! - `sink`: the view whose rows are sent, the table that is filled

mod choice;
mod enrich;
mod expressions;
mod llm_judge;
mod llm_model;
mod metadata;
mod selection;
mod service;
mod sink;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shipway_core::{DataType, Name, nearest};

use crate::{
    DefinitionKind, DefinitionSet, Entity, Source, Versioned, View,
    parse::{Drafts, EntityDraft, Head, Report, SourceDraft},
    resolve::metadata::Replacement,
};

/// What references are looked up in, and where errors go.
pub(crate) struct Resolver<'r> {
    set: DefinitionSet,
    base: &'r DefinitionSet,
    /// Definitions of the files that have errors of their own.
    broken: BTreeSet<(DefinitionKind, Name)>,
    /// The sinks of the files, whether they have errors or not.
    defined_sinks: BTreeSet<Name>,
    incomplete: bool,
    /// What should be taken instead of deprecated things; looked up when every view is known.
    replacements: Vec<Replacement>,
    /// Where the guardrails of the files stand, and how messages call them.
    guardrail_places: BTreeMap<Name, (Arc<str>, u64, String)>,
    /// The same of models of language.
    model_places: BTreeMap<Name, (Arc<str>, u64, String)>,
    /// Models of language of the files that could not be read.
    has_broken_models: bool,
    report: &'r mut Report,
}

/// Resolves `drafts` against each other, then against `base`. The result is only worth keeping when `report` stays empty.
pub(crate) fn resolve(drafts: Drafts, base: &DefinitionSet, report: &mut Report) -> DefinitionSet {
    let mut resolver = Resolver {
        set: DefinitionSet::default(),
        base,
        broken: BTreeSet::new(),
        defined_sinks: drafts.sinks.iter().map(|draft| draft.head.name.clone()).collect(),
        incomplete: drafts.incomplete,
        replacements: Vec::new(),
        guardrail_places: BTreeMap::new(),
        model_places: BTreeMap::new(),
        has_broken_models: false,
        report,
    };
    for draft in drafts.entities {
        resolver.entity(draft);
    }
    resolver.sources_and_views(drafts.sources, drafts.views);
    resolver.check_replacements();
    for draft in drafts.services {
        resolver.service(draft);
    }
    for gate in drafts.gates.into_iter().filter_map(|draft| draft.gate) {
        resolver.set.gates.insert(gate.name.clone(), Arc::new(Versioned::gate(gate)));
    }
    resolver.llm_guardrails(drafts.llm_guardrails);
    resolver.llm_models(drafts.llm_models);
    let mut filled = BTreeMap::new();
    for draft in drafts.sinks {
        resolver.sink(draft, &mut filled);
    }
    resolver.set
}

/// What a reference led to.
enum Found<T> {
    Known(Arc<Versioned<T>>),
    /// Nothing is known and nothing more should be said.
    Silent,
}

impl Resolver<'_> {
    fn entity(&mut self, draft: EntityDraft) {
        let EntityDraft { head, keys } = draft;
        if head.broken {
            self.broken.insert((DefinitionKind::Entity, head.name));
            return;
        }
        let keys = keys.into_iter().map(|(name, data_type)| (name.value, data_type)).collect();
        let Head { name, description, owner, tags, .. } = head;
        let entity = Entity { name: name.clone(), keys, description, owner, tags };
        self.set.entities.insert(name, Arc::new(Versioned::entity(entity)));
    }

    fn source(&mut self, draft: SourceDraft) {
        let SourceDraft {
            head,
            event_time,
            event_id,
            corrections,
            columns,
            max_ahead,
            dedupe,
            retention,
            batch,
            stream,
            select,
        } = draft;
        let parts = (event_time, max_ahead, dedupe, retention);
        let (Some(event_time), Some(max_ahead), Some(dedupe), Some(retention), false) =
            (parts.0, parts.1, parts.2, parts.3, head.broken)
        else {
            self.broken.insert((DefinitionKind::Source, head.name));
            return;
        };
        let (select, columns) = match select {
            None => (None, columns.into_iter().map(|(name, data_type)| (name.value, data_type)).collect()),
            Some(select) => {
                let known = [(&event_time, "event_time", DataType::Timestamp)];
                let id = event_id.as_ref().map(|column| (column, "event_id", DataType::Text));
                let Some((select, columns)) =
                    self.selection(&head, select, &columns, known.into_iter().chain(id))
                else {
                    self.broken.insert((DefinitionKind::Source, head.name));
                    return;
                };
                (Some(select), columns)
            }
        };
        let own = head.clone();
        let Head { name, description, owner, tags, .. } = head;
        let mut source = Source {
            name: name.clone(),
            event_time: event_time.value,
            event_id: event_id.map(|column| column.value),
            corrections: None,
            columns,
            max_ahead,
            dedupe,
            retention,
            batch,
            stream,
            select,
            description,
            owner,
            tags,
        };
        if let Some(draft) = corrections {
            let Some(corrections) = self.corrections(&own, &source, draft) else {
                self.broken.insert((DefinitionKind::Source, name));
                return;
            };
            source.corrections = Some(corrections);
        }
        self.set.sources.insert(name, Arc::new(Versioned::source(source)));
    }

    fn refuse(&mut self, head: &Head, line: u64, message: &str, hint: Option<String>) {
        self.report.refuse(&head.path, line, format!("{}: {message}", head.thing), hint);
    }

    fn find_entity(&mut self, head: &Head, line: u64, name: &Name) -> Found<Entity> {
        let found = lookup(&self.set.entities, &self.base.entities, name);
        self.found(found, head, line, (DefinitionKind::Entity, name))
    }

    fn find_source(&mut self, head: &Head, line: u64, name: &Name) -> Found<Source> {
        let found = lookup(&self.set.sources, &self.base.sources, name);
        self.found(found, head, line, (DefinitionKind::Source, name))
    }

    fn find_view(&mut self, head: &Head, line: u64, name: &Name) -> Found<View> {
        let found = lookup(&self.set.views, &self.base.views, name);
        self.found(found, head, line, (DefinitionKind::View, name))
    }

    fn found<T>(
        &mut self,
        found: Lookup<T>,
        head: &Head,
        line: u64,
        (kind, name): (DefinitionKind, &Name),
    ) -> Found<T> {
        if self.broken.contains(&(kind, name.clone())) {
            return Found::Silent;
        }
        match found {
            Ok(versioned) => Found::Known(versioned),
            Err(_) if self.incomplete => Found::Silent,
            Err(names) => {
                let broken = self.broken.iter().filter(|(other, _)| *other == kind).map(|(_, name)| name);
                let hint = nearest(name.as_str(), names.iter().chain(broken).map(Name::as_str)).map_or_else(
                    || format!("define it, or name another {kind}"),
                    |nearest| format!("did you mean {nearest}?"),
                );
                self.refuse(head, line, &format!("{kind} {name} does not exist"), Some(hint));
                Found::Silent
            }
        }
    }
}

/// The definition, or the names that there are.
type Lookup<T> = Result<Arc<Versioned<T>>, Vec<Name>>;

fn lookup<T>(
    own: &BTreeMap<Name, Arc<Versioned<T>>>,
    base: &BTreeMap<Name, Arc<Versioned<T>>>,
    name: &Name,
) -> Lookup<T> {
    let found = own.get(name).or_else(|| base.get(name)).cloned();
    found.ok_or_else(|| own.keys().chain(base.keys()).cloned().collect())
}

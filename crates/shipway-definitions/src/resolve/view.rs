//! Resolves a view: keys, columns, features and their names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use shipway_aggregate::{AggregationError, Operation, Window};
use shipway_core::{DataType, Failure, Length, Name, nearest};

use crate::{
    DefinitionKind, Entity, Feature, Source, Versioned, View, ViewBody,
    model::Computed,
    parse::{BodyDraft, EntryDraft, Head, Located, ViewDraft},
    resolve::{Found, Resolver},
};

const VIEW: DefinitionKind = DefinitionKind::View;

impl Resolver<'_> {
    pub(super) fn view(&mut self, draft: ViewDraft) {
        let name = draft.head.name.clone();
        let errors_before = self.report.count();
        let broken = draft.head.broken;
        let view = self.resolve_view(draft);
        match view {
            Some(view) if !broken && self.report.count() == errors_before => {
                let versioned = Arc::new(Versioned::view(view));
                self.set.views_by_hash.insert(versioned.hash, versioned.clone());
                self.set.views.insert(name, versioned);
            }
            _ => {
                self.broken.insert((VIEW, name));
            }
        }
    }

    fn resolve_view(&mut self, draft: ViewDraft) -> Option<View> {
        let ViewDraft {
            head,
            entity,
            source,
            keys,
            enrich,
            filter,
            derive,
            body,
            freshness,
            pii,
            deprecated,
            features,
        } = draft;
        let errors_before = self.report.count();
        let entity = entity.map(|entity| self.find_entity(&head, entity.line, &entity.value));
        let source = source.map(|source| self.find_source(&head, source.line, &source.value));
        let Some(Found::Known(source)) = source else { return None };
        let enrichment = self.enrichment(&head, &source.definition, &enrich)?;
        // What an event of this view looks like.
        let mut seen = source.definition.clone();
        seen.columns.extend(enrichment.columns.iter().cloned());
        let expressions = self.view_expressions(&head, &seen, filter, derive)?;
        let source = &expressions.source;
        let mut column_types = BTreeMap::new();
        let body = body.map(|body| match body {
            BodyDraft::Aggregate(entries) => {
                ViewBody::Aggregates(self.features(&head, source, entries, &mut column_types))
            }
            BodyDraft::Latest { columns, ttl } => {
                let columns = self.latest(&head, source, columns, &mut column_types);
                if let Some(ttl) = &ttl {
                    self.check_retention(&head, ttl.line, "ttl", ttl.value, source);
                }
                ViewBody::Latest { columns, ttl: ttl.map(|ttl| ttl.value), ttls: BTreeMap::new() }
            }
        });
        let Some(Found::Known(entity)) = entity else { return None };
        let entity = &entity.definition;
        let key_columns = self.key_columns(&head, entity, source, keys, &mut column_types)?;
        let mut body = body?;
        // Of a body with errors nobody can say which features it has.
        let features = if self.report.count() == errors_before {
            self.described(&head, source, features, &mut body)
        } else {
            BTreeMap::new()
        };
        if let Some(deprecated) = &deprecated {
            self.note_replacement(&head, deprecated.line, &deprecated.value, None);
        }
        expressions.settle(&mut column_types);
        Some(View {
            name: head.name,
            entity: entity.name.clone(),
            source: source.name.clone(),
            event_time: source.event_time.clone(),
            event_id: source.event_id.clone(),
            is_corrected: source.corrections.is_some(),
            entity_keys: entity.keys.clone(),
            key_columns,
            enrich: enrichment.references(&column_types),
            column_types,
            filter: expressions.filter,
            derived: expressions.derived,
            body,
            freshness,
            description: head.description,
            owner: head.owner,
            tags: head.tags,
            pii,
            deprecated: deprecated.map(|deprecated| deprecated.value),
            features,
        })
    }

    fn key_columns(
        &mut self,
        head: &Head,
        entity: &Entity,
        source: &Source,
        keys: Option<Located<Vec<Located<Name>>>>,
        column_types: &mut BTreeMap<Name, DataType>,
    ) -> Option<Vec<Name>> {
        let written = keys.is_some();
        let columns = keys.unwrap_or_else(|| Located {
            line: head.line,
            value: entity
                .keys
                .iter()
                .map(|(key, _)| Located { line: head.line, value: key.clone() })
                .collect(),
        });
        if columns.value.len() != entity.keys.len() {
            let names: Vec<_> = entity.keys.iter().map(|(key, _)| key.as_str()).collect();
            let message = format!(
                "keys has {} columns, entity {} has {} keys",
                columns.value.len(),
                entity.name,
                names.len()
            );
            let hint = format!("name a column of the source for each of {}, in this order", names.join(", "));
            self.refuse(head, columns.line, &message, Some(hint));
            return None;
        }
        let mut result = Vec::new();
        for ((key, key_type), column) in entity.keys.iter().zip(columns.value) {
            match source.column_type(column.value.as_str()) {
                None => {
                    let message = format!(
                        "column {}, a key of entity {}, is not in source {}",
                        column.value, entity.name, source.name
                    );
                    let hint = near_column(source, &column.value).filter(|_| written).unwrap_or_else(|| {
                        "name the columns that hold the entity's keys with `keys: […]`".to_owned()
                    });
                    self.refuse(head, column.line, &message, Some(hint));
                }
                Some(data_type) if data_type != *key_type => {
                    let message = format!(
                        "column {} is {data_type} in source {}; key {key} of entity {} is {key_type}",
                        column.value, source.name, entity.name
                    );
                    let hint =
                        "declare both with one type, or name another column with `keys: […]`".to_owned();
                    self.refuse(head, column.line, &message, Some(hint));
                }
                Some(data_type) => {
                    column_types.insert(column.value.clone(), data_type);
                    result.push(column.value);
                }
            }
        }
        Some(result)
    }

    fn latest(
        &mut self,
        head: &Head,
        source: &Source,
        columns: Vec<Located<Name>>,
        column_types: &mut BTreeMap<Name, DataType>,
    ) -> Vec<Name> {
        let mut names = Vec::new();
        for column in columns {
            let Some(data_type) = self.source_column(head, source, &column) else { continue };
            if names.contains(&column.value) {
                let message = format!("column {} is listed twice", column.value);
                self.refuse(head, column.line, &message, Some("remove one of them".to_owned()));
                continue;
            }
            column_types.insert(column.value.clone(), data_type);
            names.push(column.value);
        }
        names
    }

    fn source_column(&mut self, head: &Head, source: &Source, column: &Located<Name>) -> Option<DataType> {
        let data_type = source.column_type(column.value.as_str());
        if data_type.is_none() {
            let message = format!("column {} is not in source {}", column.value, source.name);
            let names: Vec<_> = source.columns.iter().map(|(name, _)| name.as_str()).collect();
            let hint = near_column(source, &column.value)
                .unwrap_or_else(|| format!("the columns are {}", names.join(", ")));
            self.refuse(head, column.line, &message, Some(hint));
        }
        data_type
    }

    fn features(
        &mut self,
        head: &Head,
        source: &Source,
        entries: Vec<EntryDraft>,
        column_types: &mut BTreeMap<Name, DataType>,
    ) -> Vec<Feature> {
        let mut features = Vec::new();
        let mut taken = BTreeSet::new();
        for entry in entries {
            let column = match &entry.column {
                None => None,
                Some(column) => match self.source_column(head, source, column) {
                    None => continue,
                    Some(data_type) => Some((column.value.clone(), data_type)),
                },
            };
            let by = match &entry.by {
                None => None,
                Some(by) => match self.source_column(head, source, by) {
                    None => continue,
                    Some(data_type) => Some((by.value.clone(), data_type)),
                },
            };
            for window in &entry.windows {
                if let Window::Sized(length) = window.value {
                    self.check_retention(head, window.line, "window", length, source);
                }
            }
            for operation in &entry.operations {
                let over = entry.over.as_ref().map(|over| over.value);
                let computed =
                    Computed { column: column.clone(), operation: operation.value, over, by: by.clone() };
                if let Err(error) = computed.aggregation() {
                    self.refuse_operation(head, &entry, operation.line, &computed, &error);
                    continue;
                }
                for window in &entry.windows {
                    let Some(name) = self.feature_name(head, &entry, operation, window.value) else {
                        continue;
                    };
                    if !taken.insert(name.clone()) {
                        let message = format!("feature {name} is there twice");
                        let hint = "remove one of them, or name it with `as:`".to_owned();
                        self.refuse(head, entry.line, &message, Some(hint));
                        continue;
                    }
                    if let Ok(feature) = Feature::new(name, computed.clone(), window.value) {
                        features.push(feature);
                    }
                }
            }
            column_types.extend(column);
            column_types.extend(by);
        }
        features
    }

    fn feature_name(
        &mut self,
        head: &Head,
        entry: &EntryDraft,
        operation: &Located<Operation>,
        window: Window,
    ) -> Option<Name> {
        if let Some(name) = &entry.name {
            return Some(name.value.clone());
        }
        let mut parts = vec![operation.value.name_part()];
        if let Some(column) = &entry.column {
            parts.insert(0, column.value.to_string());
        }
        if let Some(by) = &entry.by {
            parts.push(format!("by_{}", by.value));
        }
        let name = format!("{}_{window}", parts.join("_"));
        match Name::new(name) {
            Ok(name) => Some(name),
            Err(error) => {
                let message = format!("feature {} has a name of more than 63 characters", error.0);
                let hint = "give it an entry of its own with a shorter name in `as:`".to_owned();
                self.refuse(head, operation.line, &message, Some(hint));
                None
            }
        }
    }

    fn refuse_operation(
        &mut self,
        head: &Head,
        entry: &EntryDraft,
        line: u64,
        computed: &Computed,
        error: &AggregationError,
    ) {
        let hint = error.hint().map(|hint| hint.into_owned());
        let (line, message, hint) = match (error, &computed.column, &computed.by) {
            (AggregationError::DoesNotFit { operation, needs, got }, Some((column, _)), _) => (
                line,
                format!("column {column} is {got}; {operation} needs {needs}"),
                hint.unwrap_or_else(|| {
                    format!("use another operation, or declare {column} in the source as what it holds")
                }),
            ),
            (AggregationError::NeedsList { over, got: Some(got) }, Some((column, _)), _) => (
                entry.over.as_ref().map_or(line, |over| over.line),
                format!("column {column} is {got}; over: {} needs a list", over.word()),
                hint.unwrap_or_default(),
            ),
            (AggregationError::NotABucket { got }, _, Some((column, _))) => (
                entry.by.as_ref().map_or(line, |by| by.line),
                format!(
                    "column {column} is {got}; by needs a bool, an int, a decimal, a text or a timestamp"
                ),
                hint.unwrap_or_default(),
            ),
            (error, _, _) => {
                (line, error.to_string(), hint.unwrap_or_else(|| "use another operation".to_owned()))
            }
        };
        self.refuse(head, line, &message, Some(hint));
    }

    pub(super) fn check_retention(
        &mut self,
        head: &Head,
        line: u64,
        what: &str,
        length: Length,
        source: &Source,
    ) {
        if length > source.retention {
            let message = format!(
                "{what} {length} is longer than source {} keeps events, {}",
                source.name, source.retention
            );
            let hint = format!("raise retention of source {}, or shorten the {what}", source.name);
            self.refuse(head, line, &message, Some(hint));
        }
    }
}

fn near_column(source: &Source, column: &Name) -> Option<String> {
    nearest(column.as_str(), source.columns.iter().map(|(name, _)| name.as_str()))
        .map(|nearest| format!("did you mean {nearest}?"))
}

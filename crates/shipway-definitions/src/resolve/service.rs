//! Resolves a service: views at their versions, the order of columns, clashes with the request.

use std::{collections::BTreeMap, sync::Arc};

use shipway_core::{DataType, Name};

use crate::{
    ColumnOrigin, DefinitionKind, Service, ServiceColumn, Versioned, ViewReference,
    model::ServiceParts,
    parse::{Head, ServiceDraft},
    resolve::{Found, Resolver, choice::Taken, expressions::RequestColumns},
};

const SERVICE: DefinitionKind = DefinitionKind::Service;

impl Resolver<'_> {
    pub(super) fn service(&mut self, draft: ServiceDraft) {
        let errors_before = self.report.count();
        let ServiceDraft { head, views, request, compute, log } = draft;
        let mut complete = !head.broken;
        let mut computed = Vec::new();
        let mut taken: Vec<Taken> = Vec::new();
        for choice in views {
            match self.find_view(&head, choice.line, &choice.value.view) {
                Found::Silent => complete = false,
                Found::Known(view) => self.take(&head, &choice, view, &mut taken),
            }
        }
        let entity_keys = self.entity_keys(&head, &taken);
        let mut columns: Vec<ServiceColumn> = taken.iter().flat_map(feature_columns).collect();
        self.check_column_names(&head, &columns);
        for (column, data_type) in &request {
            let name = column.value.as_str();
            let clash = if entity_keys.iter().any(|(key, _)| *key == column.value) {
                Some(format!("request column {name} is a key of the service's entities already"))
            } else if columns.iter().any(|column| column.name == name) {
                Some(format!("request column {name} has the name of a feature's column"))
            } else {
                None
            };
            if let Some(message) = clash {
                self.refuse(&head, column.line, &message, Some("give it another name".to_owned()));
            }
            let origin = ColumnOrigin::Request;
            columns.push(ServiceColumn { name: name.to_owned(), data_type: *data_type, origin });
        }
        if complete {
            let named = columns.iter().map(|column| (column.name.clone(), column.data_type)).collect();
            let beside = RequestColumns { keys: &entity_keys, columns: named };
            computed = self.computed(&head, compute, beside);
            columns.extend(computed.iter().map(|derived| ServiceColumn {
                name: derived.name.to_string(),
                data_type: derived.data_type,
                origin: ColumnOrigin::Computed,
            }));
        }
        if !complete || self.report.count() > errors_before {
            self.broken.insert((SERVICE, head.name));
            return;
        }
        let service = Service::new(ServiceParts {
            name: head.name.clone(),
            views: taken.iter().map(Taken::reference).collect(),
            request: request.into_iter().map(|(name, data_type)| (name.value, data_type)).collect(),
            entity_keys,
            columns,
            computed,
            log,
            description: head.description,
            owner: head.owner,
            tags: head.tags,
        });
        let versioned = Arc::new(Versioned::service(service));
        self.set.services_by_hash.insert(versioned.hash, versioned.clone());
        self.set.services.insert(head.name, versioned);
    }

    fn entity_keys(&mut self, head: &Head, taken: &[Taken]) -> Vec<(Name, DataType)> {
        let mut keys: Vec<(Name, DataType)> = Vec::new();
        for view in taken.iter().map(|taken| &taken.view.definition) {
            for (key, data_type) in &view.entity_keys {
                match keys.iter().find(|(other, _)| other == key) {
                    None => keys.push((key.clone(), *data_type)),
                    Some((_, other)) if other != data_type => {
                        let message = format!(
                            "key {key} is {data_type} for view {} and {other} for an earlier view",
                            view.name
                        );
                        let hint =
                            "a request carries one value for it; give the entities' keys one type".to_owned();
                        self.refuse(head, head.line, &message, Some(hint));
                    }
                    Some(_) => {}
                }
            }
        }
        keys
    }

    /// `a__b` + `c` and `a` + `b__c` make one column name.
    fn check_column_names(&mut self, head: &Head, columns: &[ServiceColumn]) {
        let mut seen = BTreeMap::new();
        for column in columns {
            if let Some(ColumnOrigin::Feature { view, feature }) =
                seen.insert(&column.name, column.origin.clone())
            {
                let message = format!("column {} is also what {view}:{feature} is called", column.name);
                let hint = "rename one of the views or features, without two underscores in a row".to_owned();
                self.refuse(head, head.line, &message, Some(hint));
            }
        }
    }
}

fn feature_columns(taken: &Taken) -> impl Iterator<Item = ServiceColumn> {
    let view = &taken.view.definition.name;
    taken.features.iter().map(move |(feature, data_type)| ServiceColumn {
        name: ViewReference::column_of(view, feature),
        data_type: *data_type,
        origin: ColumnOrigin::Feature { view: view.clone(), feature: feature.clone() },
    })
}

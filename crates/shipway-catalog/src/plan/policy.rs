//! What people and policies should see in a change: personal data, and features that should not be taken any more.

use serde::Serialize;
use shipway_core::Name;
use shipway_definitions::{
    ColumnOrigin, DefinitionKind, DefinitionSet, Deprecation, FeatureMetadata, Pii, Service, ServiceColumn,
    SinkFrom, View,
};
use shipway_expression::Expression;

use crate::plan::{Subject, impact::taking};

/// A feature, or the column of a service that shows it, with personal values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PersonalData {
    /// The feature as `view:feature`, or the column of the service.
    pub name: String,
    /// How personal it is; never none.
    pub pii: Pii,
}

/// The personal data of a view or service in force in `set`, in the order of its columns; of a sink, what it sends of a view.
pub(crate) fn personal_data(set: &DefinitionSet, subject: &Subject) -> Vec<PersonalData> {
    match subject.kind {
        DefinitionKind::View => set.views.get(&subject.name).map(|view| of_view(&view.definition)),
        DefinitionKind::Service => {
            set.services.get(&subject.name).map(|service| of_service(set, &service.definition))
        }
        DefinitionKind::Sink => match set.sinks.get(&subject.name).map(|sink| &sink.definition.from) {
            Some(SinkFrom::View(view)) => set.views.get(view).map(|view| of_view(&view.definition)),
            _ => None,
        },
        _ => None,
    }
    .unwrap_or_default()
}

fn of_view(view: &View) -> Vec<PersonalData> {
    let features = view.outputs().into_iter().filter_map(|(feature, _)| {
        let pii = view.metadata(&feature).pii.filter(|pii| pii.is_personal())?;
        Some(PersonalData { name: format!("{}:{feature}", view.name), pii })
    });
    features.collect()
}

/// A computed column is as personal as the most personal column that its expression reads.
fn of_service(set: &DefinitionSet, service: &Service) -> Vec<PersonalData> {
    let columns = service.columns();
    let mut classes: Vec<Option<Pii>> = Vec::with_capacity(columns.len());
    for (position, column) in columns.iter().enumerate() {
        classes.push(match &column.origin {
            ColumnOrigin::Feature { view, feature } => {
                metadata(set, service, view, feature).and_then(|metadata| metadata.pii)
            }
            ColumnOrigin::Computed => {
                let before = &columns[..position];
                read_by(service, before, &column.name)
                    .into_iter()
                    .filter_map(|read| *classes.get(read)?)
                    .max()
            }
            ColumnOrigin::Request => None,
        });
    }
    let personal = columns.iter().zip(classes).filter_map(|(column, class)| {
        let pii = class.filter(|pii| pii.is_personal())?;
        Some(PersonalData { name: column.name.clone(), pii })
    });
    personal.collect()
}

/// The positions of the columns that a computed column reads, among those `before` it.
fn read_by(service: &Service, before: &[ServiceColumn], name: &str) -> Vec<usize> {
    let names = before.iter().map(|column| (column.name.as_str(), column.data_type));
    let scope = Service::scope(&service.entity_keys, names);
    // The keys and the moment come first.
    let first = service.entity_keys.len() + 1;
    let derived = service.computed.iter().find(|derived| derived.name.as_str() == name);
    let expression = derived.and_then(|derived| Expression::compile(&derived.expression, &scope).ok());
    let reads = expression.map(|expression| expression.reads().to_vec()).unwrap_or_default();
    reads.into_iter().filter_map(|position| position.checked_sub(first)).collect()
}

/// What is known about a feature that a service takes.
pub(crate) fn metadata(
    set: &DefinitionSet,
    service: &Service,
    view: &Name,
    feature: &Name,
) -> Option<FeatureMetadata> {
    let reference = service.views.iter().find(|reference| reference.view == *view)?;
    set.metadata(view, &reference.hash, feature)
}

/// A sentence for each deprecated feature: those that a service takes, or those of a view with the services that take them.
/// `is_changed` says which services have sentences of their own.
pub(super) fn warnings(
    result: &DefinitionSet,
    subject: &Subject,
    is_changed: impl Fn(&Name) -> bool,
) -> Vec<String> {
    match subject.kind {
        DefinitionKind::Service => {
            let Some(service) = result.services.get(&subject.name) else { return Vec::new() };
            let deprecated = deprecated(result, &service.definition, None).into_iter();
            deprecated.map(|(feature, why)| format!("it takes {feature}, which is deprecated{why}")).collect()
        }
        DefinitionKind::View => {
            let others = taking(result, &subject.name).filter(|(service, _)| !is_changed(&service.name));
            let sentences = others.flat_map(|(service, _)| {
                let name = &service.name;
                let deprecated = deprecated(result, service, Some(&subject.name)).into_iter();
                deprecated.map(move |(feature, why)| {
                    format!("service {name} takes {feature}, which is deprecated{why}")
                })
            });
            sentences.collect()
        }
        _ => Vec::new(),
    }
}

/// The deprecated features that a service takes, of one view or of all, and why in words.
fn deprecated(set: &DefinitionSet, service: &Service, of: Option<&Name>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for reference in service.views.iter().filter(|reference| of.is_none_or(|view| reference.view == *view)) {
        for feature in &reference.features {
            let metadata = set.metadata(&reference.view, &reference.hash, feature);
            if let Some(deprecated) = metadata.and_then(|metadata| metadata.deprecated) {
                found.push((format!("{}:{feature}", reference.view), in_words(&deprecated)));
            }
        }
    }
    found
}

/// ` since 2026-01-31: why; use view:feature`.
pub(crate) fn in_words(deprecated: &Deprecation) -> String {
    let since = deprecated.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
    let instead =
        deprecated.replacement.as_ref().map(|instead| format!("; use {instead}")).unwrap_or_default();
    format!("{since}: {}{instead}", deprecated.reason)
}

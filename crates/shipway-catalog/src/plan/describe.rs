//! A definition as named fields in words, so that two versions can be compared field by field.

use std::fmt::Display;

use shipway_aggregate::Operation;
use shipway_core::DataType;
use shipway_definitions::{
    DefinitionKind, DefinitionSet, Entity, Gate, Requirement, Rule, Service, Source, View, ViewBody,
};

type Fields = Vec<(String, String)>;

/// The fields of a definition in force in `set`; none when it is not.
pub(crate) fn describe(set: &DefinitionSet, kind: DefinitionKind, name: &str) -> Fields {
    let fields = match kind {
        DefinitionKind::Entity => set.entities.get(name).map(|versioned| entity(&versioned.definition)),
        DefinitionKind::Source => set.sources.get(name).map(|versioned| source(&versioned.definition)),
        DefinitionKind::View => set.views.get(name).map(|versioned| view(&versioned.definition)),
        DefinitionKind::Service => set.services.get(name).map(|versioned| service(&versioned.definition)),
        DefinitionKind::Gate => set.gates.get(name).map(|versioned| gate(&versioned.definition)),
    };
    fields.unwrap_or_default()
}

fn put(fields: &mut Fields, field: impl Into<String>, value: impl Display) {
    fields.push((field.into(), value.to_string()));
}

fn put_optional(fields: &mut Fields, field: &str, value: Option<&(impl Display + ?Sized)>) {
    if let Some(value) = value {
        put(fields, field, value);
    }
}

fn put_columns<N: Display>(fields: &mut Fields, what: &str, columns: &[(N, DataType)]) {
    for (column, data_type) in columns {
        put(fields, format!("{what} {column}"), data_type);
    }
}

fn joined<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn for_people(fields: &mut Fields, description: Option<&String>, owner: Option<&String>) {
    put_optional(fields, "description", description);
    put_optional(fields, "owner", owner);
}

fn entity(entity: &Entity) -> Fields {
    let mut fields = Fields::new();
    put_columns(&mut fields, "key", &entity.keys);
    let names: Vec<_> = entity.keys.iter().map(|(key, _)| key).collect();
    put(&mut fields, "key order", joined(&names));
    for_people(&mut fields, entity.description.as_ref(), entity.owner.as_ref());
    fields
}

fn source(source: &Source) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "event_time", &source.event_time);
    put_optional(&mut fields, "event_id", source.event_id.as_ref());
    put_columns(&mut fields, "column", &source.columns);
    put(&mut fields, "max_ahead", source.max_ahead);
    put(&mut fields, "dedupe", source.dedupe);
    put(&mut fields, "retention", source.retention);
    let names: Vec<_> = source.columns.iter().map(|(column, _)| column).collect();
    put(&mut fields, "column order", joined(&names));
    for_people(&mut fields, source.description.as_ref(), source.owner.as_ref());
    fields
}

fn view(view: &View) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "entity", &view.entity);
    put(&mut fields, "source", &view.source);
    put(&mut fields, "event_time", &view.event_time);
    put_optional(&mut fields, "event_id", view.event_id.as_ref());
    let keys: Vec<_> = view.entity_keys.iter().map(|(key, data_type)| format!("{key} {data_type}")).collect();
    put(&mut fields, "entity keys", joined(&keys));
    put(&mut fields, "keys", joined(&view.key_columns));
    match &view.body {
        ViewBody::Aggregates(features) => {
            for feature in features {
                let over = match (&feature.column, feature.aggregation.input()) {
                    (Some(column), Some(data_type)) => format!(" of {column} {data_type}"),
                    _ => String::new(),
                };
                let bound = match feature.operation {
                    Operation::DistinctCount { bound } => format!(" up to {bound}"),
                    _ => String::new(),
                };
                let parts = feature.aggregation.over().map(|over| format!(" over {}", over.word()));
                let by = feature.by.as_ref().map(|by| format!(" by {by}"));
                let (parts, by) = (parts.unwrap_or_default(), by.unwrap_or_default());
                let value = format!("{}{over}{parts}{by}{bound} over {}", feature.operation, feature.window);
                put(&mut fields, format!("feature {}", feature.name), value);
            }
        }
        ViewBody::Latest { ttl, .. } => {
            for (column, data_type) in view.outputs() {
                put(&mut fields, format!("feature {column}"), format!("latest, {data_type}"));
            }
            put_optional(&mut fields, "ttl", ttl.as_ref());
        }
    }
    let order: Vec<_> = view.outputs().into_iter().map(|(name, _)| name).collect();
    put(&mut fields, "feature order", joined(&order));
    if let Some(freshness) = &view.freshness {
        put(
            &mut fields,
            "freshness",
            format!("{}, beyond it {}", freshness.objective, freshness.beyond.word()),
        );
    }
    for_people(&mut fields, view.description.as_ref(), view.owner.as_ref());
    fields
}

fn service(service: &Service) -> Fields {
    let mut fields = Fields::new();
    for reference in &service.views {
        put(&mut fields, format!("view {}", reference.view), format!("version {}", reference.hash.short()));
        put(&mut fields, format!("features of {}", reference.view), joined(&reference.features));
    }
    put_columns(&mut fields, "request column", &service.request);
    put_columns(&mut fields, "entity key", &service.entity_keys);
    let order: Vec<_> = service.columns().iter().map(|column| column.name.as_str()).collect();
    put(&mut fields, "column order", joined(&order));
    for_people(&mut fields, service.description.as_ref(), service.owner.as_ref());
    fields
}

fn gate(gate: &Gate) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "model", &gate.model);
    put(&mut fields, "alias", &gate.alias);
    for (index, requirement) in gate.requirements.iter().enumerate() {
        put(&mut fields, format!("requirement {}", index + 1), requirement_in_words(requirement));
    }
    for_people(&mut fields, gate.description.as_ref(), gate.owner.as_ref());
    fields
}

fn requirement_in_words(requirement: &Requirement) -> String {
    match requirement {
        Requirement::OwnArtifact => "the evaluation belongs to the candidate's own artifact".to_owned(),
        Requirement::Verified { deployment, within, vectors } => format!(
            "at least {vectors} vectors that deployment {deployment} served were replayed within {within} with no difference"
        ),
        Requirement::Metric { metric, dataset, rule } => {
            let on = dataset.as_ref().map(|dataset| format!(" on {dataset}")).unwrap_or_default();
            let rule = match rule {
                Rule::BeatsHolder { margin } if *margin == 0.0 => "beats the holder's".to_owned(),
                Rule::BeatsHolder { margin } => format!("beats the holder's by more than {margin}"),
                Rule::AtLeast(bound) => format!("is at least {bound}"),
                Rule::AtMost(bound) => format!("is at most {bound}"),
            };
            format!("{metric}{on} {rule}")
        }
    }
}

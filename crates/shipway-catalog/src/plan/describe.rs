//! A definition as named fields in words, so that two versions can be compared field by field.

mod llm_model;

use std::fmt::Display;

use shipway_aggregate::Operation;
use shipway_core::{DataType, Digest};
use shipway_definitions::{
    Batch, BatchFormat, BatchFrom, DefinitionKind, DefinitionSet, Deprecation, Derived, Entity, Feature,
    Freshness, Gate, Pii, Requirement, Rule, Service, Sink, SinkTo, Source, Stream, View, ViewBody,
};

use crate::plan::policy::in_words;

type Fields = Vec<(String, String)>;

/// The fields of a definition in force in `set`; none when it is not.
pub(crate) fn describe(set: &DefinitionSet, kind: DefinitionKind, name: &str) -> Fields {
    let fields = match kind {
        DefinitionKind::Entity => set.entities.get(name).map(|versioned| entity(&versioned.definition)),
        DefinitionKind::Source => set.sources.get(name).map(|versioned| source(&versioned.definition)),
        DefinitionKind::View => set.views.get(name).map(|versioned| view(&versioned.definition)),
        DefinitionKind::Service => set.services.get(name).map(|versioned| service(&versioned.definition)),
        DefinitionKind::Gate => set.gates.get(name).map(|versioned| gate(&versioned.definition)),
        DefinitionKind::Sink => set.sinks.get(name).map(|versioned| sink(&versioned.definition)),
        DefinitionKind::LlmGuardrail => {
            set.llm_guardrails.get(name).map(|versioned| llm_model::guardrail_fields(&versioned.definition))
        }
        DefinitionKind::LlmModel => {
            set.llm_models.get(name).map(|versioned| llm_model::fields(&versioned.definition))
        }
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

fn put_derived(fields: &mut Fields, what: &str, columns: &[Derived]) {
    for column in columns {
        let value = format!("{} {}", column.data_type, column.expression);
        put(fields, format!("{what} {}", column.name), value);
    }
    if columns.len() > 1 {
        let names: Vec<_> = columns.iter().map(|column| &column.name).collect();
        put(fields, format!("{what} order"), joined(&names));
    }
}

fn joined<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn for_people(fields: &mut Fields, description: Option<&String>, owner: Option<&String>, tags: &[String]) {
    put_optional(fields, "description", description);
    put_optional(fields, "owner", owner);
    if !tags.is_empty() {
        put(fields, "tags", joined(tags));
    }
}

fn freshness_in_words(freshness: &Freshness) -> String {
    format!("{}, beyond it {}", freshness.objective, freshness.beyond.word())
}

/// What a view says about all of its features, then what it says about single ones.
fn metadata(fields: &mut Fields, view: &View) {
    for_people(fields, view.description.as_ref(), view.owner.as_ref(), &view.tags);
    put_optional(fields, "pii", view.pii.map(Pii::word));
    put_optional(fields, "freshness", view.freshness.as_ref().map(freshness_in_words).as_deref());
    put_optional(fields, "deprecated", view.deprecated.as_ref().map(deprecation).as_deref());
    for (feature, own) in &view.features {
        let mut of_feature = Fields::new();
        for_people(&mut of_feature, own.description.as_ref(), own.owner.as_ref(), &own.tags);
        put_optional(&mut of_feature, "pii", own.pii.map(Pii::word));
        put_optional(&mut of_feature, "freshness", own.freshness.as_ref().map(freshness_in_words).as_deref());
        put_optional(&mut of_feature, "deprecated", own.deprecated.as_ref().map(deprecation).as_deref());
        let named = of_feature.into_iter().map(|(what, value)| (format!("{what} of {feature}"), value));
        fields.extend(named);
    }
}

fn deprecation(deprecated: &Deprecation) -> String {
    in_words(deprecated).trim_start_matches([' ', ':']).to_owned()
}

fn entity(entity: &Entity) -> Fields {
    let mut fields = Fields::new();
    put_columns(&mut fields, "key", &entity.keys);
    let names: Vec<_> = entity.keys.iter().map(|(key, _)| key).collect();
    put(&mut fields, "key order", joined(&names));
    for_people(&mut fields, entity.description.as_ref(), entity.owner.as_ref(), &entity.tags);
    fields
}

fn source(source: &Source) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "event_time", &source.event_time);
    put_optional(&mut fields, "event_id", source.event_id.as_ref());
    if let Some(corrections) = &source.corrections {
        put(&mut fields, "same_id", "replace");
        put_optional(&mut fields, "deleted", corrections.deleted.as_ref());
    }
    put_columns(&mut fields, "column", &source.columns);
    put(&mut fields, "max_ahead", source.max_ahead);
    put(&mut fields, "dedupe", source.dedupe);
    put(&mut fields, "retention", source.retention);
    if let Some(batch) = &source.batch {
        batch_fields(&mut fields, batch);
    }
    if let Some(stream) = &source.stream {
        stream_fields(&mut fields, stream);
    }
    put_optional(&mut fields, "select", source.select.as_ref().map(|select| &select.sql));
    let names: Vec<_> = source.columns.iter().map(|(column, _)| column).collect();
    put(&mut fields, "column order", joined(&names));
    for_people(&mut fields, source.description.as_ref(), source.owner.as_ref(), &source.tags);
    fields
}

fn batch_fields(fields: &mut Fields, batch: &Batch) {
    match &batch.from {
        BatchFrom::Files { pattern, format, nulls } => {
            put(fields, "batch files", pattern);
            put_optional(fields, "batch format", format.map(BatchFormat::word));
            if !nulls.is_empty() {
                put(fields, "batch nulls", joined(nulls));
            }
        }
        BatchFrom::Delta { table } => put(fields, "batch delta", table),
    }
    for (column, there) in &batch.columns {
        put(fields, format!("batch column {column}"), there);
    }
    if !batch.optional.is_empty() {
        put(fields, "batch optional", joined(&batch.optional.iter().collect::<Vec<_>>()));
    }
    put_optional(fields, "batch every", batch.every.as_ref());
}

fn stream_fields(fields: &mut Fields, stream: &Stream) {
    put(fields, "stream broker", &stream.broker);
    put(fields, "stream topic", &stream.topic);
    put(fields, "stream start", stream.start);
    put(fields, "stream format", stream.format);
    put_optional(
        fields,
        "stream schema",
        stream.schema.as_ref().map(|schema| Digest::of(schema).short()).as_ref(),
    );
    put_optional(fields, "stream message", stream.message.as_ref());
    put(fields, "stream envelope", stream.envelope);
    put(fields, "stream changes", stream.changes);
    put_optional(fields, "stream operation", stream.operation.as_ref());
    put_optional(fields, "stream changed_at", stream.changed_at.as_ref());
    put(fields, "stream unknown_fields", stream.unknown_fields);
    for (column, paths) in &stream.fields {
        put(fields, format!("stream field of {column}"), joined(paths));
    }
    for (column, unit) in &stream.time_unit {
        put(fields, format!("stream time_unit of {column}"), unit);
    }
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
    for reference in &view.enrich {
        let (inner, version) = (&reference.view, reference.hash.short());
        put(&mut fields, format!("enriched with {inner}"), format!("version {version}"));
        put(&mut fields, format!("features of {inner}"), joined(&reference.features));
    }
    put_optional(&mut fields, "where", view.filter.as_ref());
    put_derived(&mut fields, "derived column", &view.derived);
    match &view.body {
        ViewBody::Aggregates(features) => {
            for feature in features {
                put(&mut fields, format!("feature {}", feature.name), feature_in_words(feature));
            }
        }
        ViewBody::Latest { ttl, ttls, .. } => {
            for (column, data_type) in view.outputs() {
                let own = ttls.get(&column).map(|ttl| format!(", null beyond {ttl}")).unwrap_or_default();
                put(&mut fields, format!("feature {column}"), format!("latest, {data_type}{own}"));
            }
            put_optional(&mut fields, "ttl", ttl.as_ref());
        }
    }
    let order: Vec<_> = view.outputs().into_iter().map(|(name, _)| name).collect();
    put(&mut fields, "feature order", joined(&order));
    metadata(&mut fields, view);
    fields
}

/// `avg of dep_delay float over 1h`.
pub(crate) fn feature_in_words(feature: &Feature) -> String {
    let of = match (&feature.column, feature.aggregation.input()) {
        (Some(column), Some(data_type)) => format!(" of {column} {data_type}"),
        _ => String::new(),
    };
    let bound = match feature.operation {
        Operation::DistinctCount { bound } => format!(" up to {bound}"),
        _ => String::new(),
    };
    let parts = feature.aggregation.over().map(|over| format!(" over {}", over.word())).unwrap_or_default();
    let by = feature.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    format!("{}{of}{parts}{by}{bound} over {}", feature.operation, feature.window)
}

fn service(service: &Service) -> Fields {
    let mut fields = Fields::new();
    for reference in &service.views {
        put(&mut fields, format!("view {}", reference.view), format!("version {}", reference.hash.short()));
        put(&mut fields, format!("features of {}", reference.view), joined(&reference.features));
    }
    put_columns(&mut fields, "request column", &service.request);
    put_columns(&mut fields, "entity key", &service.entity_keys);
    put_derived(&mut fields, "computed column", &service.computed);
    let order: Vec<_> = service.columns().iter().map(|column| column.name.as_str()).collect();
    put(&mut fields, "column order", joined(&order));
    for_people(&mut fields, service.description.as_ref(), service.owner.as_ref(), &service.tags);
    fields
}

fn gate(gate: &Gate) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "model", &gate.model);
    put(&mut fields, "alias", &gate.alias);
    for (index, requirement) in gate.requirements.iter().enumerate() {
        put(&mut fields, format!("requirement {}", index + 1), requirement_in_words(requirement));
    }
    for_people(&mut fields, gate.description.as_ref(), gate.owner.as_ref(), &gate.tags);
    fields
}

fn sink(sink: &Sink) -> Fields {
    let mut fields = Fields::new();
    put(&mut fields, "from", &sink.from);
    match &sink.to {
        SinkTo::Topic { broker, topic, format, key } => {
            put(&mut fields, "to broker", broker);
            put(&mut fields, "to topic", topic);
            put(&mut fields, "to format", format);
            if !key.is_empty() {
                put(&mut fields, "to key", joined(key));
            }
        }
        SinkTo::Table(table) => put(&mut fields, "to table", table),
    }
    put_optional(&mut fields, "every", sink.every.as_ref());
    for_people(&mut fields, sink.description.as_ref(), sink.owner.as_ref(), &sink.tags);
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

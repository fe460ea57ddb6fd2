//! The hash of a definition: over everything that changes a value, and nothing else.
//!
//! The canonical form is a list of fields, each a name, a length and a text, after a line that names the kind and the
//! version of the form. Lengths make it unambiguous; it does not depend on any serialiser. A change of it changes every
//! hash, and with them the tiles that are stored under them: raise the version in the first line and keep the golden test.
//!
//! A view's hash covers its name as well: two views of one content must not feed the same tiles.

use shipway_aggregate::{HOP_TABLE_VERSION, Operation};
use shipway_core::{DataType, Digest, Name};
use shipway_expression::LANGUAGE_VERSION;

use crate::{
    Entity, Gate, LlmEmbeddings, LlmGuardrail, LlmModel, LlmPrice, LlmRates, Requirement, Rule, Service,
    Sink, SinkFrom, SinkTo, Source, View, ViewBody,
};

struct Canonical(Vec<u8>);

impl Canonical {
    fn of(kind: &str) -> Self {
        Self(format!("shipway {kind} 1\n").into_bytes())
    }

    fn field(&mut self, name: &str, text: impl AsRef<str>) -> &mut Self {
        let text = text.as_ref();
        self.0.extend(format!("{name} {} ", text.len()).into_bytes());
        self.0.extend(text.as_bytes());
        self.0.push(b'\n');
        self
    }

    fn typed(&mut self, name: &str, column: &Name, data_type: DataType) -> &mut Self {
        self.field(name, column).field("type", data_type.to_string())
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

pub(crate) fn entity(entity: &Entity) -> Digest {
    let mut canonical = Canonical::of("entity");
    canonical.field("name", &entity.name);
    for (key, data_type) in &entity.keys {
        canonical.typed("key", key, *data_type);
    }
    canonical.digest()
}

/// The order of a source's columns means nothing, so they are taken by name.
pub(crate) fn source(source: &Source) -> Digest {
    let mut canonical = Canonical::of("source");
    canonical.field("name", &source.name).field("event_time", &source.event_time);
    if let Some(event_id) = &source.event_id {
        canonical.field("event_id", event_id);
    }
    if let Some(corrections) = &source.corrections {
        canonical.field("same_id", "replace");
        if let Some(deleted) = &corrections.deleted {
            canonical.field("deleted", deleted);
        }
    }
    let mut columns: Vec<_> = source.columns.iter().collect();
    columns.sort_by_key(|(name, _)| name);
    for (column, data_type) in columns {
        canonical.typed("column", column, *data_type);
    }
    canonical
        .field("max_ahead_us", source.max_ahead.micros().to_string())
        .field("dedupe_us", source.dedupe.micros().to_string())
        .field("retention_us", source.retention.micros().to_string())
        .digest()
}

pub(crate) fn view(view: &View) -> Digest {
    let mut canonical = Canonical::of("view");
    canonical.field("name", &view.name).field("source", &view.source).field("event_time", &view.event_time);
    if let Some(event_id) = &view.event_id {
        canonical.field("event_id", event_id);
    }
    if view.is_corrected {
        canonical.field("same_id", "replace");
    }
    for ((key, data_type), column) in view.entity_keys.iter().zip(&view.key_columns) {
        canonical.typed("key", key, *data_type).field("from", column);
    }
    for reference in &view.enrich {
        canonical.field("enrich", reference.hash.to_string());
        for feature in &reference.features {
            canonical.field("enriched", feature);
        }
    }
    match &view.body {
        ViewBody::Aggregates(features) => {
            canonical.field("hop_table", HOP_TABLE_VERSION.to_string());
            for feature in features {
                canonical.field("feature", &feature.name).field("operation", feature.operation.word());
                parameter(&mut canonical, feature.operation);
                if let (Some(column), Some(data_type)) = (&feature.column, feature.aggregation.input()) {
                    canonical.typed("column", column, data_type);
                }
                if let Some(over) = feature.aggregation.over() {
                    canonical.field("over", over.word());
                }
                if let (Some(by), Some(data_type)) = (&feature.by, feature.aggregation.by()) {
                    canonical.typed("by", by, data_type);
                }
                canonical.field("window", feature.window.to_string());
            }
        }
        ViewBody::Latest { columns, ttl, ttls } => {
            for column in columns {
                canonical.field("latest", column);
                if let Some(data_type) = view.column_type(column.as_str()) {
                    canonical.field("type", data_type.to_string());
                }
                if let Some(ttl) = ttls.get(column) {
                    canonical.field("own_ttl_us", ttl.micros().to_string());
                }
            }
            if let Some(ttl) = ttl {
                canonical.field("ttl_us", ttl.micros().to_string());
            }
        }
    }
    view_expressions(&mut canonical, view);
    canonical.digest()
}

/// Nothing for a view without expressions: such views were hashed before there were any. The types of what expressions read
/// decide what they mean.
fn view_expressions(canonical: &mut Canonical, view: &View) {
    if !view.has_expressions() {
        return;
    }
    canonical.field("expressions", LANGUAGE_VERSION.to_string());
    for (column, data_type) in &view.column_types {
        canonical.typed("reads", column, *data_type);
    }
    for derived in &view.derived {
        canonical.typed("derive", &derived.name, derived.data_type).field("as", &derived.expression);
    }
    if let Some(filter) = &view.filter {
        canonical.field("where", filter);
    }
}

fn parameter(canonical: &mut Canonical, operation: Operation) {
    match operation {
        Operation::DistinctCount { bound } => {
            canonical.field("bound", bound.to_string());
        }
        Operation::FirstK { k }
        | Operation::LastK { k }
        | Operation::TopK { k }
        | Operation::BottomK { k }
        | Operation::Histogram { k } => {
            canonical.field("k", k.to_string());
        }
        Operation::ApproxQuantile { millionths } => {
            canonical.field("millionths", millionths.to_string());
        }
        _ => {}
    }
}

pub(crate) fn service(service: &Service) -> Digest {
    let mut canonical = Canonical::of("service");
    canonical.field("name", &service.name);
    for reference in &service.views {
        canonical.field("view", reference.hash.to_string());
    }
    for (key, data_type) in &service.entity_keys {
        canonical.typed("key", key, *data_type);
    }
    for column in service.columns() {
        canonical.field("column", &column.name).field("type", column.data_type.to_string());
    }
    if !service.computed.is_empty() {
        canonical.field("expressions", LANGUAGE_VERSION.to_string());
    }
    for computed in &service.computed {
        canonical.typed("compute", &computed.name, computed.data_type).field("as", &computed.expression);
    }
    canonical.digest()
}

pub(crate) fn gate(gate: &Gate) -> Digest {
    let mut canonical = Canonical::of("gate");
    canonical.field("name", &gate.name).field("model", &gate.model).field("alias", &gate.alias);
    for requirement in &gate.requirements {
        match requirement {
            Requirement::OwnArtifact => {
                canonical.field("evaluation", "own_artifact");
            }
            Requirement::Verified { deployment, within, vectors } => {
                canonical
                    .field("verified", deployment)
                    .field("within_us", within.micros().to_string())
                    .field("vectors", vectors.to_string());
            }
            Requirement::Metric { metric, dataset, rule } => {
                canonical.field("metric", metric);
                if let Some(dataset) = dataset {
                    canonical.field("dataset", dataset);
                }
                let (word, number) = match rule {
                    Rule::BeatsHolder { margin } => ("beats_holder_by", margin),
                    Rule::AtLeast(bound) => ("at_least", bound),
                    Rule::AtMost(bound) => ("at_most", bound),
                };
                canonical.field(word, number.to_string());
            }
        }
    }
    canonical.digest()
}

/// What is sent, and where to; how often is no part of it.
pub(crate) fn sink(sink: &Sink) -> Digest {
    let mut canonical = Canonical::of("sink");
    canonical.field("name", &sink.name);
    let what = match &sink.from {
        SinkFrom::View(_) => "view",
        SinkFrom::Deployment(_) => "deployment",
        SinkFrom::Table(_) => "table",
    };
    canonical.field(what, sink.from.name());
    match &sink.to {
        SinkTo::Topic { broker, topic, format, key } => {
            canonical.field("broker", broker).field("topic", topic).field("format", format.word());
            for column in key {
                canonical.field("key", column);
            }
        }
        SinkTo::Table(table) => {
            canonical.field("into", table);
        }
    }
    canonical.digest()
}

/// All that decides who answers, what it costs and how long is waited.
pub(crate) fn llm_model(model: &LlmModel) -> Digest {
    let mut canonical = Canonical::of("llm_model");
    canonical.field("name", &model.name);
    for called in &model.called {
        canonical.field("called", called);
    }
    for deployment in &model.deployments {
        canonical
            .field("deployment", &deployment.name)
            .field("provider", &deployment.provider)
            .field("model", &deployment.model)
            .field("max_output_tokens", deployment.max_output_tokens.to_string());
        if !deployment.output_limit.is_usual() {
            canonical.field("output_limit", deployment.output_limit.word());
        }
        for api in &deployment.apis {
            canonical.field("api", api.word());
        }
        if let Some(fetch) = deployment.fetch_media {
            canonical.field("fetch_media", fetch.to_string());
        }
        let Some(price) = &deployment.price else { continue };
        price_of_model(&mut canonical, price);
    }
    if let Some(hedge) = &model.hedge {
        canonical.field("hedge_ms", hedge.after_ms.to_string()).field("hedge_to", hedge.to.to_string());
    }
    for (name, route) in [
        ("on_context_window", &model.on_context_window),
        ("on_content_policy", &model.on_content_policy),
        ("on_guardrail", &model.on_guardrail),
    ] {
        if let Some(route) = route {
            canonical.field(name, route.to_string());
        }
    }
    let (timeouts, retries, cooldown) = (&model.timeouts, &model.retries, &model.cooldown);
    canonical
        .field("route", model.route.to_string())
        .field("first_token_us", timeouts.first_token.micros().to_string())
        .field("idle_us", timeouts.idle.micros().to_string())
        .field("total_us", timeouts.total.micros().to_string())
        .field("retry_rate_limit", retries.rate_limit.to_string())
        .field("retry_overloaded", retries.overloaded.to_string())
        .field("retry_connection", retries.connection.to_string())
        .field("retry_timeout", retries.timeout.to_string())
        .field("cooldown_failures", cooldown.failures.to_string())
        .field("cooldown_us", cooldown.pause.micros().to_string())
        .field("unknown_price", model.unknown_price.word());
    // What holds where nothing is written leaves the hashes of models as they were before it could be written.
    if !model.lossy.is_usual() {
        canonical.field("lossy", model.lossy.word());
    }
    if let Some(cache) = &model.cache {
        canonical.field("cache_us", cache.time.micros().to_string()).field("cache_scope", cache.scope.word());
        if cache.together {
            canonical.field("cache_together", "true");
        }
        if let Some(similar) = &cache.similar {
            let (embeddings, name) = match &similar.embeddings {
                LlmEmbeddings::Model(name) => ("similar_embeddings", name),
                LlmEmbeddings::Served(name) => ("similar_served", name),
            };
            canonical
                .field(embeddings, name)
                .field("similar_mode", similar.mode.word())
                .field("similar_least", similar.least.to_string())
                .field("similar_same", similar.same.to_string())
                .field("similar_wrong", similar.wrong.to_string())
                .field("similar_check", format!("{:?}", similar.check));
        }
    }
    for guardrail in &model.guardrails {
        canonical.field("guardrail", guardrail);
    }
    if let Some(content) = &model.content {
        canonical
            .field("content", content.keep.word())
            .field("content_share", format!("{:?}", content.share))
            .field("content_bytes", content.most_bytes.to_string());
    }
    canonical.digest()
}

/// What is not written is no part of it, so that prices of older files keep their hash.
fn price_of_model(canonical: &mut Canonical, price: &LlmPrice) {
    rates(canonical, &price.rates);
    for tier in &price.tiers {
        canonical.field("above", tier.above.to_string());
        rates(canonical, &tier.rates);
    }
    for (name, factor) in &price.service_tiers {
        canonical.field("service_tier", name).field("factor", factor.to_string());
    }
    for (name, nanos) in [
        ("per_request", price.per_request),
        ("per_image", price.per_image),
        ("per_second", price.per_second),
        ("per_search", price.per_search),
    ] {
        if let Some(nanos) = nanos {
            canonical.field(name, nanos.to_string());
        }
    }
    if let Some(as_of) = &price.as_of {
        canonical.field("as_of", as_of);
    }
}

fn rates(canonical: &mut Canonical, rates: &LlmRates) {
    canonical.field("input", rates.input.to_string()).field("output", rates.output.to_string());
    for (name, nanos) in [
        ("cached_input", rates.cached_input),
        ("cache_write", rates.cache_write),
        ("cache_write_1h", rates.cache_write_1h),
        ("reasoning", rates.reasoning),
        ("input_audio", rates.input_audio),
        ("input_image", rates.input_image),
        ("output_audio", rates.output_audio),
        ("output_image", rates.output_image),
    ] {
        if let Some(nanos) = nanos {
            canonical.field(name, nanos.to_string());
        }
    }
}

/// What is looked for, where, and what is done then.
pub(crate) fn llm_guardrail(guardrail: &LlmGuardrail) -> Digest {
    let mut canonical = Canonical::of("llm_guardrail");
    canonical
        .field("name", &guardrail.name)
        .field("on", guardrail.on.word())
        .field("action", guardrail.action.word())
        .field("find", guardrail.find_in_words());
    canonical.digest()
}

//! The JSON Schema of the file format, for editors.
//!
//! The committed copy is `docs/definitions.schema.json`. An editor with the YAML language server checks a file that starts
//! with `# yaml-language-server: $schema=…/docs/definitions.schema.json`.
//!
//! The structs here are the shape of the files and nothing else: they are never built. Reading is `parse`'s work, because it
//! finds all errors with their lines; a test holds the two to the same fields.

#![expect(dead_code, reason = "only the derived schema of these types is used")]

mod llm_guardrail;
mod llm_model;
mod sink;
mod source;
mod stream;

use std::{borrow::Cow, collections::BTreeMap};

use llm_guardrail::LlmGuardrailDocument;
use llm_model::LlmModelDocument;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use shipway_aggregate::{Operation, Window};
use shipway_core::{Length, Name, ScalarType};
use sink::SinkDocument;
use source::SourceDocument;

/// The JSON Schema (draft 2020-12) of one document of a definition file.
pub fn schema() -> Schema {
    SchemaGenerator::new(SchemaSettings::draft2020_12()).into_root_schema_for::<Definition>()
}

/// A definition of Shipway.
#[derive(JsonSchema)]
#[serde(untagged)]
enum Definition {
    Entity(EntityDocument),
    Source(SourceDocument),
    View(ViewDocument),
    Service(ServiceDocument),
    Gate(GateDocument),
    Sink(SinkDocument),
    LlmGuardrail(LlmGuardrailDocument),
    LlmModel(LlmModelDocument),
}

/// A thing that features describe.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntityDocument {
    kind: EntityKind,
    /// Its name, unique among entities.
    name: Name,
    /// The key columns and their types, in the order in which keys are encoded.
    keys: BTreeMap<Name, ScalarType>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum EntityKind {
    Entity,
}

/// The features of one entity out of one source: `aggregate` or `latest`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewDocument {
    kind: ViewKind,
    /// Its name, unique among views.
    name: Name,
    /// The entity that the features describe.
    entity: Name,
    /// The source of the events.
    source: Name,
    /// The columns of the source that hold the entity's keys, in the entity's order. Default: the keys' own names.
    keys: Option<Vec<Name>>,
    /// Views of the same source, or features of them as `view:feature`: each event carries, as a column `view__feature`, the
    /// value for its own key just before its own time, from what had arrived when it did.
    #[schemars(length(min = 1), inner(regex(pattern = r"^[a-z][a-z0-9_]{0,62}(:[a-z][a-z0-9_]{0,62})?$")))]
    enrich: Option<Vec<String>>,
    /// An SQL condition over the columns: only events for which it is true count.
    r#where: Option<String>,
    /// Columns computed from those of an event: name to SQL expression. Later ones may use earlier ones.
    #[schemars(extend("minProperties" = 1))]
    derive: Option<BTreeMap<Name, String>>,
    /// Windowed aggregates: every operation of an entry over every window of it.
    #[schemars(length(min = 1))]
    aggregate: Option<Vec<EntryDocument>>,
    /// Columns of the last row.
    #[schemars(length(min = 1))]
    latest: Option<Vec<Name>>,
    /// The age, inclusive, up to which the last row counts. Only with `latest`. Default: for ever.
    ttl: Option<Length>,
    /// How fresh the view should be when it is served.
    freshness: Option<FreshnessDocument>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
    /// How personal the values of its features are: none, personal, or sensitive.
    pii: Option<PiiWord>,
    /// That its features should not be taken any more: why, since when, and what to take instead.
    deprecated: Option<DeprecationDocument>,
    /// What is said about single features, by their names; it goes before what the view says, and tags add up.
    features: Option<BTreeMap<Name, FeatureDocument>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum ViewKind {
    View,
}

/// Operations over one column, or over whole events.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryDocument {
    /// The column of the source; without it, events are counted.
    column: Option<Name>,
    /// What is computed.
    #[schemars(length(min = 1))]
    operations: Vec<OperationText>,
    /// Over which windows.
    #[schemars(length(min = 1))]
    windows: Vec<Window>,
    /// A column whose values are buckets: the feature is a map with one value for each of them.
    by: Option<Name>,
    /// For a column of lists: each element counts, or each position makes a value of its own and the feature is a list.
    over: Option<OverWord>,
    /// The most distinct values that distinct_count counts exactly. Default 10000.
    #[schemars(range(min = 1, max = 1_000_000))]
    bound: Option<u32>,
    /// The feature's name, for an entry of one operation and one window. Default: `<column>_<operation>_<window>`.
    r#as: Option<Name>,
}

/// An operation over the events of a window: its word, some with a parameter in brackets.
struct OperationText;

impl JsonSchema for OperationText {
    fn schema_name() -> Cow<'static, str> {
        "Operation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let needs_parameter = |word: &&str| {
            matches!(*word, "first_k" | "last_k" | "top_k" | "bottom_k" | "histogram" | "approx_quantile")
        };
        let words: Vec<&str> = Operation::WORDS.into_iter().filter(|word| !needs_parameter(word)).collect();
        schemars::json_schema!({
            "description": "An operation over the events of a window: its word, some with a parameter in brackets.",
            "anyOf": [
                { "enum": words },
                { "type": "string", "pattern": r"^(first_k|last_k|top_k|bottom_k|histogram|distinct_count)\([0-9]+\)$" },
                { "type": "string", "pattern": r"^approx_quantile\(0?\.[0-9]{1,6}\)$" },
            ],
            "examples": ["avg", "last_k(5)", "approx_quantile(0.95)", "histogram(20)"],
        })
    }
}

/// How an operation looks at a column of lists.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum OverWord {
    Elements,
    Positions,
}

/// How fresh a view should be when it is served.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FreshnessDocument {
    /// The age of the newest event that is still fresh.
    objective: Length,
    /// What happens beyond it: the value is served and marked, is null, or the request is refused. Default serve.
    #[schemars(schema_with = "beyond")]
    beyond: Option<String>,
}

/// A word of at most 63 characters.
#[derive(JsonSchema)]
#[schemars(inline)]
struct Tag(#[schemars(length(min = 1, max = 63))] String);

/// How personal values are: no personal data; personal data; personal data of a special category or of particular harm.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum PiiWord {
    None,
    Personal,
    Sensitive,
}

/// That something should not be taken any more: the reason, or a map with it.
#[derive(JsonSchema)]
#[serde(untagged)]
enum DeprecationDocument {
    /// Why.
    Reason(String),
    /// Why, since when, and what to take instead.
    Full(FullDeprecationDocument),
}

/// Why something should not be taken any more, since when, and what to take instead.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullDeprecationDocument {
    /// The day from which on, as 2026-01-31.
    since: Option<String>,
    /// Why.
    reason: String,
    /// What to take instead: a feature of the same view, `view:feature`, or for a whole view another one.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,62}(:[a-z][a-z0-9_]{0,62})?$"))]
    r#use: Option<String>,
}

/// What is said about one feature. Where it says nothing, what the view says holds.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureDocument {
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by, beside those of the view.
    tags: Option<Vec<Tag>>,
    /// How personal its values are: none, personal, or sensitive.
    pii: Option<PiiWord>,
    /// How fresh it should be when it is served.
    freshness: Option<FreshnessDocument>,
    /// The age, inclusive, up to which it counts, tighter than the view's. Only with `latest`. Part of the version.
    ttl: Option<Length>,
    /// That it should not be taken any more.
    deprecated: Option<DeprecationDocument>,
}

/// YAML reads the word null as nothing, and here that is what is meant.
fn beyond(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "enum": ["serve", "null", "refuse", null] })
}

/// The features and request columns that a model takes, in one fixed order.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceDocument {
    kind: ServiceKind,
    /// Its name, unique among services.
    name: Name,
    /// Views, all of a view's features, or `view:feature` for one.
    #[schemars(length(min = 1), inner(regex(pattern = r"^[a-z][a-z0-9_]{0,62}(:[a-z][a-z0-9_]{0,62})?$")))]
    views: Option<Vec<String>>,
    /// The columns that come with the request, and their types.
    request: Option<BTreeMap<Name, ScalarType>>,
    /// Features computed for each row when it is asked for: name to SQL expression over the columns `view__feature`, the
    /// request columns, the keys, the moment `at`, and earlier ones.
    #[schemars(extend("minProperties" = 1))]
    compute: Option<BTreeMap<Name, String>>,
    /// Which served vectors are logged: all, off, or a share of the keys. Default all.
    log: Option<LogPolicy>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
}

/// Which served vectors are logged.
#[derive(JsonSchema)]
#[serde(untagged)]
enum LogPolicy {
    /// Every vector, or none.
    Word(LogWord),
    /// The share of keys whose vectors are logged; always the same keys.
    Share(#[schemars(range(min = 0, max = 1))] f64),
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum LogWord {
    All,
    Off,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum ServiceKind {
    Service,
}

/// What a model version must show before it may take an alias.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GateDocument {
    kind: GateKind,
    /// Its name, unique among gates.
    name: Name,
    /// The registered model.
    model: String,
    /// The alias that is guarded.
    alias: String,
    /// All of these must hold.
    #[schemars(length(min = 1))]
    require: Vec<RequirementDocument>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum GateKind {
    Gate,
}

/// A metric with one rule, `evaluation: own_artifact`, or `verified: <deployment>`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequirementDocument {
    /// The metric's name, as it is logged.
    metric: Option<String>,
    /// The data set that it was measured on.
    dataset: Option<String>,
    /// Greater than that of the alias's present holder.
    beats: Option<Holder>,
    /// By how much it beats the holder. Default 0.
    #[schemars(range(min = 0))]
    by: Option<f64>,
    /// At least this.
    at_least: Option<f64>,
    /// At most this.
    at_most: Option<f64>,
    /// The evaluation belongs to the very artifact of the candidate.
    evaluation: Option<Evaluation>,
    /// The deployment whose served vectors were replayed against history with no difference.
    verified: Option<Name>,
    /// How old that replay may be. Default 1d.
    within: Option<Length>,
    /// The least number of vectors that it compared. Default 1.
    #[schemars(range(min = 1))]
    vectors: Option<u64>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Holder {
    Holder,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Evaluation {
    OwnArtifact,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::parse;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/definitions.schema.json");

    fn printed() -> String {
        serde_json::to_string_pretty(&schema()).unwrap() + "\n"
    }

    #[test]
    fn the_committed_schema_is_current() {
        let committed = fs_err::read_to_string(COMMITTED).unwrap_or_default();
        assert!(
            committed == printed(),
            "docs/definitions.schema.json is stale: run `cargo test -p shipway-definitions -- --ignored writes_the_schema`"
        );
    }

    #[test]
    #[ignore = "writes docs/definitions.schema.json"]
    fn writes_the_schema() {
        fs_err::create_dir_all(std::path::Path::new(COMMITTED).parent().unwrap()).unwrap();
        fs_err::write(COMMITTED, printed()).unwrap();
    }

    fn fields_of(definition: &str) -> BTreeSet<String> {
        let schema = schema().to_value();
        let properties = schema["$defs"][definition]["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    }

    #[test]
    fn the_schema_and_the_reader_know_the_same_fields() {
        let kinds = ["Entity", "Source", "View", "Service", "Gate", "Sink", "LlmGuardrail", "LlmModel"];
        let documents = kinds.map(|kind| format!("{kind}Document"));
        let parts = [
            ("BatchDocument", parse::BATCH_FIELDS),
            ("StreamDocument", parse::STREAM_FIELDS),
            ("EntryDocument", parse::ENTRY_FIELDS),
            ("FreshnessDocument", parse::FRESHNESS_FIELDS),
            ("RequirementDocument", parse::REQUIREMENT_FIELDS),
            ("FeatureDocument", parse::FEATURE_FIELDS),
            ("FullDeprecationDocument", parse::DEPRECATION_FIELDS),
            ("SinkFromDocument", parse::SINK_FROM_FIELDS),
            ("SinkToDocument", parse::SINK_TO_FIELDS),
            ("LlmDeploymentDocument", parse::LLM_DEPLOYMENT_FIELDS),
            ("LlmPriceDocument", parse::LLM_PRICE_FIELDS),
            ("LlmPriceTierDocument", parse::PRICE_TIER_FIELDS),
            ("ShareDocument", parse::SHARE_FIELDS),
            ("ConditionsDocument", parse::CONDITIONAL_FIELDS),
            ("WhenDocument", parse::WHEN_FIELDS),
            ("StickinessDocument", parse::STICKY_FIELDS),
            ("LlmHedgeDocument", parse::HEDGE_FIELDS),
            ("LlmTimeoutsDocument", parse::LLM_TIMEOUT_FIELDS),
            ("LlmRetriesDocument", parse::LLM_RETRY_FIELDS),
            ("LlmCooldownDocument", parse::LLM_COOLDOWN_FIELDS),
            ("LlmCacheDocument", parse::LLM_CACHE_FIELDS),
            ("LlmSimilarDocument", parse::LLM_SIMILAR_FIELDS),
            ("LlmServedDocument", parse::LLM_SERVED_FIELDS),
            ("LlmContentDocument", parse::LLM_CONTENT_FIELDS),
        ];
        let kinds = documents.iter().map(String::as_str).zip(parse::FIELDS.map(|(_, fields)| fields));
        for (document, known) in kinds.chain(parts) {
            let known: BTreeSet<String> = known.iter().map(|field| (*field).to_owned()).collect();
            assert_eq!(fields_of(document), known, "{document}");
        }
    }
}

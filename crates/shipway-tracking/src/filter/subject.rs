//! What may be searched: for each kind of thing its attributes, and which collections of keys it has.

/// A kind of thing that can be searched, and the table that holds it.
#[derive(Debug)]
pub(crate) struct Subject {
    /// The table, read under the alias `s`.
    pub(crate) table: &'static str,
    /// The columns that identify a row, here and in the tables of tags, params and metrics.
    pub(crate) identity: &'static [&'static str],
    pub(crate) attributes: &'static [Attribute],
    pub(crate) tags: Option<&'static str>,
    pub(crate) params: Option<&'static str>,
    pub(crate) metrics: Metrics,
    pub(crate) datasets: bool,
    /// The order when none is asked for, and the tie-break after one that is.
    pub(crate) default_order: &'static str,
}

/// How the metrics of a subject are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metrics {
    None,
    /// One row per key.
    Latest,
    /// Many rows per key, the latest counts.
    Evaluations,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Attribute {
    /// What a filter may call it; the first is the canonical one.
    pub(crate) names: &'static [&'static str],
    pub(crate) column: &'static str,
    pub(crate) kind: AttributeKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttributeKind {
    Number,
    Text,
    /// Text that may also be compared with a list.
    TextOrList,
    /// A number that clients write as text (`experiment_id = '3'`), possibly in a list.
    NumberAsText,
    /// Can be ordered by, not filtered on.
    OrderOnly,
}

const fn attribute(names: &'static [&'static str], column: &'static str, kind: AttributeKind) -> Attribute {
    Attribute { names, column, kind }
}

use AttributeKind::{Number, NumberAsText, OrderOnly, Text, TextOrList};

pub(crate) static RUNS: Subject = Subject {
    table: "runs",
    identity: &["run_id"],
    attributes: &[
        attribute(&["run_id"], "s.run_id", TextOrList),
        attribute(&["run_name", "run name", "Run name", "Run Name"], "s.name", Text),
        attribute(&["user_id"], "s.user_id", Text),
        attribute(&["status"], "s.status", Text),
        attribute(&["artifact_uri"], "('mlflow-artifacts:/' || s.artifact_root)", Text),
        attribute(&["start_time", "created", "Created"], "s.start_ms", Number),
        attribute(&["end_time"], "s.end_ms", Number),
    ],
    tags: Some("run_tags"),
    params: Some("run_params"),
    metrics: Metrics::Latest,
    datasets: true,
    default_order: "s.start_ms DESC, s.run_id",
};

pub(crate) static EXPERIMENTS: Subject = Subject {
    table: "experiments",
    identity: &["experiment_id"],
    attributes: &[
        attribute(&["name"], "s.name", Text),
        attribute(&["experiment_id"], "s.experiment_id", NumberAsText),
        attribute(&["creation_time"], "s.created_ms", Number),
        attribute(&["last_update_time"], "s.updated_ms", Number),
    ],
    tags: Some("experiment_tags"),
    params: None,
    metrics: Metrics::None,
    datasets: false,
    default_order: "s.created_ms DESC, s.experiment_id DESC",
};

pub(crate) static LOGGED_MODELS: Subject = Subject {
    table: "logged_models",
    identity: &["model_id"],
    attributes: &[
        attribute(&["name"], "s.name", TextOrList),
        attribute(&["model_id"], "s.model_id", TextOrList),
        attribute(&["model_type"], "s.model_type", TextOrList),
        attribute(&["status"], "s.status", TextOrList),
        attribute(&["source_run_id"], "s.source_run_id", TextOrList),
        attribute(&["experiment_id"], "s.experiment_id", NumberAsText),
        attribute(&["creation_timestamp", "creation_time", "creation_timestamp_ms"], "s.created_ms", Number),
        attribute(&["last_updated_timestamp", "last_updated_timestamp_ms"], "s.updated_ms", Number),
    ],
    tags: Some("logged_model_tags"),
    params: Some("logged_model_params"),
    metrics: Metrics::Evaluations,
    datasets: false,
    default_order: "s.created_ms DESC, s.model_id",
};

pub(crate) static REGISTERED_MODELS: Subject = Subject {
    table: "registered_models",
    identity: &["name"],
    attributes: &[
        attribute(&["name"], "s.name", Text),
        attribute(&["creation_timestamp", "timestamp"], "s.created_ms", OrderOnly),
        attribute(&["last_updated_timestamp"], "s.updated_ms", OrderOnly),
    ],
    tags: Some("registered_model_tags"),
    params: None,
    metrics: Metrics::None,
    datasets: false,
    default_order: "s.name",
};

pub(crate) static MODEL_VERSIONS: Subject = Subject {
    table: "model_versions",
    identity: &["name", "version"],
    attributes: &[
        attribute(&["name"], "s.name", TextOrList),
        attribute(&["version_number", "version"], "s.version", Number),
        attribute(&["run_id"], "s.run_id", TextOrList),
        attribute(&["source_path", "source"], "s.source", Text),
        attribute(&["creation_timestamp"], "s.created_ms", OrderOnly),
        attribute(&["last_updated_timestamp"], "s.updated_ms", OrderOnly),
    ],
    tags: Some("model_version_tags"),
    params: None,
    metrics: Metrics::None,
    datasets: false,
    default_order: "s.updated_ms DESC, s.name, s.version DESC",
};

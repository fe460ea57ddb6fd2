//! What may be searched: for each kind of thing its attributes, and which collections of keys it has.

use super::{
    DatasetField, Field, FilterError,
    token::Part,
    vocabulary::{Rules, Values, Vocabulary, joined},
};

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

impl Vocabulary for Subject {
    type Field = Field;

    fn field(&self, parts: &[Part], at: usize) -> Result<Field, FilterError> {
        let (first, rest) = match parts {
            [] => return Err(FilterError::at(at, "Invalid filter: no field", &self.expected())),
            [only] => return self.attribute(&only.text, at),
            [first, rest @ ..] => (first, rest),
        };
        let key = joined(rest);
        match first.text.to_ascii_lowercase().as_str() {
            "attribute" | "attributes" | "attr" | "run" => self.attribute(&key, at),
            "metric" | "metrics" if self.metrics != Metrics::None => Ok(Field::Metric(key)),
            "param" | "params" | "parameter" | "parameters" if self.params.is_some() => Ok(Field::Param(key)),
            "tag" | "tags" if self.tags.is_some() => Ok(Field::Tag(key)),
            "dataset" | "datasets" if self.datasets => match key.as_str() {
                "name" => Ok(Field::Dataset(DatasetField::Name)),
                "digest" => Ok(Field::Dataset(DatasetField::Digest)),
                "context" => Ok(Field::Dataset(DatasetField::Context)),
                _ => {
                    let problem = format!("Invalid dataset attribute '{key}'");
                    Err(FilterError::at(at, &problem, "one of name, digest, context"))
                }
            },
            _ => {
                let problem = format!("Invalid entity type '{}'", first.text);
                Err(FilterError::at(at, &problem, &format!("one of {}", self.entities().join(", "))))
            }
        }
    }

    fn describe(&self, field: &Field) -> String {
        match field {
            Field::Attribute(attribute) => format!("attribute '{}'", attribute.names[0]),
            Field::Metric(key) => format!("metric '{key}'"),
            Field::Param(key) => format!("parameter '{key}'"),
            Field::Tag(key) => format!("tag '{key}'"),
            Field::Dataset(_) => "dataset".to_owned(),
        }
    }

    fn rules(&self, field: &Field) -> Rules {
        match field {
            Field::Attribute(attribute) => match attribute.kind {
                Number => Rules::NUMBER,
                Text => Rules::TEXT,
                TextOrList => Rules { list: true, ..Rules::TEXT },
                NumberAsText => {
                    Rules { equal: Values::TextOrNumber, unequal: true, list: true, ..Rules::NOTHING }
                }
                OrderOnly => Rules::NOTHING,
            },
            Field::Metric(_) => Rules::NUMBER,
            Field::Param(_) | Field::Tag(_) => Rules { null: true, ..Rules::TEXT },
            Field::Dataset(_) => Rules { list: true, ..Rules::TEXT },
        }
    }

    fn orders(&self, field: &Field) -> bool {
        !matches!(field, Field::Dataset(_))
    }

    fn expected(&self) -> String {
        format!("an attribute or {}.key", self.entities().join(".key, "))
    }
}

impl Subject {
    fn attribute(&self, name: &str, at: usize) -> Result<Field, FilterError> {
        let found = self.attributes.iter().find(|attribute| attribute.names.contains(&name));
        found.map(Field::Attribute).ok_or_else(|| {
            let known: Vec<_> = self.attributes.iter().map(|attribute| attribute.names[0]).collect();
            let problem = format!("Invalid attribute key '{name}' specified");
            FilterError::at(at, &problem, &format!("one of {}", known.join(", ")))
        })
    }

    fn entities(&self) -> Vec<&'static str> {
        let mut known = vec!["attribute"];
        known.extend((self.metrics != Metrics::None).then_some("metric"));
        known.extend(self.params.map(|_| "parameter"));
        known.extend(self.tags.map(|_| "tag"));
        known.extend(self.datasets.then_some("dataset"));
        known
    }
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

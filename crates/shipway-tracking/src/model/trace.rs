//! Traces: what one request did, as a tree of spans, and what is thought of it.

use serde_json::Value;

use super::Pair;

/// Keys that the clients of the MLflow wire write and read.
pub(crate) mod key {
    pub(crate) const TRACE_NAME: &str = "mlflow.traceName";
    pub(crate) const ARTIFACT_LOCATION: &str = "mlflow.artifactLocation";
    pub(crate) const SPANS_LOCATION: &str = "mlflow.trace.spansLocation";
    pub(crate) const ARCHIVE_LOCATION: &str = "mlflow.trace.archiveLocation";
    pub(crate) const ARCHIVAL_FAILURE: &str = "mlflow.trace.archivalFailure";
    pub(crate) const SESSION: &str = "mlflow.trace.session";
    pub(crate) const USER: &str = "mlflow.trace.user";
    pub(crate) const SOURCE_RUN: &str = "mlflow.sourceRun";
    pub(crate) const TOKEN_USAGE: &str = "mlflow.trace.tokenUsage";
    pub(crate) const COST: &str = "mlflow.trace.cost";
    pub(crate) const FINALIZED: &str = "mlflow.trace.infoFinalized";
    pub(crate) const SIZE_STATS: &str = "mlflow.trace.sizeStats";
}

/// The value of the tag [`key::SPANS_LOCATION`] of a trace whose spans are kept here.
pub(crate) const TRACKING_STORE: &str = "TRACKING_STORE";

/// The kinds of tokens that are counted, as the JSON of usage names them.
pub(crate) const TOKEN_KINDS: [&str; 5] = [
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceState {
    Unspecified,
    Ok,
    Error,
    InProgress,
}

impl TraceState {
    pub(crate) const ALL: [Self; 4] = [Self::Unspecified, Self::Ok, Self::Error, Self::InProgress];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "STATE_UNSPECIFIED",
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::InProgress => "IN_PROGRESS",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    /// Whether a root span that arrives decides the state.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Unspecified | Self::InProgress)
    }
}

/// A trace without its spans. `tags` leaves out the name, and `metadata` the session: they have fields of their own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TraceInfo {
    pub(crate) trace_id: String,
    pub(crate) experiment_id: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) execution_ms: Option<i64>,
    pub(crate) state: TraceState,
    pub(crate) client_request_id: Option<String>,
    pub(crate) request_preview: Option<String>,
    pub(crate) response_preview: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) session_id: Option<String>,
    /// Whether the client has told the whole of it, so that spans which come later add nothing.
    pub(crate) finalized: bool,
    pub(crate) artifact_root: String,
    pub(crate) tags: Vec<Pair>,
    pub(crate) metadata: Vec<Pair>,
    pub(crate) assessments: Vec<Assessment>,
}

impl TraceInfo {
    pub(crate) fn metadata_value(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str())
    }

    /// The kinds and numbers of tokens that the metadata tells.
    pub(crate) fn tokens(&self) -> [Option<i64>; 5] {
        let usage = self.metadata_value(key::TOKEN_USAGE).and_then(|text| serde_json::from_str(text).ok());
        tokens_of(&usage.unwrap_or(Value::Null))
    }

    /// Whether its spans are kept here.
    pub(crate) fn has_spans_here(&self) -> bool {
        self.tags.iter().any(|tag| tag.key == key::SPANS_LOCATION && tag.value == TRACKING_STORE)
    }

    /// How many spans the client says it has, when it says so.
    pub(crate) fn expected_spans(&self) -> i64 {
        let stats =
            self.metadata_value(key::SIZE_STATS).and_then(|text| serde_json::from_str::<Value>(text).ok());
        stats.and_then(|stats| stats.get("num_spans")?.as_i64()).unwrap_or_default()
    }
}

/// The numbers of a JSON object of usage, in the order of [`TOKEN_KINDS`].
pub(crate) fn tokens_of(usage: &Value) -> [Option<i64>; 5] {
    TOKEN_KINDS.map(|kind| {
        let number = usage.get(kind)?;
        number
            .as_i64()
            .or_else(|| number.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64))
    })
}

/// A span as it is kept: what is searched, and the whole of it as JSON.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct StoredSpan {
    pub(crate) trace_id: String,
    /// 16 hexadecimal digits.
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) name: String,
    pub(crate) span_type: Option<String>,
    /// `OK`, `ERROR` or `UNSET`.
    pub(crate) status: &'static str,
    pub(crate) start_ns: i64,
    pub(crate) end_ns: Option<i64>,
    /// JSON objects of tokens and of money.
    pub(crate) usage: Option<Value>,
    pub(crate) cost: Option<Value>,
    pub(crate) model_name: Option<String>,
    pub(crate) model_provider: Option<String>,
    /// The span as the clients' own JSON has it.
    pub(crate) content: String,
}

/// What somebody or something thinks of a trace or of one span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assessment {
    pub(crate) assessment_id: String,
    pub(crate) trace_id: String,
    pub(crate) name: String,
    pub(crate) value: AssessmentValue,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) source_type: SourceType,
    pub(crate) source_id: String,
    pub(crate) span_id: Option<String>,
    pub(crate) rationale: Option<String>,
    pub(crate) metadata: Vec<Pair>,
    /// The assessment that this one takes the place of.
    pub(crate) overrides: Option<String>,
    /// False once another one took its place.
    pub(crate) valid: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AssessmentValue {
    Feedback {
        value: Value,
        error: Option<AssessmentError>,
    },
    Expectation(Value),
    /// The name of an issue whose id is the name of the assessment.
    Issue(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AssessmentKind {
    Feedback,
    Expectation,
    Issue,
}

impl AssessmentKind {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Feedback => "feedback",
            Self::Expectation => "expectation",
            Self::Issue => "issue",
        }
    }
}

impl AssessmentValue {
    pub(crate) const fn kind(&self) -> AssessmentKind {
        match self {
            Self::Feedback { .. } => AssessmentKind::Feedback,
            Self::Expectation(_) => AssessmentKind::Expectation,
            Self::Issue(_) => AssessmentKind::Issue,
        }
    }

    /// The value as JSON.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Feedback { value, .. } | Self::Expectation(value) => value.clone(),
            Self::Issue(name) => Value::from(name.as_str()),
        }
    }

    /// The value as a number that averages can be taken of, and whether it is a number itself: true, false, yes and no
    /// count as 1 and 0.
    pub(crate) fn number(&self) -> (Option<f64>, bool) {
        match self.json() {
            Value::Bool(flag) => (Some(f64::from(u8::from(flag))), false),
            Value::Number(number) => {
                let number = number.as_f64().filter(|number| number.is_finite());
                (number, number.is_some())
            }
            Value::String(text) => match text.trim().to_lowercase().as_str() {
                "yes" => (Some(1.0), false),
                "no" => (Some(0.0), false),
                _ => (None, false),
            },
            _ => (None, false),
        }
    }
}

/// Why a feedback could not be given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AssessmentError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) stack_trace: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceType {
    Unspecified,
    Human,
    LlmJudge,
    Code,
}

impl SourceType {
    pub(crate) const ALL: [Self; 4] = [Self::Unspecified, Self::Human, Self::LlmJudge, Self::Code];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "SOURCE_TYPE_UNSPECIFIED",
            Self::Human => "HUMAN",
            Self::LlmJudge => "LLM_JUDGE",
            Self::Code => "CODE",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_counts_as_a_number_where_it_means_one() {
        for (value, expected) in [
            (json!(0.5), (Some(0.5), true)),
            (json!(3), (Some(3.0), true)),
            (json!(true), (Some(1.0), false)),
            (json!(" Yes "), (Some(1.0), false)),
            (json!("no"), (Some(0.0), false)),
            (json!("good"), (None, false)),
            (json!([1]), (None, false)),
            (Value::Null, (None, false)),
        ] {
            let feedback = AssessmentValue::Feedback { value: value.clone(), error: None };
            assert_eq!(feedback.number(), expected, "{value}");
        }
    }

    #[test]
    fn tokens_are_whole_numbers_or_nothing() {
        let usage = json!({ "input_tokens": 3, "output_tokens": 4.0, "total_tokens": 7.5, "other": 1 });
        assert_eq!(tokens_of(&usage), [Some(3), Some(4), None, None, None]);
        assert_eq!(tokens_of(&json!("x")), [None; 5]);
    }
}

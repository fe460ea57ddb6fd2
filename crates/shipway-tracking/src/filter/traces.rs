//! What may be searched of traces, and the filters of trace metrics.

use std::fmt::{self, Display, Formatter};

use super::{
    Condition, FilterError, Test,
    print::Key,
    token::Part,
    vocabulary::{Rules, Values, Vocabulary, joined},
};

/// What a comparison or an order looks at in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TraceField {
    TraceId,
    ClientRequestId,
    State,
    Name,
    Session,
    /// The start, in milliseconds since the epoch.
    Timestamp,
    /// How long it took, in milliseconds.
    Duration,
    /// The end, in milliseconds since the epoch.
    End,
    Experiment,
    /// The run that it belongs to: the one it was recorded in, or one that it was linked to.
    Run,
    /// A prompt version that it is linked to, written `name/version`.
    Prompt,
    Tag(String),
    Metadata(String),
    Span(SpanField),
    Feedback(String),
    Expectation(String),
    Issue,
}

/// What a comparison looks at in a span; all comparisons of spans in a filter must hold for one and the same span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpanField {
    Name,
    Type,
    Status,
    /// Everything that was recorded of it.
    Content,
    Attribute(String),
}

/// The language of trace searches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traces;

pub(crate) const TRACES: Traces = Traces;

const ATTRIBUTES: [(&str, TraceField); 15] = [
    ("request_id", TraceField::TraceId),
    ("trace_id", TraceField::TraceId),
    ("client_request_id", TraceField::ClientRequestId),
    ("status", TraceField::State),
    ("name", TraceField::Name),
    ("timestamp_ms", TraceField::Timestamp),
    ("timestamp", TraceField::Timestamp),
    ("execution_time_ms", TraceField::Duration),
    ("execution_time", TraceField::Duration),
    ("end_time_ms", TraceField::End),
    ("end_time", TraceField::End),
    ("experiment_id", TraceField::Experiment),
    ("run_id", TraceField::Run),
    ("prompt", TraceField::Prompt),
    ("text", TraceField::Span(SpanField::Content)),
];

const ENTITIES: &str = "one of attribute, trace, tag, metadata, span, feedback, expectation, issue";

fn attribute(name: &str, at: usize) -> Result<TraceField, FilterError> {
    let found = ATTRIBUTES.iter().find(|(known, _)| *known == name);
    found.map(|(_, field)| field.clone()).ok_or_else(|| {
        let known: Vec<_> = ATTRIBUTES.iter().map(|(known, _)| *known).collect();
        let problem = format!("Invalid attribute key '{name}' specified");
        FilterError::at(at, &problem, &format!("one of {}", known.join(", ")))
    })
}

/// Keys that name a thing of their own are that thing, however they are written.
fn tag(key: String) -> TraceField {
    match key.as_str() {
        "mlflow.traceName" => TraceField::Name,
        "mlflow.linkedPrompts" => TraceField::Prompt,
        _ => TraceField::Tag(key),
    }
}

fn metadata(key: String) -> TraceField {
    match key.as_str() {
        "mlflow.sourceRun" => TraceField::Run,
        "mlflow.trace.session" => TraceField::Session,
        _ => TraceField::Metadata(key),
    }
}

fn span(rest: &[Part], at: usize) -> Result<TraceField, FilterError> {
    let field = match (joined(rest).as_str(), rest) {
        ("name", _) => SpanField::Name,
        ("type", _) => SpanField::Type,
        ("status", _) => SpanField::Status,
        ("content", _) => SpanField::Content,
        (_, [first, key @ ..]) if first.text == "attributes" && !joined(key).is_empty() => {
            SpanField::Attribute(joined(key))
        }
        (other, _) => {
            let problem = format!("Invalid span attribute '{other}'");
            return Err(FilterError::at(at, &problem, "one of name, type, status, content, attributes.key"));
        }
    };
    Ok(TraceField::Span(field))
}

/// Name and version of a prompt that is written `name/version`.
pub(crate) fn prompt(text: &str) -> Option<(&str, i64)> {
    let (name, version) = text.split_once('/')?;
    Some((name, version.parse().ok()?))
}

fn named(key: String, at: usize, of: fn(String) -> TraceField) -> Result<TraceField, FilterError> {
    if key.is_empty() {
        return Err(FilterError::at(
            at,
            "Assessment field name cannot be empty",
            "the name of an assessment",
        ));
    }
    Ok(of(key))
}

impl Vocabulary for Traces {
    type Field = TraceField;

    fn field(&self, parts: &[Part], at: usize) -> Result<TraceField, FilterError> {
        let (first, rest) = match parts {
            [] => return Err(FilterError::at(at, "Invalid filter: no field", &self.expected())),
            [only] => return attribute(&only.text, at),
            [first, rest @ ..] => (first, rest),
        };
        let key = joined(rest);
        match first.text.to_ascii_lowercase().as_str() {
            "attribute" | "attributes" | "trace" => attribute(&key, at),
            "tag" | "tags" => Ok(tag(key)),
            "request_metadata" | "metadata" => Ok(metadata(key)),
            "span" => span(rest, at),
            "feedback" => named(key, at, TraceField::Feedback),
            "expectation" => named(key, at, TraceField::Expectation),
            "issue" if key == "id" => Ok(TraceField::Issue),
            "issue" => Err(FilterError::at(at, &format!("Invalid issue attribute '{key}'"), "id")),
            _ => Err(FilterError::at(at, &format!("Invalid entity type '{}'", first.text), ENTITIES)),
        }
    }

    fn describe(&self, field: &TraceField) -> String {
        match field {
            TraceField::Tag(key) => format!("tag '{key}'"),
            TraceField::Metadata(key) => format!("request_metadata '{key}'"),
            TraceField::Span(field) => format!("span '{field}'"),
            TraceField::Feedback(name) => format!("feedback '{name}'"),
            TraceField::Expectation(name) => format!("expectation '{name}'"),
            other => format!("attribute '{other}'"),
        }
    }

    fn rules(&self, field: &TraceField) -> Rules {
        let text = Rules { regular: true, ..Rules::TEXT };
        match field {
            TraceField::Timestamp | TraceField::Duration | TraceField::End => Rules::NUMBER,
            TraceField::Experiment => Rules::NOTHING,
            TraceField::TraceId | TraceField::ClientRequestId | TraceField::State => {
                Rules { list: true, ..text }
            }
            TraceField::Name | TraceField::Run => Rules { list: true, null: true, ..text },
            TraceField::Session | TraceField::Tag(_) | TraceField::Metadata(_) => {
                Rules { null: true, ..text }
            }
            TraceField::Span(SpanField::Content) => Rules { like: true, ..Rules::NOTHING },
            TraceField::Span(_) => Rules { list: true, ..text },
            TraceField::Feedback(_) | TraceField::Expectation(_) => Rules { order: true, null: true, ..text },
            TraceField::Issue | TraceField::Prompt => Rules { equal: Values::Text, ..Rules::NOTHING },
        }
    }

    fn orders(&self, field: &TraceField) -> bool {
        !matches!(
            field,
            TraceField::Span(_)
                | TraceField::Feedback(_)
                | TraceField::Expectation(_)
                | TraceField::Issue
                | TraceField::Prompt
        )
    }

    fn fault(&self, field: &TraceField, condition: &Condition) -> Option<String> {
        let Condition::Test(Test::Text { value, .. }) = condition else { return None };
        let wrong = *field == TraceField::Prompt && prompt(value).is_none();
        wrong.then(|| "a prompt version, written 'name/version'".to_owned())
    }

    fn expected(&self) -> String {
        "an attribute, tag.key, metadata.key, span.field, feedback.name, expectation.name or issue.id"
            .to_owned()
    }
}

impl Display for SpanField {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => formatter.write_str("name"),
            Self::Type => formatter.write_str("type"),
            Self::Status => formatter.write_str("status"),
            Self::Content => formatter.write_str("content"),
            Self::Attribute(key) => write!(formatter, "attributes.{}", Key(key)),
        }
    }
}

impl Display for TraceField {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session => formatter.write_str("metadata.`mlflow`.`trace`.`session`"),
            Self::Tag(key) => write!(formatter, "tag.{}", Key(key)),
            Self::Metadata(key) => write!(formatter, "metadata.{}", Key(key)),
            Self::Span(field) => write!(formatter, "span.{field}"),
            Self::Feedback(name) => write!(formatter, "feedback.{}", Key(name)),
            Self::Expectation(name) => write!(formatter, "expectation.{}", Key(name)),
            Self::Issue => formatter.write_str("issue.id"),
            plain => {
                let name = ATTRIBUTES.iter().find(|(_, field)| field == plain).map(|(name, _)| *name);
                formatter.write_str(name.unwrap_or_default())
            }
        }
    }
}

/// What a filter of a trace metric looks at. Each filter is one comparison with `=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MetricField {
    TraceState,
    TraceTag(String),
    TraceMetadata(String),
    SpanName,
    SpanStatus,
    SpanType,
    AssessmentName,
    AssessmentType,
}

/// The language of the filters of trace metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricFilter;

pub(crate) const METRIC_FILTER: MetricFilter = MetricFilter;

impl Vocabulary for MetricFilter {
    type Field = MetricField;

    fn field(&self, parts: &[Part], at: usize) -> Result<MetricField, FilterError> {
        let words: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
        match words.as_slice() {
            ["trace", "status"] => Ok(MetricField::TraceState),
            ["trace", "tag", _, ..] => Ok(MetricField::TraceTag(joined(&parts[2..]))),
            ["trace", "metadata", _, ..] => Ok(MetricField::TraceMetadata(joined(&parts[2..]))),
            ["span", "name"] => Ok(MetricField::SpanName),
            ["span", "status"] => Ok(MetricField::SpanStatus),
            ["span", "type"] => Ok(MetricField::SpanType),
            ["assessment", "name"] => Ok(MetricField::AssessmentName),
            ["assessment", "type"] => Ok(MetricField::AssessmentType),
            _ => {
                let problem = format!("Invalid identifier '{}'", joined(parts));
                Err(FilterError::at(at, &problem, &self.expected()))
            }
        }
    }

    fn describe(&self, field: &MetricField) -> String {
        match field {
            MetricField::TraceState => "trace.status".to_owned(),
            MetricField::TraceTag(key) => format!("trace.tag '{key}'"),
            MetricField::TraceMetadata(key) => format!("trace.metadata '{key}'"),
            MetricField::SpanName => "span.name".to_owned(),
            MetricField::SpanStatus => "span.status".to_owned(),
            MetricField::SpanType => "span.type".to_owned(),
            MetricField::AssessmentName => "assessment.name".to_owned(),
            MetricField::AssessmentType => "assessment.type".to_owned(),
        }
    }

    fn rules(&self, _field: &MetricField) -> Rules {
        Rules { equal: Values::Text, ..Rules::NOTHING }
    }

    fn orders(&self, _field: &MetricField) -> bool {
        false
    }

    fn expected(&self) -> String {
        "trace.status, trace.tag.key, trace.metadata.key, span.name, span.status, span.type, assessment.name or \
         assessment.type"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Clause, Relation,
            grammar::{parse_clauses, parse_order_of},
        },
        *,
    };

    fn field(text: &str) -> TraceField {
        let read = parse_clauses(text, &TRACES).unwrap_or_else(|error| panic!("{text}: {error}"));
        read[0].field.clone()
    }

    #[test]
    fn fields_are_read_by_every_alias() {
        for (text, expected) in [
            ("timestamp > 5", TraceField::Timestamp),
            ("attributes.timestamp_ms > 5", TraceField::Timestamp),
            ("trace.status = 'OK'", TraceField::State),
            ("status IN ('OK', 'ERROR')", TraceField::State),
            ("name RLIKE '^a'", TraceField::Name),
            ("tags.`mlflow.traceName` = 'a'", TraceField::Name),
            ("run_id = 'r'", TraceField::Run),
            ("request_metadata.`mlflow.sourceRun` = 'r'", TraceField::Run),
            ("metadata.mlflow.trace.session = 's'", TraceField::Session),
            ("metadata.user IS NULL", TraceField::Metadata("user".into())),
            ("tag.team != 'x'", TraceField::Tag("team".into())),
            ("trace.text LIKE '%late%'", TraceField::Span(SpanField::Content)),
            ("span.content ILIKE '%late%'", TraceField::Span(SpanField::Content)),
            ("span.attributes.llm.model = 'm'", TraceField::Span(SpanField::Attribute("llm.model".into()))),
            ("feedback.correct = 'true'", TraceField::Feedback("correct".into())),
            ("expectation.score >= 0.8", TraceField::Expectation("score".into())),
            ("issue.id = 'i-1'", TraceField::Issue),
            ("prompt = 'hello/1'", TraceField::Prompt),
        ] {
            assert_eq!(field(text), expected, "{text}");
        }
        let clause = &parse_clauses("feedback.score > 0.5", &TRACES).unwrap()[0];
        let test = Condition::Test(Test::Number(Relation::Greater, 0.5));
        assert_eq!(clause, &Clause { field: TraceField::Feedback("score".into()), condition: test });
    }

    #[test]
    fn what_a_field_does_not_take_is_refused() {
        for bad in [
            "status > 'OK'",
            "timestamp = 'x'",
            "timestamp LIKE 'x'",
            "trace.text = 'x'",
            "trace.text RLIKE 'x'",
            "span.owner = 'x'",
            "span.attributes = 'x'",
            "feedback.x > 'y'",
            "feedback.x = 5",
            "issue.id != 'x'",
            "issue.name = 'x'",
            "prompt LIKE 'x'",
            "prompt = 'hello'",
            "prompt = 'hello/one'",
            "name RLIKE '('",
            "metrics.a > 1",
            "experiment_id = '1'",
            "status = 'OK' OR status = 'ERROR'",
        ] {
            assert!(parse_clauses(bad, &TRACES).is_err(), "{bad}");
        }
    }

    #[test]
    fn orders_are_of_what_a_trace_has_once() {
        assert_eq!(parse_order_of("timestamp_ms DESC", &TRACES), Ok((TraceField::Timestamp, false)));
        assert_eq!(parse_order_of("tag.team", &TRACES), Ok((TraceField::Tag("team".into()), true)));
        for bad in ["span.name", "feedback.x", "prompt DESC", "timestamp_ms UP"] {
            assert!(parse_order_of(bad, &TRACES).is_err(), "{bad}");
        }
    }

    #[test]
    fn metric_filters_compare_with_equality_only() {
        assert!(parse_clauses("trace.tag.`mlflow.traceName` = 'x'", &METRIC_FILTER).is_ok());
        for bad in ["trace.status != 'OK'", "trace.tag = 'x'", "run.status = 'x'", "span.name LIKE 'x'"] {
            assert!(parse_clauses(bad, &METRIC_FILTER).is_err(), "{bad}");
        }
    }
}

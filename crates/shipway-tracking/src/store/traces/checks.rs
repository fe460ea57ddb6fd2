//! What SQL cannot decide alike in every database: patterns with their case, letters beyond ASCII, regular expressions, and the
//! attributes of spans. SQL finds the candidates; here each is looked at.

use std::collections::{HashMap, HashSet};

use regex::Regex;
use serde_json::Value;
use shipway_store::{Row, SqlValue};

use super::{Rows, Stored, placeholders};
use crate::{
    filter::{Condition, Test, like, regular::regular, traces::SpanField},
    model::trace::AssessmentKind,
};

/// How many rows of spans or assessments are looked at in one go.
const PIECE: usize = 500;

/// A condition on one text.
#[derive(Debug, Clone)]
pub(super) enum TextCheck {
    /// The pattern, and whether letters differ by their case.
    Like(String, bool),
    Matches(Regex),
    Equal(String, bool),
    Among(Vec<String>, bool),
}

impl TextCheck {
    /// The check of a condition; `None` for one that is no condition on a text. The grammar has compiled every expression, so
    /// one that does not compile cannot come; if it did, nothing would match it.
    pub(super) fn of(condition: &Condition) -> Option<Self> {
        Some(match condition {
            Condition::Matches(text) => regular(text).map_or(Self::Among(Vec::new(), true), Self::Matches),
            Condition::Test(Test::Like { pattern, case_sensitive: true }) => {
                Self::Like(pattern.clone(), true)
            }
            Condition::Test(Test::Like { pattern, case_sensitive: false }) => {
                Self::Like(pattern.to_lowercase(), false)
            }
            Condition::Test(Test::Text { equal, value }) => Self::Equal(value.clone(), *equal),
            Condition::Test(Test::Among { inside, values }) => Self::Among(values.clone(), *inside),
            Condition::Test(Test::Number(..) | Test::Present(_)) => return None,
        })
    }

    /// Whether SQL alone decides the condition.
    pub(super) fn is_needed(condition: &Condition) -> bool {
        match condition {
            Condition::Matches(_) => true,
            Condition::Test(Test::Like { pattern, case_sensitive }) => *case_sensitive || !pattern.is_ascii(),
            Condition::Test(_) => false,
        }
    }

    pub(super) fn passes(&self, text: &str) -> bool {
        match self {
            Self::Like(pattern, true) => like(text, pattern),
            Self::Like(pattern, false) => like(&text.to_lowercase(), pattern),
            Self::Matches(expression) => expression.is_match(text),
            Self::Equal(value, equal) => (text == value) == *equal,
            Self::Among(values, inside) => values.iter().any(|value| value == text) == *inside,
        }
    }
}

/// A pattern that finds at least what the wanted one finds, whatever the database thinks of case: below ASCII both are folded,
/// beyond it anything fits. The escape character is `^`.
pub(super) fn candidates(pattern: &str) -> String {
    let mut found = String::with_capacity(pattern.len());
    for letter in pattern.chars() {
        match letter {
            '^' => found.push_str("^^"),
            letter if letter.is_ascii() => found.push(letter.to_ascii_lowercase()),
            _ => found.push('%'),
        }
    }
    found
}

/// What must hold for one span of a trace.
#[derive(Debug, Clone, Default)]
pub(super) struct SpanCheck {
    /// Conditions of `trace_spans x`, with `{n}` for the number of a parameter, and the parameters.
    pub(super) conditions: Vec<String>,
    pub(super) parameters: Vec<SqlValue>,
    pub(super) checks: Vec<(SpanField, TextCheck)>,
}

impl SpanCheck {
    /// The conditions with their placeholders counted from `from`.
    pub(super) fn sql(&self, from: usize) -> String {
        let mut next = from;
        let mut sql = String::new();
        for condition in &self.conditions {
            sql.push_str(" AND ");
            for (index, piece) in condition.split("{n}").enumerate() {
                if index > 0 {
                    sql.push_str(&format!("${next}"));
                    next += 1;
                }
                sql.push_str(piece);
            }
        }
        sql
    }

    fn reads_content(&self) -> bool {
        self.checks.iter().any(|(field, _)| matches!(field, SpanField::Content | SpanField::Attribute(_)))
    }

    fn passes(&self, row: &Row) -> Stored<bool> {
        let content = if self.reads_content() { row.text("content")? } else { String::new() };
        let attributes = self.checks.iter().any(|(field, _)| matches!(field, SpanField::Attribute(_)));
        let span: Value =
            if attributes { serde_json::from_str(&content).unwrap_or(Value::Null) } else { Value::Null };
        for (field, check) in &self.checks {
            let text = match field {
                SpanField::Name => Some(row.text("name")?),
                SpanField::Type => row.optional_text("span_type")?,
                SpanField::Status => Some(row.text("status")?),
                SpanField::Content => Some(content.clone()),
                SpanField::Attribute(key) => attribute(&span, key),
            };
            if !text.is_some_and(|text| check.passes(&text)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Those of the traces that have a span for which everything holds.
    pub(super) async fn passing(&self, rows: &mut impl Rows, ids: &[String]) -> Stored<HashSet<String>> {
        let mut passed = HashSet::new();
        let mut open: Vec<String> = ids.to_vec();
        let mut after = (String::new(), String::new());
        let content = if self.reads_content() { "x.content" } else { "'' AS content" };
        while !open.is_empty() {
            let from = open.len() + self.parameters.len() + 1;
            let sql = format!(
                "SELECT x.trace_id, x.span_id, x.name, x.span_type, x.status, {content} FROM trace_spans x \
                 WHERE x.trace_id IN ({}){} AND (x.trace_id > ${from} OR (x.trace_id = ${from} AND x.span_id > ${})) \
                 ORDER BY x.trace_id, x.span_id LIMIT {PIECE}",
                placeholders(1, open.len()),
                self.sql(open.len() + 1),
                from + 1
            );
            let mut values: Vec<SqlValue> = open.iter().map(|id| SqlValue::from(id.as_str())).collect();
            values.extend(self.parameters.iter().cloned());
            values.extend([after.0.as_str().into(), after.1.as_str().into()]);
            let found = rows.all(&sql, values).await?;
            for row in &found {
                let id = row.text("trace_id")?;
                if !passed.contains(&id) && self.passes(row)? {
                    passed.insert(id);
                }
            }
            let Some(last) = found.last().filter(|_| found.len() == PIECE) else { break };
            after = (last.text("trace_id")?, last.text("span_id")?);
            open.retain(|id| !passed.contains(id) && *id >= after.0);
        }
        Ok(passed)
    }
}

/// The value of an attribute as a filter sees it: a text as it is, anything else as JSON.
fn attribute(span: &Value, key: &str) -> Option<String> {
    let text = span.get("attributes")?.get(key)?.as_str()?;
    match serde_json::from_str(text) {
        Ok(Value::String(text)) => Some(text),
        _ => Some(text.to_owned()),
    }
}

/// What must hold for one assessment of a trace, or of another trace of its session that speaks for the session.
#[derive(Debug, Clone)]
pub(super) struct AssessmentCheck {
    pub(super) kind: AssessmentKind,
    pub(super) name: String,
    pub(super) check: TextCheck,
}

impl AssessmentCheck {
    fn passes(&self, row: &Row) -> Stored<bool> {
        let body = row.text("body")?;
        let text = match serde_json::from_str(&body) {
            Ok(Value::String(text)) => text,
            _ => body,
        };
        Ok(self.check.passes(&text))
    }

    /// Those of the traces for which it holds; each comes with its session.
    pub(super) async fn passing(
        &self,
        rows: &mut impl Rows,
        traces: &[(String, Option<String>)],
        experiments: &str,
    ) -> Stored<HashSet<String>> {
        let mut passed = HashSet::new();
        let own = |from: usize, count: usize| format!("a.trace_id IN ({})", placeholders(from, count));
        for row in self.rows(rows, traces.iter().map(|(id, _)| id.as_str()), own).await? {
            if self.passes(&row)? {
                passed.insert(row.text("trace_id")?);
            }
        }
        let mut sessions: HashMap<&str, Vec<&str>> = HashMap::new();
        for (id, session) in traces {
            if let Some(session) = session {
                sessions.entry(session).or_default().push(id);
            }
        }
        let shared = |from: usize, count: usize| {
            format!(
                "a.session_scoped = 1 AND o.experiment_id IN ({experiments}) AND o.session_id IN ({})",
                placeholders(from, count)
            )
        };
        for row in self.rows(rows, sessions.keys().copied(), shared).await? {
            if self.passes(&row)? {
                let session = row.text("session_id")?;
                let members = sessions.get(session.as_str()).into_iter().flatten();
                passed.extend(members.map(|id| (*id).to_owned()));
            }
        }
        Ok(passed)
    }

    async fn rows<'a>(
        &self,
        rows: &mut impl Rows,
        keys: impl Iterator<Item = &'a str>,
        condition: impl Fn(usize, usize) -> String,
    ) -> Stored<Vec<Row>> {
        let keys: Vec<&str> = keys.collect();
        let mut found = Vec::new();
        for chunk in keys.chunks(PIECE) {
            let sql = format!(
                "SELECT a.trace_id, a.body, o.session_id FROM trace_assessments a JOIN traces o ON o.trace_id = a.trace_id \
                 WHERE a.kind = $1 AND a.name = $2 AND a.valid = 1 AND {}",
                condition(3, chunk.len())
            );
            let mut values = vec![SqlValue::from(self.kind.word()), SqlValue::from(self.name.as_str())];
            values.extend(chunk.iter().map(|key| SqlValue::from(*key)));
            found.extend(rows.all(&sql, values).await?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn candidates_are_never_fewer_than_what_is_wanted() {
        assert_eq!(candidates("Ab%_"), "ab%_");
        assert_eq!(candidates("^\u{c4}b"), "^^%b");
        let test = |pattern: &str, case_sensitive| {
            Condition::Test(Test::Like { pattern: pattern.into(), case_sensitive })
        };
        assert!(TextCheck::is_needed(&test("a%", true)) && TextCheck::is_needed(&test("\u{e4}%", false)));
        assert!(!TextCheck::is_needed(&test("a%", false)));
        let folded = TextCheck::of(&test("\u{c4}%", false)).unwrap();
        assert!(folded.passes("\u{e4}rger") && !folded.passes("arger"));
    }

    #[test]
    fn an_attribute_is_its_text_or_its_json() {
        let span = json!({ "attributes": { "a": "\"x\"", "b": "{\"c\": 1}", "d": "plain" } });
        assert_eq!(attribute(&span, "a").as_deref(), Some("x"));
        assert_eq!(attribute(&span, "b").as_deref(), Some("{\"c\": 1}"));
        assert_eq!(attribute(&span, "d").as_deref(), Some("plain"));
        assert_eq!(attribute(&span, "e"), None);
    }

    #[test]
    fn placeholders_are_counted_over_all_conditions() {
        let check = SpanCheck {
            conditions: vec!["x.name = {n}".into(), "x.status IN ({n}, {n})".into()],
            ..SpanCheck::default()
        };
        assert_eq!(check.sql(4), " AND x.name = $4 AND x.status IN ($5, $6)");
    }
}

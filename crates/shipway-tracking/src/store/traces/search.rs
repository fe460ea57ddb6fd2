//! Checked filters and orders of traces to SQL, page after page.
//!
//! A page starts after the last row of the page before it, found by the values that rows are sorted by. So a page costs the same
//! wherever it is, and traces that come or go in between neither repeat nor hide others. Where candidates must be looked at
//! one by one, a search looks at a bounded number of them and may give a page that is not full, with the token to go on.

use shipway_store::{Row, SqlValue};

use super::{
    Rows, Stored,
    checks::{AssessmentCheck, SpanCheck, TextCheck, candidates},
    placeholders,
};
use crate::{
    filter::{
        Clause, Condition, Test,
        traces::{SpanField, TraceField, prompt},
    },
    model::trace::{AssessmentKind, key},
};

/// How many candidates are looked at together, and how many at most for one page.
const BATCH: usize = 200;
const SCANNED: usize = 5_000;

/// A value that rows are sorted by.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub(crate) enum Sorted {
    Int(i64),
    Text(String),
    Nothing,
}

/// Where a page ended: the values that its last row is sorted by.
pub(crate) type Cursor = Vec<Sorted>;

/// A search, as it is put together.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    /// The experiments as SQL; numbers only.
    experiments: String,
    conditions: Vec<String>,
    parameters: Vec<SqlValue>,
    selected: Vec<String>,
    texts: Vec<TextCheck>,
    spans: Vec<SpanCheck>,
    assessments: Vec<AssessmentCheck>,
    order: Vec<(String, bool)>,
}

impl Search {
    /// Traces of these experiments, the newest first.
    pub(crate) fn of(experiments: &[i64]) -> Self {
        let list: Vec<String> = experiments.iter().map(ToString::to_string).collect();
        // A list that is empty is no SQL; no experiment has a negative number.
        let experiments = if list.is_empty() { "-1".to_owned() } else { list.join(", ") };
        Self {
            conditions: vec![format!("t.experiment_id IN ({experiments})")],
            experiments,
            parameters: Vec::new(),
            selected: Vec::new(),
            texts: Vec::new(),
            spans: Vec::new(),
            assessments: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Keeps traces for which all clauses hold; those of spans for one and the same span.
    pub(crate) fn matching(mut self, clauses: &[Clause<TraceField>]) -> Self {
        let mut spans = SpanCheck::default();
        for Clause { field, condition } in clauses {
            match field {
                TraceField::Span(field) => span_condition(&mut spans, field, condition),
                TraceField::Feedback(name) => self.assessed(AssessmentKind::Feedback, name, condition),
                TraceField::Expectation(name) => self.assessed(AssessmentKind::Expectation, name, condition),
                TraceField::Issue => self.issue(condition),
                TraceField::Run => self.run_of(condition),
                TraceField::Prompt => self.linked_prompt(condition),
                plain => {
                    let expression = self.expression(plain);
                    self.compare(&expression, condition);
                }
            }
        }
        if !spans.conditions.is_empty() {
            let sql = spans.sql(self.parameters.len() + 1);
            self.parameters.extend(spans.parameters.iter().cloned());
            self.conditions
                .push(format!("EXISTS (SELECT 1 FROM trace_spans x WHERE x.trace_id = t.trace_id{sql})"));
            if !spans.checks.is_empty() {
                self.spans.push(spans);
            }
        }
        self
    }

    pub(crate) fn ordered_by(mut self, orders: &[(TraceField, bool)]) -> Self {
        for (field, ascending) in orders {
            let expression = match field {
                TraceField::Run => "t.source_run_id".to_owned(),
                other => self.expression(other),
            };
            self.order.push((expression, *ascending));
        }
        self
    }

    fn bind(&mut self, value: impl Into<SqlValue>) -> String {
        self.parameters.push(value.into());
        format!("${}", self.parameters.len())
    }

    fn pair(&mut self, table: &str, key: &str) -> String {
        let key = self.bind(key);
        format!("(SELECT p.value FROM {table} p WHERE p.trace_id = t.trace_id AND p.key = {key})")
    }

    fn expression(&mut self, field: &TraceField) -> String {
        let column = match field {
            TraceField::TraceId => "t.trace_id",
            TraceField::ClientRequestId => "t.client_request_id",
            TraceField::State => "t.state",
            TraceField::Name => "t.name",
            TraceField::Session => "t.session_id",
            TraceField::Timestamp => "t.timestamp_ms",
            TraceField::Duration => "t.execution_ms",
            TraceField::End => "(t.timestamp_ms + COALESCE(t.execution_ms, 0))",
            TraceField::Experiment => "t.experiment_id",
            TraceField::Tag(key) if key == key::ARTIFACT_LOCATION => {
                "('mlflow-artifacts:/' || t.artifact_root)"
            }
            TraceField::Tag(key) => return self.pair("trace_tags", key),
            TraceField::Metadata(key) => return self.pair("trace_metadata", key),
            _ => "NULL",
        };
        column.to_owned()
    }

    fn compare(&mut self, expression: &str, condition: &Condition) {
        let sql = match condition {
            Condition::Matches(_) => format!("{expression} IS NOT NULL"),
            Condition::Test(Test::Number(relation, number)) => {
                let value = self.bind(*number);
                format!("{expression} {} {value}", relation.sql())
            }
            Condition::Test(Test::Text { equal, value }) => {
                let value = self.bind(value.as_str());
                format!("{expression} {} {value}", if *equal { "=" } else { "<>" })
            }
            Condition::Test(Test::Like { pattern, .. }) => {
                let value = self.bind(candidates(pattern));
                format!("lower({expression}) LIKE {value} ESCAPE '^'")
            }
            Condition::Test(Test::Among { inside, values }) => {
                let list = self.bind_all(values);
                format!("{expression} {}IN ({list})", if *inside { "" } else { "NOT " })
            }
            Condition::Test(Test::Present(present)) => {
                format!("{expression} IS {}NULL", if *present { "NOT " } else { "" })
            }
        };
        self.conditions.push(sql);
        if let (true, Some(check)) = (TextCheck::is_needed(condition), TextCheck::of(condition)) {
            self.selected.push(format!("{expression} AS check_{}", self.texts.len()));
            self.texts.push(check);
        }
    }

    fn bind_all(&mut self, values: &[String]) -> String {
        let from = self.parameters.len() + 1;
        self.parameters.extend(values.iter().map(|value| SqlValue::from(value.as_str())));
        placeholders(from, values.len())
    }

    /// A trace is of the run that it was recorded in and of those that it was linked to.
    fn run_of(&mut self, condition: &Condition) {
        let linked =
            |which: &str| format!("EXISTS (SELECT 1 FROM trace_runs r WHERE r.trace_id = t.trace_id{which})");
        let (inside, list) = match condition {
            Condition::Test(Test::Text { equal, value }) => (*equal, self.bind(value.as_str())),
            Condition::Test(Test::Among { inside, values }) => (*inside, self.bind_all(values)),
            Condition::Test(Test::Present(present)) => {
                let not = if *present { "" } else { "NOT " };
                self.conditions.push(format!("{not}(t.source_run_id IS NOT NULL OR {})", linked("")));
                return;
            }
            other => return self.compare("t.source_run_id", other),
        };
        let link = linked(&format!(" AND r.run_id IN ({list})"));
        self.conditions.push(if inside {
            format!("(t.source_run_id IN ({list}) OR {link})")
        } else {
            format!("(t.source_run_id NOT IN ({list}) AND NOT {link})")
        });
    }

    fn linked_prompt(&mut self, condition: &Condition) {
        let Condition::Test(Test::Text { value, .. }) = condition else { return };
        let Some((name, version)) = prompt(value) else { return };
        let (name, version) = (self.bind(name), self.bind(version));
        self.conditions.push(format!(
            "EXISTS (SELECT 1 FROM trace_prompts l WHERE l.trace_id = t.trace_id AND l.name = {name} \
             AND l.version = {version})"
        ));
    }

    fn issue(&mut self, condition: &Condition) {
        let Condition::Test(Test::Text { value, .. }) = condition else { return };
        let name = self.bind(value.as_str());
        self.conditions.push(format!(
            "EXISTS (SELECT 1 FROM trace_assessments a WHERE a.trace_id = t.trace_id AND a.kind = 'issue' \
             AND a.name = {name})"
        ));
    }

    fn assessed(&mut self, kind: AssessmentKind, name: &str, condition: &Condition) {
        let bound = self.bind(name);
        let mut wanted = format!("a.kind = '{}' AND a.name = {bound} AND a.valid = 1", kind.word());
        match condition {
            Condition::Test(Test::Number(relation, number)) => {
                let value = self.bind(*number);
                wanted.push_str(&format!(" AND a.is_number = 1 AND a.number {} {value}", relation.sql()));
            }
            Condition::Test(Test::Text { equal, value }) => {
                let quoted = self.bind(serde_json::Value::from(value.as_str()).to_string());
                let plain = self.bind(value.as_str());
                let mut same = format!("a.body = {quoted} OR a.body = {plain}");
                // A number is the same however it is written: 1, 1.0.
                if let Some(number) = value.parse::<f64>().ok().filter(|number| number.is_finite()) {
                    let number = self.bind(number);
                    same.push_str(&format!(" OR (a.is_number = 1 AND a.number = {number})"));
                }
                wanted.push_str(&format!(" AND {}({same})", if *equal { "" } else { "NOT " }));
            }
            Condition::Test(Test::Present(_)) => {}
            other => {
                if let Some(check) = TextCheck::of(other) {
                    self.assessments.push(AssessmentCheck { kind, name: name.to_owned(), check });
                }
            }
        }
        let missing = matches!(condition, Condition::Test(Test::Present(false)));
        self.conditions.push(format!(
            "{}(EXISTS (SELECT 1 FROM trace_assessments a WHERE a.trace_id = t.trace_id AND {wanted}) \
             OR EXISTS (SELECT 1 FROM trace_assessments a JOIN traces o ON o.trace_id = a.trace_id \
             WHERE o.session_id = t.session_id AND o.experiment_id IN ({}) AND a.session_scoped = 1 AND {wanted}))",
            if missing { "NOT " } else { "" },
            self.experiments
        ));
    }

    /// One page after `after`, at most `size` rows, and where to go on when there may be more.
    pub(crate) async fn page(
        &self,
        rows: &mut impl Rows,
        size: usize,
        after: Option<Cursor>,
    ) -> Stored<(Vec<Row>, Option<Cursor>)> {
        let looks = self.looks();
        let mut after = after;
        let mut found: Vec<Row> = Vec::new();
        let mut scanned = 0;
        loop {
            let limit = if looks { BATCH } else { size + 1 };
            let batch = self.batch(rows, after.as_ref(), limit).await?;
            let is_last = batch.len() < limit;
            scanned += batch.len();
            after = batch.last().map(|row| self.cursor(row)).transpose()?;
            found.extend(self.passing(rows, batch).await?);
            if found.len() > size {
                found.truncate(size);
                let next = found.last().map(|row| self.cursor(row)).transpose()?;
                return Ok((found, next));
            }
            if is_last {
                return Ok((found, None));
            }
            if scanned >= SCANNED {
                return Ok((found, after));
            }
        }
    }

    /// How many traces match.
    pub(crate) async fn count(&self, rows: &mut impl Rows) -> Stored<i64> {
        if !self.looks() {
            let sql =
                format!("SELECT COUNT(*) AS traces FROM traces t WHERE {}", self.conditions.join(" AND "));
            let row = rows.first(&sql, self.parameters.clone()).await?;
            return row.map_or(Ok(0), |row| row.int("traces"));
        }
        let mut count = 0;
        let mut after = None;
        loop {
            let (found, next) = self.page(rows, BATCH, after).await?;
            count += i64::try_from(found.len()).unwrap_or(i64::MAX);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(count),
            }
        }
    }

    fn looks(&self) -> bool {
        !(self.texts.is_empty() && self.spans.is_empty() && self.assessments.is_empty())
    }

    /// What rows are sorted by: what was asked for, then the newest first, then the id.
    fn sorting(&self) -> Vec<(String, bool)> {
        let mut order = self.order.clone();
        for (expression, ascending) in [("t.timestamp_ms", false), ("t.trace_id", true)] {
            if !order.iter().any(|(known, _)| known == expression) {
                order.push((expression.to_owned(), ascending));
            }
        }
        order
    }

    async fn batch(&self, rows: &mut impl Rows, after: Option<&Cursor>, limit: usize) -> Stored<Vec<Row>> {
        let sorting = self.sorting();
        let mut columns = vec!["t.*".to_owned()];
        columns.extend(self.selected.iter().cloned());
        columns.extend(
            sorting
                .iter()
                .enumerate()
                .map(|(index, (expression, _))| format!("{expression} AS sort_{index}")),
        );
        let mut parameters = self.parameters.clone();
        let mut sql = format!(
            "SELECT * FROM (SELECT {} FROM traces t WHERE {}) q",
            columns.join(", "),
            self.conditions.join(" AND ")
        );
        if let Some(cursor) = after {
            sql.push_str(&format!(" WHERE {}", beyond(&sorting, cursor, &mut parameters)));
        }
        let order: Vec<String> = sorting
            .iter()
            .enumerate()
            .map(|(index, (_, ascending))| {
                let direction = if *ascending { "ASC" } else { "DESC" };
                format!("CASE WHEN q.sort_{index} IS NULL THEN 1 ELSE 0 END, q.sort_{index} {direction}")
            })
            .collect();
        sql.push_str(&format!(" ORDER BY {} LIMIT {limit}", order.join(", ")));
        rows.all(&sql, parameters).await
    }

    fn cursor(&self, row: &Row) -> Stored<Cursor> {
        let value = |index: usize| {
            Ok(match row.value(&format!("sort_{index}"))? {
                SqlValue::Int(number) => Sorted::Int(number),
                SqlValue::Text(text) => Sorted::Text(text),
                _ => Sorted::Nothing,
            })
        };
        (0..self.sorting().len()).map(value).collect()
    }

    async fn passing(&self, rows: &mut impl Rows, batch: Vec<Row>) -> Stored<Vec<Row>> {
        let mut kept = Vec::with_capacity(batch.len());
        for row in batch {
            let mut fits = true;
            for (index, check) in self.texts.iter().enumerate() {
                let text = row.optional_text(&format!("check_{index}"))?;
                fits = fits && text.is_some_and(|text| check.passes(&text));
            }
            if fits {
                kept.push(row);
            }
        }
        for check in &self.spans {
            let ids = kept.iter().map(|row| row.text("trace_id")).collect::<Stored<Vec<_>>>()?;
            let passed = check.passing(rows, &ids).await?;
            kept = keep(kept, &passed)?;
        }
        for check in &self.assessments {
            let traces = kept
                .iter()
                .map(|row| Ok((row.text("trace_id")?, row.optional_text("session_id")?)))
                .collect::<Stored<Vec<_>>>()?;
            let passed = check.passing(rows, &traces, &self.experiments).await?;
            kept = keep(kept, &passed)?;
        }
        Ok(kept)
    }
}

fn keep(rows: Vec<Row>, passed: &std::collections::HashSet<String>) -> Stored<Vec<Row>> {
    let mut kept = Vec::with_capacity(passed.len());
    for row in rows {
        if passed.contains(&row.text("trace_id")?) {
            kept.push(row);
        }
    }
    Ok(kept)
}

/// Rows after the cursor: equal to it up to some value, and after it there. What is missing comes last in both directions.
fn beyond(sorting: &[(String, bool)], cursor: &Cursor, parameters: &mut Vec<SqlValue>) -> String {
    let mut ways = Vec::new();
    let mut equal: Vec<String> = Vec::new();
    for (index, ((_, ascending), value)) in sorting.iter().zip(cursor).enumerate() {
        let column = format!("q.sort_{index}");
        let bound = match value {
            Sorted::Nothing => None,
            Sorted::Int(number) => Some(SqlValue::from(*number)),
            Sorted::Text(text) => Some(SqlValue::from(text.as_str())),
        };
        let Some(bound) = bound else {
            equal.push(format!("{column} IS NULL"));
            continue;
        };
        parameters.push(bound);
        let placeholder = format!("${}", parameters.len());
        let after = if *ascending { ">" } else { "<" };
        let mut way = equal.clone();
        way.push(format!("({column} {after} {placeholder} OR {column} IS NULL)"));
        ways.push(way.join(" AND "));
        equal.push(format!("{column} = {placeholder}"));
    }
    format!("({})", ways.join(" OR "))
}

fn span_condition(spans: &mut SpanCheck, field: &SpanField, condition: &Condition) {
    let column = match field {
        SpanField::Name => "x.name",
        SpanField::Type => "x.span_type",
        SpanField::Status => "x.status",
        SpanField::Content => "x.content",
        SpanField::Attribute(key) => {
            // The name is in the content as JSON writes it; what it holds is looked at.
            let name = serde_json::Value::from(key.as_str()).to_string();
            spans.conditions.push("lower(x.content) LIKE {n} ESCAPE '^'".to_owned());
            spans.parameters.push(format!("%{}%", candidates(&name)).into());
            spans.checks.extend(TextCheck::of(condition).map(|check| (field.clone(), check)));
            return;
        }
    };
    match condition {
        Condition::Test(Test::Text { equal, value }) => {
            spans.conditions.push(format!("{column} {} {{n}}", if *equal { "=" } else { "<>" }));
            spans.parameters.push(value.as_str().into());
        }
        Condition::Test(Test::Among { inside, values }) => {
            let list = vec!["{n}"; values.len()].join(", ");
            spans.conditions.push(format!("{column} {}IN ({list})", if *inside { "" } else { "NOT " }));
            spans.parameters.extend(values.iter().map(|value| SqlValue::from(value.as_str())));
        }
        Condition::Test(Test::Like { pattern, .. }) => {
            spans.conditions.push(format!("lower({column}) LIKE {{n}} ESCAPE '^'"));
            spans.parameters.push(candidates(pattern).into());
        }
        _ => spans.conditions.push(format!("{column} IS NOT NULL")),
    }
    if let (true, Some(check)) = (TextCheck::is_needed(condition), TextCheck::of(condition)) {
        spans.checks.push((field.clone(), check));
    }
}

//! Checked filters and orders to SQL.
//!
//! - `fields`: fields as expressions
//! - `keyset`: orders, and places in them
//! - `stages`: runs by a metric, out of an index
//!
//! Keys and values are always parameters. LIKE folds case in some databases and not in others; the statement therefore
//! finds the candidates without regard to case, and a case-sensitive pattern is checked again on the way out.

mod fields;
pub(crate) mod keyset;
mod stages;

use shipway_store::{Row, SqlValue};

use self::{
    fields::{MetricColumn, Parameters, expression},
    keyset::{Term, TermKind},
    stages::{MetricTest, Stage},
};
use super::{Rows, Stored, inputs};
use crate::{
    filter::{
        AttributeKind, Comparison, DatasetField, Field, Order, Subject, Test, like,
        page::{Page, Place},
        subject::{MODEL_VERSIONS, Metrics, REGISTERED_MODELS},
    },
    model::DatasetInput,
};

/// How many candidates are looked at together while a pattern is checked on the way out.
const CANDIDATES: usize = 500;
/// Columns of a default order that hold text; the others hold integers.
const TEXT_COLUMNS: [&str; 3] = ["s.name", "s.run_id", "s.model_id"];

/// A search, as it is put together.
pub(crate) struct Search {
    subject: &'static Subject,
    /// What is searched within, if that is said.
    experiments: Option<Vec<i64>>,
    conditions: Vec<String>,
    /// Conditions on the latest metrics of runs, for which there is a choice of ways.
    metric_tests: Vec<MetricTest>,
    parameters: Parameters,
    checks: Vec<Check>,
    terms: Vec<Term>,
    /// The metric of runs that the first term is.
    leading_metric: Option<String>,
    /// Restricts metrics to these data sets: name and, if known, digest.
    datasets: Vec<(String, String)>,
}

/// A case-sensitive LIKE, which is checked on the way out.
enum Check {
    /// The text in this result column.
    Column { name: String, expression: String, pattern: String },
    /// That of any data set that the run read.
    Dataset { field: DatasetField, pattern: String },
}

/// The rows of a page, and its last place if there are more after it.
pub(crate) struct PageOfRows {
    pub(crate) rows: Vec<Row>,
    pub(crate) end: Option<Place>,
}

impl Search {
    pub(crate) fn of(subject: &'static Subject) -> Self {
        Self {
            subject,
            experiments: None,
            conditions: Vec::new(),
            metric_tests: Vec::new(),
            parameters: Parameters::default(),
            checks: Vec::new(),
            terms: Vec::new(),
            leading_metric: None,
            datasets: Vec::new(),
        }
    }

    /// Metrics count only where they were computed on one of these data sets (all when empty).
    pub(crate) fn on_datasets(mut self, datasets: Vec<(String, String)>) -> Self {
        self.datasets = datasets;
        self
    }

    /// Keeps what belongs to one of these experiments; nothing when there are none.
    pub(crate) fn within(mut self, experiments: Vec<i64>) -> Self {
        self.experiments = Some(experiments);
        self
    }

    /// Keeps rows whose `column` holds one of `values`; none when there are no values.
    pub(crate) fn among<V: Into<SqlValue>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let condition = one_of(column, values.into_iter().map(Into::into), &mut self.parameters);
        self.conditions.push(condition);
        self
    }

    /// Leaves out rows whose `column` holds one of `values`.
    pub(crate) fn except<V: Into<SqlValue>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let condition = one_of(column, values.into_iter().map(Into::into), &mut self.parameters);
        self.conditions.push(format!("NOT ({condition})"));
        self
    }

    pub(crate) fn matching(mut self, comparisons: &[Comparison]) -> Self {
        for comparison in comparisons {
            self.compare(comparison);
        }
        self
    }

    pub(crate) fn ordered_by(mut self, orders: &[Order]) -> Self {
        for Order { field, ascending } in orders {
            let value = self.expression(field, MetricColumn::Value);
            // Numbers first, then what is not a number, then what is missing: whatever the direction.
            let rank = match field {
                Field::Metric(key) => {
                    if self.terms.is_empty() && self.subject.metrics == Metrics::Latest {
                        self.leading_metric = Some(key.clone());
                    }
                    format!("COALESCE({}, 2)", self.expression(field, MetricColumn::IsNan))
                }
                _ => format!("CASE WHEN {value} IS NULL THEN 1 ELSE 0 END"),
            };
            let kind = match field {
                Field::Metric(_) => TermKind::Number,
                Field::Attribute(attribute) => match attribute.kind {
                    AttributeKind::Text | AttributeKind::TextOrList => TermKind::Text,
                    AttributeKind::Number | AttributeKind::NumberAsText | AttributeKind::OrderOnly => {
                        TermKind::Integer
                    }
                },
                _ => TermKind::Text,
            };
            self.terms.push(Term { rank: Some(rank), value, ascending: *ascending, kind });
        }
        self
    }

    /// Ends the order with that of the subject, which no two rows share.
    fn complete(&mut self) {
        for clause in self.subject.default_order.split(", ") {
            let (column, ascending) =
                clause.strip_suffix(" DESC").map_or((clause, true), |column| (column, false));
            let kind = if TEXT_COLUMNS.contains(&column) { TermKind::Text } else { TermKind::Integer };
            self.terms.push(Term { rank: None, value: column.to_owned(), ascending, kind });
        }
    }

    /// The rows of the page. `None` when the place that it begins after is none of this order.
    pub(crate) async fn run(mut self, rows: &mut impl Rows, page: &Page) -> Stored<Option<PageOfRows>> {
        self.complete();
        if page.after.as_ref().is_some_and(|place| !keyset::fits(place, &self.terms)) {
            return Ok(None);
        }
        self.choose_ways(rows).await?;
        let wanted = page.wanted();
        let mut found: Vec<Row> = Vec::new();
        'stages: for stage in self.stages(page.after.as_ref()) {
            let mut after = page.after.clone().filter(|_| stage.is_continued);
            loop {
                let missing = wanted.saturating_add(1) - found.len();
                let limit = if self.checks.is_empty() { missing } else { missing.max(CANDIDATES) };
                let (sql, parameters) = self.statement(stage, after.as_ref(), limit);
                let candidates = rows.all(&sql, parameters).await?;
                let is_last = candidates.len() < limit;
                after = candidates.last().map(|row| keyset::place_of(row, &self.terms)).transpose()?;
                found.extend(self.checked(rows, candidates).await?);
                if found.len() > wanted {
                    break 'stages;
                }
                if is_last {
                    break;
                }
            }
        }
        let more = found.len() > wanted;
        found.truncate(wanted);
        let last = found.last().filter(|_| more);
        let end = last.map(|row| keyset::place_of(row, &self.terms)).transpose()?;
        Ok(Some(PageOfRows { rows: found, end }))
    }

    /// Those of the candidates that fit the patterns with their case.
    async fn checked(&self, rows: &mut impl Rows, candidates: Vec<Row>) -> Stored<Vec<Row>> {
        if self.checks.is_empty() {
            return Ok(candidates);
        }
        let by_dataset = self.checks.iter().any(|check| matches!(check, Check::Dataset { .. }));
        let mut datasets = if by_dataset {
            let ids = candidates.iter().map(|row| row.text("run_id")).collect::<Result<Vec<_>, _>>()?;
            inputs::datasets_of_all(rows, &ids).await?
        } else {
            std::collections::HashMap::new()
        };
        let mut fitting = Vec::new();
        for row in candidates {
            let read =
                if by_dataset { datasets.remove(&row.text("run_id")?) } else { None }.unwrap_or_default();
            let mut fits = true;
            for check in &self.checks {
                fits = fits
                    && match check {
                        Check::Column { name, pattern, .. } => {
                            row.optional_text(name)?.is_some_and(|text| like(&text, pattern))
                        }
                        Check::Dataset { field, pattern } => read
                            .iter()
                            .any(|input| dataset_text(input, *field).is_some_and(|text| like(text, pattern))),
                    };
            }
            if fits {
                fitting.push(row);
            }
        }
        Ok(fitting)
    }

    /// The statement for the rows of a stage, after a place in it.
    fn statement(&self, stage: Stage, after: Option<&Place>, limit: usize) -> (String, Vec<SqlValue>) {
        let mut parameters = self.parameters.clone();
        let terms = self.terms_of(stage);
        let mut conditions = self.conditions.clone();
        conditions.extend(self.conditions_of(stage, &mut parameters));
        conditions.extend(after.map(|place| keyset::after(place, &terms, |value| parameters.bind(value))));
        let mut selected = vec!["s.*".to_owned()];
        selected.extend(self.checks.iter().filter_map(|check| match check {
            Check::Column { name, expression, .. } => Some(format!("{expression} AS {name}")),
            Check::Dataset { .. } => None,
        }));
        selected.extend(keyset::selected(&terms));
        let mut sql = format!("SELECT {} FROM {}", selected.join(", "), self.tables_of(stage));
        if !conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.join(" AND "));
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        sql.push_str(&format!(" ORDER BY {} LIMIT {limit}", keyset::order(&terms)));
        (sql, parameters.0)
    }

    fn expression(&mut self, field: &Field, column: MetricColumn) -> String {
        expression(self.subject, field, column, &self.datasets, &mut self.parameters)
    }

    fn compare(&mut self, comparison: &Comparison) {
        match (&comparison.field, &comparison.test) {
            (Field::Dataset(field), test) => return self.compare_dataset(*field, test),
            (Field::Metric(key), Test::Number(relation, number))
                if self.subject.metrics == Metrics::Latest && self.experiments.is_some() =>
            {
                return self.metric_tests.push(MetricTest::new(key, *relation, *number));
            }
            _ => {}
        }
        let expression = self.expression(&comparison.field, MetricColumn::Value);
        let number_as_text = matches!(
            &comparison.field,
            Field::Attribute(attribute) if attribute.kind == AttributeKind::NumberAsText
        );
        let expression = if number_as_text { format!("CAST({expression} AS TEXT)") } else { expression };
        if let Test::Like { pattern, case_sensitive: true } = &comparison.test {
            let name = format!("check_{}", self.checks.len());
            let (expression, pattern) = (expression.clone(), pattern.clone());
            self.checks.push(Check::Column { name, expression, pattern });
        }
        let mut condition = self.condition(&expression, &comparison.test);
        if self.is_prompt_exclusion(comparison) {
            condition = format!("({expression} IS NULL OR {condition})");
        }
        self.conditions.push(condition);
    }

    /// Clients hide prompts with `` tags.`mlflow.prompt.is_prompt` != 'true' ``, and mean the things without that tag.
    fn is_prompt_exclusion(&self, comparison: &Comparison) -> bool {
        let registry = [REGISTERED_MODELS.table, MODEL_VERSIONS.table].contains(&self.subject.table);
        registry
            && comparison.field == Field::Tag("mlflow.prompt.is_prompt".to_owned())
            && matches!(comparison.test, Test::Text { equal: false, .. })
    }

    fn condition(&mut self, expression: &str, test: &Test) -> String {
        match test {
            Test::Number(relation, number) => {
                let value = self.parameters.bind(*number);
                format!("{expression} {} {value}", relation.sql())
            }
            Test::Text { equal, value } => {
                let value = self.parameters.bind(value.as_str());
                format!("{expression} {} {value}", if *equal { "=" } else { "<>" })
            }
            Test::Like { pattern, .. } => {
                // The escape character is named because databases differ in the one they assume.
                let value = self.parameters.bind(pattern.to_lowercase().replace('^', "^^"));
                format!("lower({expression}) LIKE {value} ESCAPE '^'")
            }
            Test::Among { inside, values } => {
                let values = values.iter().map(|value| SqlValue::from(value.as_str()));
                let (list, _) = self.parameters.bind_all(values);
                let not = if *inside { "" } else { "NOT " };
                format!("{expression} {not}IN ({list})")
            }
            Test::Present(present) => {
                format!("{expression} IS {}NULL", if *present { "NOT " } else { "" })
            }
        }
    }

    fn compare_dataset(&mut self, field: DatasetField, test: &Test) {
        let value = match field {
            DatasetField::Name => "(SELECT d.name FROM datasets d WHERE d.dataset_id = i.dataset_id)",
            DatasetField::Digest => "(SELECT d.digest FROM datasets d WHERE d.dataset_id = i.dataset_id)",
            DatasetField::Context => {
                "(SELECT c.value FROM run_input_tags c WHERE c.run_id = i.run_id \
                 AND c.dataset_id = i.dataset_id AND c.key = 'mlflow.data.context')"
            }
        };
        if let Test::Like { pattern, case_sensitive: true } = test {
            self.checks.push(Check::Dataset { field, pattern: pattern.clone() });
        }
        let condition = self.condition(value, test);
        self.conditions
            .push(format!("EXISTS (SELECT 1 FROM run_inputs i WHERE i.run_id = s.run_id AND {condition})"));
    }
}

fn dataset_text(input: &DatasetInput, field: DatasetField) -> Option<&str> {
    match field {
        DatasetField::Name => Some(&input.name),
        DatasetField::Digest => Some(&input.digest),
        DatasetField::Context => {
            let context = input.tags.iter().find(|tag| tag.key == inputs::CONTEXT_TAG);
            context.map(|tag| tag.value.as_str())
        }
    }
}

/// `column = $1`, or `column IN ($1, $2)`; one value alone is an equation, which every planner understands.
fn one_of(column: &str, values: impl IntoIterator<Item = SqlValue>, parameters: &mut Parameters) -> String {
    match parameters.bind_all(values) {
        (_, 0) => "1 = 0".to_owned(),
        (value, 1) => format!("{column} = {value}"),
        (list, _) => format!("{column} IN ({list})"),
    }
}

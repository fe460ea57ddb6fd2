//! Checked filters and orders to one SQL statement.
//!
//! Each field becomes a scalar expression that is NULL where the thing lacks the key, so that a missing key never matches.
//! Keys and values are always parameters. LIKE folds case in some databases and not in others; the statement therefore
//! finds the candidates without regard to case, and a case-sensitive pattern is checked again on the way out.

use std::collections::HashSet;

use shipway_store::{Row, SqlValue};

use super::{Rows, Stored, placeholders};
use crate::filter::{
    AttributeKind, Comparison, DatasetField, Field, Order, Subject, Test, like,
    page::Page,
    subject::{MODEL_VERSIONS, Metrics, REGISTERED_MODELS},
};

/// A search, as it is put together.
pub(crate) struct Search {
    subject: &'static Subject,
    conditions: Vec<String>,
    parameters: Vec<SqlValue>,
    /// Column and pattern of each case-sensitive LIKE.
    checks: Vec<(String, String)>,
    selected: Vec<String>,
    order: Vec<String>,
    /// Restricts metrics to these data sets: name and, if known, digest.
    datasets: Vec<(String, String)>,
}

impl Search {
    pub(crate) fn of(subject: &'static Subject) -> Self {
        Self {
            subject,
            conditions: Vec::new(),
            parameters: Vec::new(),
            checks: Vec::new(),
            selected: Vec::new(),
            order: Vec::new(),
            datasets: Vec::new(),
        }
    }

    /// Metrics count only where they were computed on one of these data sets (all when empty).
    pub(crate) fn on_datasets(mut self, datasets: Vec<(String, String)>) -> Self {
        self.datasets = datasets;
        self
    }

    /// Keeps rows whose `column` holds one of `values`; none when there are no values.
    pub(crate) fn among<V: Into<SqlValue>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let from = self.parameters.len() + 1;
        self.parameters.extend(values.into_iter().map(Into::into));
        let count = self.parameters.len() + 1 - from;
        self.conditions.push(if count == 0 {
            "1 = 0".to_owned()
        } else {
            format!("{column} IN ({})", placeholders(from, count))
        });
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
            let expression = self.expression(field, "value");
            // Numbers first, then what is not a number, then what is missing: whatever the direction.
            let rank = match field {
                Field::Metric(_) => format!("COALESCE({}, 2)", self.expression(field, "is_nan")),
                _ => format!("CASE WHEN {expression} IS NULL THEN 1 ELSE 0 END"),
            };
            let direction = if *ascending { "ASC" } else { "DESC" };
            self.order.push(format!("{rank}, {expression} {direction}"));
        }
        self
    }

    /// The rows of the page, and whether there are more after it.
    pub(crate) async fn run(self, rows: &mut impl Rows, page: Page) -> Stored<(Vec<Row>, bool)> {
        let wanted = usize::try_from(page.size).unwrap_or(usize::MAX);
        let must_check = !self.checks.is_empty();
        let sql = self.statement((!must_check).then_some(page));
        let Self { parameters, checks, subject, .. } = self;
        let candidates = rows.all(&sql, parameters).await?;
        if !must_check {
            let more = candidates.len() > wanted;
            return Ok((candidates.into_iter().take(wanted).collect(), more));
        }
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        let mut to_skip = page.offset;
        for row in candidates {
            let mut identity = Vec::new();
            for column in subject.identity {
                identity.push(row.text(&format!("identity_{column}"))?);
            }
            let mut fits = !seen.contains(&identity);
            for (column, pattern) in &checks {
                fits = fits && row.optional_text(column)?.is_some_and(|text| like(&text, pattern));
            }
            if !fits {
                continue;
            }
            seen.insert(identity);
            if to_skip > 0 {
                to_skip -= 1;
            } else {
                found.push(row);
            }
            if found.len() > wanted {
                break;
            }
        }
        let more = found.len() > wanted;
        found.truncate(wanted);
        Ok((found, more))
    }

    fn statement(&self, page: Option<Page>) -> String {
        let Subject { table, identity, default_order, .. } = self.subject;
        let mut selected = vec!["s.*".to_owned()];
        selected
            .extend(identity.iter().map(|column| format!("CAST(s.{column} AS TEXT) AS identity_{column}")));
        selected.extend(self.selected.iter().cloned());
        let mut sql = format!("SELECT {} FROM {table} s", selected.join(", "));
        if self.conditions.iter().any(|condition| condition.contains("read_by.")) {
            sql.push_str(" JOIN run_inputs read_by ON read_by.run_id = s.run_id");
        }
        if !self.conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.conditions.join(" AND "));
        }
        sql.push_str(" ORDER BY ");
        for order in &self.order {
            sql.push_str(order);
            sql.push_str(", ");
        }
        sql.push_str(default_order);
        if let Some(Page { offset, size }) = page {
            sql.push_str(&format!(" LIMIT {} OFFSET {offset}", size.saturating_add(1)));
        }
        sql
    }

    fn bind(&mut self, value: impl Into<SqlValue>) -> String {
        self.parameters.push(value.into());
        format!("${}", self.parameters.len())
    }

    fn compare(&mut self, comparison: &Comparison) {
        if let Field::Dataset(field) = comparison.field {
            return self.compare_dataset(field, &comparison.test);
        }
        let expression = self.expression(&comparison.field, "value");
        let number_as_text = matches!(
            &comparison.field,
            Field::Attribute(attribute) if attribute.kind == AttributeKind::NumberAsText
        );
        let expression = if number_as_text { format!("CAST({expression} AS TEXT)") } else { expression };
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
                let value = self.bind(*number);
                format!("{expression} {} {value}", relation.sql())
            }
            Test::Text { equal, value } => {
                let value = self.bind(value.as_str());
                format!("{expression} {} {value}", if *equal { "=" } else { "<>" })
            }
            Test::Like { pattern, case_sensitive } => {
                if *case_sensitive {
                    let column = format!("check_{}", self.checks.len());
                    self.selected.push(format!("{expression} AS {column}"));
                    self.checks.push((column, pattern.clone()));
                }
                // The escape character is named because databases differ in the one they assume.
                let value = self.bind(pattern.to_lowercase().replace('^', "^^"));
                format!("lower({expression}) LIKE {value} ESCAPE '^'")
            }
            Test::Among { inside, values } => {
                let from = self.parameters.len() + 1;
                self.parameters.extend(values.iter().map(|value| SqlValue::from(value.as_str())));
                let not = if *inside { "" } else { "NOT " };
                format!("{expression} {not}IN ({})", placeholders(from, values.len()))
            }
            Test::Present(present) => {
                format!("{expression} IS {}NULL", if *present { "NOT " } else { "" })
            }
        }
    }

    /// A case-sensitive pattern needs the value in the row, so there the search joins the inputs and runs are deduplicated on
    /// the way out; everywhere else a run is asked whether such an input exists.
    fn compare_dataset(&mut self, field: DatasetField, test: &Test) {
        let value = |inputs: &str| match field {
            DatasetField::Name => {
                format!("(SELECT d.name FROM datasets d WHERE d.dataset_id = {inputs}.dataset_id)")
            }
            DatasetField::Digest => {
                format!("(SELECT d.digest FROM datasets d WHERE d.dataset_id = {inputs}.dataset_id)")
            }
            DatasetField::Context => format!(
                "(SELECT c.value FROM run_input_tags c WHERE c.run_id = {inputs}.run_id \
                 AND c.dataset_id = {inputs}.dataset_id AND c.key = 'mlflow.data.context')"
            ),
        };
        if matches!(test, Test::Like { case_sensitive: true, .. }) {
            let condition = self.condition(&value("read_by"), test);
            self.conditions.push(condition);
        } else {
            let condition = self.condition(&value("i"), test);
            self.conditions.push(format!(
                "EXISTS (SELECT 1 FROM run_inputs i WHERE i.run_id = s.run_id AND {condition})"
            ));
        }
    }

    fn expression(&mut self, field: &Field, column: &str) -> String {
        match field {
            Field::Attribute(attribute) => attribute.column.to_owned(),
            Field::Param(key) => self.pair(self.subject.params, key),
            Field::Tag(key) => self.pair(self.subject.tags, key),
            Field::Metric(key) => self.metric(key, column),
            Field::Dataset(_) => "NULL".to_owned(),
        }
    }

    fn pair(&mut self, table: Option<&str>, key: &str) -> String {
        let Some(table) = table else { return "NULL".to_owned() };
        let owner = self
            .subject
            .identity
            .iter()
            .map(|column| format!("p.{column} = s.{column}"))
            .collect::<Vec<_>>()
            .join(" AND ");
        let key = self.bind(key);
        format!("(SELECT p.value FROM {table} p WHERE {owner} AND p.key = {key})")
    }

    fn metric(&mut self, key: &str, column: &str) -> String {
        let number = if column == "value" { "AND m.is_nan = 0 " } else { "" };
        let key = self.bind(key);
        if self.subject.metrics == Metrics::Latest {
            return format!(
                "(SELECT m.{column} FROM latest_metrics m WHERE m.run_id = s.run_id {number}AND m.key = {key})"
            );
        }
        let mut places = Vec::new();
        for (name, digest) in self.datasets.clone() {
            let name = self.bind(name);
            places.push(if digest.is_empty() {
                format!("m.dataset_name = {name}")
            } else {
                let digest = self.bind(digest);
                format!("(m.dataset_name = {name} AND m.dataset_digest = {digest})")
            });
        }
        let place = if places.is_empty() { String::new() } else { format!("AND ({}) ", places.join(" OR ")) };
        format!(
            "(SELECT m.{column} FROM evaluations m WHERE m.model_id = s.model_id {number}{place}AND m.metric = {key} \
             ORDER BY m.step DESC, m.timestamp_ms DESC, m.value DESC LIMIT 1)"
        )
    }
}

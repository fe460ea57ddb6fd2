//! Searches for evaluation data sets: checked filters and orders to SQL, page by page after the last row of the page before.
//!
//! Keys and values are always parameters. LIKE folds case in some databases and not in others; the statement therefore finds
//! the candidates without regard to case, and a case-sensitive pattern is checked again on the way out.

use shipway_store::{Row, SqlValue};

use super::{Rows, Stored, placeholders};
use crate::{
    error::TrackingError,
    filter::{Attribute, AttributeKind, Comparison, Field, Order, Subject, Test, like, subject::Metrics},
};

/// What may be said of evaluation data sets in a filter.
pub(crate) static EVALUATION_DATASETS: Subject = Subject {
    table: "evaluation_datasets",
    identity: &["dataset_id"],
    attributes: &[
        Attribute { names: &["name"], column: "s.name", kind: AttributeKind::TextOrList },
        Attribute { names: &["created_time"], column: "s.created_ms", kind: AttributeKind::Number },
        Attribute { names: &["last_update_time"], column: "s.updated_ms", kind: AttributeKind::Number },
        Attribute { names: &["created_by"], column: "NULLIF(s.created_by, '')", kind: AttributeKind::Text },
        Attribute {
            names: &["last_updated_by"],
            column: "NULLIF(s.updated_by, '')",
            kind: AttributeKind::Text,
        },
    ],
    tags: Some("evaluation_dataset_tags"),
    params: None,
    metrics: Metrics::None,
    datasets: false,
    default_order: "s.created_ms DESC, s.dataset_id DESC",
};

/// Candidates that are read at a time where a pattern has to be checked again.
const CANDIDATES: usize = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OrderColumn {
    column: &'static str,
    ascending: bool,
    is_number: bool,
}

/// A search, as it is put together.
pub(crate) struct DatasetSearch {
    conditions: Vec<String>,
    parameters: Vec<SqlValue>,
    /// Column and pattern of each case-sensitive LIKE.
    checks: Vec<(String, String)>,
    selected: Vec<String>,
    order: Vec<OrderColumn>,
}

/// The values of a row in the columns of the order: where the next page begins.
pub(crate) type Place = Vec<SqlValue>;

impl DatasetSearch {
    /// The newest first where no order is asked for; the id decides between equals.
    pub(crate) fn new(comparisons: &[Comparison], orders: &[Order]) -> Result<Self, TrackingError> {
        let mut search = Self {
            conditions: Vec::new(),
            parameters: Vec::new(),
            checks: Vec::new(),
            selected: Vec::new(),
            order: Vec::new(),
        };
        for comparison in comparisons {
            search.compare(comparison);
        }
        for Order { field, ascending } in orders {
            let column = match field {
                Field::Attribute(attribute) => ORDERABLE.iter().find(|(name, ..)| *name == attribute.column),
                _ => None,
            };
            let (_, column, is_number) = column.ok_or_else(|| {
                TrackingError::invalid("order_by", "expected name, created_time or last_update_time")
            })?;
            search.order.push(OrderColumn { column, ascending: *ascending, is_number: *is_number });
        }
        if search.order.is_empty() {
            search.order.push(OrderColumn { column: "created_ms", ascending: false, is_number: true });
        }
        search.order.push(OrderColumn { column: "dataset_id", ascending: false, is_number: false });
        Ok(search)
    }

    /// Keeps data sets of this workspace.
    pub(crate) fn in_workspace(mut self, workspace: &str) -> Self {
        self.parameters.push(workspace.into());
        self.conditions.push(format!("s.workspace = ${}", self.parameters.len()));
        self
    }

    /// Keeps data sets of these experiments.
    pub(crate) fn in_experiments(mut self, ids: &[i64]) -> Self {
        let from = self.parameters.len() + 1;
        self.parameters.extend(ids.iter().map(|id| SqlValue::from(*id)));
        self.conditions.push(if ids.is_empty() {
            "1 = 0".to_owned()
        } else {
            format!(
                "EXISTS (SELECT 1 FROM evaluation_dataset_experiments e WHERE e.dataset_id = s.dataset_id \
                 AND e.experiment_id IN ({}))",
                placeholders(from, ids.len())
            )
        });
        self
    }

    /// Whether this can be where a page of this search begins.
    pub(crate) fn takes(&self, place: &Place) -> bool {
        let fits = |(column, value): (&OrderColumn, &SqlValue)| match value {
            SqlValue::Int(_) => column.is_number,
            SqlValue::Text(_) => !column.is_number,
            _ => false,
        };
        place.len() == self.order.len() && self.order.iter().zip(place).all(fits)
    }

    /// The rows of the page after `after`, and where the page after this one begins, if there is one.
    pub(crate) async fn run(
        &self,
        rows: &mut impl Rows,
        after: Option<Place>,
        size: usize,
    ) -> Stored<(Vec<Row>, Option<Place>)> {
        let mut found: Vec<Row> = Vec::new();
        let mut after = after;
        loop {
            let rest = size.saturating_add(1) - found.len();
            let limit = if self.checks.is_empty() { rest } else { rest.max(CANDIDATES) };
            let (sql, parameters) = self.statement(after.as_ref(), limit);
            let candidates = rows.all(&sql, parameters).await?;
            let is_last = candidates.len() < limit;
            for row in candidates {
                after = Some(self.place(&row)?);
                if self.fits(&row)? {
                    found.push(row);
                }
                if found.len() > size {
                    break;
                }
            }
            if is_last || found.len() > size {
                break;
            }
        }
        let more = found.len() > size;
        found.truncate(size);
        let next = match found.last() {
            Some(last) if more => Some(self.place(last)?),
            _ => None,
        };
        Ok((found, next))
    }

    fn place(&self, row: &Row) -> Stored<Place> {
        self.order.iter().map(|order| row.value(order.column)).collect()
    }

    fn fits(&self, row: &Row) -> Stored<bool> {
        for (column, pattern) in &self.checks {
            if !row.optional_text(column)?.is_some_and(|text| like(&text, pattern)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn statement(&self, after: Option<&Place>, limit: usize) -> (String, Vec<SqlValue>) {
        let mut parameters = self.parameters.clone();
        let mut conditions = self.conditions.clone();
        if let Some(place) = after {
            conditions.push(self.beyond(place, &mut parameters));
        }
        let mut selected = vec!["s.*".to_owned()];
        selected.extend(self.selected.iter().cloned());
        let mut sql = format!("SELECT {} FROM evaluation_datasets s", selected.join(", "));
        if !conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&conditions.join(" AND "));
        }
        let order = |order: &OrderColumn| {
            format!("s.{} {}", order.column, if order.ascending { "ASC" } else { "DESC" })
        };
        let order: Vec<String> = self.order.iter().map(order).collect();
        sql.push_str(&format!(" ORDER BY {} LIMIT {limit}", order.join(", ")));
        (sql, parameters)
    }

    /// `(a > 1 OR (a = 1 AND b < 2) …)`: what comes after a place in an order of several directions.
    fn beyond(&self, place: &Place, parameters: &mut Vec<SqlValue>) -> String {
        let from = parameters.len() + 1;
        parameters.extend(place.iter().cloned());
        let mut ways = Vec::new();
        for (index, order) in self.order.iter().enumerate() {
            let mut way: Vec<String> = (0..index)
                .map(|before| format!("s.{} = ${}", self.order[before].column, from + before))
                .collect();
            let relation = if order.ascending { ">" } else { "<" };
            way.push(format!("s.{} {relation} ${}", order.column, from + index));
            ways.push(format!("({})", way.join(" AND ")));
        }
        format!("({})", ways.join(" OR "))
    }

    fn bind(&mut self, value: impl Into<SqlValue>) -> String {
        self.parameters.push(value.into());
        format!("${}", self.parameters.len())
    }

    fn compare(&mut self, comparison: &Comparison) {
        let expression = match &comparison.field {
            Field::Attribute(attribute) => attribute.column.to_owned(),
            Field::Tag(key) => {
                let key = self.bind(key.as_str());
                format!(
                    "(SELECT p.value FROM evaluation_dataset_tags p WHERE p.dataset_id = s.dataset_id AND p.key = {key})"
                )
            }
            // The subject has none of these, so its parser gives none.
            Field::Metric(_) | Field::Param(_) | Field::Dataset(_) => "NULL".to_owned(),
        };
        let condition = match &comparison.test {
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
        };
        self.conditions.push(condition);
    }
}

/// The attributes that can be ordered by, their columns, and whether these hold numbers.
const ORDERABLE: [(&str, &str, bool); 3] =
    [("s.name", "name", false), ("s.created_ms", "created_ms", true), ("s.updated_ms", "updated_ms", true)];

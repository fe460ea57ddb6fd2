//! Fields of searched things as SQL expressions. Each is NULL where the thing lacks the key, so that a missing key never matches.

use shipway_store::SqlValue;

use crate::{
    filter::{Field, Subject, subject::Metrics},
    store::placeholders,
};

/// Keys and values that were made parameters.
#[derive(Debug, Default, Clone)]
pub(super) struct Parameters(pub(super) Vec<SqlValue>);

impl Parameters {
    /// The placeholder of a value.
    pub(super) fn bind(&mut self, value: impl Into<SqlValue>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// The placeholders of a list, `$3, $4`.
    pub(super) fn bind_all(&mut self, values: impl IntoIterator<Item = SqlValue>) -> (String, usize) {
        let from = self.0.len() + 1;
        self.0.extend(values);
        let count = self.0.len() + 1 - from;
        (placeholders(from, count), count)
    }
}

/// What a metric looks at: its value where it is a number, or whether it is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricColumn {
    Value,
    IsNan,
}

/// The expression of a field. `datasets` restricts metrics to those data sets: name and, if known, digest.
pub(super) fn expression(
    subject: &Subject,
    field: &Field,
    column: MetricColumn,
    datasets: &[(String, String)],
    parameters: &mut Parameters,
) -> String {
    match field {
        Field::Attribute(attribute) => attribute.column.to_owned(),
        Field::Param(key) => pair(subject, subject.params, key, parameters),
        Field::Tag(key) => pair(subject, subject.tags, key, parameters),
        Field::Metric(key) => metric(subject, key, column, datasets, parameters),
        Field::Dataset(_) => "NULL".to_owned(),
    }
}

fn pair(subject: &Subject, table: Option<&str>, key: &str, parameters: &mut Parameters) -> String {
    let Some(table) = table else { return "NULL".to_owned() };
    let owner = subject.identity.iter().map(|column| format!("p.{column} = s.{column}"));
    let owner = owner.collect::<Vec<_>>().join(" AND ");
    let key = parameters.bind(key);
    format!("(SELECT p.value FROM {table} p WHERE {owner} AND p.key = {key})")
}

fn metric(
    subject: &Subject,
    key: &str,
    column: MetricColumn,
    datasets: &[(String, String)],
    parameters: &mut Parameters,
) -> String {
    let (name, number) = match column {
        MetricColumn::Value => ("value", "AND m.is_nan = 0 "),
        MetricColumn::IsNan => ("is_nan", ""),
    };
    let key = parameters.bind(key);
    if subject.metrics == Metrics::Latest {
        return format!(
            "(SELECT m.{name} FROM latest_metrics m WHERE m.run_id = s.run_id {number}AND m.key = {key})"
        );
    }
    let mut places = Vec::new();
    for (name, digest) in datasets {
        let name = parameters.bind(name);
        places.push(if digest.is_empty() {
            format!("m.dataset_name = {name}")
        } else {
            let digest = parameters.bind(digest);
            format!("(m.dataset_name = {name} AND m.dataset_digest = {digest})")
        });
    }
    let place = if places.is_empty() { String::new() } else { format!("AND ({}) ", places.join(" OR ")) };
    format!(
        "(SELECT m.{name} FROM evaluations m WHERE m.model_id = s.model_id {number}{place}AND m.metric = {key} \
         ORDER BY m.step DESC, m.timestamp_ms DESC, m.value DESC LIMIT 1)"
    )
}

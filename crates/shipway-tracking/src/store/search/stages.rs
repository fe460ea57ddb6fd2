//! Runs by a metric, out of the index of the latest metrics.
//!
//! A database that is asked to order runs by a metric of theirs looks up that metric for every run of the experiment. The index has them
//! in order; but it has only those that have the metric, and numbers apart from what is none. So such a result is read in
//! three stages: numbers, then what is not a number, then runs without the metric.
//!
//! A condition on a metric has two ways: to ask each run, which is quick where many fit, or to begin with those that fit, which is quick
//! where few do. The index is asked first whether they are few.

use shipway_store::SqlValue;

use super::{
    Search,
    fields::Parameters,
    keyset::{NOTHING, Term, TermKind},
    one_of,
};
use crate::{
    filter::{Relation, page::Place},
    store::{Rows, Stored},
};

/// Up to so many runs that fit are few, where there are so many times as many runs that do not: then each step over the runs that does
/// without a look at the run's metric is worth it.
const FEW: i64 = 2_000;
const TIMES_AS_MANY: i64 = 8;

/// Which part of a result is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stage {
    part: Part,
    /// Whether the place that the page begins after is in it.
    pub(super) is_continued: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Numbers,
    NotNumbers,
    WithoutMetric,
}

/// A comparison of the latest value of a metric with a number.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct MetricTest {
    key: String,
    relation: Relation,
    number: f64,
    /// Whether to begin with the runs that fit.
    is_rare: bool,
}

impl MetricTest {
    pub(super) fn new(key: &str, relation: Relation, number: f64) -> Self {
        Self { key: key.to_owned(), relation, number, is_rare: false }
    }

    /// The runs that fit, out of the index.
    fn fitting(&self, experiments: &[i64], parameters: &mut Parameters) -> String {
        let experiments = experiments.iter().map(|id| SqlValue::from(*id));
        let experiment = one_of("m.experiment_id", experiments, parameters);
        let (key, number) = (parameters.bind(self.key.as_str()), parameters.bind(self.number));
        let relation = self.relation.sql();
        format!(
            "SELECT m.run_id FROM latest_metrics m \
             WHERE {experiment} AND m.key = {key} AND m.is_nan = 0 AND m.value {relation} {number}"
        )
    }
}

impl Search {
    /// Asks the index which conditions few runs fit.
    pub(super) async fn choose_ways(&mut self, rows: &mut impl Rows) -> Stored<()> {
        let experiments = self.experiments.clone().unwrap_or_default();
        for test in &mut self.metric_tests {
            let mut parameters = Parameters::default();
            let fitting = test.fitting(&experiments, &mut parameters);
            let fitting = counted(rows, &fitting, FEW + 1, parameters).await?;
            test.is_rare = fitting <= FEW && {
                let mut parameters = Parameters::default();
                let ids = experiments.iter().map(|id| SqlValue::from(*id));
                let all =
                    format!("SELECT 1 FROM runs WHERE {}", one_of("experiment_id", ids, &mut parameters));
                let many = fitting * TIMES_AS_MANY;
                counted(rows, &all, many + 1, parameters).await? > many
            };
        }
        Ok(())
    }

    /// The stages to read, from the one that has the place.
    pub(super) fn stages(&self, after: Option<&Place>) -> Vec<Stage> {
        let (Some(key), Some(_)) = (&self.leading_metric, &self.experiments) else {
            return vec![Stage { part: Part::Whole, is_continued: true }];
        };
        let first = match after.and_then(|place| place.0.first()) {
            Some(SqlValue::Int(rank)) => usize::try_from(*rank).unwrap_or(usize::MAX),
            _ => 0,
        };
        let parts = [Part::Numbers, Part::NotNumbers, Part::WithoutMetric];
        // What is compared with a number must be one.
        let is_compared = self.metric_tests.iter().any(|test| test.key == *key);
        let parts = parts.iter().take(if is_compared { 1 } else { parts.len() });
        let stage = |(rank, part): (usize, &Part)| Stage { part: *part, is_continued: rank == first };
        parts.enumerate().skip(first).map(stage).collect()
    }

    /// What a stage is read from. The order of the tables is the order in which they are to be read.
    pub(super) fn tables_of(&self, stage: Stage) -> String {
        let table = self.subject.table;
        match stage.part {
            Part::Whole | Part::WithoutMetric => format!("{table} s"),
            Part::Numbers | Part::NotNumbers => format!("latest_metrics o CROSS JOIN {table} s"),
        }
    }

    /// The order within a stage, whose first term is the same for all rows but the numbers.
    pub(super) fn terms_of(&self, stage: Stage) -> Vec<Term> {
        let mut terms = self.terms.clone();
        let (rank, value) = match stage.part {
            Part::Whole => return terms,
            Part::Numbers => ("0", "o.value"),
            Part::NotNumbers => ("1", NOTHING),
            Part::WithoutMetric => ("2", NOTHING),
        };
        if let Some(first) = terms.first_mut() {
            *first = Term {
                rank: Some(rank.to_owned()),
                value: value.to_owned(),
                ascending: first.ascending,
                kind: TermKind::Number,
            };
        }
        terms
    }

    /// What a stage asks for besides the conditions of the search, and the conditions on metrics in the way that was chosen.
    pub(super) fn conditions_of(&self, stage: Stage, parameters: &mut Parameters) -> Vec<String> {
        let experiments = self.experiments.as_deref().unwrap_or_default();
        let mut conditions = Vec::new();
        let leading = self.leading_metric.as_deref().filter(|_| stage.part != Part::Whole);
        // Said of the metric it need not be said of its run, where a database without statistics would make it the way to the runs.
        if self.experiments.is_some() && !matches!(stage.part, Part::Numbers | Part::NotNumbers) {
            let ids = experiments.iter().map(|id| SqlValue::from(*id));
            conditions.push(one_of("s.experiment_id", ids, parameters));
        }
        if let Some(key) = leading {
            let key = parameters.bind(key);
            if stage.part == Part::WithoutMetric {
                conditions.push(format!(
                    "NOT EXISTS (SELECT 1 FROM latest_metrics o WHERE o.run_id = s.run_id AND o.key = {key})"
                ));
            } else {
                let ids = experiments.iter().map(|id| SqlValue::from(*id));
                let experiment = one_of("o.experiment_id", ids, parameters);
                let is_nan = u8::from(stage.part == Part::NotNumbers);
                conditions.push(format!(
                    "s.run_id = o.run_id AND {experiment} AND o.key = {key} AND o.is_nan = {is_nan}"
                ));
            }
        }
        for test in &self.metric_tests {
            let relation = test.relation.sql();
            conditions.push(if leading == Some(test.key.as_str()) {
                format!("o.value {relation} {}", parameters.bind(test.number))
            } else if test.is_rare {
                format!("s.run_id IN ({})", test.fitting(experiments, parameters))
            } else {
                let (key, number) = (parameters.bind(test.key.as_str()), parameters.bind(test.number));
                format!(
                    "(SELECT m.value FROM latest_metrics m WHERE m.run_id = s.run_id AND m.is_nan = 0 \
                     AND m.key = {key}) {relation} {number}"
                )
            });
        }
        conditions
    }
}

/// How many rows a query has, counted no further than to `bound`.
async fn counted(rows: &mut impl Rows, query: &str, bound: i64, parameters: Parameters) -> Stored<i64> {
    let sql = format!("SELECT COUNT(*) AS counted FROM ({query} LIMIT {bound}) AS bounded");
    let found = rows.first(&sql, parameters.0).await?;
    Ok(found.map(|row| row.int("counted")).transpose()?.unwrap_or_default())
}

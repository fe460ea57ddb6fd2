//! Searching traces, and how often what two filters look for comes together.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use shipway_core::Digest;

use crate::{
    error::TrackingError,
    filter::{
        Clause, FilterError, parse_clauses, parse_order_of, print,
        traces::{TRACES, TraceField},
    },
    model::TraceInfo,
    service::{Found, SearchRequest, Tracking},
    store::{
        self,
        traces::search::{Cursor, Search},
    },
};

const DEFAULT_PAGE: i64 = 100;
const GREATEST_PAGE: i64 = 500;

/// How often traces pass two filters: alone, together, and out of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Correlation {
    pub(crate) first: i64,
    pub(crate) second: i64,
    pub(crate) both: i64,
    pub(crate) all: i64,
}

impl Correlation {
    /// Normalised pointwise mutual information, from -1 (never together) over 0 (as chance has it) to 1 (always together); NaN
    /// where a filter passes nothing. Each cell of the table of counts is raised by `smoothing`. Source: G. Bouma, "Normalized
    /// (pointwise) mutual information in collocation extraction", 2009; 0.5 is the prior of Jeffreys.
    pub(crate) fn npmi(self, smoothing: f64) -> f64 {
        let Self { first, second, both, all } = self;
        let cells = [both, first - both, second - both, all - first - second + both];
        if all <= 0 || first == 0 || second == 0 || cells.iter().any(|cell| *cell < 0) {
            return f64::NAN;
        }
        if both == 0 && smoothing == 0.0 {
            return -1.0;
        }
        if cells[1..] == [0, 0, 0] {
            return 1.0;
        }
        let [both, only_first, only_second, neither] = cells.map(|cell| cell as f64 + smoothing);
        let total = both + only_first + only_second + neither;
        let expected = ((both + only_first).ln() + (both + only_second).ln()) - total.ln();
        let information = both.ln() - expected;
        (information / -(both.ln() - total.ln())).clamp(-1.0, 1.0)
    }
}

fn numbers(experiment_ids: &[String]) -> Vec<i64> {
    experiment_ids.iter().filter_map(|id| id.parse().ok()).collect()
}

fn orders(order_by: &[String]) -> Result<Vec<(TraceField, bool)>, TrackingError> {
    let mut orders: Vec<(TraceField, bool)> = Vec::new();
    for clause in order_by {
        let order = parse_order_of(clause, &TRACES)?;
        if orders.iter().any(|(known, _)| *known == order.0) {
            let problem = format!("Invalid order_by clause '{clause}'");
            return Err(FilterError::at(1, &problem, "a field that no clause before it names").into());
        }
        orders.push(order);
    }
    Ok(orders)
}

/// What a page token belongs to. Searches that mean the same are the same, however they are written.
fn identity(experiments: &[i64], clauses: &[Clause<TraceField>], orders: &[(TraceField, bool)]) -> String {
    let text = format!("traces|{experiments:?}|{}|{orders:?}", print::filter(clauses));
    Digest::of(text).short().to_string()
}

fn write_token(identity: &str, cursor: &Cursor) -> Option<String> {
    serde_json::to_vec(&(identity, cursor)).ok().map(|bytes| STANDARD.encode(bytes))
}

fn read_token(token: &str, identity: &str, orders: usize) -> Result<Option<Cursor>, FilterError> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || -> Option<(String, Cursor)> { serde_json::from_slice(&STANDARD.decode(token).ok()?).ok() };
    match read() {
        // Rows are sorted by what was asked for, and by time and id unless these were asked for.
        Some((owner, cursor)) if owner == identity && (orders..=orders + 2).contains(&cursor.len()) => {
            Ok(Some(cursor))
        }
        _ => Err(FilterError("Invalid page token: it does not belong to this search".to_owned())),
    }
}

fn page_size(asked: Option<i64>) -> Result<usize, TrackingError> {
    let size = asked.unwrap_or(DEFAULT_PAGE);
    match usize::try_from(size) {
        Ok(fits) if (1..=GREATEST_PAGE).contains(&size) => Ok(fits),
        _ => Err(TrackingError::invalid(
            "max_results",
            format!(
                "Invalid value {size} for parameter 'max_results' supplied: It must be a positive integer of at most \
                 {GREATEST_PAGE}"
            ),
        )),
    }
}

impl Tracking {
    /// Traces of the experiments that match, without their spans, the newest first unless another order is asked for.
    pub(crate) async fn search_traces(
        &self,
        experiment_ids: &[String],
        request: &SearchRequest,
    ) -> Result<Found<TraceInfo>, TrackingError> {
        let size = page_size(request.max_results)?;
        let clauses = parse_clauses(&request.filter, &TRACES)?;
        let orders = orders(&request.order_by)?;
        let experiments = numbers(&self.experiments_here(experiment_ids).await?);
        let identity = identity(&experiments, &clauses, &orders);
        let after = read_token(&request.page_token, &identity, orders.len())?;
        let search = Search::of(&experiments).matching(&clauses).ordered_by(&orders);
        let (rows, next) = search.page(&mut self.reader(), size, after).await?;
        let items = store::traces::from_rows(&mut self.reader(), &rows).await?;
        Ok(Found { items, next_page_token: next.and_then(|cursor| write_token(&identity, &cursor)) })
    }

    /// How often what two filters look for comes together, among the traces that pass the base filter.
    pub(crate) async fn correlate_traces(
        &self,
        experiment_ids: &[String],
        first: &str,
        second: &str,
        base: &str,
    ) -> Result<Correlation, TrackingError> {
        let (first, second) = (parse_clauses(first, &TRACES)?, parse_clauses(second, &TRACES)?);
        let experiments = numbers(&self.experiments_here(experiment_ids).await?);
        let all = Search::of(&experiments).matching(&parse_clauses(base, &TRACES)?);
        let mut reader = self.reader();
        Ok(Correlation {
            first: all.clone().matching(&first).count(&mut reader).await?,
            second: all.clone().matching(&second).count(&mut reader).await?,
            both: all.clone().matching(&first).matching(&second).count(&mut reader).await?,
            all: all.count(&mut reader).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::traces::search::Sorted;

    #[test]
    fn correlation_runs_from_never_over_chance_to_always() {
        let counts = |first, second, both, all| Correlation { first, second, both, all };
        assert_eq!(counts(5, 5, 0, 10).npmi(0.0), -1.0);
        assert_eq!(counts(10, 10, 10, 10).npmi(0.0), 1.0);
        assert!((counts(5, 4, 2, 10).npmi(0.0)).abs() < 1e-12, "half of 4 among 5 of 10 is chance");
        assert!((counts(5, 5, 5, 10).npmi(0.0) - 1.0).abs() < 1e-12);
        assert!(counts(0, 5, 0, 10).npmi(0.5).is_nan() && counts(0, 0, 0, 0).npmi(0.0).is_nan());
        let smoothed = counts(5, 5, 0, 10).npmi(0.5);
        assert!(smoothed > -1.0 && smoothed < 0.0, "{smoothed}");
    }

    #[test]
    fn a_token_continues_its_own_search_and_no_other() {
        let cursor = vec![Sorted::Nothing, Sorted::Int(5), Sorted::Text("tr-1".into())];
        let token = write_token("mine", &cursor).unwrap();
        assert_eq!(read_token(&token, "mine", 1), Ok(Some(cursor)));
        assert!(read_token(&token, "other", 1).is_err());
        assert!(read_token(&token, "mine", 4).is_err(), "a token of another length");
        for bad in ["x", "eyJvZmZzZXQiOiAxfQ==", "bnVsbA=="] {
            assert!(read_token(bad, "mine", 0).is_err(), "{bad}");
        }
    }
}

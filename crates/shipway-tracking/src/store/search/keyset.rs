//! Orders a result, and continues it after a place in it.

use shipway_store::{Row, SqlValue};

use crate::{filter::page::Place, store::Stored};

/// What a term's values are, so that a place of another search is not compared with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TermKind {
    Integer,
    Number,
    Text,
}

/// One term of an order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Term {
    /// An expression that is 0 where there is a value and greater where there is none: those come last, whatever the direction.
    /// Without it there always is a value.
    pub(crate) rank: Option<String>,
    pub(crate) value: String,
    pub(crate) ascending: bool,
    pub(crate) kind: TermKind,
}

/// What has to be selected, so that [`place_of`] finds it in a row.
pub(crate) fn selected(terms: &[Term]) -> Vec<String> {
    let mut selected = Vec::new();
    for (number, term) in terms.iter().enumerate() {
        selected.extend(term.rank.as_ref().map(|rank| format!("{rank} AS sort_{number}_rank")));
        selected.push(format!("{} AS sort_{number}_value", term.value));
    }
    selected
}

/// The clause after ORDER BY.
pub(crate) fn order(terms: &[Term]) -> String {
    let mut clauses = Vec::new();
    for (number, term) in terms.iter().enumerate() {
        clauses.extend(term.rank.as_ref().map(|_| format!("sort_{number}_rank")));
        let direction = if term.ascending { "ASC" } else { "DESC" };
        clauses.push(format!("sort_{number}_value {direction}"));
    }
    clauses.join(", ")
}

/// Where a row is.
pub(crate) fn place_of(row: &Row, terms: &[Term]) -> Stored<Place> {
    let mut values = Vec::new();
    for (number, term) in terms.iter().enumerate() {
        if term.rank.is_some() {
            values.push(row.value(&format!("sort_{number}_rank"))?.clone());
        }
        values.push(row.value(&format!("sort_{number}_value"))?.clone());
    }
    Ok(Place(values))
}

/// Whether a place can be one of this order.
pub(crate) fn fits(place: &Place, terms: &[Term]) -> bool {
    let mut values = place.0.iter();
    let fitting = terms.iter().all(|term| {
        let rank = match term.rank {
            None => 0,
            Some(_) => match values.next() {
                Some(SqlValue::Int(rank)) => *rank,
                _ => return false,
            },
        };
        matches!(
            (values.next(), term.kind),
            (Some(SqlValue::Int(_)), TermKind::Integer)
                | (Some(SqlValue::Real(_)), TermKind::Number)
                | (Some(SqlValue::Text(_)), TermKind::Text)
        ) || rank > 0
    });
    fitting && values.next().is_none()
}

/// The condition that a row comes after `place`, which [`fits`]. `bind` makes a parameter of a value.
pub(crate) fn after(place: &Place, terms: &[Term], mut bind: impl FnMut(SqlValue) -> String) -> String {
    let mut values = place.0.iter();
    let mut places = Vec::new();
    for term in terms {
        let rank = term.rank.as_ref().map_or(0, |_| match values.next() {
            Some(SqlValue::Int(rank)) => *rank,
            _ => 0,
        });
        places.push((rank, values.next().cloned().unwrap_or(SqlValue::Null)));
    }
    let mut condition = "1 = 0".to_owned();
    for (number, (term, (rank, value))) in terms.iter().zip(places).enumerate().rev() {
        let Term { rank: rank_expression, value: expression, ascending, .. } = term;
        if rank == 0 {
            let value = bind(value);
            let beyond = if *ascending { ">" } else { "<" };
            condition =
                format!("({expression} {beyond} {value} OR ({expression} = {value} AND {condition}))");
            if number == 0 {
                // The same said once more in a form that an index can use.
                condition = format!("({expression} {beyond}= {value} AND {condition})");
            }
        }
        if let Some(rank_expression) = rank_expression {
            condition =
                format!("({rank_expression} > {rank} OR ({rank_expression} = {rank} AND {condition}))");
        }
    }
    condition
}

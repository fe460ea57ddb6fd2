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

/// A value that no row has.
pub(crate) const NOTHING: &str = "CAST(NULL AS DOUBLE PRECISION)";

/// Whether an expression has the same value in all rows, so that it orders none of them. A database that is told to order by it
/// sorts everything, where it could have followed an index.
fn is_same_in_all(expression: &str) -> bool {
    expression == NOTHING || expression.parse::<i64>().is_ok()
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
        let rank = term.rank.as_ref().filter(|rank| !is_same_in_all(rank));
        clauses.extend(rank.map(|_| format!("sort_{number}_rank")));
        if !is_same_in_all(&term.value) {
            let direction = if term.ascending { "ASC" } else { "DESC" };
            clauses.push(format!("sort_{number}_value {direction}"));
        }
    }
    clauses.join(", ")
}

/// Where a row is.
pub(crate) fn place_of(row: &Row, terms: &[Term]) -> Stored<Place> {
    let mut values = Vec::new();
    for (number, term) in terms.iter().enumerate() {
        if term.rank.is_some() {
            values.push(row.value(&format!("sort_{number}_rank"))?);
        }
        values.push(row.value(&format!("sort_{number}_value"))?);
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
    let first_compared = places.iter().position(|(rank, _)| *rank == 0);
    let mut condition = "1 = 0".to_owned();
    for (number, (term, (rank, value))) in terms.iter().zip(places).enumerate().rev() {
        let Term { rank: rank_expression, value: expression, ascending, .. } = term;
        if rank == 0 {
            let value = bind(value);
            let beyond = if *ascending { ">" } else { "<" };
            condition =
                format!("({expression} {beyond} {value} OR ({expression} = {value} AND {condition}))");
            if first_compared == Some(number) {
                // The same said once more in a form that an index can use.
                condition = format!("({expression} {beyond}= {value} AND {condition})");
            }
        }
        // Where all rows have one rank, it is that of the place: what is continued is the part of the result that has the place.
        if let Some(rank_expression) = rank_expression.as_ref().filter(|rank| !is_same_in_all(rank)) {
            condition =
                format!("({rank_expression} > {rank} OR ({rank_expression} = {rank} AND {condition}))");
        }
    }
    condition
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(rank: &str, value: &str) -> Term {
        Term {
            rank: Some(rank.to_owned()),
            value: value.to_owned(),
            ascending: false,
            kind: TermKind::Number,
        }
    }

    fn by_start() -> Term {
        Term { rank: None, value: "s.start_ms".to_owned(), ascending: true, kind: TermKind::Integer }
    }

    fn continued(place: Vec<SqlValue>, terms: &[Term]) -> String {
        let mut bound = 0;
        after(&Place(place), terms, |_| {
            bound += 1;
            format!("${bound}")
        })
    }

    #[test]
    fn rows_are_not_ordered_by_what_they_all_have() {
        assert_eq!(order(&[term("0", "o.value"), by_start()]), "sort_0_value DESC, sort_1_value ASC");
        assert_eq!(order(&[term("2", NOTHING), by_start()]), "sort_1_value ASC");
        let ranked = "sort_0_rank, sort_0_value DESC, sort_1_value ASC";
        assert_eq!(order(&[term("COALESCE(n, 2)", "o.value"), by_start()]), ranked);
    }

    #[test]
    fn a_part_is_continued_in_a_form_that_an_index_can_use() {
        let place = vec![SqlValue::Int(0), SqlValue::Real(0.5), SqlValue::Int(7)];
        let expected = "(o.value <= $2 AND (o.value < $2 OR (o.value = $2 AND (s.start_ms > $1 OR (s.start_ms = $1 AND 1 = 0)))))";
        assert_eq!(continued(place, &[term("0", "o.value"), by_start()]), expected);
        let place = vec![SqlValue::Int(2), SqlValue::Null, SqlValue::Int(7)];
        let expected = "(s.start_ms >= $1 AND (s.start_ms > $1 OR (s.start_ms = $1 AND 1 = 0)))";
        assert_eq!(continued(place, &[term("2", NOTHING), by_start()]), expected);
    }
}

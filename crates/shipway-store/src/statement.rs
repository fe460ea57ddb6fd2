//! What a statement and its result have in common in every engine.

use crate::{SqlValue, StoreError};

/// Refuses what an engine would take for something else, or what one of them cannot keep: so both refuse it.
pub(crate) fn check(sql: &str, parameters: &[SqlValue]) -> Result<(), StoreError> {
    let expected = highest_placeholder(sql);
    if expected > parameters.len() {
        return Err(StoreError::MissingParameters { expected, given: parameters.len() });
    }
    check_values(parameters)
}

/// Refuses values that one engine cannot keep.
pub(crate) fn check_values(parameters: &[SqlValue]) -> Result<(), StoreError> {
    for (index, parameter) in parameters.iter().enumerate() {
        match parameter {
            SqlValue::Real(value) if value.is_nan() => {
                return Err(StoreError::NotANumber { position: index + 1 });
            }
            SqlValue::Text(text) if text.contains('\0') => {
                return Err(StoreError::NulCharacter { position: index + 1 });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The highest N of the placeholders `$N` outside quoted text.
fn highest_placeholder(sql: &str) -> usize {
    // Every second piece lies between quotes; a doubled quote inside them only adds an empty piece outside.
    let outside = sql.split('\'').step_by(2);
    let numbers = outside.flat_map(|piece| piece.split('$').skip(1)).filter_map(|after| {
        let end = after.find(|character: char| !character.is_ascii_digit()).unwrap_or(after.len());
        after[..end].parse().ok()
    });
    numbers.max().unwrap_or_default()
}

/// A statement whose placeholders are counted from `by + 1`.
pub(crate) fn shifted(sql: &str, by: usize) -> String {
    let mut shifted = String::with_capacity(sql.len() + 8);
    // Every second piece lies between quotes.
    for (number, piece) in sql.split('\'').enumerate() {
        if number > 0 {
            shifted.push('\'');
        }
        if number % 2 == 1 {
            shifted.push_str(piece);
            continue;
        }
        let mut parts = piece.split('$');
        shifted.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
            let (digits, rest) = part.split_at(end);
            match digits.parse::<usize>() {
                Ok(placeholder) => shifted.push_str(&format!("${}{rest}", placeholder + by)),
                Err(_) => shifted.push_str(&format!("${part}")),
            }
        }
    }
    shifted
}

/// The most rows that one statement inserts, and the most values: what every engine takes.
const MOST_ROWS: usize = 512;
const MOST_VALUES: usize = 30_000;

/// Divides `rows` rows of `columns` values among statements. Each takes a power of two, so that a few prepared statements serve
/// every number of rows.
pub(crate) fn chunks_of_rows(rows: usize, columns: usize) -> Vec<usize> {
    let bound = (MOST_VALUES / columns.max(1)).clamp(1, MOST_ROWS);
    let most = 1 << bound.ilog2();
    let mut chunks = vec![most; rows / most];
    let rest = rows % most;
    chunks.extend((0..usize::BITS).rev().map(|bit| rest & (1 << bit)).filter(|size| *size > 0));
    chunks
}

/// `($1, $2), ($3, $4)`: the placeholders of so many rows of `columns` values.
pub(crate) fn placeholders_of_rows(rows: usize, columns: usize) -> String {
    let row = |row: usize| {
        let numbers = (0..columns).map(|column| format!("${}", row * columns + column + 1));
        format!("({})", numbers.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn placeholders_are_counted_outside_quoted_text_only() {
        assert_eq!(highest_placeholder("SELECT 1"), 0);
        assert_eq!(highest_placeholder("SELECT $2 FROM a WHERE b = $12 AND c = $1"), 12);
        assert_eq!(highest_placeholder("SELECT '$7', $1, 'it''s $9'"), 1);
    }

    #[test]
    fn placeholders_are_counted_on_outside_quoted_text_only() {
        let sql = "UPDATE a SET b = $2, c = '$1 it''s $9' WHERE d = $1 AND e = $12";
        assert_eq!(shifted(sql, 3), "UPDATE a SET b = $5, c = '$1 it''s $9' WHERE d = $4 AND e = $15");
        assert_eq!(shifted(sql, 0), sql);
    }

    #[test]
    fn rows_are_numbered_one_after_the_other() {
        assert_eq!(placeholders_of_rows(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(chunks_of_rows(1_000, 6), [512, 256, 128, 64, 32, 8]);
        assert_eq!(chunks_of_rows(3, 20_000), [1, 1, 1]);
        assert!(chunks_of_rows(0, 3).is_empty());
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_chunk_and_no_chunk_is_too_large(rows in 0_usize..5_000, columns in 1_usize..40) {
            let chunks = chunks_of_rows(rows, columns);
            prop_assert_eq!(chunks.iter().sum::<usize>(), rows);
            prop_assert!(chunks.iter().all(|size| size.is_power_of_two() && size * columns <= MOST_VALUES));
        }
    }
}

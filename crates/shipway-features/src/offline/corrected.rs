//! History whose events are corrected by their ids: a row of the table is an event until the next row with its id arrives.

use datafusion::{
    dataframe::DataFrame,
    functions_window::expr_fn::lead,
    logical_expr::{ExprFunctionExt as _, lit},
    prelude::{Expr, ident},
};

use super::{
    OfflineError,
    events::{ArrivalClock, ArrivalRule},
};
use crate::model::schema::{ARRIVAL_COLUMN, DELETED_COLUMN, EVENT_ID_COLUMN, RECEIVED_COLUMN};

/// The column that says when an event was taken away: the arrival of the next row with its id, or the moment at which that was
/// received; null while the event counts.
pub(crate) const UNTIL_COLUMN: &str = "_until";

/// The events that are left of `history`, which is all that arrived before some moment.
pub(crate) fn remaining(history: DataFrame) -> Result<DataFrame, OfflineError> {
    let ended = with_ends(history, ARRIVAL_COLUMN)?;
    Ok(ended.filter(ident(UNTIL_COLUMN).is_null())?.drop_columns(&[UNTIL_COLUMN])?)
}

/// The events that count for any row under `arrival`. Where rows have watermarks of their own, each says when it was taken away.
pub(crate) fn counting(history: DataFrame, arrival: &ArrivalRule) -> Result<DataFrame, OfflineError> {
    let history = match arrival.before {
        Some(before) => {
            history.filter(ident(ARRIVAL_COLUMN).lt(lit(before.min(i64::MAX as u64).cast_signed())))?
        }
        None => history,
    };
    match arrival.carried {
        None => remaining(history),
        Some(ArrivalClock::Offset) => with_ends(history, ARRIVAL_COLUMN),
        Some(ArrivalClock::Received(_)) => with_ends(history, RECEIVED_COLUMN),
    }
}

/// All events that there ever were, each with its end by the clock of `column`. What only takes away is no event.
fn with_ends(history: DataFrame, column: &str) -> Result<DataFrame, OfflineError> {
    let next: Expr = lead(ident(column), Some(1), None)
        .partition_by(vec![ident(EVENT_ID_COLUMN)])
        .order_by(vec![ident(ARRIVAL_COLUMN).sort(true, true)])
        .build()?;
    Ok(history.with_column(UNTIL_COLUMN, next)?.filter(ident(DELETED_COLUMN).is_not_true())?)
}

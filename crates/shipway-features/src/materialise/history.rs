//! Which rows of a source's table had arrived before an offset.

use datafusion::scalar::ScalarValue;
use datafusion::{
    logical_expr::{Expr, lit},
    prelude::{DataFrame, col},
};
use shipway_core::Name;
use shipway_lake::Lake;
use shipway_store::Store;

use crate::{
    error::FeaturesError,
    model::schema::{ARRIVAL_COLUMN, LOAD_COLUMN, SourceSchema},
    store::loads,
};

/// Rows to build states from.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// All that arrived before this offset.
    ArrivedBefore(u64),
    /// Those of one load.
    OfLoad(String),
}

/// The rows of `source`, without those whose event time is before `earliest`.
pub(crate) async fn select(
    lake: &Lake,
    store: &Store,
    source: &SourceSchema,
    rows: &Rows,
    earliest: i64,
) -> Result<DataFrame, FeaturesError> {
    let arrived = match rows {
        Rows::OfLoad(load_id) => col(LOAD_COLUMN).eq(lit(load_id.as_str())),
        Rows::ArrivedBefore(offset) => arrived_before(store, &source.name, *offset).await?,
    };
    let mut frame = lake.scan(source.name.as_str()).await?.filter(arrived)?;
    if earliest != i64::MIN {
        let earliest = ScalarValue::TimestampMicrosecond(Some(earliest), Some("UTC".into()));
        let time = &source.columns[source.time_index].0;
        frame = frame.filter(col(time.as_str()).gt_eq(Expr::Literal(earliest, None)))?;
    }
    Ok(frame)
}

/// The condition under which a row of the table of `source` had arrived before `offset`.
pub(crate) async fn arrived_before(store: &Store, source: &Name, offset: u64) -> Result<Expr, FeaturesError> {
    let arrivals = loads::arrivals(store, source.as_str()).await?;
    let loaded: Vec<Expr> = arrivals
        .iter()
        .filter(|(_, arrival)| **arrival < offset)
        .map(|(load_id, _)| lit(load_id.as_str()))
        .collect();
    let live = col(LOAD_COLUMN).is_null().and(col(ARRIVAL_COLUMN).lt(lit(offset.cast_signed())));
    Ok(if loaded.is_empty() { live } else { live.or(col(LOAD_COLUMN).in_list(loaded, false)) })
}

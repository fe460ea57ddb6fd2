//! Dead letters, read again after their fault was mended.
//!
//! They are a feed like any other: its only partition is the table of dead letters, a letter's offset is its arrival. So a replay goes
//! on where the last one ended, takes in each letter once, and a letter that is still none becomes a new one at the end.

use arrow::{
    array::AsArray as _,
    datatypes::{Int64Type, TimestampMicrosecondType},
};
use bytes::Bytes;
use datafusion::{
    functions_aggregate::expr_fn::count,
    logical_expr::{Expr, lit},
    prelude::{DataFrame, col},
};
use futures::TryStreamExt as _;
use shipway_core::Timestamp;

use crate::{
    error::{FeaturesError, damaged},
    features::Features,
    model::{origin::Feed, schema::ARRIVAL_COLUMN},
    source::SourceRuntime,
};

/// The only partition of a table of dead letters.
const TABLE: u32 = 0;

/// A dead letter that was not replayed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingLetter {
    /// Its place among the letters of its source: its offset when it is delivered again.
    pub arrival: u64,
    /// When its producer sent it.
    pub sent: Option<Timestamp>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its body.
    pub message: Option<Bytes>,
}

impl Features {
    /// The first dead letters of `source` that were not replayed, at most `limit`, the oldest first, and the arrival from which on
    /// letters came after this call. Whoever delivers them does so as [`Feed::of_letters`], with their arrival as offset. Waits
    /// until every letter before this call is in the table.
    pub async fn waiting_letters(
        &self,
        source: &str,
        limit: usize,
    ) -> Result<(Vec<WaitingLetter>, u64), FeaturesError> {
        let runtime = self.inner.source(source)?;
        let end = runtime.topic.end();
        runtime.archive_up_to(end).await?;
        let Some(frame) = self.unread_letters(&runtime).await? else { return Ok((Vec::new(), end)) };
        let wanted = [ARRIVAL_COLUMN, "sent", "key", "message"];
        let frame = frame.sort(vec![col(ARRIVAL_COLUMN).sort(true, false)])?.limit(0, Some(limit))?;
        let mut rows = frame.select_columns(&wanted)?.execute_stream().await?;
        let mut letters = Vec::new();
        while let Some(batch) = rows.try_next().await? {
            let arrivals = batch.column(0).as_primitive::<Int64Type>();
            let sent = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            let bytes = |at: usize| batch.column(at).as_binary_opt::<i32>();
            let (Some(keys), Some(messages)) = (bytes(2), bytes(3)) else {
                return Err(damaged(format!("the dead letters of source {source}")));
            };
            for row in 0..batch.num_rows() {
                letters.push(WaitingLetter {
                    arrival: arrivals.value(row).cast_unsigned(),
                    sent: sent.iter().nth(row).flatten().map(Timestamp),
                    key: keys.iter().nth(row).flatten().map(Bytes::copy_from_slice),
                    message: messages.iter().nth(row).flatten().map(Bytes::copy_from_slice),
                });
            }
        }
        Ok((letters, end))
    }

    /// How many dead letters of `source` that are in the table were not replayed.
    pub async fn count_waiting_letters(&self, source: &str) -> Result<u64, FeaturesError> {
        let runtime = self.inner.source(source)?;
        let Some(frame) = self.unread_letters(&runtime).await? else { return Ok(0) };
        let counted = frame.aggregate(vec![], vec![count(lit(1)).alias("letters")])?.collect().await?;
        let counted = counted.iter().find(|batch| batch.num_rows() > 0);
        Ok(counted.map_or(0, |batch| batch.column(0).as_primitive::<Int64Type>().value(0).cast_unsigned()))
    }

    async fn unread_letters(&self, runtime: &SourceRuntime) -> Result<Option<DataFrame>, FeaturesError> {
        let table = runtime.shape().schema.dead_letter_table();
        if !self.inner.lake.exists(&table).await? {
            return Ok(None);
        }
        let feed = Feed::of_letters(runtime.name.as_str());
        let next = runtime.feeds.lock().await.next(feed, TABLE).unwrap_or(0);
        let unread: Expr = col(ARRIVAL_COLUMN).gt_eq(lit(next.cast_signed()));
        Ok(Some(self.inner.lake.scan(&table).await?.filter(unread)?))
    }
}

//! From rows in the table to a marker in the log; also after a crash.

use std::sync::Arc;

use arrow::{array::AsArray as _, datatypes::TimestampMicrosecondType};
use bytes::Bytes;
use datafusion::{functions_aggregate::expr_fn::max, prelude::col};
use futures::TryStreamExt as _;
use shipway_core::Timestamp;

use crate::{
    error::FeaturesError,
    features::Inner,
    ingest::dedupe::IdDigest,
    materialise::{
        event_ids,
        history::{self, Rows},
        progress::{self, SourceProgress},
    },
    model::{
        record::{self, LoadMarker, Record},
        schema::EVENT_ID_COLUMN,
    },
    source::SourceRuntime,
    store::{
        loads::{self, LoadRow, LoadState},
        training_sets,
    },
};

/// A load is one Delta transaction of an application of its own, at this version.
pub(crate) const LOAD_TRANSACTION: i64 = 1;

const RECORDS_PER_READ: usize = 8_192;
const BYTES_PER_READ: usize = 16 << 20;

/// The Delta application of a load.
pub(crate) fn application(load_id: &str) -> String {
    format!("load-{load_id}")
}

/// Brings a load whose rows are in the table to its end: a marker in the log, and a note of its offset. May be called
/// again after any failure; there is one marker in the end.
pub(crate) async fn finish(
    inner: &Inner,
    runtime: &SourceRuntime,
    mut load: LoadRow,
) -> Result<LoadRow, FeaturesError> {
    let rows = Rows::OfLoad(load.load_id.clone());
    let shape = runtime.shape();
    let time = shape.schema.columns[shape.schema.time_index].0.as_str();
    let frame = history::select(inner, &shape.schema, &rows, i64::MIN).await?;
    load.rows = frame.clone().count().await? as u64;
    let newest = frame.aggregate(vec![], vec![max(col(time)).alias("newest")])?.collect().await?;
    load.newest = newest.iter().filter(|batch| batch.num_rows() > 0).find_map(|batch| {
        let newest = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
        newest.iter().next().flatten().map(Timestamp)
    });
    let marker = LoadMarker { load_id: load.load_id.clone(), rows: load.rows, newest: load.newest };
    let _until_it_is_noted = runtime.marking.lock().await;
    let offset = match find_marker(inner, runtime, &load.load_id).await? {
        Some(offset) => offset,
        None => runtime.topic.append(vec![Bytes::from(record::encode_load(&marker))]).await?.start,
    };
    let table = runtime.name.as_str();
    training_sets::record_moment(&inner.store, table, &load.load_id, inner.clock.now()).await?;
    if let Some(ticket) = runtime.take_stranded(&load.load_id) {
        ticket.settle(offset + 1);
    }
    marker.newest.iter().for_each(|newest| runtime.advance_ingest_watermark(*newest));
    load.state = LoadState::Marked;
    load.marker_offset = Some(offset);
    loads::record(&inner.store, &load, inner.clock.now()).await?;
    Ok(load)
}

/// The offset of the marker of a load, if it is in the log.
async fn find_marker(
    inner: &Inner,
    runtime: &SourceRuntime,
    load_id: &str,
) -> Result<Option<u64>, FeaturesError> {
    let mut from = SourceProgress::read(&inner.online, &runtime.name)?.applied.max(runtime.topic.start());
    while from < runtime.topic.end() {
        for logged in runtime.topic.read(from, RECORDS_PER_READ, BYTES_PER_READ).await? {
            if let Some(Record::Load(marker)) = record::decode(&logged.payload)
                && marker.load_id == load_id
            {
                return Ok(Some(logged.offset));
            }
            from = logged.offset + 1;
        }
    }
    // Asked last: a marker that was applied meanwhile is noted by now.
    progress::applied_load(&inner.online, &runtime.name, load_id)
}

/// Settles the loads that the last process left half-way, before new events are taken in.
pub(crate) async fn recover(inner: &Inner, runtime: &SourceRuntime) -> Result<(), FeaturesError> {
    for load in loads::unfinished(&inner.store, runtime.name.as_str()).await? {
        let application = application(&load.load_id);
        let written = inner.lake.transaction_version(runtime.name.as_str(), &application).await?;
        if written.is_some() {
            let done = finish(inner, runtime, load).await?;
            if let Some(offset) = done.marker_offset {
                note_ids(inner, runtime, &done.load_id, offset + 1).await?;
            }
        } else {
            loads::forget(&inner.store, runtime.name.as_str(), &load.load_id).await?;
        }
    }
    Ok(())
}

/// Notes the event ids of a load whose marker the materialiser has not reached yet.
pub(crate) async fn note_ids(
    inner: &Inner,
    runtime: &SourceRuntime,
    load_id: &str,
    end: u64,
) -> Result<(), FeaturesError> {
    let shape = runtime.shape();
    if shape.schema.id_index.is_none() {
        return Ok(());
    }
    let rows = Rows::OfLoad(load_id.to_owned());
    let frame = history::select(inner, &shape.schema, &rows, i64::MIN).await?;
    let mut batches = frame.select_columns(&[EVENT_ID_COLUMN])?.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let ids = event_ids(&batch)?.iter().map(|id: &Arc<str>| IdDigest::of(id)).collect();
        runtime.dedupe.note_durable(ids, end);
    }
    Ok(())
}

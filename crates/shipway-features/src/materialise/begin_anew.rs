//! States that are gone while the log no longer reaches back to their beginning: they begin anew where the log begins. What arrived
//! before comes from history, beside the flow, as it does for a new view; what history does not say was noted before the
//! log was shortened.

use std::sync::Arc;

use datafusion::{logical_expr::Expr, prelude::col, scalar::ScalarValue};
use shipway_core::{Digest, Timestamp};
use shipway_definitions::DefinitionSet;
use shipway_online::{Batch, Snapshot};

use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        afresh::Afresh,
        bulk::{off_the_executor, remember_ids},
        history::{self, Rows},
        progress::{self, BuildProgress, SourceProgress, ViewProgress},
        views::ActiveView,
    },
    model::schema::{NO_WATERMARK, RECEIVED_COLUMN},
    source::SourceRuntime,
    store::{
        loads,
        log_starts::{self, LogStart},
        views,
    },
};

/// Notes what only the log says of `source`, as it is in `snapshot`, before records that are in it are dropped from the log.
pub(crate) async fn note(
    inner: &Inner,
    runtime: &SourceRuntime,
    snapshot: &Snapshot,
) -> Result<(), FeaturesError> {
    let progress = SourceProgress::at(snapshot, &runtime.name)?;
    let positions = serde_json::to_string(&progress.positions)
        .map_err(|_| damaged(format!("the positions of source {}", runtime.name)))?;
    let start = LogStart { watermark: progress.watermark(), positions };
    Ok(log_starts::note(&inner.store, runtime.name.as_str(), &start, inner.clock.now()).await?)
}

/// Lets a source whose states are gone begin anew where its log begins; does nothing to any other. Whatever a crash leaves of it is
/// begun anew as well. Takes about as long as the ids of the dedupe horizon take to be read from history.
pub(crate) async fn begin_anew(inner: &Arc<Inner>, runtime: &SourceRuntime) -> Result<(), FeaturesError> {
    let (name, start) = (&runtime.name, runtime.topic.start());
    if start == 0 || SourceProgress::is_stored(&inner.online, name)? {
        return Ok(());
    }
    let Some(noted) = log_starts::of(&inner.store, name.as_str()).await? else {
        // Its log was shortened by an earlier release. The states stand still and say why.
        return Ok(());
    };
    let watermark = noted.watermark;
    let positions = serde_json::from_str(&noted.positions)
        .map_err(|_| damaged(format!("the noted positions of source {name}")))?;
    tracing::warn!(
        source = %name,
        records = start,
        "the states of a source are gone, and its log begins later: they are made again from history"
    );
    let mut batch = Batch::new();
    SourceProgress::beginning(start, watermark, positions).put(&mut batch, name);
    for (load_id, arrival) in loads::arrivals(&inner.store, name.as_str()).await? {
        if arrival < start {
            progress::put_load(&mut batch, name, &load_id, arrival);
        }
    }
    let definitions = inner.definitions();
    let marked = views::marked_before(&inner.store, name.as_str(), start).await?;
    let is_corrected = runtime.shape().schema.corrections.is_some() && watermark != NO_WATERMARK;
    if is_corrected {
        correct(inner, runtime, &marked, (start, watermark)).await?;
    }
    for view in marked {
        if is_corrected && definitions.views_by_hash.contains_key(&view) {
            ViewProgress::new(start, i64::MIN, 0).put(&mut batch, name, &view);
        } else {
            enter(&mut batch, runtime, &definitions, (view, start), watermark)?;
        }
    }
    if watermark != NO_WATERMARK {
        remember(inner, runtime, start).await?;
    }
    let online = inner.online.clone();
    off_the_executor(inner, move || Ok(online.commit(batch)?)).await
}

/// Makes the states of a source whose events are corrected by their ids, before it goes on.
async fn correct(
    inner: &Arc<Inner>,
    runtime: &SourceRuntime,
    views: &[Digest],
    (before, watermark): (u64, Timestamp),
) -> Result<(), FeaturesError> {
    let (definitions, shape) = (inner.definitions(), runtime.shape());
    let known = views.iter().filter_map(|view| Some((view, definitions.views_by_hash.get(view)?)));
    let active = known.map(|(view, held)| {
        ActiveView::new(Arc::new(held.definition.clone()), *view, &shape.schema, i64::MIN, 0)
    });
    let views = active.collect::<Result<Vec<_>, _>>()?.into();
    Afresh { shape, views, before, watermark, with_rows: true }.run(inner).await.map(drop)
}

/// Has `view` counted from `start` on, and built from what arrived before.
fn enter(
    batch: &mut Batch,
    runtime: &SourceRuntime,
    definitions: &DefinitionSet,
    (view, start): (Digest, u64),
    watermark: Timestamp,
) -> Result<(), FeaturesError> {
    let Some(definition) = definitions.views_by_hash.get(&view) else { return Ok(()) };
    let schema = &runtime.shape().schema;
    let active = ActiveView::new(Arc::new(definition.definition.clone()), view, schema, i64::MIN, 0)?;
    let rows_from = active.layout.reach(watermark).earliest;
    if watermark == NO_WATERMARK {
        ViewProgress::new(start, rows_from, 0).put(batch, &runtime.name, &view);
    } else {
        BuildProgress::new(start, rows_from, 0, false).put(batch, &runtime.name, &view);
    }
    Ok(())
}

/// Remembers the ids of the dedupe horizon of what arrived before `start`. Rows of loads do not say when they were received, so all of
/// theirs are remembered from now on.
async fn remember(inner: &Arc<Inner>, runtime: &SourceRuntime, start: u64) -> Result<(), FeaturesError> {
    let schema = &runtime.shape().schema;
    if !schema.has_ids_once() {
        return Ok(());
    }
    let horizon = inner.clock.now().micros().saturating_sub(schema.dedupe_us);
    let horizon = ScalarValue::TimestampMicrosecond(Some(horizon), Some("UTC".into()));
    let within = col(RECEIVED_COLUMN).gt_eq(Expr::Literal(horizon, None));
    let rows = history::select(inner, schema, &Rows::ArrivedBefore(start), i64::MIN).await?;
    let rows = rows.filter(col(RECEIVED_COLUMN).is_null().or(within))?;
    remember_ids(inner, schema, rows, start).await
}

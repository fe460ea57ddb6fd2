//! Use cases of traces: what a client tells of them, their tags and links, and taking them away.

use crate::{
    error::{Thing, TrackingError},
    model::{Assessment, Experiment, Lifecycle, Pair, TraceInfo, TraceState, bounds, trace::key},
    service::{
        Tracking, assessments,
        experiments::{self, location_path},
        names::new_id,
        runs,
    },
    store::{self, Rows, pairs::TRACE_TAGS},
};

/// How many traces one transaction takes away, so that other writers come in between.
const DELETED_AT_ONCE: usize = 50;

/// What a client tells of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NewTrace {
    /// Empty for a trace whose id is made here.
    pub(crate) trace_id: String,
    pub(crate) experiment_id: String,
    pub(crate) timestamp_ms: i64,
    pub(crate) execution_ms: Option<i64>,
    pub(crate) state: TraceState,
    pub(crate) client_request_id: Option<String>,
    pub(crate) request_preview: Option<String>,
    pub(crate) response_preview: Option<String>,
    pub(crate) tags: Vec<Pair>,
    pub(crate) metadata: Vec<Pair>,
    pub(crate) assessments: Vec<Assessment>,
    /// Whether this is the whole of it, so that spans which come later add nothing.
    pub(crate) finalized: bool,
}

/// Which traces of an experiment to take away; without ids or a moment all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TraceDeletion {
    pub(crate) experiment_id: String,
    pub(crate) until_ms: Option<i64>,
    pub(crate) limit: Option<i64>,
    pub(crate) trace_ids: Vec<String>,
}

/// Where the artifacts of a trace lie.
pub(super) fn artifact_root(experiment: &Experiment, trace_id: &str) -> String {
    format!("{}/traces/{trace_id}/artifacts", location_path(experiment))
}

pub(super) async fn find(rows: &mut impl Rows, trace_id: &str) -> Result<TraceInfo, TrackingError> {
    let found = store::traces::row_of(rows, trace_id).await?;
    found.ok_or_else(|| TrackingError::missing(Thing::Trace, trace_id))
}

/// Tags that say where spans are: a client that wrote them would hide spans from itself.
fn must_be_free(tag: &str, change: &str) -> Result<(), TrackingError> {
    let owned = [key::SPANS_LOCATION, key::ARCHIVE_LOCATION, key::ARCHIVAL_FAILURE, key::ARTIFACT_LOCATION];
    if owned.contains(&tag) && !(change == "deleted" && tag == key::ARCHIVAL_FAILURE) {
        let reason = format!("Tag '{tag}' is immutable and cannot be {change} on a trace.");
        return Err(TrackingError::invalid("key", reason));
    }
    Ok(())
}

/// Takes out of pairs the one of `key`, which is kept elsewhere. Of several the last counts.
fn take(pairs: &mut Vec<Pair>, key: &str) -> Option<String> {
    let found = pairs.iter().rev().find(|pair| pair.key == key).map(|pair| pair.value.clone());
    pairs.retain(|pair| pair.key != key);
    found
}

fn check(new: &NewTrace) -> Result<(), TrackingError> {
    for (what, count, bound) in [
        ("tags", new.tags.len(), bounds::TRACE_PAIRS),
        ("trace_metadata", new.metadata.len(), bounds::TRACE_PAIRS),
        ("assessments", new.assessments.len(), bounds::TRACE_ASSESSMENTS),
    ] {
        if count > bound {
            return Err(TrackingError::invalid(
                what,
                format!("at most {bound} are possible, {count} were given"),
            ));
        }
    }
    new.tags.iter().try_for_each(bounds::trace_tag)?;
    new.metadata.iter().try_for_each(bounds::trace_metadata)?;
    bounds::trace_text("client_request_id", new.client_request_id.as_deref(), bounds::KEY_LENGTH)?;
    bounds::trace_text("request_preview", new.request_preview.as_deref(), bounds::ASSESSMENT_LENGTH)?;
    bounds::trace_text("response_preview", new.response_preview.as_deref(), bounds::ASSESSMENT_LENGTH)
}

impl Tracking {
    /// Records what a client tells of a trace. Spans may have come before or come after; telling it again changes nothing.
    pub(crate) async fn start_trace(&self, mut new: NewTrace) -> Result<TraceInfo, TrackingError> {
        check(&new)?;
        let trace_id = if new.trace_id.is_empty() { new_id() } else { new.trace_id };
        bounds::trace_id(&trace_id)?;
        take(&mut new.tags, key::ARTIFACT_LOCATION);
        take(&mut new.metadata, key::FINALIZED);
        let name = take(&mut new.tags, key::TRACE_NAME);
        let session_id = take(&mut new.metadata, key::SESSION);
        let mut transaction = self.begin().await?;
        let experiment = experiments::find(&mut transaction, &new.experiment_id).await?;
        experiments::must_be(&experiment, Lifecycle::Active)?;
        let info = TraceInfo {
            experiment_id: experiment.id,
            timestamp_ms: new.timestamp_ms,
            execution_ms: new.execution_ms,
            state: new.state,
            client_request_id: new.client_request_id,
            request_preview: new.request_preview,
            response_preview: new.response_preview,
            name,
            session_id,
            finalized: new.finalized,
            artifact_root: artifact_root(&experiment, &trace_id),
            tags: new.tags,
            metadata: new.metadata,
            assessments: Vec::new(),
            trace_id,
        };
        store::traces::put(&mut transaction, &info).await?;
        for (index, assessment) in new.assessments.into_iter().enumerate() {
            let assessment = assessments::arriving(assessment, &info.trace_id, index);
            bounds::assessment(&assessment)?;
            store::traces::assessments::put(&mut transaction, &assessment).await?;
        }
        transaction.commit().await?;
        self.trace_info(&info.trace_id).await
    }

    /// Records the end of a trace whose start was told apart, as old clients do.
    pub(crate) async fn end_trace(
        &self,
        trace_id: &str,
        end_ms: i64,
        state: TraceState,
        mut tags: Vec<Pair>,
        mut metadata: Vec<Pair>,
    ) -> Result<TraceInfo, TrackingError> {
        tags.iter().try_for_each(bounds::trace_tag)?;
        metadata.iter().try_for_each(bounds::trace_metadata)?;
        take(&mut tags, key::ARTIFACT_LOCATION);
        let mut transaction = self.begin().await?;
        let mut info = find(&mut transaction, trace_id).await?;
        info.execution_ms = Some(end_ms.saturating_sub(info.timestamp_ms));
        info.state = state;
        info.name = take(&mut tags, key::TRACE_NAME);
        info.session_id = take(&mut metadata, key::SESSION);
        (info.tags, info.metadata) = (tags, metadata);
        store::traces::put(&mut transaction, &info).await?;
        transaction.commit().await?;
        self.trace_info(trace_id).await
    }

    /// A trace without its spans.
    pub(crate) async fn trace_info(&self, trace_id: &str) -> Result<TraceInfo, TrackingError> {
        let found = store::traces::by_id(&mut self.reader(), trace_id).await?;
        found.ok_or_else(|| TrackingError::missing(Thing::Trace, trace_id))
    }

    /// Those of the traces that exist, in the asked order; only of these experiments, if some are named.
    pub(crate) async fn trace_infos(
        &self,
        trace_ids: &[String],
        experiment_ids: Option<&[String]>,
    ) -> Result<Vec<TraceInfo>, TrackingError> {
        if trace_ids.len() > bounds::TRACE_BATCH {
            let reason = format!("at most {} traces can be asked for at once", bounds::TRACE_BATCH);
            return Err(TrackingError::invalid("trace_ids", reason));
        }
        let mut infos = store::traces::by_ids(&mut self.reader(), trace_ids).await?;
        if let Some(ids) = experiment_ids {
            infos.retain(|info| ids.contains(&info.experiment_id.to_string()));
        }
        Ok(infos)
    }

    pub(crate) async fn set_trace_tag(&self, trace_id: &str, tag: Pair) -> Result<(), TrackingError> {
        must_be_free(&tag.key, "set")?;
        bounds::trace_tag(&tag)?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, trace_id).await?;
        if tag.key == key::TRACE_NAME {
            store::traces::rename(&mut transaction, trace_id, Some(&tag.value)).await?;
        } else {
            TRACE_TAGS.set(&mut transaction, &trace_id.into(), &[tag]).await?;
        }
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn delete_trace_tag(&self, trace_id: &str, tag: &str) -> Result<(), TrackingError> {
        must_be_free(tag, "deleted")?;
        let mut transaction = self.begin().await?;
        let info = find(&mut transaction, trace_id).await?;
        let deleted = if tag == key::TRACE_NAME {
            store::traces::rename(&mut transaction, trace_id, None).await?;
            info.name.is_some()
        } else {
            TRACE_TAGS.delete(&mut transaction, &trace_id.into(), tag).await?
        };
        if !deleted {
            return Err(TrackingError::missing(Thing::Tag, tag));
        }
        Ok(transaction.commit().await?)
    }

    /// Takes traces away, the oldest first, a few in each transaction, and says how many there were. One that is interrupted has
    /// taken away some, and is asked again for the others.
    pub(crate) async fn delete_traces(&self, deletion: &TraceDeletion) -> Result<u64, TrackingError> {
        let experiment = experiments::find(&mut self.reader(), &deletion.experiment_id).await?;
        if deletion.until_ms.is_none() && deletion.trace_ids.is_empty() {
            let reason = "Either `max_timestamp_millis` or `request_ids` must be specified.";
            return Err(TrackingError::invalid("max_timestamp_millis", reason));
        }
        if deletion.limit.is_some_and(|limit| limit < 1) {
            return Err(TrackingError::invalid("max_traces", "`max_traces` must be a positive integer"));
        }
        let mut left = deletion.limit.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(u64::MAX);
        let mut deleted = 0;
        let named: Vec<&[String]> = if deletion.trace_ids.is_empty() {
            vec![&[]]
        } else {
            deletion.trace_ids.chunks(store::CHUNK).collect()
        };
        for among in named {
            while left > 0 {
                let at_once = i64::try_from(left.min(DELETED_AT_ONCE as u64)).unwrap_or_default();
                let mut transaction = self.begin().await?;
                let ids =
                    store::traces::oldest(&mut transaction, experiment.id, deletion.until_ms, among, at_once)
                        .await?;
                if ids.is_empty() {
                    break;
                }
                let gone = store::traces::delete(&mut transaction, &ids).await?;
                transaction.commit().await?;
                deleted += gone;
                left = left.saturating_sub(gone);
            }
        }
        Ok(deleted)
    }

    /// Links traces to a run. A trace may be linked before it arrives.
    pub(crate) async fn link_traces(&self, trace_ids: &[String], run_id: &str) -> Result<(), TrackingError> {
        if trace_ids.len() > bounds::TRACE_LINKS {
            let reason = format!(
                "Cannot link more than {} traces to a run in a single request. Provided {} traces.",
                bounds::TRACE_LINKS,
                trace_ids.len()
            );
            return Err(TrackingError::invalid("trace_ids", reason));
        }
        trace_ids.iter().try_for_each(|id| bounds::trace_id(id))?;
        let mut transaction = self.begin().await?;
        runs::find(&mut transaction, run_id).await?;
        store::traces::links::add_runs(&mut transaction, run_id, trace_ids).await?;
        Ok(transaction.commit().await?)
    }

    /// Links a trace to prompt versions.
    pub(crate) async fn link_prompts(
        &self,
        trace_id: &str,
        prompts: &[(String, i64)],
    ) -> Result<(), TrackingError> {
        if prompts.len() > bounds::TRACE_LINKS {
            let reason = format!("at most {} prompt versions can be linked at once", bounds::TRACE_LINKS);
            return Err(TrackingError::invalid("prompt_versions", reason));
        }
        prompts.iter().try_for_each(|(name, _)| bounds::model_name(name))?;
        let mut transaction = self.begin().await?;
        find(&mut transaction, trace_id).await?;
        store::traces::links::add_prompts(&mut transaction, trace_id, prompts).await?;
        Ok(transaction.commit().await?)
    }
}

//! A look for news is asked for: by a person, by a definition that was applied, or by the clock.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use shipway_core::{Digest, failure::chain};
use shipway_definitions::{Batch, Source};
use shipway_store::jobs::{Job, NewJob};

use super::{BatchError, error::error, look::BATCH_JOB};
use crate::{Features, error::FeaturesError, features::Inner, store::batch};

/// How often the clock is looked at. Shorter than any schedule by far.
const TICK: Duration = Duration::from_secs(5);
/// Who asks where nobody did.
const SCHEDULE: &str = "schedule";

impl Features {
    /// Records a job that looks for news of a source; durable when this returns. While one is at work, it is that one.
    pub async fn submit_look(&self, source: &str, actor: &str) -> Result<Job, FeaturesError> {
        let definition = self.inner.batch_source(source)?;
        submit(&self.inner, &definition.0, &definition.1, actor).await
    }

    /// Asks for every look that is due: the first one of each definition, and those that the clock says. Returns the sources.
    pub async fn submit_due_looks(&self) -> Result<Vec<String>, FeaturesError> {
        due(&self.inner).await
    }
}

impl Inner {
    /// A source in force and its batch part.
    pub(crate) fn batch_source(&self, name: &str) -> Result<(Source, Batch), FeaturesError> {
        // Asked for its error, which names the nearest source.
        self.source(name)?;
        let definitions = self.definitions();
        let source = definitions.sources.get(name).map(|source| source.definition.clone());
        let none = || error(BatchError::NoBatch { source_name: name.to_owned() });
        let source = source.ok_or_else(none)?;
        let batch = source.batch.clone().ok_or_else(none)?;
        Ok((source, batch))
    }
}

/// What tells two batch parts apart: what it is named by, how it is read, and not how often.
pub(super) fn fingerprint(batch: &Batch) -> String {
    let mut content = batch.clone();
    content.every = None;
    Digest::of(serde_json::to_vec(&content).unwrap_or_default()).to_string()
}

async fn submit(inner: &Inner, source: &Source, batch: &Batch, actor: &str) -> Result<Job, FeaturesError> {
    let name = source.name.as_str();
    let job = NewJob {
        kind: BATCH_JOB,
        subject: format!("source/{name}"),
        payload: json!({ "source": name }),
        actor: actor.to_owned(),
    };
    let submitted = inner.jobs()?.submit(job).await;
    let job = submitted.map_err(|refused| FeaturesError::Elsewhere(Box::new(refused)))?;
    batch::asked(&inner.store, name, &fingerprint(batch), &job.id, inner.clock.now()).await?;
    Ok(job)
}

async fn due(inner: &Inner) -> Result<Vec<String>, FeaturesError> {
    let definitions = inner.definitions();
    let sources = definitions.sources.values().map(|source| &source.definition);
    let batches: Vec<_> =
        sources.filter_map(|source| source.batch.as_ref().map(|batch| (source, batch))).collect();
    // Without jobs, as long as the server has not plugged them in, nobody can be asked.
    if batches.is_empty() || inner.jobs.get().is_none() {
        return Ok(Vec::new());
    }
    let looks = batch::looks(&inner.store).await?;
    let now = inner.clock.now();
    let mut asked = Vec::new();
    for (source, batch) in batches {
        let is_due = match looks.get(source.name.as_str()) {
            Some(look) if look.definition == fingerprint(batch) => batch
                .every
                .is_some_and(|every| now.micros().saturating_sub(look.asked.micros()) >= every.micros()),
            // Applied and never looked at: also when the process died between the two.
            _ => true,
        };
        if is_due {
            submit(inner, source, batch, SCHEDULE).await?;
            asked.push(source.name.to_string());
        }
    }
    Ok(asked)
}

/// Asks for what is due until the server stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    loop {
        if let Err(failure) = due(&inner).await {
            tracing::warn!(error = chain(&failure), "batch sources could not be asked to look for news");
        }
        tokio::select! {
            () = inner.cancel.cancelled() => return,
            () = inner.batch_due.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

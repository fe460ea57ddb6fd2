//! Sees to it that somebody drives every build that is under way: one of a new view is a job from the moment at which its marker
//! is reached, or, in a server without jobs, a task.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use shipway_core::{Digest, failure::chain};
use shipway_store::jobs::{JobState, Jobs};

use super::{
    drive::{Drive, Told},
    job::{self, Work},
};
use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{
        order::{BuildId, Command},
        progress::BuildProgress,
    },
    source::SourceRuntime,
};

/// After a failure the same build is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Looks at all builds whenever one has come or gone, until the server stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    let cancel = inner.cancel.clone();
    let repeat = async {
        loop {
            inner.builds_changed.notified().await;
            if let Err(error) = inner.see_to_builds().await {
                tracing::error!(error = chain(&error), "views cannot be built");
                tokio::time::sleep(RETRY_AFTER).await;
                inner.builds_changed.notify_one();
            }
        }
    };
    cancel.run_until_cancelled(repeat).await;
}

impl Inner {
    /// Returns when every build that is under way now has somebody who drives it.
    pub(crate) async fn see_to_builds(self: &Arc<Self>) -> Result<(), FeaturesError> {
        for runtime in self.sources() {
            let builds = Arc::clone(&runtime.builds.borrow());
            for (view, progress) in builds.iter() {
                match self.jobs.get() {
                    _ if !self.limits.builds_are_jobs => self.drive(&runtime, *view),
                    Some(jobs) => self.see_to(jobs, &runtime, *view, progress).await?,
                    // They come with the last part of the start.
                    None => {}
                }
            }
        }
        Ok(())
    }

    async fn see_to(
        &self,
        jobs: &Jobs,
        runtime: &SourceRuntime,
        view: Digest,
        progress: &BuildProgress,
    ) -> Result<(), FeaturesError> {
        let subject = self.build_subject(&view);
        let last = jobs.latest(job::BACKFILL_JOB, &subject).await;
        let last = last.map_err(|failed| FeaturesError::Elsewhere(Box::new(failed)))?;
        match last.map(|last| last.state) {
            Some(JobState::Queued | JobState::Running) => Ok(()),
            // Its job ended while this server was down, so nobody will finish it.
            _ if progress.is_rebuild => {
                let build = BuildId { view, generation: progress.generation };
                runtime.orders.give(Command::Abandon(build)).await.map(|_| ())
            }
            // It waits until somebody asks for it again; what it has stays.
            Some(JobState::Cancelled | JobState::Failed) => Ok(()),
            Some(JobState::Done) | None => {
                let work = Work::Build { source: runtime.name.clone(), view };
                job::submit(jobs, subject, &work, job::ITSELF).await.map(|_| ())
            }
        }
    }

    /// What the job of a build of `view` works on.
    pub(super) fn build_subject(&self, view: &Digest) -> String {
        let definitions = self.definitions();
        let name = definitions.views_by_hash.get(view).map(|view| view.definition.name.to_string());
        format!("view/{}@{}", name.unwrap_or_default(), view.short())
    }

    /// Drives a build with a task of its own, unless one is at it.
    fn drive(self: &Arc<Self>, runtime: &Arc<SourceRuntime>, view: Digest) {
        let driven = move |inner: &Self, is_driven: bool| {
            let mut driven = inner.driven.lock().unwrap_or_else(PoisonError::into_inner);
            if is_driven { driven.insert(view) } else { driven.remove(&view) }
        };
        if !driven(self, true) {
            return;
        }
        let (inner, told): (_, Told) = (Arc::clone(self), Arc::new(|_, _, _| {}));
        let drive = Drive { inner: Arc::clone(self), runtime: Arc::clone(runtime), view, told };
        let cancel = self.cancel.clone();
        let work = async move {
            let to_the_end = async {
                while let Err(error) = Box::pin(drive.run()).await {
                    tracing::error!(%view, error = chain(&error), "a view cannot be built");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            };
            cancel.run_until_cancelled(to_the_end).await;
            driven(&inner, false);
            inner.builds_changed.notify_one();
        };
        self.tracker.spawn(self.tasks.track_future(work));
    }
}

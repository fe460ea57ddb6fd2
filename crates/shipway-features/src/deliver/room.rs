//! How far the log may run ahead of the states. Beyond it events are not taken in: what is acknowledged should be readable soon,
//! and a log that nobody keeps up with would fill the disk.

use crate::{error::FeaturesError, features::Inner, source::SourceRuntime};

impl Inner {
    /// Refuses events while the states of the source are too far behind its log.
    pub(crate) fn has_room(&self, runtime: &SourceRuntime) -> Result<(), FeaturesError> {
        let limit = self.limits.ahead_events;
        // Before the first state is published there is nothing to measure by.
        let behind =
            runtime.published().map_or(0, |published| runtime.topic.end().saturating_sub(published.applied));
        if behind <= limit {
            return Ok(());
        }
        Err(FeaturesError::Behind { source_name: runtime.name.to_string(), behind, limit })
    }

    /// Waits until there is room again; returns early when the server stops.
    pub(crate) async fn wait_for_room(&self, runtime: &SourceRuntime) -> Result<(), FeaturesError> {
        let mut published = runtime.published.subscribe();
        while self.has_room(runtime).is_err() {
            tokio::select! {
                () = self.cancel.cancelled() => return Err(FeaturesError::Stopped { what: "the server" }),
                changed = published.changed() => {
                    changed.map_err(|_| FeaturesError::Stopped { what: "the materialiser" })?;
                }
            }
        }
        Ok(())
    }
}

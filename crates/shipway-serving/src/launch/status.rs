//! A launch, as it is kept and reported.

use serde::Serialize;
use shipway_core::{Name, Timestamp};
use uuid::Uuid;

use super::{observed::Summary, spec::LaunchSpec, stage::Stage};

/// What is known of a launch from its beginning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Begun {
    pub(crate) id: Uuid,
    pub(crate) deployment: Name,
    pub(crate) model: String,
    pub(crate) spec: LaunchSpec,
    pub(crate) candidate: u64,
    pub(crate) stable: u64,
    pub(crate) started_at: Timestamp,
    pub(crate) started_by: String,
}

/// A launch, as it is reported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LaunchStatus {
    /// Names the launch.
    pub id: Uuid,
    /// The deployment.
    pub deployment: Name,
    /// Its model.
    pub model: String,
    /// The version that is launched.
    pub candidate: u64,
    /// The version that served when it began.
    pub stable: u64,
    /// Where it stands, or how it ended.
    pub stage: Stage,
    /// The share of requests that the candidate answers.
    pub share: f64,
    /// Since when it stands there.
    pub since: Timestamp,
    /// Why it ended as it did; none while it goes on and after a success.
    pub reason: Option<String>,
    /// What the stage waits for; none when it is over.
    pub waits_for: Option<String>,
    /// What was seen of the two versions in the stage; none of a launch that this server did not see.
    pub seen: Option<Seen>,
    /// When it began.
    pub started_at: Timestamp,
    /// Who began it.
    pub started_by: String,
    /// How it was asked for.
    pub spec: LaunchSpec,
}

/// What was seen in a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Of the version that serves.
    pub stable: Summary,
    /// Of the candidate.
    pub candidate: Summary,
    /// The population stability index between their predictions; none while there are none to compare.
    pub drift: Option<f64>,
    /// Requests that the candidate did not shadow because it had too many at once, since the launch began.
    pub shadows_left_out: u64,
}

impl Begun {
    /// The launch where it stands, without what was seen of it.
    pub(crate) fn status(&self, stage: Stage, since: Timestamp, reason: Option<String>) -> LaunchStatus {
        LaunchStatus {
            id: self.id,
            deployment: self.deployment.clone(),
            model: self.model.clone(),
            candidate: self.candidate,
            stable: self.stable,
            stage,
            share: self.spec.share(stage).into(),
            since,
            reason,
            waits_for: None,
            seen: None,
            started_at: self.started_at,
            started_by: self.started_by.clone(),
            spec: self.spec.clone(),
        }
    }
}

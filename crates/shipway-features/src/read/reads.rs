//! Who answers online reads: a server with states of its own, or a reader of a copy. Every wire asks here.

use std::sync::Arc;

use shipway_core::Digest;

use crate::{
    FeatureReader, Features, Limits,
    error::FeaturesError,
    read::{
        plan::ReadPlan,
        rows::RequestRow,
        service::{Moment, ReadAnswer},
        version,
    },
};

/// Who answers. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Reads {
    Own(Features),
    Copied(FeatureReader),
}

impl Reads {
    pub(crate) fn limits(&self) -> &Limits {
        match self {
            Self::Own(features) => features.limits(),
            Self::Copied(reader) => reader.limits(),
        }
    }

    /// The plan of one version of a service, or of the one that answers for its name.
    pub(crate) fn plan(&self, service: &str, hash: Option<Digest>) -> Result<Arc<ReadPlan>, FeaturesError> {
        match self {
            Self::Own(features) => version::plan(&*features.inner, service, hash),
            Self::Copied(reader) => version::plan(&*reader.known()?, service, hash),
        }
    }

    /// The plan for features that are asked for by themselves, each `view:feature`.
    pub(crate) fn plan_of_features(&self, features: &[String]) -> Result<Arc<ReadPlan>, FeaturesError> {
        match self {
            Self::Own(own) => version::plan_of_features(&*own.inner, features),
            Self::Copied(reader) => version::plan_of_features(&*reader.known()?, features),
        }
    }

    /// Reads checked rows of a plan. Exact for the moment and the watermarks of the answer, or refused.
    pub(crate) async fn read(
        &self,
        plan: Arc<ReadPlan>,
        rows: Vec<RequestRow>,
        moment: Moment<'_>,
    ) -> Result<ReadAnswer, FeaturesError> {
        match self {
            Self::Own(features) => features.inner.read(plan, rows, moment).await,
            Self::Copied(reader) => reader.read(plan, rows, moment).await,
        }
    }
}

//! Which version answers a request: the one that the alias names, or while a launch goes on, its candidate.

use std::{future::Future, sync::Arc, time::Instant};

use shipway_web::spans;
use uuid::Uuid;

use super::{
    Deployment, Served, Serving,
    running::{Running, Way},
};
use crate::{
    error::ServingError,
    launch::stage::{Stage, Variant},
    statistics::Phase,
    told,
};

/// In which part a version answers a request, and the id of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) variant: Variant,
    pub(crate) request_id: Uuid,
}

/// What is asked: a deployment, or one of its versions.
pub(crate) struct Target {
    pub(crate) deployment: Arc<Deployment>,
    /// What a request is read for. The candidate of a launch takes the same.
    pub(crate) served: Arc<Served>,
    variant: Variant,
    /// The launch that decides who answers; none where the version was named.
    launch: Option<Arc<Running>>,
}

/// A question that any version of a deployment can answer.
pub(crate) trait Asked: Clone + Send + 'static {
    type Answer: Send;

    /// What a launch decides by: what the request says itself, else its value of that column, in its first row.
    fn key(&self, served: &Served, column: Option<&str>) -> Option<String>;

    /// The answer of one version, not counted yet.
    fn answer(
        self,
        serving: &Serving,
        deployment: &Deployment,
        served: &Arc<Served>,
        part: Part,
        started: Instant,
    ) -> impl Future<Output = Result<Self::Answer, ServingError>> + Send;

    /// The predictions of an answer, one for each row; none where they are not known.
    fn predictions(served: &Served, answer: &Self::Answer) -> Vec<Vec<f64>>;
}

impl Serving {
    /// The deployment of this name, or one of the versions that answer in it.
    pub(crate) async fn target(&self, name: &str, version: Option<&str>) -> Result<Target, ServingError> {
        let deployment = self.deployment(name)?;
        let served = self.served(&deployment).await?;
        targeted(deployment, served, version)
    }

    /// The same of a deployment that is known already.
    pub(crate) async fn target_of(&self, deployment: Arc<Deployment>) -> Result<Target, ServingError> {
        let served = self.served(&deployment).await?;
        targeted(deployment, served, None)
    }

    /// Refuses a deployment, or one of its versions, that does not answer, with why; nothing is loaded for it.
    pub(crate) fn must_answer(&self, name: &str, version: Option<&str>) -> Result<(), ServingError> {
        match self.ensemble_version(name, version)? {
            Some(ensemble) => self.ensemble_must_answer(&ensemble),
            None => self.loaded_target(name, version).map(|_| ()),
        }
    }

    /// The same without loading one that is parked.
    pub(crate) fn loaded_target(&self, name: &str, version: Option<&str>) -> Result<Target, ServingError> {
        let deployment = self.deployment(name)?;
        let served = deployment.served()?;
        targeted(deployment, served, version)
    }

    /// Whether a deployment answers, or one of its versions; nothing is loaded for it.
    pub(crate) fn is_ready(&self, name: &str, version: Option<&str>) -> Result<bool, ServingError> {
        if let Some(ensemble) = self.ensemble_version(name, version)? {
            return Ok(self.is_ensemble_ready(&ensemble));
        }
        let deployment = self.deployment(name)?;
        let is_parked = deployment
            .parked()
            .is_some_and(|parked| version.is_none_or(|version| parked.version.to_string() == version));
        let answers = |target: Target| target.served.trouble_now().is_none();
        Ok(is_parked || self.loaded_target(name, version).is_ok_and(answers))
    }

    /// Answers a question. What the candidate of a launch does not answer, the version that serves does.
    pub(crate) async fn ask<Q: Asked>(
        &self,
        target: &Target,
        question: Q,
        started: Instant,
    ) -> Result<Q::Answer, ServingError> {
        let Target { deployment, served, variant, launch } = target;
        let part = Part { variant: *variant, request_id: Uuid::now_v7() };
        let Some(launch) = launch else {
            return self.answer((deployment, served), part, question, started).await;
        };
        let key = question.key(served, launch.begun.spec.key.as_deref());
        let (stage, way) = launch.way(&part.request_id, key.as_deref());
        let kept = (way != Way::Stable).then(|| question.clone());
        if way == Way::Canary {
            let candidate = &launch.candidate;
            let canary = Part { variant: Variant::Canary, ..part };
            let failure = match self.answer((deployment, candidate), canary, question, started).await {
                Ok(answer) => {
                    launch.candidate_answered(stage, started.elapsed(), &Q::predictions(candidate, &answer));
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            let Some(question) = kept else { return Err(failure) };
            // What neither version answers is no fault of the candidate's, and the caller gets the refusal that they know.
            let answer = self.answer((deployment, served), part, question, Instant::now()).await?;
            launch.candidate_failed(stage, &failure);
            return Ok(answer);
        }
        let answer = self.answer((deployment, served), part, question, started).await?;
        launch.stable_answered(stage, started.elapsed(), &Q::predictions(served, &answer));
        if let Some(question) = kept {
            self.mirror((deployment, launch), stage, question, part.request_id);
        }
        Ok(answer)
    }

    /// The answer of one version, counted in what is known of that version, and under a span of its own if the request is sampled.
    async fn answer<Q: Asked>(
        &self,
        (deployment, served): (&Deployment, &Arc<Served>),
        part: Part,
        question: Q,
        started: Instant,
    ) -> Result<Q::Answer, ServingError> {
        served.statistics.asked_at(self.inner.clock.now());
        let asked = question.answer(self, deployment, served, part, started);
        let answer = told::predicting((deployment, served.as_ref(), part), asked).await;
        let phase = if answer.is_ok() { Phase::Success } else { Phase::Fail };
        served.statistics.record(phase, started.elapsed());
        answer
    }

    /// Lets the candidate answer a request that has been answered, unless it has too many of those.
    fn mirror<Q: Asked>(
        &self,
        (deployment, launch): (&Arc<Deployment>, &Arc<Running>),
        stage: Stage,
        question: Q,
        request_id: Uuid,
    ) {
        let Some(room) = launch.shadow_room() else { return };
        let (serving, deployment, launch) = (self.clone(), Arc::clone(deployment), Arc::clone(launch));
        let span = spans::current();
        self.inner.tracker.spawn(async move {
            let _room = room;
            let (started, candidate) = (Instant::now(), &launch.candidate);
            let part = Part { variant: Variant::Shadow, request_id };
            let asked = serving.answer((&deployment, candidate), part, question, started);
            match spans::under(span, asked).await {
                Ok(answer) => {
                    launch.candidate_answered(stage, started.elapsed(), &Q::predictions(candidate, &answer));
                }
                Err(failure) => launch.candidate_failed(stage, &failure),
            }
        });
    }
}

/// A deployment with the version that serves, or the version that is named where it answers too.
fn targeted(
    deployment: Arc<Deployment>,
    served: Arc<Served>,
    version: Option<&str>,
) -> Result<Target, ServingError> {
    let launch = deployment.launch();
    let Some(version) = version else {
        return Ok(Target { deployment, served, variant: Variant::Stable, launch });
    };
    if served.resolved.version.to_string() == version {
        return Ok(Target { deployment, served, variant: Variant::Stable, launch: None });
    }
    match launch.filter(|launch| launch.begun.candidate.to_string() == version) {
        Some(launch) => {
            let served = Arc::clone(&launch.candidate);
            Ok(Target { deployment, served, variant: Variant::Canary, launch: None })
        }
        None => Err(ServingError::OtherVersion {
            name: deployment.name.to_string(),
            wanted: version.to_owned(),
            served: served.resolved.version,
        }),
    }
}

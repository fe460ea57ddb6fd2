//! Rows go through the steps of an ensemble: inputs are gathered, each model is asked through its own queue, the answer is queued for the
//! log, then it is sent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Digest, Timestamp, Value, exact_json};
use uuid::Uuid;

use super::{Ensemble, Ready, StepModel};
use crate::{
    batching::Urgency,
    ensemble::{
        error::EnsembleError,
        plan::{Call, Step},
        run::{self, Asked, Column, Models, Ran},
        status::{EnsemblePrediction, StepVersion},
        values,
    },
    error::ServingError,
    launch::stage::Variant,
    model::prediction::{PredictRequest, check_rows},
    ports::ViewFreshness,
    service::{Deployment, Question, Rows, Served, Serving, Source},
    statistics::Phase,
};

/// How often a request begins anew because the model of a step was replaced under it.
const ATTEMPTS: usize = 3;

/// What is asked of an ensemble.
pub(crate) struct EnsembleQuestion {
    /// Values by their names: the inputs, or ids and request columns with a feature service.
    pub(crate) rows: Vec<Map<String, Json>>,
    /// The moment to predict for; the present without it. Needs a service.
    pub(crate) at: Option<Timestamp>,
    /// What an ingest answered; see [`PredictRequest::token`].
    pub(crate) token: Option<String>,
    pub(crate) urgency: Urgency,
    /// Who asks, where a launch of a step's model decides by it.
    pub(crate) key: Option<String>,
}

/// What it answers.
pub(crate) struct EnsembleAnswer {
    pub(crate) request_id: String,
    pub(crate) version: u64,
    pub(crate) at: Timestamp,
    /// The outputs with their types, and the values of each.
    pub(crate) types: Arc<[(String, DataType)]>,
    pub(crate) outputs: Vec<Column>,
    pub(crate) steps: Vec<StepVersion>,
    service_hash: Option<Digest>,
    feature_age: Vec<Vec<ViewFreshness>>,
    overridden: Vec<Vec<String>>,
}

impl From<PredictRequest> for EnsembleQuestion {
    fn from(request: PredictRequest) -> Self {
        let timeout = request.timeout_ms.map(Duration::from_millis);
        let urgency = Urgency { priority: request.priority, timeout };
        Self { rows: request.rows, at: request.at, token: request.token, urgency, key: request.key }
    }
}

impl EnsembleAnswer {
    /// The outputs, row by row.
    pub(crate) fn records(&self) -> Vec<Map<String, Json>> {
        values::records(&self.types, &self.outputs)
    }
}

impl Serving {
    /// Predicts the rows of a request with an ensemble, all of them or none.
    pub(crate) async fn predict_ensemble(
        &self,
        ensemble: &Arc<Ensemble>,
        request: PredictRequest,
    ) -> Result<EnsemblePrediction, ServingError> {
        let answer = self.ask_ensemble(ensemble, request.into(), Instant::now()).await?;
        Ok(EnsemblePrediction {
            deployment: ensemble.name.clone(),
            model: ensemble.name.clone(),
            version: answer.version,
            variant: Variant::Stable,
            service_hash: answer.service_hash,
            at: answer.at,
            predictions: answer.records(),
            request_id: answer.request_id,
            steps: answer.steps,
            feature_age: answer.feature_age,
            overridden: answer.overridden,
        })
    }

    /// Puts the digits of decimals back into the rows of `request`, which was read from the body `text`.
    pub(crate) fn restore_ensemble_digits(
        ensemble: &Ensemble,
        request: &mut PredictRequest,
        text: &[u8],
    ) -> Result<(), ServingError> {
        let taken = ensemble.taken();
        let is_decimal =
            |column: &str| taken.iter().any(|(name, data_type)| name == column && data_type.has_decimals());
        exact_json::restore_rows(&mut request.rows, text, is_decimal)
            .map_err(|fault| ServingError::WrongRequest(format!("request body: {fault}")))
    }

    /// Answers a question to an ensemble.
    pub(crate) async fn ask_ensemble(
        &self,
        ensemble: &Arc<Ensemble>,
        question: EnsembleQuestion,
        started: Instant,
    ) -> Result<EnsembleAnswer, ServingError> {
        let statistics = &ensemble.statistics;
        statistics.asked_at(self.inner.clock.now());
        let answer = self.answer_ensemble(ensemble, question, started).await;
        let phase = if answer.is_ok() { Phase::Success } else { Phase::Fail };
        statistics.record(phase, started.elapsed());
        if matches!(&answer, Err(ServingError::Ensemble(EnsembleError::InStep { failure, .. })) if failure.is_refusal())
        {
            statistics.refused();
        }
        answer
    }

    async fn answer_ensemble(
        &self,
        ensemble: &Arc<Ensemble>,
        mut question: EnsembleQuestion,
        started: Instant,
    ) -> Result<EnsembleAnswer, ServingError> {
        let rows = question.rows.len();
        check_rows(rows)?;
        let ready = self.ready_ensemble(ensemble).await?;
        let request_id = Uuid::now_v7();
        let room = match ensemble.spec.logs(&request_id) {
            true => self.room(Variant::Stable, rows).await?,
            false => None,
        };
        let gathered = self.gather(ensemble, &ready, &mut question).await?;
        let statistics = &ensemble.statistics;
        statistics.record(Phase::ComputeInput, started.elapsed());
        let running = Instant::now();
        let asking = Asking { serving: self, ensemble, question: &question, started };
        let (ready, ran) = asking.run(ready, &gathered.inputs).await?;
        statistics.ran(rows, running.elapsed());
        statistics.record(Phase::ComputeInfer, running.elapsed());
        let finishing = Instant::now();
        if let Some(room) = room {
            self.record((ensemble, &ready), &gathered, &ran, (request_id, started), room)?;
        }
        statistics.record(Phase::ComputeOutput, finishing.elapsed());
        statistics.answered(rows, started.elapsed());
        Ok(EnsembleAnswer {
            request_id: request_id.to_string(),
            version: ensemble.version,
            at: gathered.at,
            types: Arc::clone(&ready.outputs),
            outputs: ran.outputs,
            steps: ran.steps,
            service_hash: gathered.service.as_ref().map(|(_, hash)| *hash),
            feature_age: gathered.feature_age,
            overridden: gathered.overrides.names(),
        })
    }
}

/// One request on its way through the steps.
struct Asking<'request> {
    serving: &'request Serving,
    ensemble: &'request Arc<Ensemble>,
    question: &'request EnsembleQuestion,
    started: Instant,
}

impl Asking<'_> {
    /// Runs the steps, anew when the model of one was replaced by one that takes something else in the midst of it.
    async fn run(&self, mut ready: Arc<Ready>, inputs: &[Column]) -> Result<(Arc<Ready>, Ran), ServingError> {
        let tracker = &self.serving.inner.tracker;
        for _ in 1..ATTEMPTS {
            match run::run(&ready.plan, inputs, self, tracker).await {
                Err(error) if error.is_moved() => {
                    // Whoever replaced it is about to put the new plan in place.
                    tokio::task::yield_now().await;
                    ready = self.serving.ready_ensemble(self.ensemble).await?;
                }
                outcome => return Ok((ready, outcome?)),
            }
        }
        let ran = run::run(&ready.plan, inputs, self, tracker).await?;
        Ok((ready, ran))
    }

    /// How soon a step wants its answer: what is left of the time of the request, and without one of its own, no more than the model's
    /// deployment lets anybody wait.
    fn urgency(&self, deployment: &Deployment) -> Result<Urgency, ServingError> {
        let given = self.question.urgency;
        let timeout = given.timeout.unwrap_or(self.ensemble.spec.queue.timeout());
        let waited = self.started.elapsed();
        let left = timeout.saturating_sub(waited);
        if left.is_zero() {
            return Err(ServingError::TooLate { waited, timeout });
        }
        let left = match given.timeout {
            Some(_) => left,
            None => left.min(deployment.spec.queue.timeout()),
        };
        Ok(Urgency { timeout: Some(left), ..given })
    }
}

impl Models for Asking<'_> {
    async fn ask(&self, step: &Step, call: &Call, fed: Vec<Column>) -> Result<Asked, ServingError> {
        let model = self.ensemble.models.get(step.place).and_then(Option::as_ref);
        let model = model.ok_or(ServingError::ModelFailed)?;
        let deployment = self.serving.step_model(model)?;
        let target = self.serving.target_of(Arc::clone(&deployment)).await?;
        let served = &target.served;
        let is_read = matches!(served.source, Source::Service(_));
        let question = Question {
            rows: rows(served, call, &fed)?,
            at: self.question.at.filter(|_| is_read),
            token: self.question.token.clone().filter(|_| is_read),
            urgency: self.urgency(&deployment)?,
            key: self.question.key.clone(),
        };
        let answer = self.serving.ask(&target, question, Instant::now()).await?;
        let asked = match model {
            StepModel::Deployment(name) => Some(name.clone()),
            StepModel::Own(_) => None,
        };
        let by = StepVersion {
            step: step.name.clone(),
            request_id: asked.is_some().then_some(answer.request_id),
            deployment: asked,
            model: answer.model,
            version: answer.version,
            variant: answer.variant,
        };
        Ok(Asked { predictions: answer.predictions, by })
    }
}

/// The rows of a step as its model takes them now.
fn rows(served: &Served, call: &Call, fed: &[Column]) -> Result<Rows, ServingError> {
    let column = |name: &str| {
        let place = call.feeds.iter().position(|(input, _)| input == name);
        place.and_then(|place| fed.get(place)).ok_or(ServingError::Ensemble(EnsembleError::Moved))
    };
    let count = fed.first().map_or(0, |column| column.len());
    let cell = |column: &&Column, row: usize| column.get(row).cloned().unwrap_or(Value::Null);
    match &served.source {
        Source::Service(service) => {
            let bound = service.current();
            let shape = &bound.binding.shape;
            let mut named: Vec<(&str, &Column)> = Vec::new();
            for (name, _) in shape.keys.iter().chain(&shape.request) {
                named.push((name, column(name)?));
            }
            let row = |number: usize| {
                let entry =
                    |(name, column): &(&str, &Column)| ((*name).to_owned(), cell(column, number).to_json());
                named.iter().map(entry).collect()
            };
            Ok(Rows::Named((0..count).map(row).collect()))
        }
        Source::Direct { .. } => {
            let inputs = served.model.inputs().iter();
            let columns: Vec<&Column> = inputs.map(|input| column(&input.name)).collect::<Result<_, _>>()?;
            let row = |number: usize| columns.iter().map(|column| cell(column, number)).collect();
            Ok(Rows::Ordered((0..count).map(row).collect()))
        }
        Source::Tensors => Err(EnsembleError::Moved.into()),
    }
}

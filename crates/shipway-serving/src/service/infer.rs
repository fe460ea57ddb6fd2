//! Tensors become tensors: a model of tensors runs, alone or with others that wait, and the rows of one that has rows are logged.

use std::{sync::Arc, time::Instant};

use shipway_core::Value;
use shipway_runtime::tensor::{Tensor, TensorSignature};
use uuid::Uuid;

use super::{Deployment, Served, Serving, Source};
use crate::{
    batching::{Done, Urgency, Work},
    error::ServingError,
    model::prediction::check_rows,
    prediction_log::{Entry, Room, schema::LogSchema},
    statistics::Phase,
};

/// What is asked of a model of tensors.
pub(crate) struct TensorQuestion {
    /// The model's inputs, in any order.
    pub(crate) inputs: Vec<Tensor>,
    /// The outputs wanted; all without any.
    pub(crate) wanted: Vec<String>,
    pub(crate) urgency: Urgency,
}

/// The rows of a question that will be in the prediction log.
struct Logged {
    request_id: String,
    started: Instant,
    schema: Arc<LogSchema>,
    rows: Vec<Vec<Value>>,
    room: Room,
    /// The output that holds the predictions.
    output: String,
    /// Whether the caller wants that output too.
    is_wanted: bool,
}

impl Serving {
    /// Runs the model of a deployment on tensors. Answers the request's id in the prediction log and the wanted outputs, in order.
    pub(crate) async fn infer_with(
        &self,
        deployment: &Deployment,
        served: &Arc<Served>,
        question: TensorQuestion,
        started: Instant,
    ) -> Result<(String, Vec<Tensor>), ServingError> {
        let statistics = &served.statistics;
        statistics.asked_at(self.inner.clock.now());
        let answer = self.run_tensors(deployment, served, question, started).await;
        let phase = if answer.is_ok() { Phase::Success } else { Phase::Fail };
        statistics.record(phase, started.elapsed());
        answer
    }

    async fn run_tensors(
        &self,
        deployment: &Deployment,
        served: &Arc<Served>,
        question: TensorQuestion,
        started: Instant,
    ) -> Result<(String, Vec<Tensor>), ServingError> {
        let TensorQuestion { inputs, wanted, urgency } = question;
        let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
        // Before it waits, so that it is refused by name and never runs with others.
        served.model.check(&inputs, &names)?;
        let Some(signature) = served.model.signature() else { return Err(ServingError::ModelFailed) };
        let inputs = in_order(signature, inputs);
        let mut wanted = match wanted.is_empty() {
            true => signature.outputs.iter().map(|spec| spec.name.clone()).collect(),
            false => wanted,
        };
        let id = Uuid::now_v7();
        let request_id = id.to_string();
        let logged = match deployment.spec.logs(&id) {
            true => self.logged(served, &inputs, &wanted, (&request_id, started)).await?,
            false => None,
        };
        if let Some(logged) = logged.as_ref().filter(|logged| !logged.is_wanted) {
            wanted.push(logged.output.clone());
        }
        let rows = match signature.batches() {
            true => inputs.first().and_then(|tensor| tensor.shape.first()).copied().unwrap_or(1),
            false => 1,
        };
        let work = Work::Tensors { inputs, wanted: wanted.into(), rows };
        served.statistics.record(Phase::ComputeInput, started.elapsed());
        let Done::Tensors(mut outputs) = served.batcher.submit(work, urgency).await? else {
            return Err(ServingError::ModelFailed);
        };
        let ran = Instant::now();
        if let Some(logged) = logged {
            self.log_tensors(deployment, served, logged, &mut outputs)?;
        }
        served.statistics.answered(rows, started.elapsed());
        served.statistics.record(Phase::ComputeOutput, ran.elapsed());
        Ok((request_id, outputs))
    }

    /// What will be logged of a question to a model that has rows.
    async fn logged(
        &self,
        served: &Served,
        inputs: &[Tensor],
        wanted: &[String],
        (request_id, started): (&str, Instant),
    ) -> Result<Option<Logged>, ServingError> {
        let Source::Direct { schema, .. } = &served.source else { return Ok(None) };
        let (Some(rows), Some(output)) = (served.model.rows_of(inputs), served.model.row_output()) else {
            return Ok(None);
        };
        check_rows(rows.len())?;
        let room = self.inner.log.room(rows.len()).await?;
        let is_wanted = wanted.iter().any(|name| name == output);
        Ok(Some(Logged {
            request_id: request_id.to_owned(),
            started,
            schema: Arc::clone(schema),
            rows,
            room,
            output: output.to_owned(),
            is_wanted,
        }))
    }

    fn log_tensors(
        &self,
        deployment: &Deployment,
        served: &Served,
        logged: Logged,
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), ServingError> {
        let place = outputs.iter().position(|tensor| tensor.name == logged.output);
        let predictions = place
            .and_then(|place| served.model.predictions_in(outputs.get(place)?))
            .ok_or(ServingError::ModelFailed)?;
        if !logged.is_wanted {
            outputs.pop();
        }
        let now = self.inner.clock.now();
        let entry = Entry {
            schema: logged.schema,
            request_id: logged.request_id,
            at: now,
            served_at: now,
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            artifact: served.resolved.artifact,
            service: None,
            watermarks: std::collections::BTreeMap::new(),
            numbers: (0..logged.rows.len()).collect(),
            overridden: Vec::new(),
            rows: logged.rows,
            predictions,
            latency_us: u64::try_from(logged.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        self.inner.log.write(entry, logged.room)
    }
}

/// The tensors in the order of the signature, so that those of several callers stand alike.
fn in_order(signature: &TensorSignature, mut inputs: Vec<Tensor>) -> Vec<Tensor> {
    let place = |tensor: &Tensor| signature.inputs.iter().position(|spec| spec.name == tensor.name);
    inputs.sort_by_key(place);
    inputs
}

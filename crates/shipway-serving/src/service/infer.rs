//! Tensors become tensors: a model of tensors runs, alone or with others that wait, and the rows of one that has rows are logged.

use std::{sync::Arc, time::Instant};

use shipway_core::Value;
use shipway_runtime::tensor::{Elements, Tensor, TensorSignature};

use super::{
    Deployment, Served, Serving, Source,
    variants::{Asked, Part},
};
use crate::{
    batching::{Done, Urgency, Work},
    cache::{self, Answer},
    error::ServingError,
    launch::stage::Variant,
    model::prediction::{MAX_ROWS, check_rows},
    prediction_log::{Entry, Room, schema::LogSchema, tensors::TensorRows},
    statistics::Phase,
};

/// What is asked of a model of tensors.
#[derive(Clone)]
pub(crate) struct TensorQuestion {
    /// The model's inputs, in any order.
    pub(crate) inputs: Vec<Tensor>,
    /// The outputs wanted; all without any.
    pub(crate) wanted: Vec<String>,
    pub(crate) urgency: Urgency,
    /// Who asks, where a launch decides by it.
    pub(crate) key: Option<String>,
}

/// What a model of tensors answered.
pub(crate) struct Inferred {
    /// The request's id in the prediction log.
    pub(crate) request_id: String,
    pub(crate) version: u64,
    pub(crate) variant: Variant,
    /// The wanted outputs, in order.
    pub(crate) outputs: Vec<Tensor>,
}

/// The rows of a question that will be in the prediction log.
struct Logged {
    part: Part,
    started: Instant,
    schema: Arc<LogSchema>,
    rows: Vec<Vec<Value>>,
    room: Room,
    kept: Kept,
}

/// What of the outputs is logged.
enum Kept {
    /// The predictions of rows, in the output of this name. `is_wanted` tells whether the caller wants it too.
    Predictions { output: String, is_wanted: bool },
    /// Those that the caller wants.
    Wanted,
}

impl Serving {
    /// Runs one version of a deployment on tensors.
    async fn infer_with(
        &self,
        deployment: &Deployment,
        served: &Arc<Served>,
        part: Part,
        question: TensorQuestion,
        started: Instant,
    ) -> Result<Inferred, ServingError> {
        let TensorQuestion { inputs, wanted, urgency, .. } = question;
        let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
        // Before it waits, so that it is refused by name and never runs with others.
        served.model.check(&inputs, &names)?;
        let Some(signature) = served.model.signature() else { return Err(ServingError::ModelFailed) };
        let inputs = in_order(signature, inputs);
        let mut wanted = match wanted.is_empty() {
            true => signature.outputs.iter().map(|spec| spec.name.clone()).collect(),
            false => wanted,
        };
        let logged = match deployment.spec.logs(&part.request_id) {
            true => self.logged((deployment, served), &inputs, &wanted, (part, started)).await?,
            false => None,
        };
        if let Some(Kept::Predictions { output, is_wanted: false }) =
            logged.as_ref().map(|logged| &logged.kept)
        {
            wanted.push(output.clone());
        }
        let rows = match signature.batches() {
            true => inputs.first().and_then(|tensor| tensor.shape.first()).copied().unwrap_or(1),
            false => 1,
        };
        served.statistics.record(Phase::ComputeInput, started.elapsed());
        let mut outputs = Self::outputs(served, (inputs, wanted, rows), urgency).await?;
        let ran = Instant::now();
        if let Some(logged) = logged {
            self.log_tensors(deployment, served, logged, &mut outputs)?;
        }
        if part.variant != Variant::Shadow {
            served.statistics.answered(rows, started.elapsed());
        }
        served.statistics.record(Phase::ComputeOutput, ran.elapsed());
        Ok(Inferred {
            request_id: part.request_id.to_string(),
            version: served.resolved.version,
            variant: part.variant,
            outputs,
        })
    }

    /// The wanted outputs: those that were given before to the same inputs, or else the model runs.
    async fn outputs(
        served: &Served,
        (inputs, wanted, rows): (Vec<Tensor>, Vec<String>, usize),
        urgency: Urgency,
    ) -> Result<Vec<Tensor>, ServingError> {
        let key = served.cache.as_ref().map(|_| cache::key_of_tensors(&inputs, &wanted));
        if let Some(Answer::Tensors(outputs)) = served.kept(key.as_ref()) {
            return Ok(outputs);
        }
        let work = Work::Tensors { inputs, wanted: wanted.into(), rows };
        let Done::Tensors(outputs) = served.batcher.submit(work, urgency).await? else {
            return Err(ServingError::ModelFailed);
        };
        served.keep(key, || Answer::Tensors(outputs.clone()));
        Ok(outputs)
    }

    /// What will be logged of a question. Too many rows of a model of tensors alone are not, and are counted: such a model has no bound.
    async fn logged(
        &self,
        (deployment, served): (&Deployment, &Served),
        inputs: &[Tensor],
        wanted: &[String],
        (part, started): (Part, Instant),
    ) -> Result<Option<Logged>, ServingError> {
        let (schema, rows, weight, kept) = match (&served.source, &served.tensor_log) {
            (Source::Direct { schema, .. }, _) => {
                let (Some(rows), Some(output)) = (served.model.rows_of(inputs), served.model.row_output())
                else {
                    return Ok(None);
                };
                check_rows(rows.len())?;
                let is_wanted = wanted.iter().any(|name| name == output);
                let weight = rows.len();
                (schema, rows, weight, Kept::Predictions { output: output.to_owned(), is_wanted })
            }
            (Source::Tensors, Some(log)) => {
                let count = log.count(inputs);
                if count > MAX_ROWS {
                    let label = deployment.name.to_string();
                    metrics::counter!("shipway_rows_not_logged_total", "deployment" => label)
                        .increment(count as u64);
                    return Ok(None);
                }
                let TensorRows { rows, weight } = log.rows(inputs);
                (&log.schema, rows, weight, Kept::Wanted)
            }
            (Source::Tensors | Source::Service(_), _) => return Ok(None),
        };
        let Some(room) = self.room(part.variant, weight).await? else { return Ok(None) };
        let schema = self.log_schema(deployment, served, part.variant, Arc::clone(schema)).await?;
        Ok(Some(Logged { part, started, schema, rows, room, kept }))
    }

    fn log_tensors(
        &self,
        deployment: &Deployment,
        served: &Served,
        mut logged: Logged,
        outputs: &mut Vec<Tensor>,
    ) -> Result<(), ServingError> {
        let predictions = match &logged.kept {
            Kept::Predictions { output, is_wanted } => {
                let place = outputs.iter().position(|tensor| tensor.name == *output);
                let predictions = place.and_then(|place| served.model.predictions_in(outputs.get(place)?));
                if !is_wanted {
                    outputs.pop();
                }
                predictions
            }
            Kept::Wanted => served.tensor_log.as_ref().map(|log| {
                log.add_outputs(&mut logged.rows, outputs);
                log.predictions(outputs)
            }),
        };
        let predictions = predictions.ok_or(ServingError::ModelFailed)?;
        let now = self.inner.clock.now();
        let entry = Entry {
            schema: logged.schema,
            request_id: logged.part.request_id.to_string(),
            at: now,
            served_at: now,
            deployment: deployment.name.clone(),
            model: served.resolved.name.clone(),
            version: served.resolved.version,
            variant: logged.part.variant,
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

impl Asked for TensorQuestion {
    type Answer = Inferred;

    fn key(&self, _: &Served, column: Option<&str>) -> Option<String> {
        self.key.clone().or_else(|| {
            let column = column?;
            let elements = &self.inputs.iter().find(|tensor| tensor.name == column)?.elements;
            match elements {
                Elements::Bytes(texts) => Some(String::from_utf8_lossy(texts.first()?).into_owned()),
                numbers => numbers.number(0).map(|number| number.to_string()),
            }
        })
    }

    async fn answer(
        self,
        serving: &Serving,
        deployment: &Deployment,
        served: &Arc<Served>,
        part: Part,
        started: Instant,
    ) -> Result<Inferred, ServingError> {
        serving.infer_with(deployment, served, part, self, started).await
    }

    fn predictions(served: &Served, answer: &Inferred) -> Vec<Vec<f64>> {
        if let Some(log) = &served.tensor_log {
            return log.predictions(&answer.outputs);
        }
        let rows = |name: &str| {
            let tensor = answer.outputs.iter().find(|tensor| tensor.name == name)?;
            served.model.predictions_in(tensor)
        };
        served.model.row_output().and_then(rows).unwrap_or_default()
    }
}

/// The tensors in the order of the signature, so that those of several callers stand alike.
fn in_order(signature: &TensorSignature, mut inputs: Vec<Tensor>) -> Vec<Tensor> {
    let place = |tensor: &Tensor| signature.inputs.iter().position(|spec| spec.name == tensor.name);
    inputs.sort_by_key(place);
    inputs
}

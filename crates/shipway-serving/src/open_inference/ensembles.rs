//! Ensembles in the words of the protocol: a tensor per input and per output, `[rows]` each.

use std::{sync::Arc, time::Instant};

use serde_json::json;
use shipway_core::DataType;
use shipway_runtime::tensor::TensorSpec;

use super::{
    call::{Call, Inputs, Reply, wrong},
    classification,
    metadata::Description,
    rows::{self, Takes},
};
use crate::{
    ensemble::values,
    error::ServingError,
    service::{Ensemble, Rows, Serving},
};

/// The platform that an ensemble has, as Triton calls it.
const PLATFORM: &str = "ensemble";

/// The parameter of an answer that says who answered in the steps, as JSON.
const STEPS: &str = "steps";

/// Answers a call.
pub(super) async fn answer(
    serving: &Serving,
    ensemble: &Arc<Ensemble>,
    call: Call,
    started: Instant,
) -> Result<Reply, ServingError> {
    let Call { id, parameters, inputs, outputs } = call;
    let Inputs::Named(inputs) = inputs else {
        return Err(wrong(
            "a request of bytes alone is for models of tensors; an ensemble takes its inputs by name",
        ));
    };
    let known = &ensemble.spec.ensemble.outputs.0;
    if let Some(other) = outputs.iter().find(|output| known.iter().all(|(name, _)| *name != output.name)) {
        let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        return Err(wrong(format!(
            "there is no output `{}`; the outputs are {}",
            other.name,
            names.join(", ")
        )));
    }
    let Rows::Named(rows) = rows::rows(inputs, Takes::Ids)? else {
        return Err(wrong("an ensemble takes its inputs by name"));
    };
    let (question, mut others) = parameters.question(rows);
    let answer = serving.ask_ensemble(ensemble, question, started).await?;
    let typed = |name: &str| {
        let place = answer.types.iter().position(|(held, _)| held == name);
        let (place, column) = place.and_then(|place| Some((place, answer.outputs.get(place)?)))?;
        Some((answer.types.get(place)?.1, column))
    };
    let wanted: Vec<&str> = match outputs.is_empty() {
        true => answer.types.iter().map(|(name, _)| name.as_str()).collect(),
        false => outputs.iter().map(|output| output.name.as_str()).collect(),
    };
    let tensor = |name: &&str| {
        let (data_type, column) = typed(name).ok_or(ServingError::ModelFailed)?;
        values::tensor(name, data_type, column)
    };
    let tensors = wanted.iter().map(tensor).collect::<Result<Vec<_>, _>>()?;
    others.insert(STEPS.to_owned(), json!(answer.steps).to_string().into());
    Ok(Reply {
        model: ensemble.name.to_string(),
        version: answer.version.to_string(),
        id: id.unwrap_or(answer.request_id),
        parameters: others,
        outputs: classification::apply(tensors, &outputs)?,
    })
}

/// What an ensemble takes and gives.
pub(super) async fn describe(
    serving: &Serving,
    ensemble: &Arc<Ensemble>,
) -> Result<Description, ServingError> {
    let ready = serving.ready_ensemble(ensemble).await?;
    let specs = |columns: &[(String, DataType)]| {
        let spec = |(name, data_type): &(String, DataType)| TensorSpec {
            name: name.clone(),
            datatype: values::tensor_type(*data_type),
            shape: vec![-1],
        };
        columns.iter().map(spec).collect()
    };
    Ok(Description {
        name: ensemble.name.to_string(),
        version: ensemble.version.to_string(),
        platform: PLATFORM,
        inputs: specs(&ensemble.taken()),
        outputs: specs(&ready.outputs),
    })
}

//! A candidate runs over what was served, before anybody is served by it.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray as _},
    compute::cast,
    datatypes::{DataType as ArrowType, Float64Type, Int64Type},
    record_batch::RecordBatch,
};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use shipway_core::{DataType, Name, Value};
use shipway_lake::{arrow_type, value_at};
use shipway_runtime::{InputKind, Model};

use super::Serving;
use crate::{
    bind,
    error::ServingError,
    prediction_log::schema::{column_of, number_list, table_of},
    preview::{self, Compared, Judgement},
};

/// The most rows of one preview.
const MAX_ROWS: usize = 100_000;

/// Rows that the model predicts at once.
const ROWS_AT_ONCE: usize = 1_024;

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// The alias of the deployment's model that names the candidate.
    pub alias: String,
    /// How many of the last rows that were served.
    #[serde(default = "usual_rows")]
    pub rows: usize,
    /// Single numbers at this or above are one decision, those below another.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// Single numbers that differ by more than this are another decision.
    #[serde(default)]
    pub tolerance: Option<f64>,
    /// The model's inputs to tell by.
    #[serde(default)]
    pub segments: Vec<String>,
    /// How many examples.
    #[serde(default = "usual_examples")]
    pub examples: usize,
}

const fn usual_rows() -> usize {
    10_000
}

const fn usual_examples() -> usize {
    5
}

/// What the candidate would have decided otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The deployment.
    pub deployment: Name,
    /// Its model.
    pub model: String,
    /// The candidate.
    pub candidate: u64,
    /// The version that answers now.
    pub serves: Option<u64>,
    /// The judgement.
    #[serde(flatten)]
    pub judgement: Judgement,
}

impl Serving {
    /// Runs the version that another alias names over the last rows that the deployment has served: with the features that were read
    /// then, and those that callers gave. Nobody is served by it, and nothing is logged.
    pub async fn preview(&self, name: &str, request: PreviewRequest) -> Result<Preview, ServingError> {
        if request.rows == 0 || request.rows > MAX_ROWS || request.examples > 100 {
            return Err(ServingError::WrongRequest(format!(
                "a preview takes 1 to {MAX_ROWS} rows and 0 to 100 examples"
            )));
        }
        let deployment = self.deployment(name)?;
        let spec = &deployment.spec;
        let resolved = self.inner.ports.models.resolve(&spec.model, &request.alias).await?;
        let model = Arc::new(self.load_model(&resolved, 1).await?);
        model.must_take_rows()?;
        let types: HashMap<String, DataType> = match &spec.service {
            Some(service) => {
                let pinned = bind::pinned_service(&resolved)?;
                let shape = self.inner.ports.features.shape(service.as_str(), pinned).await?;
                let types = shape.columns.iter().cloned().collect();
                bind::bind(&model, &resolved, service.as_str(), shape)?;
                types
            }
            None => HashMap::new(),
        };
        let columns: Vec<(String, DataType)> = model
            .inputs()
            .iter()
            .map(|input| {
                let own = match input.kind {
                    InputKind::Number => DataType::Float,
                    InputKind::Category => DataType::Text,
                };
                (input.name.clone(), types.get(&input.name).copied().unwrap_or(own))
            })
            .collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
        if let Some(unknown) = request.segments.iter().find(|segment| !names.contains(segment)) {
            return Err(ServingError::WrongRequest(format!(
                "`{unknown}` is no input of the model; there are {}",
                names.join(", ")
            )));
        }
        self.inner.log.flush().await?;
        let batches = self.served_rows(&deployment.name, &columns, request.rows).await?;
        let judging = self.inner.tracker.spawn_blocking(move || {
            let rows = compared(&model, &columns, &batches)?;
            let rule = preview::rule_for(&rows, request.threshold, request.tolerance);
            Ok::<_, ServingError>(preview::judge(&rows, rule, &names, &request.segments, request.examples))
        });
        let judgement = judging.await.map_err(|_| ServingError::ModelFailed)??;
        Ok(Preview {
            deployment: deployment.name.clone(),
            model: spec.model.clone(),
            candidate: resolved.version,
            serves: deployment.serving().map(|served| served.resolved.version),
            judgement,
        })
    }

    /// The last rows of the prediction log that have what the model needs.
    async fn served_rows(
        &self,
        deployment: &Name,
        columns: &[(String, DataType)],
        rows: usize,
    ) -> Result<Vec<RecordBatch>, ServingError> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let inputs: Vec<String> = columns.iter().map(|(name, _)| quoted(&column_of(name))).collect();
        let sql = format!(
            "SELECT request_id, row, model_version, prediction, overridden, {} FROM {} \
             ORDER BY served_at DESC, request_id, row LIMIT {rows}",
            inputs.join(", "),
            quoted(&table_of(deployment)),
        );
        let rows = self.inner.lake.sql(&sql).await?.try_collect().await;
        rows.map_err(|error| ServingError::LogUnreadable(error.to_string()))
    }
}

fn compared(
    model: &Model,
    columns: &[(String, DataType)],
    batches: &[RecordBatch],
) -> Result<Vec<Compared>, ServingError> {
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let binding = model.bind(&names)?;
    let mut all = Vec::new();
    for batch in batches {
        let mut rows = logged(columns, batch).map_err(|error| ServingError::LogBatch(error.to_string()))?;
        for part in rows.chunks_mut(ROWS_AT_ONCE) {
            let inputs: Vec<&[Value]> = part.iter().map(|row| row.inputs.as_slice()).collect();
            let predictions = model.predict(&binding, &inputs)?;
            for (row, prediction) in part.iter_mut().zip(predictions) {
                row.candidate = prediction;
            }
        }
        all.append(&mut rows);
    }
    Ok(all)
}

/// The rows of a batch of the log, not yet predicted.
fn logged(
    columns: &[(String, DataType)],
    batch: &RecordBatch,
) -> Result<Vec<Compared>, arrow::error::ArrowError> {
    let column = |place: usize, wanted: &ArrowType| cast(batch.column(place), wanted);
    let ids = column(0, &ArrowType::Utf8)?;
    let numbers = column(1, &ArrowType::Int64)?;
    let versions = column(2, &ArrowType::Int64)?;
    let predictions = column(3, &ArrowType::List(number_list()))?;
    let overridden = column(4, &ArrowType::Utf8)?;
    let inputs: Vec<ArrayRef> = columns
        .iter()
        .enumerate()
        .map(|(place, (_, data_type))| column(place + 5, &arrow_type(*data_type)))
        .collect::<Result<_, _>>()?;
    let row = |row: usize| {
        let mut values: Vec<Value> = inputs
            .iter()
            .zip(columns)
            .map(|(array, (_, data_type))| value_at(array, *data_type, row))
            .collect();
        let overridden = overridden.as_string::<i32>();
        if !overridden.is_null(row) {
            override_with(overridden.value(row), columns, &mut values);
        }
        let prediction = predictions.as_list::<i32>().value(row);
        Compared {
            request_id: ids.as_string::<i32>().value(row).to_owned(),
            row: numbers.as_primitive::<Int64Type>().value(row),
            version: versions.as_primitive::<Int64Type>().value(row),
            served: prediction.as_primitive::<Float64Type>().values().to_vec(),
            candidate: Vec::new(),
            inputs: values,
        }
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Puts what a caller gave in the place of what was read.
fn override_with(json: &str, columns: &[(String, DataType)], values: &mut [Value]) {
    let Ok(Json::Object(given)) = serde_json::from_str(json) else { return };
    for ((name, data_type), value) in columns.iter().zip(values) {
        if let Some(read) = given.get(name).and_then(|json| Value::from_json(json, *data_type).ok()) {
            *value = read;
        }
    }
}

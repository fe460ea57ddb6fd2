//! The steps of a plan over the rows of one request: each begins as soon as what it reads is there.

use std::{future::Future, sync::Arc};

use futures::{StreamExt as _, stream::FuturesUnordered};
use shipway_core::Value;
use shipway_expression::Row;
use tokio_util::task::TaskTracker;

use super::{
    error::EnsembleError,
    plan::{Call, Computed, Plan, Step, StepWork},
    status::StepVersion,
};
use crate::error::ServingError;

/// Values that are computed on the thread of the request; more go to a thread that may block.
const VALUES_IN_PLACE: usize = 4_096;

/// The values of a column, one for each row.
pub(crate) type Column = Arc<Vec<Value>>;

/// Who asks the models of steps.
pub(crate) trait Models: Sync {
    /// Asks the model of a step. `fed` are the columns of the call's feeds, in their order.
    fn ask(
        &self,
        step: &Step,
        call: &Call,
        fed: Vec<Column>,
    ) -> impl Future<Output = Result<Asked, ServingError>> + Send;
}

/// What a model answered.
pub(crate) struct Asked {
    /// Per row, as many numbers as the call has outputs.
    pub(crate) predictions: Vec<Vec<f64>>,
    pub(crate) by: StepVersion,
}

/// What came of the steps.
pub(crate) struct Ran {
    /// The outputs, in order.
    pub(crate) outputs: Vec<Column>,
    /// Who answered in the steps that ask models, in the order of the plan.
    pub(crate) steps: Vec<StepVersion>,
}

/// Runs a plan over its inputs. The first step that fails ends it, and the others are not waited for.
pub(crate) async fn run<M: Models>(
    plan: &Arc<Plan>,
    inputs: &[Column],
    models: &M,
    tracker: &TaskTracker,
) -> Result<Ran, ServingError> {
    let rows = inputs.first().map_or(0, |column| column.len());
    let mut columns: Vec<Option<Column>> = inputs.iter().cloned().map(Some).collect();
    columns.resize(plan.columns.len(), None);
    let mut waits: Vec<usize> = plan.steps.iter().map(|step| step.waits.len()).collect();
    let mut answered: Vec<Option<StepVersion>> = vec![None; plan.steps.len()];
    let begin = |at: usize, columns: &[Option<Column>]| {
        let read = plan.steps.get(at).map(|step| read(step, columns)).unwrap_or_default();
        async move { (at, made(plan, at, read, rows, (models, tracker)).await) }
    };
    let mut going = FuturesUnordered::new();
    for (at, left) in waits.iter().enumerate() {
        if *left == 0 {
            going.push(begin(at, &columns));
        }
    }
    while let Some((at, outcome)) = going.next().await {
        let (values, by) = outcome?;
        let first = plan.steps.get(at).map_or(0, |step| step.first);
        for (place, column) in values.into_iter().enumerate() {
            if let Some(into) = columns.get_mut(first + place) {
                *into = Some(Arc::new(column));
            }
        }
        if let Some(into) = answered.get_mut(at) {
            *into = by;
        }
        for (later, step) in plan.steps.iter().enumerate() {
            if let Some(left) = waits.get_mut(later).filter(|_| step.waits.contains(&at)) {
                *left -= 1;
                if *left == 0 {
                    going.push(begin(later, &columns));
                }
            }
        }
    }
    let column = |(_, at): &(String, usize)| columns.get(*at).cloned().flatten();
    let outputs = plan.outputs.iter().map(column).collect::<Option<_>>().ok_or(ServingError::ModelFailed)?;
    Ok(Ran { outputs, steps: answered.into_iter().flatten().collect() })
}

/// The columns that a step reads: those of a call in the order of its feeds, those of expressions by their places.
fn read(step: &Step, columns: &[Option<Column>]) -> Vec<Option<Column>> {
    match &step.work {
        StepWork::Model(call) => {
            call.feeds.iter().map(|(_, at)| columns.get(*at).cloned().flatten()).collect()
        }
        StepWork::Compute(_) => columns.to_vec(),
    }
}

type Made = (Vec<Vec<Value>>, Option<StepVersion>);

/// The columns that a step makes.
async fn made<M: Models>(
    plan: &Arc<Plan>,
    at: usize,
    read: Vec<Option<Column>>,
    rows: usize,
    (models, tracker): (&M, &TaskTracker),
) -> Result<Made, ServingError> {
    let Some(step) = plan.steps.get(at) else { return Err(ServingError::ModelFailed) };
    let in_step = |failure: ServingError| failure.in_step(&step.name);
    match &step.work {
        StepWork::Compute(all) if rows.saturating_mul(all.len()) <= VALUES_IN_PLACE => {
            Ok((computed(all, step.first, read, rows), None))
        }
        StepWork::Compute(_) => {
            let plan = Arc::clone(plan);
            let computing = tracker.spawn_blocking(move || match plan.steps.get(at) {
                Some(Step { work: StepWork::Compute(all), first, .. }) => computed(all, *first, read, rows),
                _ => Vec::new(),
            });
            Ok((computing.await.map_err(|_| in_step(ServingError::ModelFailed))?, None))
        }
        StepWork::Model(call) => {
            let fed: Option<Vec<Column>> = read.into_iter().collect();
            let fed = fed.ok_or_else(|| in_step(ServingError::ModelFailed))?;
            let Asked { predictions, by } = models.ask(step, call, fed).await.map_err(in_step)?;
            Ok((by_column(&predictions, call.outputs, rows).map_err(in_step)?, Some(by)))
        }
    }
}

/// The values of expressions; each may read those before it.
fn computed(
    all: &[Computed],
    first: usize,
    mut columns: Vec<Option<Column>>,
    rows: usize,
) -> Vec<Vec<Value>> {
    let mut made: Vec<Column> = Vec::with_capacity(all.len());
    for one in all {
        let read: Vec<Option<Column>> =
            one.reads.iter().map(|at| columns.get(*at).cloned().flatten()).collect();
        let mut row: Vec<Value> = Vec::with_capacity(read.len());
        let value = |number: usize| {
            row.clear();
            let of = |column: &Option<Column>| column.as_ref()?.get(number).cloned();
            row.extend(read.iter().map(|column| of(column).unwrap_or(Value::Null)));
            one.expression.evaluate(Row::from(row.as_slice())).into_owned()
        };
        let values: Column = Arc::new((0..rows).map(value).collect());
        if let Some(into) = columns.get_mut(first + made.len()) {
            *into = Some(Arc::clone(&values));
        }
        made.push(values);
    }
    drop(columns);
    made.into_iter().map(|values| Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec())).collect()
}

/// Numbers of rows as numbers of columns.
fn by_column(predictions: &[Vec<f64>], outputs: usize, rows: usize) -> Result<Vec<Vec<Value>>, ServingError> {
    if predictions.len() != rows || predictions.iter().any(|row| row.len() != outputs) {
        return Err(EnsembleError::Moved.into());
    }
    let column = |place: usize| {
        let number = |row: &Vec<f64>| row.get(place).map_or(Value::Null, |number| Value::float(*number));
        predictions.iter().map(number).collect()
    };
    Ok((0..outputs).map(column).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::Barrier;

    use super::*;
    use crate::{
        ensemble::{
            plan::plan,
            shape::{Shape, Takes},
        },
        launch::stage::Variant,
    };

    /// Models that answer what they were fed when both of them have been asked; one with a name that says so fails.
    struct Both(Barrier);

    impl Models for Both {
        async fn ask(&self, step: &Step, _: &Call, fed: Vec<Column>) -> Result<Asked, ServingError> {
            if step.name == "fails" {
                return Err(ServingError::QueueFull { waiting: 3, limit: 3 });
            }
            self.0.wait().await;
            let number =
                |value: &Value| vec![if let Value::Float(number) = value { *number } else { f64::NAN }];
            let by = StepVersion {
                step: step.name.clone(),
                deployment: None,
                model: "m".to_owned(),
                version: 1,
                variant: Variant::Stable,
                request_id: None,
            };
            Ok(Asked {
                predictions: fed.first().map_or(Vec::new(), |column| column.iter().map(number).collect()),
                by,
            })
        }
    }

    fn planned(second: &str) -> Arc<Plan> {
        let graph = serde_json::json!({
            "inputs": {"x": "float"},
            "steps": [
                {"name": "sum", "compute": {"all": format!("one + {second} + twice")}},
                {"name": "one", "model": "m"},
                {"name": second, "model": "m", "inputs": {"x": "twice"}},
                {"name": "ready", "compute": {"twice": "x * 2"}},
            ],
            "outputs": {"all": "all"},
        });
        let shape = Shape { who: "m".to_owned(), inputs: vec![("x".to_owned(), Takes::Number)], outputs: 1 };
        let shapes = [None, Some(shape.clone()), Some(shape), None];
        Arc::new(plan(&serde_json::from_value(graph).unwrap(), &shapes).unwrap())
    }

    async fn ran(second: &str, rows: usize) -> Result<Ran, ServingError> {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let values: Vec<Value> = (0..rows).map(|row| Value::float(row as f64)).collect();
        let inputs = [Arc::new(values)];
        let models = Both(Barrier::new(2));
        run(&planned(second), &inputs, &models, &TaskTracker::new()).await
    }

    #[tokio::test]
    async fn steps_that_do_not_need_each_other_run_at_once() {
        // On the thread of the request, and on one that may block.
        for rows in [1, 3, 5_000] {
            let both =
                tokio::time::timeout(Duration::from_secs(60), ran("two", rows)).await.unwrap().unwrap();
            let last = both.outputs[0].last().unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let expected = (rows - 1) as f64 * 5.0;
            assert_eq!(*last, Value::float(expected));
            let steps: Vec<&str> = both.steps.iter().map(|step| step.step.as_str()).collect();
            assert_eq!(steps, ["one", "two"]);
        }
    }

    #[tokio::test]
    async fn a_step_that_fails_is_named_and_the_others_are_not_waited_for() {
        let failed = tokio::time::timeout(Duration::from_secs(60), ran("fails", 2)).await.unwrap();
        let error = failed.err().unwrap();
        assert_eq!(error.to_string(), "step `fails`: 3 requests wait for the model; at most 3 may");
        assert_eq!(shipway_core::Failure::code(&error), "serving.queue_full");
    }
}

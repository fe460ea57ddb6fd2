//! An ensemble is planned when its models are there. A version that one of its steps would ask, and that it cannot use, does not take
//! over: the one before it stays, and the status of whoever follows the alias says why.

use std::sync::{Arc, PoisonError};

use shipway_core::{Failure as _, failure::chain};

use super::{Bound, Ensemble, Ready, StepModel};
use crate::{
    ensemble::{
        error::{EnsembleError, GraphError, Place},
        plan::{Plan, plan},
        shape::{Shape, Takes},
    },
    error::ServingError,
    model::deployment::LoadTrouble,
    ports::ServiceShape,
    prediction_log::schema::LogSchema,
    service::{Deployment, Served, Serving, Source},
};

/// An ensemble as it runs with another version of one of its models.
pub(in crate::service) struct Replanned {
    ensemble: Arc<Ensemble>,
    shapes: Vec<Option<Shape>>,
    ready: Arc<Ready>,
}

impl Serving {
    /// What an ensemble runs. Models that are parked are loaded for it, and it is planned if it was not yet.
    pub(crate) async fn ready_ensemble(&self, ensemble: &Arc<Ensemble>) -> Result<Arc<Ready>, ServingError> {
        if ensemble.is_unloaded() {
            return Err(ServingError::Unloaded(ensemble.name.to_string()));
        }
        if let Some(ready) = ensemble.ready() {
            return Ok(ready);
        }
        let _planning = ensemble.planning.lock().await;
        if let Some(ready) = ensemble.ready() {
            return Ok(ready);
        }
        let mut shapes = Vec::with_capacity(ensemble.models.len());
        for (step, model) in ensemble.spec.ensemble.steps.iter().zip(&ensemble.models) {
            shapes.push(match model {
                Some(model) => {
                    let shape = self.shape_of_step(model).await;
                    Some(shape.map_err(|error| error.in_step(step.name.as_str()))?)
                }
                None => None,
            });
        }
        let plan = plan(&ensemble.spec.ensemble, &shapes)?;
        let bound = self.bind_ensemble(ensemble, &plan, None).await?;
        let ready = Arc::new(Ready { outputs: plan.output_types().into(), plan: Arc::new(plan), bound });
        ensemble.put(shapes, Arc::clone(&ready));
        Ok(ready)
    }

    async fn shape_of_step(&self, model: &StepModel) -> Result<Shape, ServingError> {
        let deployment = self.step_model(model)?;
        let served = self.served(&deployment).await?;
        shape_of(&served)
    }

    /// Binds an ensemble to a version of its feature service, and makes the table that fits.
    pub(super) async fn bind_ensemble(
        &self,
        ensemble: &Ensemble,
        plan: &Plan,
        shape: Option<ServiceShape>,
    ) -> Result<Arc<Bound>, ServingError> {
        let inputs = &ensemble.spec.ensemble.inputs.0;
        let shape = match (&ensemble.spec.service, shape) {
            (Some(service), None) => Some(self.inner.ports.features.shape(service.as_str(), None).await?),
            (_, shape) => shape,
        };
        for (input, data_type) in inputs {
            let Some(shape) = &shape else { break };
            let refused = |reason: String| GraphError::new(Place::Input(input.clone()), reason);
            match shape.columns.iter().find(|(name, _)| name == input) {
                Some((_, given)) if Takes::Typed(*data_type).fits(*given) => {}
                Some((_, given)) => {
                    return Err(
                        refused(format!("it is {data_type}; the feature service gives {given}")).into()
                    );
                }
                None => {
                    let known = shape.columns.iter().map(|(name, _)| name.as_str());
                    let near =
                        shipway_core::nearest(input, known).map(|near| format!("did you mean `{near}`?"));
                    return Err(refused("the feature service does not give it".to_owned())
                        .with_hint(near)
                        .into());
                }
            }
        }
        let schema = LogSchema::of_ensemble(&ensemble.name, shape.as_ref(), inputs, &plan.output_types());
        self.inner.lake.ensure_table(&schema.table, Arc::clone(&schema.arrow)).await?;
        Ok(Arc::new(Bound { shape, schema: Arc::new(schema) }))
    }

    /// Brings the models of an ensemble to the versions that their aliases name, and plans it if it was not yet.
    pub(super) async fn look_after(&self, ensemble: &Arc<Ensemble>) -> Result<(), ServingError> {
        if ensemble.is_unloaded() {
            return Ok(());
        }
        for own in ensemble.own() {
            let step = own.name.as_str().strip_prefix(&format!("{}__", ensemble.name)).unwrap_or_default();
            self.try_update(own).await.map_err(|error| error.in_step(step))?;
        }
        self.try_plan(ensemble).await
    }

    /// Plans those ensembles that have not been planned and whose models are there.
    pub(in crate::service) async fn plan_ensembles(&self) {
        for ensemble in self.all_ensembles() {
            let is_parked = |model: &StepModel| {
                self.step_model(model).is_ok_and(|deployment| deployment.parked().is_some())
            };
            let waits = ensemble.is_unloaded() || ensemble.models.iter().flatten().any(is_parked);
            if !waits {
                // The failure is in the ensemble's status, where it is looked for.
                let _ = self.try_plan(&ensemble).await;
            }
        }
    }

    async fn try_plan(&self, ensemble: &Arc<Ensemble>) -> Result<(), ServingError> {
        let outcome = self.ready_ensemble(ensemble).await;
        if let Err(error) = &outcome {
            tracing::warn!(ensemble = %ensemble.name, error = chain(error), "ensemble does not answer");
        }
        ensemble.report(outcome.as_ref().err().map(|error| LoadTrouble {
            version: None,
            at: self.inner.clock.now(),
            code: error.code(),
            detail: chain(error),
            hint: error.hint().map(|hint| hint.into_owned()),
        }));
        outcome.map(|_| ())
    }

    /// Whether an ensemble waits for something that may come right.
    pub(in crate::service) fn has_troubled_ensembles(&self) -> bool {
        self.all_ensembles().iter().any(|ensemble| ensemble.trouble().is_some())
    }

    /// Lets a version answer, unless an ensemble that asks this deployment cannot use it.
    pub(in crate::service) fn put_in_place(
        &self,
        deployment: &Deployment,
        served: Arc<Served>,
    ) -> Result<(), ServingError> {
        let replanned = self.replanned(deployment, &served)?;
        deployment.take_over(served);
        adopt(replanned);
        Ok(())
    }

    /// The ensembles that ask a deployment, as they run with another version of its model.
    pub(in crate::service) fn replanned(
        &self,
        deployment: &Deployment,
        served: &Served,
    ) -> Result<Vec<Replanned>, ServingError> {
        let mut replanned = Vec::new();
        for ensemble in self.all_ensembles() {
            let asks = |model: &Option<StepModel>| match model {
                Some(StepModel::Deployment(asked)) => *asked == deployment.name && !deployment.spec.is_step,
                Some(StepModel::Own(own)) => std::ptr::eq(Arc::as_ptr(own), deployment),
                None => false,
            };
            if !ensemble.models.iter().any(asks) {
                continue;
            }
            let (mut shapes, before) = {
                let state = ensemble.state.read().unwrap_or_else(PoisonError::into_inner);
                (state.shapes.clone(), state.ready.clone())
            };
            let Some(before) = before else { continue };
            let unfit = |reason: String| EnsembleError::Unfit { ensemble: ensemble.name.to_string(), reason };
            let shape = shape_of(served).map_err(|error| unfit(error.to_string()))?;
            for (held, model) in shapes.iter_mut().zip(&ensemble.models) {
                if asks(model) {
                    *held = Some(shape.clone());
                }
            }
            let plan = plan(&ensemble.spec.ensemble, &shapes).map_err(|error| unfit(error.to_string()))?;
            let outputs = plan.output_types();
            let other = outputs.iter().zip(before.outputs.iter()).find(|(new, old)| new != old);
            if let Some(((name, new), (_, old))) = other {
                return Err(unfit(format!("output `{name}` would be {new} instead of {old}")).into());
            }
            let ready = Ready { plan: Arc::new(plan), ..Ready::clone(&before) };
            replanned.push(Replanned { ensemble, shapes, ready: Arc::new(ready) });
        }
        Ok(replanned)
    }
}

/// Lets ensembles run as they were planned.
pub(in crate::service) fn adopt(replanned: Vec<Replanned>) {
    for Replanned { ensemble, shapes, ready } in replanned {
        ensemble.put(shapes, ready);
    }
}

/// What a version takes and gives; a model of tensors has no rows for a step.
fn shape_of(served: &Served) -> Result<Shape, ServingError> {
    let who = format!("model `{}` version {}", served.resolved.name, served.resolved.version);
    let inputs = match &served.source {
        Source::Direct { .. } => {
            served.model.inputs().iter().map(|input| (input.name.clone(), input.kind.into())).collect()
        }
        Source::Service(service) => {
            let bound = service.current();
            let shape = &bound.binding.shape;
            let is_key = |name: &String| shape.keys.iter().any(|(key, _)| key == name);
            let request = shape.request.iter().filter(|(name, _)| !is_key(name));
            let typed = |(name, data_type): &(String, _)| (name.clone(), Takes::Typed(*data_type));
            shape.keys.iter().chain(request).map(typed).collect()
        }
        Source::Tensors => {
            let reason = format!("{who} takes tensors; a step asks a model that takes rows of columns");
            return Err(ServingError::WrongRequest(reason));
        }
    };
    Ok(Shape { who, inputs, outputs: served.model.outputs() })
}

//! What a request brings becomes the inputs of an ensemble: as it is, or over its feature service.

use std::{collections::BTreeMap, sync::Arc};

use shipway_core::{DataType, Digest, Name, Sampling, Timestamp, Value};

use super::{Bound, Ensemble, Ready, ask::EnsembleQuestion};
use crate::{
    bind,
    ensemble::{run::Column, values},
    error::ServingError,
    overrides::{self, Overrides},
    ports::{FeatureQuery, ViewFreshness},
    service::Serving,
};

/// The inputs of a request, and what is known of them.
pub(super) struct Gathered {
    pub(super) inputs: Vec<Column>,
    pub(super) bound: Arc<Bound>,
    pub(super) at: Timestamp,
    /// Keys of each row; empty without a service.
    pub(super) keys: Vec<Vec<Value>>,
    /// The values of the service's columns, row by row, as they were read; empty without a service.
    pub(super) read: Vec<Vec<Value>>,
    pub(super) overrides: Overrides,
    pub(super) service: Option<(Name, Digest)>,
    pub(super) watermarks: BTreeMap<String, u64>,
    pub(super) feature_age: Vec<Vec<ViewFreshness>>,
    pub(super) log: Sampling,
}

impl Serving {
    pub(super) async fn gather(
        &self,
        ensemble: &Arc<Ensemble>,
        ready: &Ready,
        question: &mut EnsembleQuestion,
    ) -> Result<Gathered, ServingError> {
        let inputs = &ensemble.spec.ensemble.inputs.0;
        if let Some(service) = &ensemble.spec.service {
            return self.read_inputs(ensemble, ready, service, question).await;
        }
        if question.at.is_some() || question.token.is_some() {
            return Err(ServingError::WrongRequest(
                "`at` and `token` are for features; this ensemble has no feature service".to_owned(),
            ));
        }
        let columns = values::columns(inputs, &question.rows)?;
        Ok(Gathered {
            inputs: columns.into_iter().map(Arc::new).collect(),
            bound: Arc::clone(&ready.bound),
            at: self.inner.clock.now(),
            keys: Vec::new(),
            read: Vec::new(),
            overrides: Overrides::default(),
            service: None,
            watermarks: BTreeMap::new(),
            feature_age: Vec::new(),
            log: Sampling::All,
        })
    }

    async fn read_inputs(
        &self,
        ensemble: &Arc<Ensemble>,
        ready: &Ready,
        service: &Name,
        question: &mut EnsembleQuestion,
    ) -> Result<Gathered, ServingError> {
        let Some(shape) = &ready.bound.shape else { return Err(ServingError::ModelFailed) };
        let overrides = overrides::taken_out(shape, &mut question.rows);
        let query = FeatureQuery {
            service: service.as_str(),
            service_hash: None,
            rows: &question.rows,
            at: question.at,
            token: question.token.as_deref(),
        };
        let answer = self.inner.ports.features.read(query).await?;
        if answer.rows.len() != question.rows.len() {
            return Err(ServingError::WrongRequest(format!(
                "{} rows were asked for, features came for {}",
                question.rows.len(),
                answer.rows.len()
            )));
        }
        let bound = self.bound_to(ensemble, ready, answer.service_hash).await?;
        let Some(shape) = &bound.shape else { return Err(ServingError::ModelFailed) };
        let names: Vec<String> = shape.columns.iter().map(|(name, _)| name.clone()).collect();
        let (rows, feature_age) = answer.rows.into_iter().map(|row| (row.values, row.views)).unzip();
        let read = bind::in_order(&names, &answer.columns, rows)?;
        let given = match overrides.is_empty() {
            true => None,
            false => Some(overrides.over(shape, &names, &read)?),
        };
        let seen = given.as_ref().unwrap_or(&read);
        let column = |(name, data_type): &(String, DataType)| {
            let place = names.iter().position(|held| held == name);
            let value = |row: &Vec<Value>| {
                values::as_type(place.and_then(|place| row.get(place)).unwrap_or(&Value::Null), *data_type)
            };
            Arc::new(seen.iter().map(value).collect::<Vec<_>>())
        };
        Ok(Gathered {
            inputs: ensemble.spec.ensemble.inputs.0.iter().map(column).collect(),
            at: answer.at,
            keys: question.rows.iter().map(|row| bind::key_values(shape, row)).collect(),
            service: Some((service.clone(), answer.service_hash)),
            watermarks: answer.watermarks,
            log: answer.log,
            feature_age,
            overrides,
            read,
            bound,
        })
    }

    /// The binding to the version of the feature service that has just answered.
    async fn bound_to(
        &self,
        ensemble: &Arc<Ensemble>,
        ready: &Ready,
        hash: Digest,
    ) -> Result<Arc<Bound>, ServingError> {
        if ready.bound.shape.as_ref().is_some_and(|shape| shape.hash == hash) {
            return Ok(Arc::clone(&ready.bound));
        }
        let Some(service) = &ensemble.spec.service else { return Err(ServingError::ModelFailed) };
        let shape = self.inner.ports.features.shape(service.as_str(), Some(hash)).await?;
        let bound = self.bind_ensemble(ensemble, &ready.plan, Some(shape)).await?;
        ensemble.rebind(&bound);
        Ok(bound)
    }
}

//! A service resolved once, so that a request costs no look-up by name.

use std::{collections::BTreeMap, sync::Arc};

use shipway_core::{DataType, Digest, Name};
use shipway_definitions::{DefinitionSet, Freshness, Service, Versioned, ViewBody};

use crate::error::FeaturesError;

/// A service, ready to be read.
pub(crate) struct ReadPlan {
    pub(crate) service: Name,
    pub(crate) hash: Digest,
    pub(crate) columns: Arc<[String]>,
    pub(crate) keys: Vec<(Name, DataType)>,
    pub(crate) request: Vec<(Name, DataType)>,
    pub(crate) views: Vec<PlannedView>,
    /// The sources of the views, each once.
    pub(crate) sources: Vec<Name>,
}

/// One view of a service.
pub(crate) struct PlannedView {
    pub(crate) name: Name,
    pub(crate) hash: Digest,
    /// Position in the plan's sources.
    pub(crate) source: usize,
    /// Positions of the key's parts among the service's keys.
    pub(crate) key: Vec<usize>,
    /// Positions of the features among the view's own.
    pub(crate) features: Vec<usize>,
    pub(crate) feature_names: Vec<Name>,
    pub(crate) freshness: Option<Freshness>,
}

impl ReadPlan {
    pub(crate) fn new(
        service: &Versioned<Service>,
        definitions: &DefinitionSet,
    ) -> Result<Self, FeaturesError> {
        let Versioned { definition: service, hash, .. } = service;
        let mut sources: Vec<Name> = Vec::new();
        let mut views = Vec::with_capacity(service.views.len());
        for reference in &service.views {
            let missing = |what: String| FeaturesError::MissingDefinition { what };
            let view = definitions.views_by_hash.get(&reference.hash).ok_or_else(|| {
                missing(format!("view {} at version {}", reference.view, reference.hash.short()))
            })?;
            let view = &view.definition;
            let source = sources.iter().position(|source| *source == view.source).unwrap_or_else(|| {
                sources.push(view.source.clone());
                sources.len() - 1
            });
            let key_positions: BTreeMap<&Name, usize> =
                service.entity_keys.iter().enumerate().map(|(at, (name, _))| (name, at)).collect();
            let key = view
                .entity_keys
                .iter()
                .map(|(name, _)| key_positions.get(name).copied())
                .collect::<Option<_>>();
            let key = key.ok_or_else(|| missing(format!("a key of view {}", reference.view)))?;
            let own: Vec<&Name> = match &view.body {
                ViewBody::Aggregates(features) => features.iter().map(|feature| &feature.name).collect(),
                ViewBody::Latest { columns, .. } => columns.iter().collect(),
            };
            let position = |wanted: &Name| own.iter().position(|name| *name == wanted);
            let features = reference.features.iter().map(position).collect::<Option<_>>();
            let features =
                features.ok_or_else(|| missing(format!("a feature of view {}", reference.view)))?;
            views.push(PlannedView {
                name: reference.view.clone(),
                hash: reference.hash,
                source,
                key,
                features,
                feature_names: reference.features.clone(),
                // Freshness is not part of the version: the view in force under the name says how it is now.
                freshness: definitions
                    .views
                    .get(&reference.view)
                    .map_or(view.freshness, |current| current.definition.freshness),
            });
        }
        Ok(Self {
            service: service.name.clone(),
            hash: *hash,
            columns: service.columns().iter().map(|column| column.name.clone()).collect(),
            keys: service.entity_keys.clone(),
            request: service.request.clone(),
            views,
            sources,
        })
    }
}

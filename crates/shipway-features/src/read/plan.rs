//! A service resolved once, so that a request costs no look-up by name.

use std::sync::{Arc, atomic::AtomicBool};

use shipway_core::{DataType, Digest, Name, nearest};
use shipway_definitions::{DefinitionSet, Freshness, Service, Versioned, View, ViewBody};

use crate::{
    error::{FeaturesError, invalid},
    model::expressions::Computed,
    read::{columns::Columns, stale::Breaches},
};

/// A service, ready to be read.
pub(crate) struct ReadPlan {
    pub(crate) service: Name,
    pub(crate) hash: Digest,
    pub(crate) columns: Columns,
    /// As the columns.
    pub(crate) types: Arc<[DataType]>,
    pub(crate) keys: Vec<(Name, DataType)>,
    pub(crate) request: Vec<(Name, DataType)>,
    pub(crate) views: Vec<PlannedView>,
    /// The sources of the views, each once.
    pub(crate) sources: Vec<Name>,
    /// The columns that are computed from the others.
    pub(crate) computed: Option<Computed>,
    /// Whether every view was seen to have its state.
    pub(crate) is_ready: AtomicBool,
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
    /// As the features.
    pub(crate) types: Vec<DataType>,
    /// As the features: the age, inclusive, up to which a latest value counts.
    pub(crate) ttls_us: Vec<Option<i64>>,
    /// The view's own, for the features without one of their own.
    pub(crate) objective: Option<Objective>,
    /// Those of single features.
    pub(crate) own_objectives: Vec<Objective>,
}

/// How fresh some features should be.
pub(crate) struct Objective {
    pub(crate) freshness: Freshness,
    /// Positions among the features that are taken.
    pub(crate) features: Vec<usize>,
    /// The one feature whose own it is.
    pub(crate) feature: Option<Name>,
    /// Where answers beyond it are counted.
    pub(crate) breaches: Breaches,
}

/// What is taken of one view.
struct Taken<'a> {
    view: &'a Name,
    hash: &'a Digest,
    features: &'a [Name],
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
            let taken = Taken { view: &reference.view, hash: &reference.hash, features: &reference.features };
            views.push(PlannedView::new(&taken, &service.entity_keys, definitions, &mut sources)?);
        }
        let computed = Computed::new(service).map_err(|error| FeaturesError::Expression {
            thing: format!("service {}", service.name),
            source: Box::new(error),
        })?;
        Ok(Self {
            service: service.name.clone(),
            hash: *hash,
            columns: service.columns().iter().map(|column| column.name.clone()).collect(),
            types: service.columns().iter().map(|column| column.data_type).collect(),
            keys: service.entity_keys.clone(),
            request: service.request.clone(),
            views,
            sources,
            computed,
            is_ready: AtomicBool::new(false),
        })
    }

    /// The plan for all features of one version of a view, in its own order. Objectives of freshness are of answers to requests, and
    /// leave nothing out here.
    pub(crate) fn of_view(
        view: &Versioned<View>,
        definitions: &DefinitionSet,
    ) -> Result<Self, FeaturesError> {
        let Versioned { definition: view, hash, .. } = view;
        let features: Vec<Name> = feature_types(view).into_iter().map(|(name, _)| name.clone()).collect();
        let taken = Taken { view: &view.name, hash, features: &features };
        let mut sources = Vec::new();
        let mut planned = PlannedView::new(&taken, &view.entity_keys, definitions, &mut sources)?;
        planned.objective = None;
        planned.own_objectives.clear();
        Ok(Self {
            service: view.name.clone(),
            hash: *hash,
            columns: features.iter().map(Name::to_string).collect(),
            types: planned.types.iter().copied().collect(),
            keys: view.entity_keys.clone(),
            request: Vec::new(),
            views: vec![planned],
            sources,
            computed: None,
            is_ready: AtomicBool::new(true),
        })
    }

    /// The names of the computed columns, the last of all.
    pub(crate) fn computed_names(&self) -> &[String] {
        let others = self.views.iter().map(|view| view.features.len()).sum::<usize>() + self.request.len();
        self.columns.get(others..).unwrap_or_default()
    }

    /// The plan for features that are asked for by themselves, in the order of their views' first appearance. `version` says
    /// which version of a view in force answers for some of its features.
    pub(crate) fn of_features(
        name: Name,
        wanted: &[(Name, Name)],
        definitions: &DefinitionSet,
        version: impl Fn(&Arc<Versioned<View>>, &[Name]) -> Arc<Versioned<View>>,
    ) -> Result<Self, FeaturesError> {
        let mut by_view: Vec<(&Name, Vec<Name>)> = Vec::new();
        for (view, feature) in wanted {
            match by_view.iter_mut().find(|(held, _)| *held == view) {
                Some((_, features)) if features.contains(feature) => {}
                Some((_, features)) => features.push(feature.clone()),
                None => by_view.push((view, vec![feature.clone()])),
            }
        }
        let mut keys: Vec<(Name, DataType)> = Vec::new();
        let mut taken = Vec::with_capacity(by_view.len());
        for (view, features) in &by_view {
            let held = definitions.views.get(*view).ok_or_else(|| FeaturesError::UnknownView {
                name: view.to_string(),
                nearest: nearest(view.as_str(), definitions.views.keys().map(Name::as_str))
                    .map(str::to_owned),
            })?;
            let own = feature_types(&held.definition);
            if let Some(stranger) = features.iter().find(|wanted| own.iter().all(|(name, _)| name != wanted))
            {
                return Err(FeaturesError::UnknownFeature {
                    feature: format!("{view}:{stranger}"),
                    nearest: nearest(stranger.as_str(), own.iter().map(|(name, _)| name.as_str()))
                        .map(|near| format!("{view}:{near}")),
                });
            }
            let held = version(held, features);
            for key in &held.definition.entity_keys {
                match keys.iter().find(|(name, _)| *name == key.0) {
                    Some((_, data_type)) if *data_type != key.1 => {
                        return Err(invalid(format!(
                            "key column {} is {data_type} in one view and {} in view {view}; ask for them apart",
                            key.0, key.1
                        )));
                    }
                    Some(_) => {}
                    None => keys.push(key.clone()),
                }
            }
            taken.push((*view, held.hash, features));
        }
        let mut sources: Vec<Name> = Vec::new();
        let views = taken
            .iter()
            .map(|(view, hash, features)| Taken { view, hash, features })
            .map(|taken| PlannedView::new(&taken, &keys, definitions, &mut sources))
            .collect::<Result<Vec<_>, _>>()?;
        let columns = views
            .iter()
            .flat_map(|view| view.feature_names.iter().map(|feature| format!("{}__{feature}", view.name)));
        let text: String = views.iter().map(|view| format!("{}@{}\n", view.name, view.hash)).collect();
        Ok(Self {
            service: name,
            hash: Digest::of(text),
            columns: columns.collect(),
            types: views.iter().flat_map(|view| view.types.iter().copied()).collect(),
            keys,
            request: Vec::new(),
            views,
            sources,
            computed: None,
            is_ready: AtomicBool::new(false),
        })
    }
}

impl ReadPlan {
    /// Whether a key or request column of this name holds decimals.
    pub(crate) fn is_decimal(&self, column: &str) -> bool {
        let mut given = self.keys.iter().chain(&self.request);
        given.any(|(name, data_type)| name.as_str() == column && data_type.has_decimals())
    }
}

impl PlannedView {
    fn new(
        taken: &Taken<'_>,
        keys: &[(Name, DataType)],
        definitions: &DefinitionSet,
        sources: &mut Vec<Name>,
    ) -> Result<Self, FeaturesError> {
        let missing = |what: String| FeaturesError::MissingDefinition { what };
        let (name, hash) = (taken.view, taken.hash);
        let view = definitions
            .views_by_hash
            .get(hash)
            .ok_or_else(|| missing(format!("view {name} at version {}", hash.short())))?;
        let view = &view.definition;
        let source = sources.iter().position(|source| *source == view.source).unwrap_or_else(|| {
            sources.push(view.source.clone());
            sources.len() - 1
        });
        let key = |(wanted, _): &(Name, DataType)| keys.iter().position(|(key, _)| key == wanted);
        let key = view.entity_keys.iter().map(key).collect::<Option<_>>();
        let key = key.ok_or_else(|| missing(format!("a key of view {name}")))?;
        let own = feature_types(view);
        let position = |wanted: &Name| own.iter().position(|(name, _)| *name == wanted);
        let features: Option<Vec<usize>> = taken.features.iter().map(position).collect();
        let features = features.ok_or_else(|| missing(format!("a feature of view {name}")))?;
        // Freshness is not part of the version: the view in force under the name says how it is now.
        let current = definitions.views.get(name).map_or(view, |current| &current.definition);
        Ok(Self {
            name: name.clone(),
            hash: *hash,
            source,
            key,
            types: features.iter().map(|&at| own[at].1).collect(),
            features,
            feature_names: taken.features.to_vec(),
            ttls_us: taken.features.iter().map(|name| Some(view.ttl(name)?.micros())).collect(),
            objective: Objective::of_view(current, taken.features),
            own_objectives: Objective::of_features(current, taken.features),
        })
    }

    /// How fresh the feature at `position` should be.
    pub(crate) fn freshness_of(&self, position: usize) -> Option<Freshness> {
        let mut objectives = self.own_objectives.iter().chain(&self.objective);
        objectives
            .find(|objective| objective.features.contains(&position))
            .map(|objective| objective.freshness)
    }
}

impl Objective {
    fn of_view(view: &View, taken: &[Name]) -> Option<Self> {
        let freshness = view.freshness?;
        let has_own = |name: &Name| view.features.get(name).is_some_and(|own| own.freshness.is_some());
        let features = taken.iter().enumerate().filter(|(_, name)| !has_own(name));
        Some(Self {
            freshness,
            features: features.map(|(position, _)| position).collect(),
            feature: None,
            breaches: Breaches::new(view, None, freshness.beyond),
        })
    }

    fn of_features(view: &View, taken: &[Name]) -> Vec<Self> {
        let own = taken.iter().enumerate().filter_map(|(position, name)| {
            let freshness = view.features.get(name)?.freshness?;
            Some(Self {
                freshness,
                features: vec![position],
                feature: Some(name.clone()),
                breaches: Breaches::new(view, Some(name), freshness.beyond),
            })
        });
        own.collect()
    }

    /// What it is for, in messages.
    pub(crate) fn thing(&self, view: &Name) -> String {
        match &self.feature {
            Some(feature) => format!("feature {view}:{feature}"),
            None => format!("view {view}"),
        }
    }
}

/// The features of a view with their types, in their order.
pub(crate) fn feature_types(view: &View) -> Vec<(&Name, DataType)> {
    match &view.body {
        ViewBody::Aggregates(features) => {
            features.iter().map(|feature| (&feature.name, feature.output_type())).collect()
        }
        ViewBody::Latest { columns, .. } => {
            let data_type = |column: &Name| view.column_type(column.as_str()).unwrap_or(DataType::Text);
            columns.iter().map(|column| (column, data_type(column))).collect()
        }
    }
}

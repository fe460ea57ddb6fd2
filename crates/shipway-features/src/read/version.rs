//! Which version of a service answers: the one that was asked for; else the newest one whose views all have their state. So a new
//! version answers from the moment at which its last view is built, and until then the one before it does.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, atomic::Ordering},
};

use shipway_core::{Digest, Name, nearest};
use shipway_definitions::{DefinitionSet, Service, Versioned, View};

use crate::{
    Features,
    error::{FeaturesError, invalid},
    features::Inner,
    read::{
        plan::{PlannedView, ReadPlan, feature_types},
        sources::SourceStates,
    },
    store::versions::Kind,
};

/// What messages call features that are asked for by themselves.
const FEATURES: &str = "features_by_themselves";

/// So many choices of features are kept resolved.
const MOST_FEATURE_PLANS: usize = 256;

/// Plans that were made, while they hold.
#[derive(Default)]
pub(crate) struct Plans {
    by_hash: RwLock<HashMap<Digest, Arc<ReadPlan>>>,
    /// Plans for features that are asked for by themselves.
    of_features: Mutex<HashMap<Box<[String]>, Arc<ReadPlan>>>,
}

/// What versions there are, and which of them have their states: those of a server, or those of a copy.
pub(crate) trait Resolving {
    fn definitions(&self) -> Arc<DefinitionSet>;
    /// The versions of one definition, the newest first.
    fn versions(&self, kind: Kind, name: &Name) -> Arc<[Digest]>;
    /// Whether reads get the state of a view of `source`.
    fn has_state(&self, source: &str, view: &Digest) -> bool;
    fn plans(&self) -> &Plans;
}

impl Features {
    /// The version of a service that answers a read by name now; while none has all its state, the one in force.
    pub fn serving_version(&self, service: &str) -> Result<Digest, FeaturesError> {
        Ok(self.inner.plan(service, None)?.hash)
    }
}

impl Plans {
    /// Forgets them: they carry what may change under one hash, such as freshness.
    pub(crate) fn forget(&self) {
        self.by_hash.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.of_features.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The plan of one version of a service.
    fn of(
        &self,
        versioned: &Versioned<Service>,
        definitions: &DefinitionSet,
    ) -> Result<Arc<ReadPlan>, FeaturesError> {
        let known = self.by_hash.read().unwrap_or_else(PoisonError::into_inner).get(&versioned.hash).cloned();
        if let Some(plan) = known {
            return Ok(plan);
        }
        let mut plans = self.by_hash.write().unwrap_or_else(PoisonError::into_inner);
        let plan = Arc::new(ReadPlan::new(versioned, definitions)?);
        plans.insert(versioned.hash, Arc::clone(&plan));
        Ok(plan)
    }
}

/// The plan of one version of a service, or of the one that answers for its name.
pub(crate) fn plan(
    among: &impl Resolving,
    service: &str,
    hash: Option<Digest>,
) -> Result<Arc<ReadPlan>, FeaturesError> {
    let definitions = among.definitions();
    let versioned = match hash {
        Some(hash) => {
            definitions.services_by_hash.get(&hash).filter(|held| held.definition.name.as_str() == service)
        }
        None => definitions.services.get(service),
    };
    let versioned = versioned.ok_or_else(|| FeaturesError::UnknownService {
        name: hash.map_or_else(|| service.to_owned(), |hash| format!("{service} at version {hash}")),
        nearest: nearest(service, definitions.services.keys().map(Name::as_str))
            .filter(|near| *near != service)
            .map(str::to_owned),
    })?;
    let plan = among.plans().of(versioned, &definitions)?;
    if hash.is_some() || is_ready(among, &plan) {
        return Ok(plan);
    }
    let older = among.versions(Kind::Service, &versioned.definition.name);
    let older = older.iter().filter_map(|older| definitions.services_by_hash.get(older));
    for older in older.filter(|older| older.hash != versioned.hash) {
        // A version of which something is gone cannot answer.
        if let Ok(older) = among.plans().of(older, &definitions)
            && is_ready(among, &older)
        {
            return Ok(older);
        }
    }
    Ok(plan)
}

/// The plan for features that are asked for by themselves, each `view:feature`, of the newest versions of their views that
/// have their state.
pub(crate) fn plan_of_features(
    among: &impl Resolving,
    features: &[String],
) -> Result<Arc<ReadPlan>, FeaturesError> {
    let mut plans = among.plans().of_features.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = plans.get(features) {
        return Ok(Arc::clone(plan));
    }
    let parse = |text: &String| {
        let wrong = || invalid(format!("feature {text}: expected view:feature"));
        let (view, feature) = text.split_once(':').ok_or_else(wrong)?;
        Ok((view.parse::<Name>().map_err(|_| wrong())?, feature.parse::<Name>().map_err(|_| wrong())?))
    };
    let wanted = features.iter().map(parse).collect::<Result<Vec<_>, FeaturesError>>()?;
    let name = Name::new(FEATURES).map_err(|error| invalid(error.to_string()))?;
    let definitions = among.definitions();
    let version =
        |view: &Arc<Versioned<View>>, features: &[Name]| ready_view(among, &definitions, view, features);
    let plan = Arc::new(ReadPlan::of_features(name, &wanted, &definitions, version)?);
    // One that has to do with an older version is for now only.
    if is_ready(among, &plan) && plan.views.iter().all(|view| is_in_force(&definitions, view)) {
        if plans.len() >= MOST_FEATURE_PLANS {
            plans.clear();
        }
        plans.insert(features.into(), Arc::clone(&plan));
    }
    Ok(plan)
}

/// `view`, or while it has no state the newest version of it that has one, and has the features.
fn ready_view(
    among: &impl Resolving,
    definitions: &DefinitionSet,
    view: &Arc<Versioned<View>>,
    features: &[Name],
) -> Arc<Versioned<View>> {
    let is_ready = |view: &Versioned<View>| among.has_state(view.definition.source.as_str(), &view.hash);
    if is_ready(view) {
        return Arc::clone(view);
    }
    let has_all = |view: &Versioned<View>| {
        let own = feature_types(&view.definition);
        features.iter().all(|wanted| own.iter().any(|(name, _)| *name == wanted))
    };
    let older = among.versions(Kind::View, &view.definition.name);
    let mut older = older.iter().filter_map(|older| definitions.views_by_hash.get(older));
    let older = older.find(|older| is_ready(older) && has_all(older));
    Arc::clone(older.unwrap_or(view))
}

/// Whether every view of the plan has its state. Once it has, it stays so for as long as the plan is used.
fn is_ready(among: &impl Resolving, plan: &ReadPlan) -> bool {
    if plan.is_ready.load(Ordering::Relaxed) {
        return true;
    }
    let has_state = |view: &PlannedView| among.has_state(plan.sources[view.source].as_str(), &view.hash);
    let is_ready = plan.views.iter().all(has_state);
    plan.is_ready.store(is_ready, Ordering::Relaxed);
    is_ready
}

impl Resolving for Inner {
    fn definitions(&self) -> Arc<DefinitionSet> {
        Self::definitions(self)
    }

    fn versions(&self, kind: Kind, name: &Name) -> Arc<[Digest]> {
        Self::versions(self, kind, name)
    }

    fn has_state(&self, source: &str, view: &Digest) -> bool {
        self.source(source).is_ok_and(|source| source.is_ready(view))
    }

    fn plans(&self) -> &Plans {
        &self.plans
    }
}

impl Inner {
    /// The plan of one version of a service, or of the one that answers for its name.
    pub(crate) fn plan(&self, service: &str, hash: Option<Digest>) -> Result<Arc<ReadPlan>, FeaturesError> {
        plan(self, service, hash)
    }

    /// `view`, or while it has no state the newest version of it that has one, and has the features.
    pub(crate) fn ready_view(
        &self,
        definitions: &DefinitionSet,
        view: &Arc<Versioned<View>>,
        features: &[Name],
    ) -> Arc<Versioned<View>> {
        ready_view(self, definitions, view, features)
    }

    /// The published state of every source of the plan, each with all views that the plan needs.
    pub(super) fn states(&self, plan: &ReadPlan) -> Result<Vec<SourceStates>, FeaturesError> {
        let mut states = Vec::with_capacity(plan.sources.len());
        for (position, source) in plan.sources.iter().enumerate() {
            let runtime = self.source(source.as_str())?;
            let published = runtime.published();
            let building = |view: &PlannedView| {
                let (name, build) = (view.name.to_string(), runtime.build(&view.hash));
                if build.is_none() && published.is_some() && !is_in_force(&Self::definitions(self), view) {
                    return FeaturesError::Retired { view: name, hash: view.hash.short() };
                }
                let progress = build.and_then(|build| Some((build.done, build.buckets?)));
                FeaturesError::Building { view: name, progress }
            };
            let mut views = plan.views.iter().filter(|view| view.source == position);
            match &published {
                Some(published) => {
                    if let Some(view) = views.find(|view| !published.views.contains_key(&view.hash)) {
                        return Err(building(view));
                    }
                    states.push(SourceStates::Own(Arc::clone(published)));
                }
                None => {
                    let what = || FeaturesError::Stopped { what: "the materialiser" };
                    return Err(views.next().map_or_else(what, building));
                }
            }
        }
        Ok(states)
    }
}

pub(crate) fn is_in_force(definitions: &DefinitionSet, view: &PlannedView) -> bool {
    definitions.views.get(&view.name).is_some_and(|held| held.hash == view.hash)
}

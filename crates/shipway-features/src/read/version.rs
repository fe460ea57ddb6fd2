//! Which version of a service answers: the one that was asked for; else the newest one whose views all have their state. So a new
//! version answers from the moment at which its last view is built, and until then the one before it does.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use shipway_core::{Digest, Name, nearest};
use shipway_definitions::{DefinitionSet, Versioned, View};

use crate::{
    Features,
    error::{FeaturesError, invalid},
    features::Inner,
    materialise::Published,
    read::plan::{PlannedView, ReadPlan, feature_types},
    store::versions::Kind,
};

/// What messages call features that are asked for by themselves.
const FEATURES: &str = "features_by_themselves";

/// So many choices of features are kept resolved.
const MOST_FEATURE_PLANS: usize = 256;

impl Features {
    /// The version of a service that answers a read by name now; while none has all its state, the one in force.
    pub fn serving_version(&self, service: &str) -> Result<Digest, FeaturesError> {
        Ok(self.inner.plan(service, None)?.hash)
    }
}

impl Inner {
    /// The plan of one version of a service, or of the one that answers for its name.
    pub(crate) fn plan(&self, service: &str, hash: Option<Digest>) -> Result<Arc<ReadPlan>, FeaturesError> {
        let definitions = self.definitions();
        let versioned = match hash {
            Some(hash) => definitions
                .services_by_hash
                .get(&hash)
                .filter(|held| held.definition.name.as_str() == service),
            None => definitions.services.get(service),
        };
        let versioned = versioned.ok_or_else(|| FeaturesError::UnknownService {
            name: hash.map_or_else(|| service.to_owned(), |hash| format!("{service} at version {hash}")),
            nearest: nearest(service, definitions.services.keys().map(Name::as_str))
                .filter(|near| *near != service)
                .map(str::to_owned),
        })?;
        let plan = self.plan_of(versioned, &definitions)?;
        if hash.is_some() || self.is_ready(&plan) {
            return Ok(plan);
        }
        let older = self.versions(Kind::Service, &versioned.definition.name);
        let older = older.iter().filter_map(|older| definitions.services_by_hash.get(older));
        for older in older.filter(|older| older.hash != versioned.hash) {
            // A version of which something is gone cannot answer.
            if let Ok(older) = self.plan_of(older, &definitions)
                && self.is_ready(&older)
            {
                return Ok(older);
            }
        }
        Ok(plan)
    }

    /// The plan for features that are asked for by themselves, each `view:feature`, of the newest versions of their views that
    /// have their state.
    pub(crate) fn plan_of_features(&self, features: &[String]) -> Result<Arc<ReadPlan>, FeaturesError> {
        let mut plans = self.feature_plans.lock().unwrap_or_else(PoisonError::into_inner);
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
        let definitions = self.definitions();
        let version =
            |view: &Arc<Versioned<View>>, features: &[Name]| self.ready_view(&definitions, view, features);
        let plan = Arc::new(ReadPlan::of_features(name, &wanted, &definitions, version)?);
        // One that has to do with an older version is for now only.
        if self.is_ready(&plan) && plan.views.iter().all(|view| is_in_force(&definitions, view)) {
            if plans.len() >= MOST_FEATURE_PLANS {
                plans.clear();
            }
            plans.insert(features.into(), Arc::clone(&plan));
        }
        Ok(plan)
    }

    /// `view`, or while it has no state the newest version of it that has one, and has the features.
    pub(crate) fn ready_view(
        &self,
        definitions: &DefinitionSet,
        view: &Arc<Versioned<View>>,
        features: &[Name],
    ) -> Arc<Versioned<View>> {
        let is_ready = |view: &Versioned<View>| {
            let source = self.source(view.definition.source.as_str());
            source.is_ok_and(|source| source.is_ready(&view.hash))
        };
        if is_ready(view) {
            return Arc::clone(view);
        }
        let has_all = |view: &Versioned<View>| {
            let own = feature_types(&view.definition);
            features.iter().all(|wanted| own.iter().any(|(name, _)| *name == wanted))
        };
        let older = self.versions(Kind::View, &view.definition.name);
        let mut older = older.iter().filter_map(|older| definitions.views_by_hash.get(older));
        let older = older.find(|older| is_ready(older) && has_all(older));
        Arc::clone(older.unwrap_or(view))
    }

    /// Whether every view of the plan has its state. Once it has, it stays so for as long as the plan is used.
    fn is_ready(&self, plan: &ReadPlan) -> bool {
        if plan.is_ready.load(Ordering::Relaxed) {
            return true;
        }
        let sources = plan.sources.iter().map(|source| self.source(source.as_str()));
        let Ok(sources) = sources.collect::<Result<Vec<_>, _>>() else { return false };
        let is_ready = plan.views.iter().all(|view| sources[view.source].is_ready(&view.hash));
        plan.is_ready.store(is_ready, Ordering::Relaxed);
        is_ready
    }

    /// The published state of every source of the plan, each with all views that the plan needs.
    pub(super) fn states(&self, plan: &ReadPlan) -> Result<Vec<Arc<Published>>, FeaturesError> {
        let mut states = Vec::with_capacity(plan.sources.len());
        for (position, source) in plan.sources.iter().enumerate() {
            let runtime = self.source(source.as_str())?;
            let published = runtime.published();
            let building = |view: &PlannedView| {
                let (name, build) = (view.name.to_string(), runtime.build(&view.hash));
                if build.is_none() && published.is_some() && !is_in_force(&self.definitions(), view) {
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
                    states.push(Arc::clone(published));
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

fn is_in_force(definitions: &DefinitionSet, view: &PlannedView) -> bool {
    definitions.views.get(&view.name).is_some_and(|held| held.hash == view.hash)
}

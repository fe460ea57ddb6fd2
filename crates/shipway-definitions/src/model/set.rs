//! All definitions that are in force, and the older versions that something still uses.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shipway_core::{Digest, Name, nearest};

use crate::{
    DefinitionErrors, DefinitionFile, Entity, FeatureMetadata, Gate, LlmGuardrail, LlmModel, RestoreError,
    Service, Sink, Source, UnknownDefinition, View, ViewReference, canonical,
};

/// A definition with the hash of everything in it that changes a value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Versioned<T> {
    /// The definition.
    pub definition: T,
    /// Its version. Two definitions with one hash give the same values.
    pub hash: Digest,
}

/// The eight kinds of definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefinitionKind {
    /// What a feature is about.
    Entity,
    /// Where events come from.
    Source,
    /// Features of one entity from one source.
    View,
    /// The features that a model takes.
    Service,
    /// What stands before an alias.
    Gate,
    /// Where rows are sent on to.
    Sink,
    /// A model of language at providers.
    #[serde(rename = "llm_model")]
    LlmModel,
    /// What calls of models of language must not hold.
    #[serde(rename = "llm_guardrail")]
    LlmGuardrail,
}

impl DefinitionKind {
    /// Every kind, in the order in which they build on each other.
    pub const ALL: [Self; 8] = [
        Self::Entity,
        Self::Source,
        Self::View,
        Self::Service,
        Self::Gate,
        Self::Sink,
        Self::LlmGuardrail,
        Self::LlmModel,
    ];

    /// The word for it in definitions, paths and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Entity => "entity",
            Self::Source => "source",
            Self::View => "view",
            Self::Service => "service",
            Self::Gate => "gate",
            Self::Sink => "sink",
            Self::LlmModel => "llm_model",
            Self::LlmGuardrail => "llm_guardrail",
        }
    }
}

impl fmt::Display for DefinitionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for DefinitionKind {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let words = Self::ALL.map(Self::word);
        Self::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(|| {
            let known = words.join(", ");
            match nearest(word, words) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("the kinds are {known}"),
            }
        })
    }
}

/// The definitions in force, by name, and every version of views and services that is still known, by hash.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DefinitionSet {
    /// Entities in force.
    pub entities: BTreeMap<Name, Arc<Versioned<Entity>>>,
    /// Sources in force.
    pub sources: BTreeMap<Name, Arc<Versioned<Source>>>,
    /// Views in force.
    pub views: BTreeMap<Name, Arc<Versioned<View>>>,
    /// Services in force.
    pub services: BTreeMap<Name, Arc<Versioned<Service>>>,
    /// Gates in force.
    pub gates: BTreeMap<Name, Arc<Versioned<Gate>>>,
    /// Sinks in force.
    pub sinks: BTreeMap<Name, Arc<Versioned<Sink>>>,
    /// Models of language in force.
    pub llm_models: BTreeMap<Name, Arc<Versioned<LlmModel>>>,
    /// Guardrails in force.
    pub llm_guardrails: BTreeMap<Name, Arc<Versioned<LlmGuardrail>>>,
    /// Every known version of every view, in force or not.
    pub views_by_hash: BTreeMap<Digest, Arc<Versioned<View>>>,
    /// Every known version of every service, in force or not.
    pub services_by_hash: BTreeMap<Digest, Arc<Versioned<Service>>>,
}

impl DefinitionSet {
    /// Reads `files`, which must define everything that they refer to.
    pub fn parse(files: &[DefinitionFile]) -> Result<Self, DefinitionErrors> {
        Self::parse_onto(files, &Self::default())
    }

    /// Reads `files`; what they refer to and do not define is looked up in `base`. The set holds what the files define,
    /// nothing of `base`. Costs time and memory in proportion to the files.
    pub fn parse_onto(files: &[DefinitionFile], base: &Self) -> Result<Self, DefinitionErrors> {
        let (drafts, mut report) = crate::parse::parse(files);
        let set = crate::resolve::resolve(drafts, base, &mut report);
        match DefinitionErrors::of(report.into_errors()) {
            Some(errors) => Err(errors),
            None => Ok(set),
        }
    }

    /// What is known about a feature of a view at one version. Metadata belong to no version: what is in force under the
    /// view's name holds as long as that still has the feature; otherwise what the version had last.
    pub fn metadata(&self, view: &Name, version: &Digest, feature: &Name) -> Option<FeatureMetadata> {
        let has =
            |view: &&Arc<Versioned<View>>| view.definition.outputs().iter().any(|(name, _)| name == feature);
        let found =
            self.views.get(view).filter(has).or_else(|| self.views_by_hash.get(version).filter(has))?;
        Some(found.definition.metadata(feature))
    }

    /// The view in force under `name`.
    pub fn view(&self, name: &str) -> Result<&Arc<Versioned<View>>, UnknownDefinition> {
        find(&self.views, DefinitionKind::View, name)
    }

    /// The service in force under `name`.
    pub fn service(&self, name: &str) -> Result<&Arc<Versioned<Service>>, UnknownDefinition> {
        find(&self.services, DefinitionKind::Service, name)
    }

    /// The source in force under `name`.
    pub fn source(&self, name: &str) -> Result<&Arc<Versioned<Source>>, UnknownDefinition> {
        find(&self.sources, DefinitionKind::Source, name)
    }

    /// The entity in force under `name`.
    pub fn entity(&self, name: &str) -> Result<&Arc<Versioned<Entity>>, UnknownDefinition> {
        find(&self.entities, DefinitionKind::Entity, name)
    }

    /// The gate in force under `name`.
    pub fn gate(&self, name: &str) -> Result<&Arc<Versioned<Gate>>, UnknownDefinition> {
        find(&self.gates, DefinitionKind::Gate, name)
    }

    /// The sink in force under `name`.
    pub fn sink(&self, name: &str) -> Result<&Arc<Versioned<Sink>>, UnknownDefinition> {
        find(&self.sinks, DefinitionKind::Sink, name)
    }

    /// How many views `view` stands on, one on the other: 0 when its events carry nothing of other views.
    pub fn depth(&self, view: &View) -> usize {
        let inner = view.enrich.iter().filter_map(|reference| self.views_by_hash.get(&reference.hash));
        inner.map(|inner| 1 + self.depth(&inner.definition)).max().unwrap_or(0)
    }

    /// The names in force of one kind.
    pub fn names(&self, kind: DefinitionKind) -> Vec<&Name> {
        match kind {
            DefinitionKind::Entity => self.entities.keys().collect(),
            DefinitionKind::Source => self.sources.keys().collect(),
            DefinitionKind::View => self.views.keys().collect(),
            DefinitionKind::Service => self.services.keys().collect(),
            DefinitionKind::Gate => self.gates.keys().collect(),
            DefinitionKind::Sink => self.sinks.keys().collect(),
            DefinitionKind::LlmModel => self.llm_models.keys().collect(),
            DefinitionKind::LlmGuardrail => self.llm_guardrails.keys().collect(),
        }
    }

    /// Whether nothing is in force.
    pub fn is_empty(&self) -> bool {
        DefinitionKind::ALL.into_iter().all(|kind| self.names(kind).is_empty())
    }

    /// This set with `proposed` put over it. What `proposed` does not name stays in force, or with `prune` goes out of it;
    /// every version of views and services stays known by its hash.
    #[must_use]
    pub fn overlaid(&self, proposed: &Self, prune: bool) -> Self {
        let mut result = if prune {
            Self {
                views_by_hash: self.views_by_hash.clone(),
                services_by_hash: self.services_by_hash.clone(),
                ..Self::default()
            }
        } else {
            self.clone()
        };
        let put = |set: &mut Self| {
            set.entities.extend(proposed.entities.clone());
            set.sources.extend(proposed.sources.clone());
            set.views.extend(proposed.views.clone());
            set.services.extend(proposed.services.clone());
            set.gates.extend(proposed.gates.clone());
            set.sinks.extend(proposed.sinks.clone());
            set.llm_models.extend(proposed.llm_models.clone());
            set.llm_guardrails.extend(proposed.llm_guardrails.clone());
            set.views_by_hash.extend(proposed.views_by_hash.clone());
            set.services_by_hash.extend(proposed.services_by_hash.clone());
        };
        put(&mut result);
        result
    }

    /// The same without one definition in force. Its versions stay known by their hashes.
    pub fn without(&self, kind: DefinitionKind, name: &Name) -> Self {
        let mut result = self.clone();
        match kind {
            DefinitionKind::Entity => drop(result.entities.remove(name)),
            DefinitionKind::Source => drop(result.sources.remove(name)),
            DefinitionKind::View => drop(result.views.remove(name)),
            DefinitionKind::Service => drop(result.services.remove(name)),
            DefinitionKind::Gate => drop(result.gates.remove(name)),
            DefinitionKind::Sink => drop(result.sinks.remove(name)),
            DefinitionKind::LlmModel => drop(result.llm_models.remove(name)),
            DefinitionKind::LlmGuardrail => drop(result.llm_guardrails.remove(name)),
        }
        result
    }

    /// The stored form and the hash of one definition in force.
    pub fn stored(&self, kind: DefinitionKind, name: &str) -> Option<(serde_json::Value, Digest)> {
        match kind {
            DefinitionKind::Entity => stored(self.entities.get(name)?),
            DefinitionKind::Source => stored(self.sources.get(name)?),
            DefinitionKind::View => stored(self.views.get(name)?),
            DefinitionKind::Service => stored(self.services.get(name)?),
            DefinitionKind::Gate => stored(self.gates.get(name)?),
            DefinitionKind::Sink => stored(self.sinks.get(name)?),
            DefinitionKind::LlmModel => stored(self.llm_models.get(name)?),
            DefinitionKind::LlmGuardrail => stored(self.llm_guardrails.get(name)?),
        }
    }

    /// Takes back a definition from its stored form. `in_force`: under its name; a view or service is known by its hash in
    /// any case, and of two stored forms with one hash the later call wins.
    pub fn restore(
        &mut self,
        kind: DefinitionKind,
        stored: &str,
        hash: Digest,
        in_force: bool,
    ) -> Result<(), RestoreError> {
        match kind {
            DefinitionKind::Entity => {
                put(&mut self.entities, restored(kind, stored, hash, Versioned::entity)?, in_force, |e| {
                    &e.name
                });
            }
            DefinitionKind::Source => {
                put(&mut self.sources, restored(kind, stored, hash, Versioned::source)?, in_force, |s| {
                    &s.name
                });
            }
            DefinitionKind::View => {
                let view = restored(kind, stored, hash, Versioned::view)?;
                self.views_by_hash.insert(hash, view.clone());
                put(&mut self.views, view, in_force, |view| &view.name);
            }
            DefinitionKind::Service => {
                let service = restored(kind, stored, hash, Versioned::service)?;
                self.services_by_hash.insert(hash, service.clone());
                put(&mut self.services, service, in_force, |service| &service.name);
            }
            DefinitionKind::Gate => {
                put(&mut self.gates, restored(kind, stored, hash, Versioned::gate)?, in_force, |gate| {
                    &gate.name
                });
            }
            DefinitionKind::Sink => {
                put(&mut self.sinks, restored(kind, stored, hash, Versioned::sink)?, in_force, |sink| {
                    &sink.name
                });
            }
            DefinitionKind::LlmModel => {
                let model = restored(kind, stored, hash, Versioned::llm_model)?;
                put(&mut self.llm_models, model, in_force, |model| &model.name);
            }
            DefinitionKind::LlmGuardrail => {
                let guardrail = restored(kind, stored, hash, Versioned::llm_guardrail)?;
                put(&mut self.llm_guardrails, guardrail, in_force, |guardrail| &guardrail.name);
            }
        }
        Ok(())
    }
}

fn find<'a, T>(
    map: &'a BTreeMap<Name, Arc<Versioned<T>>>,
    kind: DefinitionKind,
    name: &str,
) -> Result<&'a Arc<Versioned<T>>, UnknownDefinition> {
    map.get(name).ok_or_else(|| UnknownDefinition {
        kind,
        name: name.to_owned(),
        nearest: nearest(name, map.keys().map(Name::as_str)).and_then(|nearest| Name::new(nearest).ok()),
    })
}

fn stored<T: Serialize>(versioned: &Versioned<T>) -> Option<(serde_json::Value, Digest)> {
    Some((serde_json::to_value(&versioned.definition).ok()?, versioned.hash))
}

fn restored<T: DeserializeOwned>(
    kind: DefinitionKind,
    stored: &str,
    hash: Digest,
    version: impl FnOnce(T) -> Versioned<T>,
) -> Result<Arc<Versioned<T>>, RestoreError> {
    let name = || {
        serde_json::from_str::<serde_json::Value>(stored)
            .ok()
            .and_then(|json| Some(json.get("name")?.as_str()?.to_owned()))
            .unwrap_or_else(|| "without a name".to_owned())
    };
    let definition: T = serde_json::from_str(stored).map_err(|source| RestoreError::Unreadable {
        kind,
        name: name(),
        source,
    })?;
    let versioned = version(definition);
    if versioned.hash != hash {
        return Err(RestoreError::Altered { kind, name: name(), expected: hash, actual: versioned.hash });
    }
    Ok(Arc::new(versioned))
}

fn put<T>(
    map: &mut BTreeMap<Name, Arc<Versioned<T>>>,
    versioned: Arc<Versioned<T>>,
    in_force: bool,
    name: impl Fn(&T) -> &Name,
) {
    if in_force {
        map.insert(name(&versioned.definition).clone(), versioned);
    }
}

impl Versioned<Entity> {
    pub(crate) fn entity(definition: Entity) -> Self {
        Self { hash: canonical::entity(&definition), definition }
    }
}

impl Versioned<Source> {
    pub(crate) fn source(definition: Source) -> Self {
        Self { hash: canonical::source(&definition), definition }
    }
}

impl Versioned<View> {
    pub(crate) fn view(definition: View) -> Self {
        Self { hash: canonical::view(&definition), definition }
    }
}

impl Versioned<View> {
    /// This version of the view, and some of its features.
    pub fn reference(&self, features: Vec<Name>) -> ViewReference {
        ViewReference { view: self.definition.name.clone(), hash: self.hash, features }
    }
}

impl Versioned<Service> {
    pub(crate) fn service(definition: Service) -> Self {
        Self { hash: canonical::service(&definition), definition }
    }
}

impl Versioned<Gate> {
    pub(crate) fn gate(definition: Gate) -> Self {
        Self { hash: canonical::gate(&definition), definition }
    }
}

impl Versioned<Sink> {
    pub(crate) fn sink(definition: Sink) -> Self {
        Self { hash: canonical::sink(&definition), definition }
    }
}

impl Versioned<LlmModel> {
    pub(crate) fn llm_model(definition: LlmModel) -> Self {
        Self { hash: canonical::llm_model(&definition), definition }
    }
}

impl Versioned<LlmGuardrail> {
    pub(crate) fn llm_guardrail(definition: LlmGuardrail) -> Self {
        Self { hash: canonical::llm_guardrail(&definition), definition }
    }
}

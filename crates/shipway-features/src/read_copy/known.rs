//! The metadata of a copy, loaded: what its owner knows of definitions and states, as far as reads need it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use shipway_core::{Digest, Name};
use shipway_definitions::{DefinitionKind, DefinitionSet};
use uuid::Uuid;

use crate::{
    error::FeaturesError,
    materialise::{ActiveView, Published},
    model::schema::SourceSchema,
    read::{
        ReadPlan,
        plan::PlannedView,
        sources::{CopiedStates, SourceStates},
        version::{Plans, Resolving, is_in_force},
    },
    read_copy::{
        changes::StateId,
        head::FORMAT,
        metadata::{Metadata, StoredSource},
    },
    store::versions::Kind,
};

/// What is known under one version of the metadata.
pub(crate) struct Known {
    pub(super) version: Uuid,
    definitions: Arc<DefinitionSet>,
    versions: HashMap<(Kind, Name), Arc<[Digest]>>,
    plans: Plans,
    /// In the order of the moments of a head.
    pub(super) sources: Vec<KnownSource>,
}

/// A source whose states are in the copy.
pub(super) struct KnownSource {
    pub(super) name: Name,
    views: Arc<BTreeMap<Digest, ActiveView>>,
    /// Where the rows of each state are.
    pub(super) numbers: HashMap<StateId, u64>,
    /// The last moment that was read, and its number.
    last: Mutex<(u64, u64)>,
}

fn foreign(what: impl ToString) -> FeaturesError {
    FeaturesError::CopyForeign { what: what.to_string() }
}

impl Known {
    /// Reads the document with this version, of a copy with so many buckets.
    pub(super) fn read(version: Uuid, document: &Bytes, buckets: u32) -> Result<Self, FeaturesError> {
        let metadata: Metadata = serde_json::from_slice(document).map_err(foreign)?;
        if metadata.format != FORMAT {
            return Err(foreign(format!("its format is {}", metadata.format)));
        }
        if metadata.buckets != buckets {
            let of = |buckets| if buckets > 1 { "of a cluster" } else { "of a server alone" };
            return Err(foreign(format!("it is {}, not {}", of(metadata.buckets), of(buckets))));
        }
        let mut definitions = DefinitionSet::default();
        for stored in &metadata.definitions {
            definitions
                .restore(stored.kind, stored.stored.get(), stored.hash, stored.in_force)
                .map_err(foreign)?;
        }
        let mut versions = HashMap::new();
        for stored in metadata.versions {
            let kind = match stored.kind {
                DefinitionKind::View => Kind::View,
                DefinitionKind::Service => Kind::Service,
                _ => continue,
            };
            versions.insert((kind, stored.name), stored.hashes.into());
        }
        let sources = metadata.sources.into_iter().map(|stored| KnownSource::read(stored, &definitions));
        Ok(Self {
            version,
            sources: sources.collect::<Result<_, _>>()?,
            definitions: Arc::new(definitions),
            versions,
            plans: Plans::default(),
        })
    }

    fn source(&self, name: &str) -> Option<(usize, &KnownSource)> {
        self.sources.iter().enumerate().find(|(_, source)| source.name.as_str() == name)
    }

    /// The position, among the sources of the copy, of each source of the plan. All views of the plan have their state there.
    pub(super) fn positions(&self, plan: &ReadPlan) -> Result<Vec<usize>, FeaturesError> {
        let missing = |view: &PlannedView| {
            let name = view.name.to_string();
            if is_in_force(&self.definitions, view) {
                FeaturesError::Building { view: name, progress: None }
            } else {
                FeaturesError::Retired { view: name, hash: view.hash.short() }
            }
        };
        let has_state = |view: &&PlannedView| {
            let source = self.source(plan.sources[view.source].as_str());
            source.is_some_and(|(_, source)| source.views.contains_key(&view.hash))
        };
        if let Some(view) = plan.views.iter().find(|view| !has_state(view)) {
            return Err(missing(view));
        }
        let position = |name: &Name| self.source(name.as_str()).map(|(position, _)| position);
        Ok(plan.sources.iter().filter_map(position).collect())
    }

    /// The states of the source at `position` without rows: enough to tell which keys a read needs.
    pub(super) fn empty(&self, position: usize) -> SourceStates {
        self.states(position, 0, Arc::default())
    }

    /// The states of the source at `position`, with those rows that a read needs, at the moment `applied`.
    pub(super) fn states(
        &self,
        position: usize,
        applied: u64,
        rows: Arc<HashMap<Bytes, Bytes>>,
    ) -> SourceStates {
        let source = &self.sources[position];
        let number = source.number_at(applied);
        SourceStates::Copied(CopiedStates { number, applied, views: Arc::clone(&source.views), rows })
    }
}

impl KnownSource {
    fn read(stored: StoredSource, definitions: &DefinitionSet) -> Result<Self, FeaturesError> {
        let StoredSource { source: name, states } = stored;
        let source = definitions.sources.get(&name);
        let source = source.ok_or_else(|| foreign(format!("source {name} is not among its definitions")))?;
        let schema = SourceSchema::new(&source.definition)?;
        let (mut views, mut numbers) = (BTreeMap::new(), HashMap::new());
        for (hash, live) in states {
            let view = definitions.views_by_hash.get(&hash);
            let view = view.ok_or_else(|| foreign(format!("view {hash} is not among its definitions")))?;
            let definition = Arc::new(view.definition.clone());
            let active = ActiveView::new(definition, hash, &schema, live.built_from, live.generation)?;
            numbers.insert(StateId::of(&active), live.number);
            views.insert(hash, active);
        }
        let last = Mutex::new((0, Published::next_number()));
        Ok(Self { name, views: Arc::new(views), numbers, last })
    }

    /// Under this version of the metadata, one offset is one moment: its states are the same whoever reads them.
    fn number_at(&self, applied: u64) -> u64 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != applied {
            *last = (applied, Published::next_number());
        }
        last.1
    }
}

impl Resolving for Known {
    fn definitions(&self) -> Arc<DefinitionSet> {
        Arc::clone(&self.definitions)
    }

    fn versions(&self, kind: Kind, name: &Name) -> Arc<[Digest]> {
        self.versions.get(&(kind, name.clone())).cloned().unwrap_or_default()
    }

    fn has_state(&self, source: &str, view: &Digest) -> bool {
        self.source(source).is_some_and(|(_, source)| source.views.contains_key(view))
    }

    fn plans(&self) -> &Plans {
        &self.plans
    }
}

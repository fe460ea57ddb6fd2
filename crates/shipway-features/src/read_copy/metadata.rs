//! What readers need beside the rows: the definitions in force, the older versions that still have their states, and where the
//! rows of each state are. One document of the copy, under the version that the heads name.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use shipway_core::{Digest, Name};
use shipway_definitions::{DefinitionKind, DefinitionSet, Service, Versioned, View};
use uuid::Uuid;

use crate::{
    read_copy::{
        head::FORMAT,
        ledger::{Ledger, LiveState},
    },
    store::versions::Kind,
};

/// The document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Metadata {
    pub(super) format: u8,
    pub(super) buckets: u32,
    /// Of two with one hash the later counts, and of two with one name the one in force.
    pub(super) definitions: Vec<StoredDefinition>,
    pub(super) versions: Vec<StoredVersions>,
    /// In the order of the moments of a head.
    pub(super) sources: Vec<StoredSource>,
}

/// A definition, in the form in which the catalog keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredDefinition {
    pub(super) kind: DefinitionKind,
    pub(super) hash: Digest,
    pub(super) in_force: bool,
    pub(super) stored: Box<RawValue>,
}

/// The versions of a service or a view that are known, the newest first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredVersions {
    pub(super) kind: DefinitionKind,
    pub(super) name: Name,
    pub(super) hashes: Vec<Digest>,
}

/// The states of one source.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSource {
    pub(super) source: Name,
    pub(super) states: BTreeMap<Digest, LiveState>,
}

/// What the document with this version is called.
pub(super) fn document(version: Uuid) -> String {
    format!("metadata:{version}")
}

/// The states of every source that a document has.
pub(super) type States = BTreeMap<Name, BTreeMap<Digest, LiveState>>;

impl Metadata {
    /// What is in force in `definitions`, and what has one of `states`.
    pub(super) fn of(
        definitions: &DefinitionSet,
        states: &States,
        versions: impl Fn(Kind, &Name) -> Arc<[Digest]>,
        buckets: u32,
    ) -> serde_json::Result<Self> {
        let mut collected = Vec::new();
        let has_state = |view: &Digest| states.values().any(|states| states.contains_key(view));
        let is_in_force =
            |view: &Versioned<View>| is_current(&definitions.views, &view.definition.name, &view.hash);
        let views: BTreeMap<&Digest, &Arc<Versioned<View>>> = definitions
            .views_by_hash
            .iter()
            .filter(|(hash, view)| is_in_force(view) || has_state(hash))
            .collect();
        let is_answerable = |service: &Versioned<Service>| {
            service.definition.views.iter().all(|reference| views.contains_key(&reference.hash))
        };
        for entity in definitions.entities.values() {
            put(&mut collected, DefinitionKind::Entity, entity, true)?;
        }
        for source in definitions.sources.values() {
            put(&mut collected, DefinitionKind::Source, source, true)?;
        }
        let older_first = |in_force: &bool| *in_force;
        let mut with_force: Vec<_> = views.values().map(|view| (is_in_force(view), *view)).collect();
        with_force.sort_by_key(|(in_force, _)| older_first(in_force));
        for (in_force, view) in with_force {
            put(&mut collected, DefinitionKind::View, view, in_force)?;
        }
        let mut services: Vec<_> = definitions
            .services_by_hash
            .values()
            .map(|service| {
                (is_current(&definitions.services, &service.definition.name, &service.hash), service)
            })
            .filter(|(in_force, service)| *in_force || is_answerable(service))
            .collect();
        services.sort_by_key(|(in_force, _)| older_first(in_force));
        for (in_force, service) in services {
            put(&mut collected, DefinitionKind::Service, service, in_force)?;
        }
        let known = |kind: Kind, stored: DefinitionKind, name: &Name| StoredVersions {
            kind: stored,
            name: name.clone(),
            hashes: versions(kind, name).to_vec(),
        };
        let of_views = definitions.views.keys().map(|name| known(Kind::View, DefinitionKind::View, name));
        let of_services =
            definitions.services.keys().map(|name| known(Kind::Service, DefinitionKind::Service, name));
        let sources = states
            .iter()
            .map(|(source, states)| StoredSource { source: source.clone(), states: states.clone() });
        Ok(Self {
            format: FORMAT,
            buckets,
            definitions: collected,
            versions: of_views.chain(of_services).collect(),
            sources: sources.collect(),
        })
    }
}

/// The states of every source that readers get, or are about to.
pub(super) fn states_of<'a>(ledgers: impl Iterator<Item = (&'a Name, &'a Ledger)>) -> States {
    ledgers
        .filter(|(_, ledger)| ledger.moment().is_some())
        .map(|(name, ledger)| (name.clone(), ledger.live().clone()))
        .collect()
}

fn is_current<T>(in_force: &BTreeMap<Name, Arc<Versioned<T>>>, name: &Name, hash: &Digest) -> bool {
    in_force.get(name).is_some_and(|held| held.hash == *hash)
}

fn put<T: Serialize>(
    into: &mut Vec<StoredDefinition>,
    kind: DefinitionKind,
    versioned: &Versioned<T>,
    in_force: bool,
) -> serde_json::Result<()> {
    let stored = to_raw_value(&versioned.definition)?;
    into.push(StoredDefinition { kind, hash: versioned.hash, in_force, stored });
    Ok(())
}

//! Brings back what was recorded, at start-up.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
};

use shipway_core::{Clock, Digest, Name};
use shipway_definitions::{DefinitionKind, DefinitionSet};
use shipway_store::Store;
use tokio::sync::{Mutex, RwLock, watch};
use tokio_util::task::TaskTracker;

use crate::{
    CatalogError,
    plan::{Recorded, SourceHistory},
    service::{Applying, Catalog, RecordedRevision, Records, Shared},
    store::{self, Revision},
};

impl Catalog {
    /// Creates the tables where they are missing, and loads every recorded revision; each must still have its hash.
    pub async fn open(store: Store, clock: Arc<dyn Clock>) -> Result<Self, CatalogError> {
        store.migrate("catalog", store::MIGRATIONS).await?;
        let Records { mut recorded, mut revisions } = Records::default();
        for revision in store::load(&store).await? {
            let (kind, name, hash) = identify(&revision)?;
            recorded.set.restore(kind, &revision.content, hash, revision.in_force)?;
            if kind == DefinitionKind::Source {
                recorded.remember_source(&revision.content, &name, hash)?;
            }
            revisions.entry((kind, name)).or_default().push(RecordedRevision {
                revision: revision.revision,
                hash,
                applied_at: revision.applied_at,
                applied_by: revision.applied_by,
                in_force: revision.in_force,
            });
        }
        let (published, _) = watch::channel(Arc::new(recorded.set.clone()));
        let applying = Applying { listeners: Vec::new(), is_installed: true };
        let shared = Shared {
            store,
            clock,
            ports: OnceLock::new(),
            published,
            records: RwLock::new(Records { recorded, revisions }),
            applying: Mutex::new(applying),
            tasks: TaskTracker::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}

/// A text that is another one whenever other definitions are in force than before: for servers beside the one that applies them. It costs one
/// query over what is in force.
pub async fn definitions_mark(store: &Store) -> Result<String, CatalogError> {
    Ok(store::in_force(store).await?)
}

fn identify(revision: &Revision) -> Result<(DefinitionKind, Name, Digest), CatalogError> {
    let unknown = || CatalogError::UnknownForm {
        kind: revision.kind.clone(),
        name: revision.name.clone(),
        revision: revision.revision,
    };
    if !revision.form_is_known {
        return Err(unknown());
    }
    let kind = DefinitionKind::from_str(&revision.kind).map_err(|_| unknown())?;
    let name = Name::new(&revision.name).map_err(|_| unknown())?;
    let hash = Digest::from_str(&revision.hash).map_err(|_| unknown())?;
    Ok((kind, name, hash))
}

impl Recorded {
    /// Sources are not known by their hash, so the earlier revisions of one are read on their own.
    fn remember_source(&mut self, content: &str, name: &Name, hash: Digest) -> Result<(), CatalogError> {
        let mut alone = DefinitionSet::default();
        alone.restore(DefinitionKind::Source, content, hash, true)?;
        if let Some(source) = alone.sources.get(name) {
            self.remember(&source.definition);
        }
        Ok(())
    }

    /// Takes note of one more revision of a source.
    pub(crate) fn remember(&mut self, source: &shipway_definitions::Source) {
        self.sources
            .entry(source.name.clone())
            .and_modify(|history| history.extend(source))
            .or_insert_with(|| SourceHistory::of(source));
    }
}

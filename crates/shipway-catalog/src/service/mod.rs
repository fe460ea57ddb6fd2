//! The use cases of the catalog: fetch, judge, record.
//!
//! - `open`: brings back what was recorded
//! - `apply`: plans and carries out a proposal, or the drop of a definition
//! - `estimate`: what the ports know about a plan
//! - `features`: every feature, found by what is known about it
//! - `read`: what is in force, and what was

mod apply;
mod estimate;
mod features;
mod open;
mod read;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use shipway_core::{Clock, Name, Timestamp};
use shipway_definitions::{DefinitionFile, DefinitionKind, DefinitionSet};
use shipway_store::Store;
use tokio::sync::{Mutex, RwLock, watch};
use tokio_util::task::TaskTracker;

use crate::{CatalogPorts, DefinitionListener, plan::Recorded};

pub use features::{FeatureFilter, FeatureSummary};
pub use open::definitions_mark;
pub use read::{DefinitionDetail, DefinitionSummary, RecordedRevision};

/// The catalog. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    /// What other capabilities know, once they are plugged in.
    ports: OnceLock<CatalogPorts>,
    /// What is in force and installed. Sent while `applying` is held.
    published: watch::Sender<Arc<DefinitionSet>>,
    /// What is recorded, installed or not. Written while `applying` is held, never held while a listener works.
    records: RwLock<Records>,
    /// One apply at a time; also holds what only applying needs.
    applying: Mutex<Applying>,
    /// Applies run to their end even when the caller goes away: between the records and the memory nothing may stop.
    tasks: TaskTracker,
}

#[derive(Clone, Default)]
struct Records {
    recorded: Recorded,
    revisions: Revisions,
}

struct Applying {
    listeners: Vec<Arc<dyn DefinitionListener>>,
    /// Whether every listener has installed what is recorded.
    is_installed: bool,
}

/// When and by whom each revision of each definition was applied.
type Revisions = BTreeMap<(DefinitionKind, Name), Vec<RecordedRevision>>;

/// Files to plan or apply.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The files.
    pub files: Vec<DefinitionFile>,
    /// Whether what is in force and not in the files is removed.
    #[serde(default)]
    pub prune: bool,
}

impl Catalog {
    /// The definitions in force, as every capability sees them.
    pub fn current(&self) -> Arc<DefinitionSet> {
        self.shared.published.borrow().clone()
    }

    /// Follows the definitions in force. The receiver has the present set at once, and each later one before the answer
    /// to its apply goes out.
    pub fn subscribe(&self) -> watch::Receiver<Arc<DefinitionSet>> {
        self.shared.published.subscribe()
    }

    /// Adds a listener, which is told of every later apply, after the listeners before it. It reads what is in force now
    /// with [`Catalog::current`].
    pub async fn listen(&self, listener: Arc<dyn DefinitionListener>) {
        self.shared.applying.lock().await.listeners.push(listener);
    }

    /// Plugs in what other capabilities know. Plans made before name no costs and no models; a second call does nothing.
    pub fn plug(&self, ports: CatalogPorts) {
        let _ = self.shared.ports.set(ports);
    }

    /// Takes no more applies and waits for the one that is running.
    pub async fn close(&self) {
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }
}

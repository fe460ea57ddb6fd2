//! What the catalog asks of other capabilities: what a build costs, and who is bound to the versions of services. The binary
//! plugs them in; without them a plan knows the definitions only.

use std::sync::Arc;

use serde::Serialize;
use shipway_core::{Digest, Failure, Name};
use shipway_definitions::{Versioned, View};

/// Why a port could not answer.
pub type PortError = Box<dyn Failure + Send + Sync>;

/// What other capabilities tell the catalog.
#[derive(Clone, Default)]
pub struct CatalogPorts {
    /// What builds cost; none: plans name no cost.
    pub costs: Option<Arc<dyn RebuildCosts>>,
    /// Who is bound to versions of services.
    pub bindings: Vec<Arc<dyn ServiceBindings>>,
}

/// Knows what it costs to build the state of a view from history.
#[async_trait::async_trait]
pub trait RebuildCosts: Send + Sync {
    /// The cost of building `view` now; `None` when its state is there already. Reads no history.
    async fn of(&self, view: &Versioned<View>) -> Result<Option<Rebuild>, PortError>;
}

/// Knows things that were made with one version of a service and depend on it.
#[async_trait::async_trait]
pub trait ServiceBindings: Send + Sync {
    /// All of them, in an order of their own.
    async fn list(&self) -> Result<Vec<Binding>, PortError>;
}

/// What a build reads, and how long that should take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rebuild {
    /// Rows of history that are read, at most.
    pub rows: u64,
    /// The files that hold them.
    pub files: u64,
    /// The bytes of these files.
    pub bytes: u64,
    /// How long it should take, by `rows_per_second`.
    pub seconds: f64,
    /// How fast builds are.
    pub rows_per_second: f64,
    /// Over how many builds of this server that was measured; 0: none was made yet, and the speed is assumed.
    pub measured_builds: u64,
}

/// Something outside of the catalog that is bound to one version of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// A model version that was trained on it.
    Model {
        /// The registered model.
        name: String,
        /// The number of the version.
        version: u64,
        /// Its aliases; without one nobody serves it by name.
        aliases: Vec<String>,
        /// The version of the service.
        service_version: Digest,
    },
    /// A deployment that reads it.
    Deployment {
        /// Its name.
        name: Name,
        /// The registered model that it serves.
        model: String,
        /// The version of the model that serves, if one does.
        version: Option<u64>,
        /// The service.
        service: Name,
        /// The version of the service that is read; `None` while nothing serves.
        service_version: Option<Digest>,
    },
}

impl Binding {
    /// Whether somebody is answered with it: a deployment, or a model version that has an alias.
    pub fn is_live(&self) -> bool {
        match self {
            Self::Model { aliases, .. } => !aliases.is_empty(),
            Self::Deployment { .. } => true,
        }
    }
}

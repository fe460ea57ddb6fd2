//! What a capability that installs definitions implements; the binary plugs it in.

use std::sync::Arc;

use shipway_core::Failure;
use shipway_definitions::DefinitionSet;

/// Why a listener could not install a set.
pub type ListenerError = Box<dyn Failure + Send + Sync>;

/// Is told of a recorded set before the answer goes out, and installs it: topics, tables, views.
#[async_trait::async_trait]
pub trait DefinitionListener: Send + Sync {
    /// Installs what is new in `set`, which holds everything that is in force. Called again with the same set after a
    /// failure, so it must be idempotent; never called twice at a time.
    async fn applied(&self, set: Arc<DefinitionSet>) -> Result<(), ListenerError>;
}

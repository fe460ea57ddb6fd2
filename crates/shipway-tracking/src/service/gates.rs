//! Where gates come from: the definitions that are in force, or a list in a test.

use std::sync::Arc;

use async_trait::async_trait;
use shipway_core::Failure;
use shipway_definitions::DefinitionSet;
use tokio::sync::watch;

use crate::promote::{Gate, Replay};

/// Says which gates stand before an alias at this moment.
pub trait GateSource: Send + Sync {
    /// Every gate for `alias` of `model`; none means that the alias may be given freely.
    fn gates(&self, model: &str, alias: &str) -> Vec<Gate>;
}

/// Says what the last replay of served vectors found. The binary plugs the feature platform in here.
#[async_trait]
pub trait ReplaySource: Send + Sync {
    /// The last finished replay of what `deployment` served; `None` where there never was one.
    async fn last(&self, deployment: &str) -> Result<Option<Replay>, Box<dyn Failure + Send + Sync>>;
}

impl GateSource for watch::Receiver<Arc<DefinitionSet>> {
    fn gates(&self, model: &str, alias: &str) -> Vec<Gate> {
        let definitions = Arc::clone(&self.borrow());
        definitions
            .gates
            .values()
            .map(|gate| &gate.definition)
            .filter(|gate| gate.model == model && gate.alias == alias)
            .map(Gate::from)
            .collect()
    }
}

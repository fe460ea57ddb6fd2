//! Who writes for whom: each sink has a producer of its own, so that a topic that does not take messages holds up no other, and keeps
//! it through its failures and changes, because what one producer has sent stays in order.

use std::{collections::BTreeMap, sync::Arc};

use shipway_broker::Producer;
use shipway_core::Name;
use tokio::sync::Mutex;

use crate::{connections::Connections, error::StreamsError};

/// The producers of all sinks, by sink and broker.
#[derive(Debug)]
pub(super) struct Producers {
    connections: Arc<Connections>,
    held: Mutex<BTreeMap<(Name, Name), Arc<dyn Producer>>>,
}

impl Producers {
    pub(super) fn new(connections: Arc<Connections>) -> Self {
        Self { connections, held: Mutex::default() }
    }

    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The producer of a sink.
    pub(super) async fn of(&self, sink: &Name, broker: &Name) -> Result<Arc<dyn Producer>, StreamsError> {
        let place = (sink.clone(), broker.clone());
        if let Some(producer) = self.held.lock().await.get(&place) {
            return Ok(Arc::clone(producer));
        }
        let producer = self.connections.broker(broker).await?.producer().await?;
        self.held.lock().await.insert(place, Arc::clone(&producer));
        Ok(producer)
    }

    /// Lets go of one that is broken.
    pub(super) async fn forget(&self, sink: &Name, broker: &Name) {
        self.held.lock().await.remove(&(sink.clone(), broker.clone()));
    }

    /// Lets go of those whose sinks are gone.
    pub(super) async fn retain(&self, is_there: impl Fn(&Name) -> bool) {
        self.held.lock().await.retain(|(sink, _), _| is_there(sink));
    }
}

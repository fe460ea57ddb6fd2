//! The brokers, each connected when it is first needed, and shared by all that read from it.

use std::{collections::BTreeMap, sync::Arc};

use shipway_broker::Broker;
use shipway_core::Name;
use tokio::sync::OnceCell;

use crate::{error::StreamsError, options::BrokerOptions};

/// The brokers of the configuration.
#[derive(Debug)]
pub(crate) struct Connections {
    brokers: BTreeMap<Name, Connection>,
}

#[derive(Debug)]
struct Connection {
    options: BrokerOptions,
    broker: OnceCell<Arc<dyn Broker>>,
}

impl Connections {
    pub(crate) fn new(brokers: BTreeMap<Name, BrokerOptions>) -> Self {
        let connection = |options| Connection { options, broker: OnceCell::new() };
        Self { brokers: brokers.into_iter().map(|(name, options)| (name, connection(options))).collect() }
    }

    /// What is configured of a broker.
    pub(crate) fn options(&self, name: &Name) -> Result<&BrokerOptions, StreamsError> {
        self.find(name).map(|connection| &connection.options)
    }

    /// The broker, connected. After a failure the next caller tries again.
    pub(crate) async fn broker(&self, name: &Name) -> Result<Arc<dyn Broker>, StreamsError> {
        let connection = self.find(name)?;
        let connect = || shipway_broker::connect(connection.options.settings.clone());
        Ok(Arc::clone(connection.broker.get_or_try_init(connect).await?))
    }

    fn find(&self, name: &Name) -> Result<&Connection, StreamsError> {
        self.brokers.get(name).ok_or_else(|| StreamsError::UnknownBroker {
            broker: name.clone(),
            known: self.brokers.keys().map(Name::to_string).collect(),
        })
    }
}

//! The brokers and what else the streams run on.

use std::{collections::BTreeMap, fmt, sync::Arc};

use shipway_broker::Settings;
use shipway_core::{Clock, Name};
use shipway_formats::SchemaRegistry;
use tokio_util::task::TaskTracker;

use crate::port::Intake;

/// A broker that definitions may name.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// How to reach it. Its group is the first part of the group of every source: each source reads in a group of its own.
    pub settings: Settings,
    /// Where the schemas of its messages are.
    pub registry: Option<SchemaRegistry>,
}

/// What the streams run on.
pub struct StreamsOptions {
    /// The brokers, by the names that definitions use. Addresses come from here alone.
    pub brokers: BTreeMap<Name, BrokerOptions>,
    /// Where messages go.
    pub intake: Arc<dyn Intake>,
    /// Where the present moment comes from.
    pub clock: Arc<dyn Clock>,
    /// Every reader is spawned here.
    pub tracker: TaskTracker,
}

impl fmt::Debug for StreamsOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StreamsOptions").field("brokers", &self.brokers).finish_non_exhaustive()
    }
}

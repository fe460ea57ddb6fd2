//! Files and batches that lie at providers.

use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;

use super::Chain;

/// A file that lies at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    /// Its id, as the provider gave it.
    pub(crate) id: String,
    /// The provider at which it lies.
    pub(crate) provider: String,
    /// Whose it is: see [`super::owner`].
    pub(crate) owner: String,
    /// What it is for, in the words of its API.
    pub(crate) purpose: String,
    /// What the provider said of it, as JSON.
    pub(crate) object: String,
    /// Of a file of calls: what they ask, and what they may cost.
    pub(crate) plan: Option<BatchPlan>,
    /// When it came.
    pub(crate) created: Timestamp,
}

/// What the calls of a file ask, and what they may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchPlan {
    /// The model, by its own name.
    pub(crate) model: String,
    /// The deployment whose name for the model stands in the file.
    pub(crate) deployment: String,
    /// Where their API lies behind the address of a provider.
    pub(crate) path: String,
    /// How many they are.
    pub(crate) calls: u64,
    /// The most that they may cost, in billionths of a dollar; none: the price was not known.
    pub(crate) most_nanos: Option<i64>,
}

/// A batch that lies at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredBatch {
    /// Its id, as the provider gave it.
    pub(crate) id: String,
    /// The provider at which it lies.
    pub(crate) provider: String,
    /// Whose it is: see [`super::owner`].
    pub(crate) owner: String,
    /// What the provider said of it last, as JSON.
    pub(crate) object: String,
    /// What was charged when it began.
    pub(crate) charge: BatchCharge,
    /// When it began.
    pub(crate) created: Timestamp,
    /// What it did cost is booked.
    pub(crate) is_settled: bool,
}

/// What was charged when a batch began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BatchCharge {
    /// Whom.
    pub(crate) chain: Chain,
    /// Who sent it.
    pub(crate) caller: String,
    /// When the call began that made it, in microseconds: its cost counts there.
    pub(crate) at_us: i64,
    /// How much, in billionths of a dollar.
    pub(crate) nanos: i64,
    /// What its calls ask.
    pub(crate) plan: BatchPlan,
}

//! The metadata database: where it is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Definitions, runs, models, jobs, the audit log.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetadataConfiguration {
    /// A database of PostgreSQL 13 or newer, `postgresql://user:password@host:port/database`; `?sslmode=verify-full&sslrootcert=FILE` for
    /// TLS. Without one the metadata are in SQLite, in the file `meta.db` of the data folder
    pub(crate) url: Option<String>,
    /// Connections to PostgreSQL at most; half of them read
    pub(crate) connections: u32,
}

impl Default for MetadataConfiguration {
    fn default() -> Self {
        Self { url: None, connections: 16 }
    }
}

/// The address may have a password in it.
impl fmt::Debug for MetadataConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_ref().map(|_| "…");
        formatter
            .debug_struct("MetadataConfiguration")
            .field("url", &url)
            .field("connections", &self.connections)
            .finish()
    }
}

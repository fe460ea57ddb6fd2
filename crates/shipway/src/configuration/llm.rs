//! Calls of models of language: memory for answers and words that are kept, and whether limits are shared with other servers.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_outbound::{Allowed, Bounds, Fetcher};

use crate::failure::CommandFailure;

/// The most that one image or document may have: calls have bodies of 64 MiB.
const MOST_FILE_MIB: usize = 64;
/// Of all calls together, while they are fetched and until the answer of their call begins.
const HELD_BYTES: usize = 256 << 20;

/// Calls of models of language.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LlmConfiguration {
    /// MiB of memory for answers that are kept to be given again, of all models together
    pub(crate) cache_mib: u64,
    /// MiB of memory for what is asked and answered until it is written, where models keep it; what does not fit is not kept
    pub(crate) content_mib: u64,
    /// Days for which what was asked and answered is kept, where models keep it; 0 keeps it for ever
    pub(crate) content_days: u32,
    /// Whether keys and limits are shared with other servers on the same PostgreSQL: `alone` (the default) with none; the `owner`, whose data folder the
    /// metadata belong to, with its replicas; a `replica` answers calls of models and does nothing else
    pub(crate) role: LlmRole,
    /// Images and documents that calls have by their address
    pub(crate) media: MediaConfiguration,
}

/// Images and documents that calls have by their address, for providers that take data only.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MediaConfiguration {
    /// Whether images and documents that calls have by their address are fetched for providers that take data only
    pub(crate) fetch: bool,
    /// Hosts, by name or address, that they may be fetched from although their addresses are private or those of this machine
    pub(crate) allowed_hosts: Vec<String>,
    /// Whether they may be fetched without encryption, from `http://…`
    pub(crate) allow_http: bool,
    /// MiB of one of them, at most
    pub(crate) file_mib: usize,
    /// Seconds that one of them may take
    pub(crate) timeout_seconds: u64,
}

impl Default for MediaConfiguration {
    fn default() -> Self {
        Self { fetch: true, allowed_hosts: Vec::new(), allow_http: false, file_mib: 20, timeout_seconds: 10 }
    }
}

impl MediaConfiguration {
    /// What fetches, if this server does.
    pub(crate) fn fetcher(&self) -> Result<Option<Fetcher>, CommandFailure> {
        let wrong = |what: &str| CommandFailure::new(format!("llm.media.{what}"));
        if self.file_mib == 0 || self.file_mib > MOST_FILE_MIB {
            return Err(wrong(&format!("file_mib is not between 1 and {MOST_FILE_MIB}")));
        }
        if self.timeout_seconds == 0 {
            return Err(wrong("timeout_seconds is 0"));
        }
        if !self.fetch {
            return Ok(None);
        }
        let bounds = Bounds {
            bytes: self.file_mib << 20,
            patience: Duration::from_secs(self.timeout_seconds),
            held_bytes: HELD_BYTES,
        };
        let fetcher = Fetcher::new(Allowed::new(&self.allowed_hosts, self.allow_http), bounds);
        fetcher.map(Some).map_err(|error| wrong(&format!("fetch: no client can be made: {error}")))
    }
}

/// What a server has to do with the calls of models of other servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LlmRole {
    #[default]
    Alone,
    Owner,
    Replica,
}

impl Default for LlmConfiguration {
    fn default() -> Self {
        Self {
            cache_mib: 256,
            content_mib: 64,
            content_days: 30,
            role: LlmRole::Alone,
            media: MediaConfiguration::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fetched_has_bounds_and_can_be_left() {
        let of = |toml: &str| toml::from_str::<MediaConfiguration>(toml).unwrap().fetcher();
        assert!(of("").unwrap().is_some());
        assert!(of("fetch = false").unwrap().is_none());
        for (toml, words) in [
            ("file_mib = 0", "llm.media.file_mib"),
            ("file_mib = 65", "llm.media.file_mib"),
            ("timeout_seconds = 0", "llm.media.timeout_seconds"),
        ] {
            let refused = of(toml).unwrap_err();
            assert!(refused.message.contains(words), "{}", refused.message);
        }
    }
}

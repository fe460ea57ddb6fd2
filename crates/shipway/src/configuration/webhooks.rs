//! Webhooks: what they may reach, and how their secrets are kept.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_tracking::WebhookSettings;

/// Requests to others when the model registry changes.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct WebhooksConfiguration {
    /// Hosts, by name or address, that webhooks may reach although their addresses are private or those of this machine
    pub(crate) allowed_hosts: Vec<String>,
    /// Whether webhooks may be sent without encryption, to `http://…`
    pub(crate) allow_http: bool,
    /// Key of at least 32 characters that secrets of webhooks are encrypted with; without it they are kept as they are
    pub(crate) secret_key: Option<String>,
}

/// Says what is allowed, never the key.
impl fmt::Debug for WebhooksConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WebhooksConfiguration")
            .field("allowed_hosts", &self.allowed_hosts)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}

impl WebhooksConfiguration {
    /// As tracking takes it.
    pub(crate) fn settings(&self) -> WebhookSettings {
        WebhookSettings {
            allowed_hosts: self.allowed_hosts.clone(),
            allow_http: self.allow_http,
            secret_key: self.secret_key.clone(),
            ..WebhookSettings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_strict_and_a_key_is_never_shown() {
        let strict = WebhooksConfiguration::default().settings();
        assert!(strict.allowed_hosts.is_empty() && !strict.allow_http && strict.secret_key.is_none());
        let text = "allowed_hosts = ['hooks.internal']\nallow_http = true\nsecret_key = 'hush'";
        let read: WebhooksConfiguration = toml::from_str(text).unwrap();
        assert!(!format!("{read:?}").contains("hush"));
        let settings = read.settings();
        assert_eq!((settings.allowed_hosts.len(), settings.allow_http), (1, true));
        assert_eq!(settings.secret_key.as_deref(), Some("hush"));
    }
}

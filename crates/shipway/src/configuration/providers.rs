//! Providers of models of language: where they are, and the secrets that open them.

use std::{collections::BTreeMap, fmt, time::Duration};

use figment::{
    providers::Env,
    value::{Dict, Value},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_core::Name;
use shipway_gateway::{ProviderKind, ProviderSpec};
use url::Url;

use super::put_text;
use crate::failure::CommandFailure;

/// A provider of models of language, under the name that definitions use for it.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProviderConfiguration {
    /// What it speaks: `openai`, which whatever is compatible with OpenAI's API speaks too, `anthropic`, `gemini` or `azure`
    pub(crate) kind: String,
    /// Where its API begins, with the version: `https://api.openai.com/v1`. Without it, the provider's own; `azure` needs the address of the resource, `https://NAME.openai.azure.com`
    pub(crate) base_url: Option<String>,
    /// Of `azure`: the version of its older paths, `/openai/deployments/MODEL/…`. Without it, the paths of `/openai/v1` are asked
    pub(crate) api_version: Option<String>,
    /// The secret that opens it; better in the environment, as `SHIPWAY_PROVIDERS__NAME__API_KEY`
    pub(crate) api_key: Option<String>,
    /// In the place of `api_key`: the name of a secret that Shipway keeps (`shipway llm secrets put NAME`)
    pub(crate) api_key_secret: Option<String>,
    /// Milliseconds that a connection may take to be made
    pub(crate) connect_timeout_ms: u64,
}

impl Default for ProviderConfiguration {
    fn default() -> Self {
        Self {
            kind: "openai".to_owned(),
            base_url: None,
            api_version: None,
            api_key: None,
            api_key_secret: None,
            connect_timeout_ms: 5_000,
        }
    }
}

/// Says where, never with what secret.
impl fmt::Debug for ProviderConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderConfiguration")
            .field("kind", &self.kind)
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

/// What the environment says of providers: `{prefix}OPENAI__API_KEY` for `providers.openai.api_key`. All of it is text but the timeout.
pub(super) fn of_environment(prefix: &str) -> Dict {
    let mut read = Dict::new();
    for (key, text) in Env::prefixed(prefix).iter() {
        let path: Vec<&str> = std::iter::once("providers").chain(key.as_str().split("__")).collect();
        let value = match (path.last(), text.parse::<u64>()) {
            (Some(&"connect_timeout_ms"), Ok(number)) => Value::from(number),
            _ => Value::from(text),
        };
        put_text(&mut read, &path, value);
    }
    read
}

/// All of them, as the gateway takes them.
pub(crate) fn specs(
    providers: &BTreeMap<String, ProviderConfiguration>,
) -> Result<Vec<ProviderSpec>, CommandFailure> {
    let named = |(name, provider): (&String, &ProviderConfiguration)| {
        let wrong = |what: String| CommandFailure::new(format!("providers.{name}: {what}"));
        Name::new(name).map_err(|refused| wrong(refused.to_string()))?;
        provider.spec(name).map_err(wrong)
    };
    providers.iter().map(named).collect()
}

impl ProviderConfiguration {
    fn spec(&self, name: &str) -> Result<ProviderSpec, String> {
        let (kind, usual) = match self.kind.as_str() {
            "openai" => (ProviderKind::OpenAi, "https://api.openai.com/v1"),
            "anthropic" => (ProviderKind::Anthropic, "https://api.anthropic.com/v1"),
            "gemini" => (ProviderKind::Gemini, "https://generativelanguage.googleapis.com/v1beta"),
            "azure" => (ProviderKind::Azure, ""),
            other => return Err(format!("kind {other} is none of openai, anthropic, gemini, azure")),
        };
        let text = self.base_url.as_deref().unwrap_or(usual);
        if text.is_empty() {
            return Err("base_url is missing: kind azure needs the address of the resource".to_owned());
        }
        let api_version = self.api_version.clone().filter(|version| !version.is_empty());
        if api_version.is_some() && kind != ProviderKind::Azure {
            return Err(format!("api_version is of kind azure, and this is kind {}", self.kind));
        }
        let base_url: Url = text.parse().map_err(|error| format!("base_url {text}: {error}"))?;
        let is_plain =
            base_url.username().is_empty() && base_url.password().is_none() && base_url.query().is_none();
        if !matches!(base_url.scheme(), "http" | "https") || !base_url.has_host() || !is_plain {
            return Err(format!("base_url {text} is not https://host/path"));
        }
        if self.connect_timeout_ms == 0 {
            return Err("connect_timeout_ms is 0".to_owned());
        }
        let api_key = self.api_key.clone().filter(|key| !key.is_empty());
        let api_key_secret = self.api_key_secret.clone().filter(|name| !name.is_empty());
        if api_key.is_some() && api_key_secret.is_some() {
            return Err("api_key and api_key_secret are both set".to_owned());
        }
        if let Some(secret) = &api_key_secret {
            Name::new(secret).map_err(|refused| format!("api_key_secret: {refused}"))?;
        }
        Ok(ProviderSpec {
            name: name.to_owned(),
            kind,
            base_url,
            api_version,
            api_key,
            api_key_secret,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &str) -> Result<Vec<ProviderSpec>, CommandFailure> {
        specs(&toml::from_str(toml).unwrap())
    }

    #[test]
    fn a_provider_has_its_own_address_unless_another_is_given() {
        let read =
            of("[claude]\nkind = 'anthropic'\napi_key = 'hush'\n[own]\nbase_url = 'http://10.0.0.5:8000/v1'")
                .unwrap();
        assert_eq!(read[0].base_url.as_str(), "https://api.anthropic.com/v1");
        assert_eq!(read[1].base_url.as_str(), "http://10.0.0.5:8000/v1");
        assert!(read[1].api_key.is_none());
        let read = of("[g]\nkind = 'gemini'\n[r]\nkind = 'azure'\nbase_url = 'https://r.openai.azure.com'\napi_version = '2024-10-21'").unwrap();
        assert_eq!(read[0].base_url.as_str(), "https://generativelanguage.googleapis.com/v1beta");
        assert_eq!(read[1].api_version.as_deref(), Some("2024-10-21"));
        assert!(!format!("{:?}", read[0]).contains("hush"));
    }

    #[test]
    #[expect(clippy::result_large_err, reason = "the closure of figment's jail has this signature")]
    fn a_secret_of_the_environment_is_text_whatever_it_looks_like() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("shipway.toml", "[providers.openai]\nconnect_timeout_ms = 100\n")?;
            jail.set_env("SHIPWAY_PROVIDERS__OPENAI__API_KEY", "0012345");
            let read = super::super::Configuration::read(None, &super::super::Flags::default()).unwrap();
            let openai = &read.providers["openai"];
            assert_eq!((openai.api_key.as_deref(), openai.connect_timeout_ms), (Some("0012345"), 100));
            assert!(!format!("{openai:?}").contains("0012345"));
            Ok(())
        });
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_when_the_server_starts() {
        for (toml, words) in [
            ("[main]\nkind = 'bedrock'", "providers.main: kind bedrock is none of"),
            ("[main]\nkind = 'azure'", "providers.main: base_url is missing"),
            ("[main]\napi_version = '2024-10-21'", "api_version is of kind azure"),
            ("[main]\nbase_url = 'file:///etc/passwd'", "is not https://host/path"),
            ("[main]\nbase_url = 'https://user:pass@host/v1'", "is not https://host/path"),
            ("[main]\nbase_url = 'host:80'", "is not https://host/path"),
            ("[main]\napi_key = 'a'\napi_key_secret = 'b'", "both set"),
            ("[main]\napi_key_secret = 'Not A Name'", "providers.main: api_key_secret"),
            ("[Main]\nkind = 'openai'", "providers.Main"),
        ] {
            let refused = of(toml).unwrap_err();
            assert!(refused.message.contains(words), "{}", refused.message);
        }
    }
}

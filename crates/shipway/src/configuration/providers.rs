//! Providers of models of language: where they are, and the secrets that open them.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use figment::{
    providers::Env,
    value::{Dict, Value},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_core::Name;
use shipway_gateway::{AwsKeys, Cloud, ProviderKind, ProviderSpec};
use url::Url;

use super::put_text;
use crate::failure::CommandFailure;

/// A provider of models of language, under the name that definitions use for it.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProviderConfiguration {
    /// What it speaks: `openai`, which whatever is compatible with OpenAI's API speaks too, `anthropic`, `gemini`, `azure`, `bedrock` or `vertex`
    pub(crate) kind: String,
    /// Where its API begins, with the version: `https://api.openai.com/v1`. Without it, the provider's own; `azure` needs the address of the resource, `https://NAME.openai.azure.com`; of `bedrock` and `vertex` it has no path
    pub(crate) base_url: Option<String>,
    /// Of `azure`: the version of its older paths, `/openai/deployments/MODEL/…`. Without it, the paths of `/openai/v1` are asked
    pub(crate) api_version: Option<String>,
    /// The secret that opens it; better in the environment, as `SHIPWAY_PROVIDERS__NAME__API_KEY`. Of `bedrock` an API key of Bedrock, of `vertex` an access token
    pub(crate) api_key: Option<String>,
    /// In the place of `api_key`: the name of a secret that Shipway keeps (`shipway llm secrets put NAME`)
    pub(crate) api_key_secret: Option<String>,
    /// Of `bedrock`: its region, such as `eu-central-1`
    pub(crate) region: Option<String>,
    /// Of `bedrock` without an API key: the id of the access key that requests are signed with
    pub(crate) access_key_id: Option<String>,
    /// Its secret; better in the environment, as `SHIPWAY_PROVIDERS__NAME__SECRET_ACCESS_KEY`
    pub(crate) secret_access_key: Option<String>,
    /// Of temporary access keys: the token that belongs to them
    pub(crate) session_token: Option<String>,
    /// Of `vertex`: the project that is charged
    pub(crate) project: Option<String>,
    /// Of `vertex`: a region, `us`, `eu` or `global`, which is what counts without it
    pub(crate) location: Option<String>,
    /// Of `vertex` without an access token: the service account whose access tokens are fetched, as the JSON that Google hands out; better in the environment, as `SHIPWAY_PROVIDERS__NAME__SERVICE_ACCOUNT`
    pub(crate) service_account: Option<String>,
    /// The same as the path of a file
    pub(crate) service_account_file: Option<PathBuf>,
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
            region: None,
            access_key_id: None,
            secret_access_key: None,
            session_token: None,
            project: None,
            location: None,
            service_account: None,
            service_account_file: None,
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
        let cloud = self.cloud()?;
        let (kind, usual) = match self.kind.as_str() {
            "openai" => (ProviderKind::OpenAi, "https://api.openai.com/v1".to_owned()),
            "anthropic" => (ProviderKind::Anthropic, "https://api.anthropic.com/v1".to_owned()),
            "gemini" => (ProviderKind::Gemini, "https://generativelanguage.googleapis.com/v1beta".to_owned()),
            "azure" => (ProviderKind::Azure, String::new()),
            "bedrock" => (ProviderKind::Bedrock, usual_address(cloud.as_ref())),
            "vertex" => (ProviderKind::Vertex, usual_address(cloud.as_ref())),
            other => {
                return Err(format!(
                    "kind {other} is none of openai, anthropic, gemini, azure, bedrock, vertex"
                ));
            }
        };
        let text = self.base_url.as_deref().unwrap_or(&usual);
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
            cloud,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
        })
    }

    /// Where it lies within a cloud, and with which credentials. Members of another kind are refused: whoever wrote them expects
    /// something of them.
    fn cloud(&self) -> Result<Option<Cloud>, String> {
        let of_bedrock = [
            ("region", self.region.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key", self.secret_access_key.is_some()),
            ("session_token", self.session_token.is_some()),
        ];
        let of_vertex = [
            ("project", self.project.is_some()),
            ("location", self.location.is_some()),
            ("service_account", self.service_account.is_some()),
            ("service_account_file", self.service_account_file.is_some()),
        ];
        for (kind, members) in [("bedrock", of_bedrock), ("vertex", of_vertex)] {
            if let Some((name, _)) = members.iter().find(|(_, is_given)| *is_given && self.kind != kind) {
                return Err(format!("{name} is of kind {kind}, and this is kind {}", self.kind));
            }
        }
        match self.kind.as_str() {
            "bedrock" => self.aws().map(Some),
            "vertex" => self.google().map(Some),
            _ => Ok(None),
        }
    }

    fn aws(&self) -> Result<Cloud, String> {
        let region = needs_word("region", self.region.as_ref(), "such as eu-central-1")?;
        let keys = match (filled(self.access_key_id.as_ref()), filled(self.secret_access_key.as_ref())) {
            (Some(access_key_id), Some(secret_access_key)) => {
                let session_token = filled(self.session_token.as_ref());
                Some(AwsKeys { access_key_id, secret_access_key, session_token })
            }
            (None, None) => None,
            (Some(_), None) => return Err("secret_access_key is missing".to_owned()),
            (None, Some(_)) => return Err("access_key_id is missing".to_owned()),
        };
        match (keys.is_some(), filled(self.api_key.as_ref()).is_some()) {
            (true, true) => Err("api_key and access_key_id are both given; one of them opens it".to_owned()),
            (false, false) => Err("api_key, or access_key_id and secret_access_key, are missing".to_owned()),
            _ => Ok(Cloud::Aws { region, keys }),
        }
    }

    fn google(&self) -> Result<Cloud, String> {
        let project = needs_word("project", self.project.as_ref(), "the id of the project")?;
        let location = match &self.location {
            Some(_) => needs_word("location", self.location.as_ref(), "such as europe-west4")?,
            None => "global".to_owned(),
        };
        let file = self.service_account_file.as_ref().map(|path| {
            fs_err::read_to_string(path).map_err(|error| format!("service_account_file: {error}"))
        });
        let given = [filled(self.service_account.as_ref()), file.transpose()?];
        let [written, read] = given;
        match (written, read, filled(self.api_key.as_ref())) {
            (Some(service_account), None, None) | (None, Some(service_account), None) => {
                Ok(Cloud::Google { project, location, service_account: Some(service_account) })
            }
            (None, None, Some(_)) => Ok(Cloud::Google { project, location, service_account: None }),
            (None, None, None) => {
                Err("service_account, service_account_file or api_key is missing".to_owned())
            }
            _ => Err("service_account, service_account_file and api_key: one of them opens it".to_owned()),
        }
    }
}

fn filled(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

/// A word that becomes a part of an address.
fn needs_word(name: &str, text: Option<&String>, what: &str) -> Result<String, String> {
    let text = filled(text).ok_or_else(|| format!("{name} is missing: {what}"))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.');
    if text.bytes().all(plain) { Ok(text) } else { Err(format!("{name} {text:?} is not {what}")) }
}

/// Where a cloud has it.
fn usual_address(cloud: Option<&Cloud>) -> String {
    match cloud {
        Some(Cloud::Aws { region, .. }) => {
            let end = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://bedrock-runtime.{region}.amazonaws.com{end}")
        }
        Some(Cloud::Google { location, .. }) => match location.as_str() {
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
            region => format!("https://{region}-aiplatform.googleapis.com"),
        },
        None => String::new(),
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
    fn a_cloud_says_where_its_provider_is() {
        let address = |toml: &str| of(toml).unwrap()[0].base_url.to_string();
        let bedrock =
            "[b]\nkind = 'bedrock'\nregion = 'eu-central-1'\naccess_key_id = 'a'\nsecret_access_key = 'hush'";
        assert_eq!(address(bedrock), "https://bedrock-runtime.eu-central-1.amazonaws.com/");
        assert!(!format!("{:?}", of(bedrock).unwrap()).contains("hush"));
        for (location, expected) in [
            ("", "https://aiplatform.googleapis.com/"),
            ("location = 'eu'", "https://aiplatform.eu.rep.googleapis.com/"),
            ("location = 'europe-west4'", "https://europe-west4-aiplatform.googleapis.com/"),
        ] {
            assert_eq!(
                address(&format!("[v]\nkind = 'vertex'\nproject = 'p'\napi_key = 'hush'\n{location}")),
                expected
            );
        }
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
            ("[main]\nkind = 'cohere'", "providers.main: kind cohere is none of"),
            ("[main]\nkind = 'bedrock'\napi_key = 'x'", "region is missing"),
            ("[main]\nkind = 'bedrock'\nregion = 'eu/x'\napi_key = 'x'", "region \"eu/x\" is not"),
            (
                "[main]\nkind = 'bedrock'\nregion = 'eu-west-1'",
                "api_key, or access_key_id and secret_access_key",
            ),
            (
                "[main]\nkind = 'bedrock'\nregion = 'eu-west-1'\naccess_key_id = 'a'",
                "secret_access_key is missing",
            ),
            ("[main]\nkind = 'vertex'\nregion = 'eu-west-1'", "region is of kind bedrock"),
            ("[main]\nproject = 'p'", "project is of kind vertex"),
            (
                "[main]\nkind = 'vertex'\nproject = 'p'",
                "service_account, service_account_file or api_key is missing",
            ),
            (
                "[main]\nkind = 'vertex'\nproject = 'p'\nservice_account_file = '/nowhere/key.json'",
                "/nowhere/key.json",
            ),
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

//! The brokers that sources may read from. Addresses and passwords are here, never in definitions.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use figment::{
    providers::Env,
    value::{Dict, Value},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_broker::{BrokerKind, Limits, Mechanism, Protocol, Secret, Security, Settings};
use shipway_core::Name;
use shipway_formats::SchemaRegistry;
use shipway_streams::BrokerOptions;

use super::put_text;
use crate::failure::CommandFailure;

/// A cluster of Kafka or Pulsar, under the name that sources use for it.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BrokerConfiguration {
    /// Brokers to ask first, separated by commas: `host:port` for Kafka, `pulsar://host:port` or `pulsar+ssl://host:port` for Pulsar
    pub(crate) bootstrap: String,
    /// First part of the names of the groups that this server reads in. Without it every server has groups of its own, and reads
    /// every message
    pub(crate) group: Option<String>,
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`, for Kafka only
    pub(crate) security: Option<String>,
    /// How to log in, with one of the two `sasl_…`: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`
    pub(crate) mechanism: Option<String>,
    /// Who logs in
    pub(crate) username: Option<String>,
    /// Password of the user
    pub(crate) password: Option<String>,
    /// Token to log in with at Pulsar
    pub(crate) token: Option<String>,
    /// PEM file of the certificates to trust; those of the system without it
    pub(crate) ca: Option<PathBuf>,
    /// PEM file of our own certificate
    pub(crate) certificate: Option<PathBuf>,
    /// PEM file of its key
    pub(crate) key: Option<PathBuf>,
    /// Password of that key
    pub(crate) key_password: Option<String>,
    /// To be raised by one when the cluster has forgotten the groups of this server, or is another one
    pub(crate) era: u32,
    /// Further settings of librdkafka, for Kafka only
    pub(crate) properties: BTreeMap<String, String>,
    /// Where the schemas of its messages are
    pub(crate) schema_registry: Option<RegistryConfiguration>,
}

/// A schema registry that speaks Confluent's protocol.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistryConfiguration {
    /// `https://…` or `http://…`
    pub(crate) address: String,
    /// User of basic authentication
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// Password of that user
    #[serde(default)]
    pub(crate) password: Option<String>,
    /// Certificates in PEM to trust beside those of the system
    #[serde(default)]
    pub(crate) ca: Option<String>,
}

/// Says where, never with what secret.
impl fmt::Debug for BrokerConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BrokerConfiguration")
            .field("bootstrap", &self.bootstrap)
            .field("group", &self.group)
            .field("security", &self.security)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What the environment says of brokers: `{prefix}MAIN__PASSWORD` for `brokers.main.password`. All of it is text but the era.
pub(super) fn of_environment(prefix: &str) -> Dict {
    let mut read = Dict::new();
    for (key, text) in Env::prefixed(prefix).iter() {
        let path: Vec<&str> = std::iter::once("brokers").chain(key.as_str().split("__")).collect();
        let value = match (path.last(), text.parse::<u32>()) {
            (Some(&"era"), Ok(era)) => Value::from(era),
            _ => Value::from(text),
        };
        put_text(&mut read, &path, value);
    }
    read
}

/// All of them, as the streams take them. `own_group` is what a server is called that is given no group.
pub(crate) fn options(
    brokers: &BTreeMap<String, BrokerConfiguration>,
    own_group: &str,
) -> Result<BTreeMap<Name, BrokerOptions>, CommandFailure> {
    let named = |(name, broker): (&String, &BrokerConfiguration)| {
        let wrong = |what: String| CommandFailure::new(format!("brokers.{name}: {what}"));
        let valid = Name::new(name).map_err(|refused| wrong(refused.to_string()))?;
        Ok((valid, broker.options(own_group).map_err(wrong)?))
    };
    brokers.iter().map(named).collect()
}

impl BrokerConfiguration {
    fn options(&self, own_group: &str) -> Result<BrokerOptions, String> {
        let protocol = match self.security.as_deref() {
            None | Some("plaintext") => Protocol::Plaintext,
            Some("ssl") => Protocol::Ssl,
            Some("sasl_plaintext") => Protocol::SaslPlaintext,
            Some("sasl_ssl") => Protocol::SaslSsl,
            Some(other) => {
                return Err(format!("security {other} is none of plaintext, ssl, sasl_plaintext, sasl_ssl"));
            }
        };
        let mechanism = match self.mechanism.as_deref() {
            None => None,
            Some("PLAIN") => Some(Mechanism::Plain),
            Some("SCRAM-SHA-256") => Some(Mechanism::ScramSha256),
            Some("SCRAM-SHA-512") => Some(Mechanism::ScramSha512),
            Some(other) => {
                return Err(format!("mechanism {other} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"));
            }
        };
        if self.bootstrap.is_empty() {
            return Err("bootstrap is missing".to_owned());
        }
        let group = self.group.as_deref().unwrap_or(own_group);
        let mut settings = Settings::new(self.bootstrap.as_str(), group);
        settings.security = Security {
            protocol,
            mechanism,
            username: self.username.clone(),
            password: self.password.clone().map(Secret::new),
            token: self.token.clone().map(Secret::new),
            ca: self.ca.clone(),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            key_password: self.key_password.clone().map(Secret::new),
        };
        settings.limits = Limits::default();
        settings.era = self.era;
        settings.properties = self.properties.clone();
        if settings.kind() == BrokerKind::Kafka {
            // A server that was killed gets its partitions back when the broker misses it: soon.
            settings.properties.entry("session.timeout.ms".to_owned()).or_insert_with(|| "10000".to_owned());
        }
        let registry = self.schema_registry.as_ref().map(|registry| SchemaRegistry {
            address: registry.address.clone(),
            subject: None,
            user: registry.user.clone(),
            password: registry.password.clone().map(shipway_formats::Secret),
            ca: registry.ca.clone(),
        });
        Ok(BrokerOptions { settings, registry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &str) -> Result<BTreeMap<Name, BrokerOptions>, CommandFailure> {
        options(&toml::from_str(toml).unwrap(), "shipway-own")
    }

    #[test]
    fn a_broker_is_read_with_its_registry_and_a_group_of_the_servers_own() {
        let brokers = of(r#"
            [main]
            bootstrap = "kafka-1:9092,kafka-2:9092"
            security = "sasl_ssl"
            mechanism = "SCRAM-SHA-512"
            username = "shipway"
            password = "hush"
            [main.schema_registry]
            address = "https://registry:8081"
            password = "hush"
            "#)
        .unwrap();
        let main = &brokers["main"];
        assert_eq!(main.settings.group, "shipway-own");
        assert_eq!(main.registry.as_ref().unwrap().address, "https://registry:8081");
        assert!(!format!("{main:?}").contains("hush"));
    }

    #[test]
    fn a_pulsar_is_told_by_its_address_and_gets_no_property_of_kafkas() {
        let brokers = of("[main]\nbootstrap = 'pulsar+ssl://pulsar:6651'\ntoken = 'hush'\n").unwrap();
        let settings = &brokers["main"].settings;
        assert_eq!(settings.kind(), BrokerKind::Pulsar);
        assert!(settings.properties.is_empty(), "{settings:?}");
        assert!(settings.security.token.is_some());
        assert!(!format!("{:?}", brokers["main"]).contains("hush"));
        assert!(
            of("[main]\nbootstrap = 'kafka:9092'\n").unwrap()["main"]
                .settings
                .properties
                .contains_key("session.timeout.ms")
        );
    }

    #[test]
    #[expect(clippy::result_large_err, reason = "the closure of figment's jail has this signature")]
    fn what_the_environment_says_of_a_broker_is_text_whatever_it_looks_like() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("shipway.toml", "[brokers.main]\nbootstrap = \"kafka:9092\"\n")?;
            jail.set_env("SHIPWAY_BROKERS__MAIN__PASSWORD", "0012345");
            jail.set_env("SHIPWAY_BROKERS__MAIN__ERA", "2");
            jail.set_env("SHIPWAY_BROKERS__MAIN__SCHEMA_REGISTRY__ADDRESS", "http://registry:8081");
            jail.set_env("SHIPWAY_TOKEN", "123456");
            let read = super::super::Configuration::read(None, &super::super::Flags::default()).unwrap();
            let main = &read.brokers["main"];
            assert_eq!(
                (main.bootstrap.as_str(), main.password.as_deref(), main.era),
                ("kafka:9092", Some("0012345"), 2)
            );
            assert_eq!(main.schema_registry.as_ref().unwrap().address, "http://registry:8081");
            assert_eq!(read.token.as_deref(), Some("123456"));
            Ok(())
        });
    }

    #[test]
    fn what_cannot_be_is_refused_by_name_when_the_server_starts() {
        for (toml, words) in [
            ("[main]\nsecurity = 'ssl'", "brokers.main: bootstrap is missing"),
            ("[main]\nbootstrap = 'a:1'\nsecurity = 'tls'", "security tls is none of"),
            ("[main]\nbootstrap = 'a:1'\nmechanism = 'GSSAPI'", "mechanism GSSAPI is none of"),
            ("[Main]\nbootstrap = 'a:1'", "brokers.Main"),
        ] {
            let refused = of(toml).unwrap_err();
            assert!(refused.message.contains(words), "{}", refused.message);
        }
    }
}

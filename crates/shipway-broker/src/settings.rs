//! How to reach a broker, and the bounds.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{BrokerError, properties};

/// How to reach a cluster, who we are there, and how much of its data may wait in memory.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Brokers to ask first, separated by commas: `host:port` for Kafka, `pulsar://host:port` or `pulsar+ssl://host:port` for
    /// Pulsar, where only the first address names the scheme.
    pub bootstrap: String,
    /// The group of readers, where a subscription names none.
    pub group: String,
    /// Encryption and login.
    #[serde(default)]
    pub security: Security,
    /// The bounds.
    #[serde(default)]
    pub limits: Limits,
    /// How the group shares partitions, for Kafka only.
    #[serde(default)]
    pub group_protocol: GroupProtocol,
    /// The upper half of every generation of Kafka's. Raise it by one when the broker has forgotten the group, so that its numbers
    /// start again below those that were stored: the group was deleted, stood empty for longer than the broker keeps
    /// its offsets, or the cluster is another one.
    #[serde(default)]
    pub era: u32,
    /// Further settings of librdkafka, for Kafka only. Those that this crate decides are refused.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// Which broker it is. Its address says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// Apache Kafka, or what speaks as it does.
    Kafka,
    /// Apache Pulsar.
    Pulsar,
}

/// Encryption and login.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// What is spoken on the connection to Kafka; for Pulsar its address says so.
    pub protocol: Protocol,
    /// How to log in at Kafka; needed with the two `sasl_…` protocols and only there.
    pub mechanism: Option<Mechanism>,
    /// Who logs in at Kafka.
    pub username: Option<String>,
    /// The password that goes with it.
    pub password: Option<Secret>,
    /// The token to log in with at Pulsar.
    pub token: Option<Secret>,
    /// The certificates to trust, a PEM file; those of the system where nothing is said.
    pub ca: Option<PathBuf>,
    /// Our own certificate, a PEM file, where the broker asks for one.
    pub certificate: Option<PathBuf>,
    /// The key of our certificate, a PEM file.
    pub key: Option<PathBuf>,
    /// The password of the key, for Kafka only.
    pub key_password: Option<Secret>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither encryption nor login.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// A login that anybody on the way can read or take over.
    SaslPlaintext,
    /// TLS and a login.
    SaslSsl,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Mechanism {
    /// The password itself is sent.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password is sent, over SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of the password is sent, over SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// How a group shares partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// The members agree among themselves, each keeping what it can. Every Kafka speaks it.
    #[default]
    Classic,
    /// The broker decides (KIP-848). Kafka 4 and later.
    Consumer,
}

/// How much may wait in memory, and how long for an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Messages that were fetched ahead of the caller, in bytes per subscription. One answer of a broker may exceed it.
    pub fetched_bytes: u32,
    /// Messages that were sent and are not acknowledged yet, in number.
    pub unacknowledged_messages: u32,
    /// The same, in bytes.
    pub unacknowledged_bytes: u32,
    /// A message longer than this is refused before it is sent, whatever the broker would take.
    pub message_bytes: u32,
    /// How long one question to the cluster may take, in seconds.
    pub request_seconds: u32,
}

impl Default for Limits {
    /// 32 MiB fetched ahead, 10,000 messages of 32 MiB unacknowledged, messages of 1 MB, 10 seconds.
    fn default() -> Self {
        Self {
            fetched_bytes: 32 << 20,
            unacknowledged_messages: 10_000,
            unacknowledged_bytes: 32 << 20,
            message_bytes: 1_000_000,
            request_seconds: 10,
        }
    }
}

impl Limits {
    /// How long one question to the cluster may take.
    pub fn request_within(&self) -> Duration {
        Duration::from_secs(u64::from(self.request_seconds))
    }
}

/// A word that no log and no message shows.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keeps a word.
    pub fn new(word: impl Into<String>) -> Self {
        Self(word.into())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("(hidden)")
    }
}

impl fmt::Debug for Settings {
    /// Properties by name only: librdkafka has secrets among them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.properties.keys().collect();
        formatter
            .debug_struct("Settings")
            .field("bootstrap", &self.bootstrap)
            .field("group", &self.group)
            .field("security", &self.security)
            .field("limits", &self.limits)
            .field("group_protocol", &self.group_protocol)
            .field("era", &self.era)
            .field("properties", &names)
            .finish()
    }
}

impl Settings {
    /// Settings for a cluster without a login; the rest is as documented at each field.
    pub fn new(bootstrap: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            group: group.into(),
            security: Security::default(),
            limits: Limits::default(),
            group_protocol: GroupProtocol::default(),
            era: 0,
            properties: BTreeMap::new(),
        }
    }

    /// Which broker the address is of.
    pub fn kind(&self) -> BrokerKind {
        match scheme(&self.bootstrap) {
            Some((PULSAR | PULSAR_TLS, _)) => BrokerKind::Pulsar,
            _ => BrokerKind::Kafka,
        }
    }

    /// Refuses what cannot be, before anything is asked of the cluster.
    pub(crate) fn check(&self) -> Result<(), BrokerError> {
        if self.group.is_empty() {
            return Err(wrong("group", "is empty"));
        }
        self.limits.check()?;
        match self.kind() {
            BrokerKind::Kafka => self.check_kafka(),
            BrokerKind::Pulsar => self.check_pulsar(),
        }
    }

    fn check_kafka(&self) -> Result<(), BrokerError> {
        if self.bootstrap.split(',').any(|address| !is_address(address.trim())) {
            return Err(wrong("bootstrap", "must be host:port, or several of them separated by commas"));
        }
        if self.security.token.is_some() {
            return Err(wrong("security.token", "is for Pulsar"));
        }
        self.security.check_kafka()?;
        properties::check(&self.properties)
    }

    fn check_pulsar(&self) -> Result<(), BrokerError> {
        let addresses = self.addresses();
        if addresses.is_empty() || addresses.iter().any(|address| !is_address(address)) {
            let what = "must be pulsar://host:port or pulsar+ssl://host:port, where more of host:port may follow after commas";
            return Err(wrong("bootstrap", what));
        }
        if self.group_protocol != GroupProtocol::default() {
            return Err(wrong("group_protocol", FOR_KAFKA));
        }
        if !self.properties.is_empty() {
            return Err(wrong("properties", FOR_KAFKA));
        }
        self.security.check_pulsar(self.encrypts())
    }

    /// Pulsar's addresses without their scheme.
    pub(crate) fn addresses(&self) -> Vec<&str> {
        let rest = scheme(&self.bootstrap).map_or(self.bootstrap.as_str(), |(_, rest)| rest);
        rest.trim_end_matches('/').split(',').map(str::trim).collect()
    }

    /// Whether Pulsar's address demands TLS.
    pub(crate) fn encrypts(&self) -> bool {
        matches!(scheme(&self.bootstrap), Some((PULSAR_TLS, _)))
    }
}

const PULSAR: &str = "pulsar";
const PULSAR_TLS: &str = "pulsar+ssl";
const FOR_KAFKA: &str = "is for Kafka; leave it out with an address of Pulsar's";

fn scheme(address: &str) -> Option<(&str, &str)> {
    address.trim().split_once("://")
}

impl Security {
    fn check_kafka(&self) -> Result<(), BrokerError> {
        let logs_in = matches!(self.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        let named = [
            ("security.mechanism", self.mechanism.is_some()),
            ("security.username", self.username.is_some()),
            ("security.password", self.password.is_some()),
        ];
        for (name, is_set) in named {
            if logs_in && !is_set {
                return Err(wrong(name, "is needed with a protocol that logs in"));
            }
            if !logs_in && is_set {
                return Err(wrong(name, "is of no use without a protocol that logs in"));
            }
        }
        self.check_files(matches!(self.protocol, Protocol::Ssl | Protocol::SaslSsl))
    }

    fn check_pulsar(&self, encrypts: bool) -> Result<(), BrokerError> {
        let of_kafka = [
            ("security.protocol", self.protocol != Protocol::default()),
            ("security.mechanism", self.mechanism.is_some()),
            ("security.username", self.username.is_some()),
            ("security.password", self.password.is_some()),
            ("security.key_password", self.key_password.is_some()),
        ];
        if let Some((name, _)) = of_kafka.into_iter().find(|(_, is_set)| *is_set) {
            return Err(wrong(name, FOR_KAFKA));
        }
        self.check_files(encrypts)
    }

    fn check_files(&self, encrypts: bool) -> Result<(), BrokerError> {
        let files = [
            ("security.ca", &self.ca),
            ("security.certificate", &self.certificate),
            ("security.key", &self.key),
        ];
        for (name, file) in files {
            match file {
                Some(_) if !encrypts => {
                    return Err(wrong(name, "is of no use without a protocol that encrypts"));
                }
                Some(file) if !file.is_file() => return Err(wrong(name, "names a file that is not there")),
                _ => {}
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(wrong("security.certificate", "and security.key go together"));
        }
        Ok(())
    }
}

impl Limits {
    fn check(&self) -> Result<(), BrokerError> {
        let bounds = [
            ("limits.fetched_bytes", self.fetched_bytes, 64 << 10, 1 << 30),
            ("limits.unacknowledged_messages", self.unacknowledged_messages, 1, 1_000_000),
            ("limits.unacknowledged_bytes", self.unacknowledged_bytes, 64 << 10, 1 << 30),
            ("limits.message_bytes", self.message_bytes, 1_000, 512 << 20),
            ("limits.request_seconds", self.request_seconds, 1, 600),
        ];
        for (name, value, low, high) in bounds {
            if !(low..=high).contains(&value) {
                return Err(BrokerError::Setting { name, what: format!("must be {low} to {high}") });
            }
        }
        if self.message_bytes > self.unacknowledged_bytes {
            return Err(wrong("limits.message_bytes", "must not exceed limits.unacknowledged_bytes"));
        }
        Ok(())
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(|letter: char| letter.is_whitespace() || letter == '/')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn wrong(name: &'static str, what: &str) -> BrokerError {
    BrokerError::Setting { name, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::new("localhost:9092", "shipway");
        change(&mut settings);
        settings.check().map_or_else(|error| error.to_string(), |()| "accepted".to_owned())
    }

    #[test]
    fn settings_that_cannot_be_are_refused_by_name() {
        assert_eq!(refused(|_| {}), "accepted");
        assert_eq!(refused(|settings| settings.bootstrap = "a:1, b:2".to_owned()), "accepted");
        for bootstrap in
            ["", "localhost", "kafka://localhost:9092", "localhost:0", "localhost:99999", "a:1,,b:2"]
        {
            assert_eq!(
                refused(|settings| settings.bootstrap = bootstrap.to_owned()),
                "setting bootstrap must be host:port, or several of them separated by commas",
                "{bootstrap}"
            );
        }
        assert_eq!(refused(|settings| settings.group.clear()), "setting group is empty");
        assert_eq!(
            refused(|settings| settings.limits.request_seconds = 0),
            "setting limits.request_seconds must be 1 to 600"
        );
    }

    #[test]
    fn a_login_is_complete_or_absent() {
        let log_in = |settings: &mut Settings| {
            settings.security.protocol = Protocol::SaslPlaintext;
            settings.security.mechanism = Some(Mechanism::Plain);
            settings.security.username = Some("reader".to_owned());
            settings.security.password = Some(Secret::new("swordfish"));
        };
        assert_eq!(refused(log_in), "accepted");
        assert_eq!(
            refused(|settings| {
                log_in(settings);
                settings.security.password = None;
            }),
            "setting security.password is needed with a protocol that logs in"
        );
        assert_eq!(
            refused(|settings| {
                log_in(settings);
                settings.security.protocol = Protocol::Ssl;
            }),
            "setting security.mechanism is of no use without a protocol that logs in"
        );
        assert_eq!(
            refused(|settings| {
                settings.security.protocol = Protocol::Ssl;
                settings.security.ca = Some("/nowhere/ca.pem".into());
            }),
            "setting security.ca names a file that is not there"
        );
    }

    #[test]
    fn the_address_says_which_broker_it_is_and_what_is_for_another_is_refused_by_name() {
        let pulsar = |settings: &mut Settings| settings.bootstrap = "pulsar://a:6650,b:6650".to_owned();
        let mut settings = Settings::new("a:9092", "shipway");
        assert_eq!((settings.kind(), settings.addresses()), (BrokerKind::Kafka, vec!["a:9092"]));
        pulsar(&mut settings);
        assert_eq!((settings.kind(), settings.addresses()), (BrokerKind::Pulsar, vec!["a:6650", "b:6650"]));
        assert!(!settings.encrypts());
        settings.bootstrap = "pulsar+ssl://a:6651/".to_owned();
        assert_eq!((settings.addresses(), settings.encrypts()), (vec!["a:6651"], true));

        assert_eq!(refused(pulsar), "accepted");
        assert_eq!(
            refused(|settings| {
                pulsar(settings);
                settings.security.token = Some(Secret::new("swordfish"));
            }),
            "accepted"
        );
        for bootstrap in ["pulsar://", "pulsar://a", "pulsar://a:6650,pulsar://b:6650", "pulsar+ssl://a:0"] {
            let refusal = refused(|settings| settings.bootstrap = bootstrap.to_owned());
            assert!(
                refusal.starts_with("setting bootstrap must be pulsar://host:port"),
                "{bootstrap}: {refusal}"
            );
        }
        type Change = fn(&mut Settings);
        let of_kafka: [(&str, Change); 5] = [
            ("group_protocol", |settings| settings.group_protocol = GroupProtocol::Consumer),
            ("properties", |settings| {
                settings.properties.insert("linger.ms".to_owned(), "1".to_owned());
            }),
            ("security.protocol", |settings| settings.security.protocol = Protocol::Ssl),
            ("security.username", |settings| settings.security.username = Some("reader".to_owned())),
            ("security.key_password", |settings| settings.security.key_password = Some(Secret::new("x"))),
        ];
        for (name, set) in of_kafka {
            let refusal = refused(|settings| {
                pulsar(settings);
                set(settings);
            });
            assert_eq!(refusal, format!("setting {name} {FOR_KAFKA}"));
        }
        assert_eq!(
            refused(|settings| settings.security.token = Some(Secret::new("swordfish"))),
            "setting security.token is for Pulsar"
        );
    }

    #[test]
    fn no_secret_is_shown() {
        let mut settings = Settings::new("localhost:9092", "shipway");
        settings.security.password = Some(Secret::new("swordfish"));
        settings.security.key_password = Some(Secret::new("swordfish"));
        settings.security.token = Some(Secret::new("swordfish"));
        settings.properties.insert("ssl.keystore.password".to_owned(), "swordfish".to_owned());
        let shown = format!("{settings:?}");
        assert!(!shown.contains("swordfish"), "{shown}");
        assert!(shown.contains("ssl.keystore.password"), "{shown}");
    }
}

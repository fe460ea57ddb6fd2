//! Our settings in librdkafka's words.

use rdkafka::{
    ClientConfig,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaError,
};

use crate::{BrokerError, GroupProtocol, Mechanism, Protocol, Settings};

/// What librdkafka takes where `max.poll.interval.ms` is not set.
const MAX_POLL_INTERVAL_MS: u64 = 300_000;
/// What a request's frame takes beyond its messages.
const FRAME_BYTES: u32 = 64 << 10;

/// Makes a client; a property that librdkafka refuses is named.
pub(super) fn client<C, T: FromClientConfigAndContext<C>>(
    settings: &Settings,
    configuration: &ClientConfig,
    context: C,
) -> Result<T, BrokerError>
where
    C: rdkafka::ClientContext,
{
    T::from_config_and_context(configuration, context).map_err(|error| match error {
        // Its words contain the value, which may be a secret.
        KafkaError::ClientConfig(_, _, name, _) => BrokerError::PropertyWrong { name },
        KafkaError::ClientCreation(reason) => {
            BrokerError::LoginRefused { bootstrap: settings.bootstrap.clone(), reason }
        }
        source => BrokerError::Failed { action: "make a client", source: source.into() },
    })
}

/// Of a client that asks about the cluster.
pub(super) fn asking(settings: &Settings) -> ClientConfig {
    let mut configuration = common(settings);
    configuration.set("allow.auto.create.topics", "false");
    configuration
}

/// Of a member of a group.
pub(super) fn member(settings: &Settings, group: &str) -> ClientConfig {
    let mut configuration = common(settings);
    let fetched = settings.limits.fetched_bytes;
    configuration
        .set("group.id", group)
        // Positions are the caller's; a position outside of what is kept is an error and never a silent gap.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("queued.max.messages.kbytes", fetched.div_ceil(1024).to_string())
        .set("fetch.message.max.bytes", (1_u32 << 20).min(fetched).to_string())
        .set("fetch.max.bytes", fetched.to_string());
    match settings.group_protocol {
        GroupProtocol::Classic => configuration
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky"),
        GroupProtocol::Consumer => configuration.set("group.protocol", "consumer"),
    };
    configuration
}

/// Of a writer.
pub(super) fn producer(settings: &Settings) -> ClientConfig {
    let limits = &settings.limits;
    let mut configuration = common(settings);
    // The queue is bounded by permits, which are given out in order; librdkafka's own bound lies above it.
    let messages = limits.unacknowledged_messages.saturating_mul(2);
    let kilobytes = (limits.unacknowledged_bytes >> 10).saturating_mul(2);
    configuration
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("queue.buffering.max.messages", messages.to_string())
        .set("queue.buffering.max.kbytes", kilobytes.to_string())
        .set("message.max.bytes", limits.message_bytes.saturating_add(FRAME_BYTES).to_string());
    if !settings.properties.contains_key("partitioner") {
        // The choice of Kafka's own client, so that other writers of the topic put a key where we do.
        configuration.set("partitioner", "murmur2_random");
    }
    configuration
}

/// How long a member may go without polling before its group takes it for dead, in milliseconds.
pub(super) fn max_poll_interval_ms(settings: &Settings) -> u64 {
    let set = settings.properties.get("max.poll.interval.ms").and_then(|value| value.parse().ok());
    set.unwrap_or(MAX_POLL_INTERVAL_MS)
}

fn common(settings: &Settings) -> ClientConfig {
    let mut configuration = ClientConfig::new();
    configuration.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in &settings.properties {
        configuration.set(name, value);
    }
    configuration.set("bootstrap.servers", &settings.bootstrap);
    if !settings.properties.contains_key("client.id") {
        configuration.set("client.id", "shipway");
    }
    let security = &settings.security;
    configuration.set(
        "security.protocol",
        match security.protocol {
            Protocol::Plaintext => "plaintext",
            Protocol::Ssl => "ssl",
            Protocol::SaslPlaintext => "sasl_plaintext",
            Protocol::SaslSsl => "sasl_ssl",
        },
    );
    if let Some(mechanism) = security.mechanism {
        configuration.set(
            "sasl.mechanism",
            match mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
            },
        );
    }
    if let Some(username) = &security.username {
        configuration.set("sasl.username", username);
    }
    if let Some(password) = &security.password {
        configuration.set("sasl.password", password.reveal());
    }
    let files = [
        ("ssl.ca.location", &security.ca),
        ("ssl.certificate.location", &security.certificate),
        ("ssl.key.location", &security.key),
    ];
    for (name, file) in files {
        if let Some(file) = file {
            configuration.set(name, file.to_string_lossy());
        }
    }
    if let Some(password) = &security.key_password {
        configuration.set("ssl.key.password", password.reveal());
    }
    configuration
}

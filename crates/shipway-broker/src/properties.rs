//! Which settings of the client library a user may set besides ours.

use std::collections::BTreeMap;

use crate::BrokerError;

/// Settings that this crate decides, and what to use instead. A name that ends with `.` stands for all below it.
const OWNED: &[(&str, &str)] = &[
    ("bootstrap.servers", "bootstrap"),
    ("metadata.broker.list", "bootstrap"),
    ("security.protocol", "security.protocol"),
    ("sasl.", "security"),
    ("ssl.ca.location", "security.ca"),
    ("ssl.certificate.location", "security.certificate"),
    ("ssl.key.location", "security.key"),
    ("ssl.key.password", "security.key_password"),
    ("group.id", "group"),
    ("group.protocol", "group_protocol"),
    ("queued.max.messages.kbytes", "limits.fetched_bytes"),
    ("fetch.max.bytes", "limits.fetched_bytes"),
    ("fetch.message.max.bytes", "limits.fetched_bytes"),
    ("max.partition.fetch.bytes", "limits.fetched_bytes"),
    ("receive.message.max.bytes", "limits.fetched_bytes"),
    ("queue.buffering.max.messages", "limits.unacknowledged_messages"),
    ("queue.buffering.max.kbytes", "limits.unacknowledged_bytes"),
    ("message.max.bytes", "limits.message_bytes"),
];

/// Settings whose value follows from what this crate promises.
const FIXED: &[&str] = &[
    // A restarted member that takes over the place of another has its generation too, and nothing could tell them apart.
    "group.instance.id",
    "partition.assignment.strategy",
    "enable.auto.commit",
    "auto.commit.interval.ms",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "allow.auto.create.topics",
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "enable.gapless.guarantee",
    "transactional.id",
    "delivery.report.only.error",
    "log_level",
    "log.queue",
    "test.mock.",
    "plugin.library.paths",
];

/// Refuses settings that are not the user's to set. Whether the others exist, the library says.
pub(crate) fn check(properties: &BTreeMap<String, String>) -> Result<(), BrokerError> {
    for name in properties.keys() {
        if let Some((_, instead)) = OWNED.iter().find(|(owned, _)| covers(owned, name)) {
            return Err(BrokerError::PropertyOwned { name: name.clone(), instead: Some(instead) });
        }
        if FIXED.iter().any(|fixed| covers(fixed, name)) {
            return Err(BrokerError::PropertyOwned { name: name.clone(), instead: None });
        }
    }
    Ok(())
}

fn covers(owned: &str, name: &str) -> bool {
    name == owned || (owned.ends_with('.') && name.starts_with(owned))
}

#[cfg(test)]
mod tests {
    use shipway_core::Failure;

    use super::*;

    fn refusal(name: &str) -> Option<BrokerError> {
        check(&BTreeMap::from([(name.to_owned(), "x".to_owned())])).err()
    }

    #[test]
    fn what_is_ours_is_refused_with_the_way_to_set_it() {
        let refusal_of_group = refusal("group.id").unwrap();
        assert_eq!(refusal_of_group.to_string(), "property group.id is not one to set");
        assert_eq!(refusal_of_group.hint().unwrap(), "set group instead");
        assert!(refusal("sasl.password").is_some());
        assert_eq!(
            refusal("enable.auto.commit").unwrap().hint().unwrap(),
            "leave it out: its value follows from what shipway promises"
        );
    }

    #[test]
    fn the_rest_is_the_users() {
        for name in ["linger.ms", "compression.type", "session.timeout.ms", "isolation.level", "client.id"] {
            assert!(refusal(name).is_none(), "{name}");
        }
    }
}

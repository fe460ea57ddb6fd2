//! Names of topics and of their partitions.

use crate::BrokerError;

const PERSISTENT: &str = "persistent://";

/// The whole name of a topic: a short one lies in the namespace `public/default`.
pub(super) fn whole(topic: &str) -> Result<String, BrokerError> {
    let unfit = |what| BrokerError::TopicUnfit { topic: topic.to_owned(), what };
    let local = match topic.split_once("://") {
        Some(("persistent", local)) => local,
        Some(("non-persistent", _)) => return Err(unfit("is not persistent: its messages are kept nowhere")),
        Some(_) => return Err(unfit("has an address that is no topic's")),
        None => topic,
    };
    let parts: Vec<&str> = local.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(unfit("has an empty part in its name"));
    }
    match parts[..] {
        [name] => Ok(format!("{PERSISTENT}public/default/{name}")),
        // The fourth part is the cluster, in names of the first version of Pulsar.
        [_, _, _] | [_, _, _, _] => Ok(format!("{PERSISTENT}{local}")),
        _ => Err(unfit("has another number of parts than tenant/namespace/topic")),
    }
}

/// The topic in which a partition of a partitioned topic lies.
pub(super) fn of_partition(whole: &str, partition: u32) -> String {
    format!("{whole}-partition-{partition}")
}

/// The partition of a key, as Pulsar's Java client chooses by default: Java's hash of the key as text, without its sign.
pub(super) fn partition_of(key: &str, partitions: u32) -> u32 {
    let hash =
        key.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX).cast_unsigned() % partitions.max(1)
}

#[cfg(test)]
mod tests {
    use shipway_core::Failure;

    use super::*;

    #[test]
    fn a_short_name_lies_in_the_default_namespace() {
        assert_eq!(whole("orders").unwrap(), "persistent://public/default/orders");
        assert_eq!(whole("shop/eu/orders").unwrap(), "persistent://shop/eu/orders");
        assert_eq!(whole("persistent://shop/eu/orders").unwrap(), "persistent://shop/eu/orders");
        assert_eq!(
            of_partition(&whole("orders").unwrap(), 3),
            "persistent://public/default/orders-partition-3"
        );
    }

    #[test]
    fn what_is_no_persistent_topic_is_refused() {
        for name in ["non-persistent://a/b/c", "kafka://a/b/c", "a/b", "a//c", "", "a/b/c/d/e"] {
            assert_eq!(whole(name).unwrap_err().code(), "broker.topic_unfit", "{name}");
        }
    }

    #[test]
    fn a_key_goes_where_the_java_client_puts_it() {
        // Java: "hello".hashCode() is 99162322, "polygenelubricants".hashCode() is the lowest integer, "".hashCode() is 0.
        assert_eq!(partition_of("hello", 1_000), 322);
        assert_eq!(partition_of("polygenelubricants", 7), 0);
        assert_eq!(partition_of("", 7), 0);
        // A letter beyond the first plane counts as the two units that Java has for it: "😀".hashCode() is 1772899.
        assert_eq!(partition_of("😀", 1_000_000), 772_899);
    }
}

//! The number of an assignment.
//!
//! In the classic protocol it is the generation of the group: the coordinator raises it by one each time the members
//! join again, and stores it with the group. In KIP-848 it is this member's epoch, which follows the group's epoch. In
//! both, a partition goes to another member only in a later step than the one in which its owner got it, so among the
//! owners of one partition, one after the other, the numbers grow. Two members with the same number never have the same
//! partition. The broker keeps the number as long as it keeps the group; `Settings::era` is for when it does not.

#![expect(unsafe_code, reason = "the wrapper of librdkafka does not hand the number on")]

use rdkafka::{
    bindings::{
        rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy,
        rd_kafka_consumer_group_metadata_generation_id,
    },
    consumer::{BaseConsumer, Consumer, ConsumerContext},
};

/// The broker's number for this member's assignment; `None` while the member is in no group.
pub(super) fn of<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<u32> {
    // SAFETY: the client lives as long as the consumer that is borrowed. The metadata is a copy that we own: it is
    // null, or valid until it is destroyed, which happens once, below, after its only use.
    let number = unsafe {
        let metadata = rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return None;
        }
        let number = rd_kafka_consumer_group_metadata_generation_id(metadata);
        rd_kafka_consumer_group_metadata_destroy(metadata);
        number
    };
    u32::try_from(number).ok()
}

/// The generation that a caller sees: the era above the broker's number.
pub(super) fn in_era(era: u32, number: u32) -> u64 {
    u64::from(era) << 32 | u64::from(number)
}

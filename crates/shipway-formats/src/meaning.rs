//! What a number or bytes stand for beyond themselves, as the schema of a message says it.

use crate::definition::TimeUnit;

/// The meaning of a number or of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// None but themselves.
    #[default]
    Plain,
    /// A moment.
    Epoch(TimeUnit),
    /// A date, in days since 1970-01-01.
    Days,
    /// A time within a day.
    TimeOfDay,
    /// The digits of a decimal with so many of them after the point.
    Decimal(i32),
    /// The sixteen bytes of a UUID.
    Uuid,
    /// Months, days and milliseconds: there is no type for it.
    Duration,
}

impl Meaning {
    /// What the name of a schema of Kafka Connect says about its numbers.
    pub(crate) fn of_connect(name: &str) -> Option<Self> {
        Some(match name {
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => {
                Self::Epoch(TimeUnit::Milliseconds)
            }
            "io.debezium.time.MicroTimestamp" => Self::Epoch(TimeUnit::Microseconds),
            "io.debezium.time.NanoTimestamp" => Self::Epoch(TimeUnit::Nanoseconds),
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Self::Days,
            "io.debezium.time.Time"
            | "io.debezium.time.MicroTime"
            | "io.debezium.time.NanoTime"
            | "org.apache.kafka.connect.data.Time" => Self::TimeOfDay,
            _ => return None,
        })
    }
}

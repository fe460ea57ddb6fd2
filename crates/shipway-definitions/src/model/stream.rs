//! The topic of a broker from which a source's events come.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use shipway_core::Name;

/// A topic whose messages are events of the source, each taken in once.
///
/// No part of the source's hash: the same events give the same values, whatever way they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stream {
    /// The broker, by its name in the server's configuration: addresses and passwords are not for definitions.
    pub broker: Name,
    /// The topic.
    pub topic: String,
    /// Where to begin with a partition that was never read.
    pub start: StreamStart,
    /// The format of the messages.
    pub format: StreamFormat,
    /// The schema that they were written with, as text; without it the broker's schema registry is asked, where the format has
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The full name of the Protobuf message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What is around the event.
    pub envelope: StreamEnvelope,
    /// Which changes of rows become events, where the envelope tells of changes.
    #[serde(default)]
    pub changes: StreamChanges,
    /// The column that says what happened to the row: `insert`, `update` or `delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Name>,
    /// The column that says when it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Name>,
    /// What becomes of a message with fields that are no columns.
    pub unknown_fields: UnknownFields,
    /// Columns that are found elsewhere in a message: the column to the path of its field, or to several of which the first that is
    /// there counts.
    #[serde(default)]
    pub fields: BTreeMap<Name, Vec<String>>,
    /// What the numbers of a timestamp column count.
    #[serde(default)]
    pub time_unit: BTreeMap<Name, TimeUnit>,
}

/// Defines an enum whose variants are words of definitions.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$variant_about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name {
            $($(#[$variant_about])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word for it in definitions.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.word())
            }
        }
    };
}

pub(super) use words;

words! {
    /// Where to begin with a partition that was never read.
    StreamStart {
        /// With the oldest message that the broker has.
        Earliest = "earliest",
        /// With the next message that comes.
        Latest = "latest",
    }
}

words! {
    /// A format of messages.
    StreamFormat {
        /// A JSON object.
        Json = "json",
        /// Avro, with an inline schema or one of the registry.
        Avro = "avro",
        /// Protobuf, with an inline schema or one of the registry.
        Protobuf = "protobuf",
    }
}

words! {
    /// What is around an event.
    StreamEnvelope {
        /// Nothing: the message is the event.
        None = "none",
        /// Debezium's change event: the row before and after a change.
        Debezium = "debezium",
    }
}

words! {
    /// Which changes of rows become events.
    StreamChanges {
        /// Rows that are new; a change of another kind is a dead letter.
        Inserts = "inserts",
        /// All of them, each as an event of its own: the row as it is then, or as it was before it was deleted.
        All = "all",
    }
}

impl Default for StreamChanges {
    /// As it was before there was a choice.
    fn default() -> Self {
        Self::Inserts
    }
}

words! {
    /// What becomes of a message with fields that are no columns.
    UnknownFields {
        /// They are left out.
        Ignore = "ignore",
        /// It is a dead letter.
        Refuse = "refuse",
    }
}

words! {
    /// What a number counts, since 1970-01-01 00:00 UTC.
    TimeUnit {
        /// Seconds.
        Seconds = "seconds",
        /// Milliseconds.
        Milliseconds = "milliseconds",
        /// Microseconds.
        Microseconds = "microseconds",
        /// Nanoseconds; what is less than a microsecond is cut off.
        Nanoseconds = "nanoseconds",
    }
}

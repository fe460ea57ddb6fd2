//! What is refused and what can fail.

use std::borrow::Cow;

use shipway_broker::BrokerError;
use shipway_core::{Failure, Kind, Name};
use shipway_formats::FormatError;

use crate::port::IntakeFailure;

/// Why a stream does not run, or a question about one was refused.
#[derive(Debug, thiserror::Error)]
pub enum StreamsError {
    /// No source with a topic has this name.
    #[error("source {name} reads from no topic{}", .nearest.as_ref().map(|near| format!("; did you mean {near}")).unwrap_or_default())]
    UnknownStream {
        /// The name asked for.
        name: String,
        /// The most similar one that does.
        nearest: Option<String>,
    },
    /// A source names a broker that the configuration does not know.
    #[error("broker {broker} is not in the configuration of this server")]
    UnknownBroker {
        /// The name in the definition.
        broker: Name,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Schemas are to be looked up, and the broker has no registry.
    #[error("source {source_name} has no schema, and broker {broker} no schema registry")]
    NoRegistry {
        /// The source.
        source_name: Name,
        /// The broker.
        broker: Name,
    },
    /// A change of a row cannot be taken in.
    #[error("source {source_name}: {what} of a row is not taken in")]
    Change {
        /// The source.
        source_name: Name,
        /// A deletion, or an update.
        what: &'static str,
    },
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The format of the messages is wrong, or the registry does not answer.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// No sink has this name.
    #[error("sink {name} does not exist{}", .nearest.as_ref().map(|near| format!("; did you mean {near}")).unwrap_or_default())]
    UnknownSink {
        /// The name asked for.
        name: String,
        /// The most similar one that does.
        nearest: Option<String>,
    },
    /// A sink was held up for so long that something was gone before it was read.
    #[error(
        "sink {sink} has passed over {count} {unit} that were gone before it could read them: rows may be missing"
    )]
    Skipped {
        /// The sink.
        sink: Name,
        /// How many.
        count: u64,
        /// Of what.
        unit: &'static str,
    },
    /// Where messages go to, or rows come from, something was refused or failed.
    #[error("{0}")]
    Elsewhere(IntakeFailure),
}

impl From<IntakeFailure> for StreamsError {
    fn from(failure: IntakeFailure) -> Self {
        Self::Elsewhere(failure)
    }
}

impl Failure for StreamsError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownStream { .. } | Self::UnknownSink { .. } => Kind::NotFound,
            Self::UnknownBroker { .. }
            | Self::NoRegistry { .. }
            | Self::Change { .. }
            | Self::Skipped { .. } => Kind::Conflict,
            Self::Broker(error) => error.kind(),
            Self::Format(error) => error.kind(),
            Self::Elsewhere(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::UnknownStream { .. } => "streams.unknown_stream",
            Self::UnknownBroker { .. } => "streams.unknown_broker",
            Self::NoRegistry { .. } => "streams.no_registry",
            Self::Change { .. } => "streams.change_refused",
            Self::Broker(error) => error.code(),
            Self::Format(error) => error.code(),
            Self::UnknownSink { .. } => "streams.unknown_sink",
            Self::Skipped { .. } => "streams.sink_skipped",
            Self::Elsewhere(error) => error.code(),
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::UnknownStream { .. } => {
                Some("`shipway sources status` lists the sources; add stream: to its definition".into())
            }
            Self::UnknownBroker { known, .. } if known.is_empty() => {
                Some("add a section [brokers.NAME] with bootstrap to shipway.toml, and restart".into())
            }
            Self::UnknownBroker { known, .. } => {
                Some(format!("this server knows {}", known.join(", ")).into())
            }
            Self::NoRegistry { .. } => {
                Some("add schema: to the stream, or schema_registry to the broker in shipway.toml".into())
            }
            Self::Change { .. } => {
                Some("add changes: all to the stream, and a column for the operation".into())
            }
            Self::Broker(error) => error.hint(),
            Self::Format(error) => error.hint(),
            Self::UnknownSink { .. } => Some("`shipway sinks status` lists them".into()),
            Self::Skipped { sink, .. } => Some(
                format!(
                    "`shipway sinks resend {sink}` sends the row of every key, where it sends a view to a topic; \
                     `shipway sinks acknowledge {sink}` says that it is known"
                )
                .into(),
            ),
            Self::Elsewhere(error) => error.hint(),
        }
    }
}

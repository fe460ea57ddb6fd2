//! What goes wrong on a connection, in our words.

use crate::BrokerError;

/// Why a question was not answered as it should be.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The connection could not be made, or has ended.
    Lost(String),
    /// We do not trust the broker's certificate, or it does not trust ours.
    Untrusted(String),
    /// The broker refuses, with a number of the protocol.
    Refused { code: i32, message: String },
}

// The protocol's numbers of refusals.
const METADATA: i32 = 1;
const AUTHENTICATION: i32 = 3;
const AUTHORIZATION: i32 = 4;
const CONSUMER_BUSY: i32 = 5;
const NOT_READY: i32 = 6;
const TOPIC_NOT_FOUND: i32 = 11;
const TOO_MANY_REQUESTS: i32 = 14;
const TOPIC_NAME: i32 = 17;

impl Fault {
    /// Whether somebody else reads there.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Refused { code: CONSUMER_BUSY, .. })
    }

    /// The failure of a question. `topic` is what the caller calls it.
    pub(super) fn of(self, asked: Asked<'_>) -> BrokerError {
        let bootstrap = || asked.bootstrap.to_owned();
        let topic = || asked.topic.unwrap_or_default().to_owned();
        match self {
            Self::Lost(reason) => BrokerError::Unreachable { bootstrap: bootstrap(), reason },
            Self::Untrusted(reason) => BrokerError::LoginRefused { bootstrap: bootstrap(), reason },
            Self::Refused { code, message } => match code {
                METADATA | NOT_READY | TOO_MANY_REQUESTS => {
                    BrokerError::Unreachable { bootstrap: bootstrap(), reason: message }
                }
                AUTHENTICATION => BrokerError::LoginRefused { bootstrap: bootstrap(), reason: message },
                AUTHORIZATION => BrokerError::Denied {
                    what: asked
                        .topic
                        .map_or_else(|| "the cluster".to_owned(), |topic| format!("topic {topic}")),
                },
                TOPIC_NOT_FOUND | TOPIC_NAME => BrokerError::TopicUnknown { topic: topic() },
                code => BrokerError::Failed {
                    action: asked.action,
                    source: format!("the broker answers with error {code}: {message}").into(),
                },
            },
        }
    }
}

/// What was asked, for the words of a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) bootstrap: &'a str,
    pub(super) topic: Option<&'a str>,
    pub(super) action: &'static str,
}

#[cfg(test)]
mod tests {
    use shipway_core::Failure;

    use super::*;

    #[test]
    fn a_refusal_of_the_broker_has_the_code_of_its_cause() {
        let code = |code| {
            let asked = Asked { bootstrap: "pulsar://a:6650", topic: Some("orders"), action: "read a topic" };
            Fault::Refused { code, message: "words".to_owned() }.of(asked).code()
        };
        for (number, expected) in [
            (METADATA, "broker.unreachable"),
            (AUTHENTICATION, "broker.login_refused"),
            (AUTHORIZATION, "broker.denied"),
            (CONSUMER_BUSY, "broker.failed"),
            (NOT_READY, "broker.unreachable"),
            (TOPIC_NOT_FOUND, "broker.topic_unknown"),
            (TOPIC_NAME, "broker.topic_unknown"),
            (99, "broker.failed"),
        ] {
            assert_eq!(code(number), expected, "{number}");
        }
    }
}

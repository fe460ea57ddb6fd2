//! librdkafka's failures in our words.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::context::Said;
use crate::BrokerError;

/// What was asked, for the words of a failure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) bootstrap: &'a str,
    pub(super) topic: Option<&'a str>,
}

impl Asked<'_> {
    /// The failure of a question; `said` answers what connections said meanwhile.
    pub(super) fn failed(
        self,
        action: &'static str,
        source: KafkaError,
        said: impl FnOnce() -> Said,
    ) -> BrokerError {
        use RDKafkaErrorCode as Code;
        let topic = || self.topic.unwrap_or_default().to_owned();
        match source.rdkafka_error_code() {
            Some(
                Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::InvalidTopic,
            ) => BrokerError::TopicUnknown { topic: topic() },
            Some(Code::TopicAuthorizationFailed) => {
                BrokerError::Denied { what: format!("topic {}", topic()) }
            }
            Some(Code::GroupAuthorizationFailed) => {
                BrokerError::Denied { what: "the group of readers".to_owned() }
            }
            Some(Code::ClusterAuthorizationFailed) => BrokerError::Denied { what: "the cluster".to_owned() },
            Some(
                Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::Resolve
                | Code::Authentication
                | Code::SSL,
            ) => unreachable(self.bootstrap, said()),
            _ => BrokerError::Failed { action, source: source.into() },
        }
    }
}

/// Why no broker answered.
pub(super) fn unreachable(bootstrap: &str, said: Said) -> BrokerError {
    let bootstrap = bootstrap.to_owned();
    match said {
        Said { login: Some(reason), .. } => BrokerError::LoginRefused { bootstrap, reason },
        Said { connection: Some(reason), .. } => BrokerError::Unreachable { bootstrap, reason },
        Said { .. } => BrokerError::Unreachable { bootstrap, reason: "no answer in time".to_owned() },
    }
}

/// Whether librdkafka mends this by itself, so that a reader need not be told.
pub(super) fn mends_itself(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::Authentication
                | Code::SSL
                | Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
        )
    )
}

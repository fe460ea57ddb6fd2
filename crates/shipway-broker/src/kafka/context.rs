//! What librdkafka says by itself: log lines, failures of connections, rebalances.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, TopicPartitionList,
    bindings::rd_kafka_resp_err_t,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

/// What a client hears.
#[derive(Debug, Default)]
pub(super) struct Watching {
    said: Mutex<Said>,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// The member is leaving: rebalances are carried out as they come, for nobody waits for them.
    leaving: AtomicBool,
}

/// The last failures of connections, by what they are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// Of a login or a handshake.
    pub(super) login: Option<String>,
    /// Of a connection.
    pub(super) connection: Option<String>,
}

/// What the group decided about this member.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(TopicPartitionList),
    Revoke { partitions: TopicPartitionList, lost: bool },
}

impl Watching {
    pub(super) fn said(&self) -> Said {
        lock(&self.said).clone()
    }

    /// Forgets what was said, before a question whose failure it is to explain.
    pub(super) fn forget(&self) {
        *lock(&self.said) = Said::default();
    }

    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        lock(&self.rebalances).pop_front()
    }

    pub(super) fn has_rebalance(&self) -> bool {
        !lock(&self.rebalances).is_empty()
    }

    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }
}

/// A panic while one of these was held left nothing half done in it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands one of librdkafka's lines on.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{line}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

impl ClientContext for Watching {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    // Not logged: librdkafka has written a line about each of them already.
    fn error(&self, error: KafkaError, reason: &str) {
        metrics::counter!("shipway_broker_errors_total").increment(1);
        let mut said = lock(&self.said);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                said.login = Some(reason.to_owned())
            }
            // It only counts the failures that were told one by one before.
            Some(RDKafkaErrorCode::AllBrokersDown) if said.connection.is_some() => {}
            _ => said.connection = Some(reason.to_owned()),
        }
    }
}

impl ConsumerContext for Watching {
    /// Only notes what was decided. The group waits until the member has carried it out, and that is after the caller
    /// said from where to read, or that it stopped writing.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        decision: rd_kafka_resp_err_t,
        partitions: &mut TopicPartitionList,
    ) {
        let assigns = decision == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Acquire) {
            let carried_out = if assigns {
                consumer.incremental_assign(partitions)
            } else {
                consumer.incremental_unassign(partitions)
            };
            if let Err(error) = carried_out {
                tracing::warn!(%error, "a rebalance failed while the member leaves its group");
            }
            return;
        }
        let lost = consumer.assignment_lost();
        let partitions = partitions.clone();
        lock(&self.rebalances).push_back(if assigns {
            Rebalance::Assign(partitions)
        } else {
            Rebalance::Revoke { partitions, lost }
        });
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::debug!(%error, "the broker took no note of positions; they are kept elsewhere");
        }
    }
}

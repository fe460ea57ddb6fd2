//! Spans of sampled requests go to a collector: off the way of any request, in batches, out of a bounded queue.
//!
//! - `queue`: where spans wait; what does not fit is dropped and counted
//! - `sender`: takes them out in batches, tries again, says now and then what was lost
//! - `collector`: one batch over HTTP (OTLP, protobuf); `messages` its shape
//! - `pairs`: `name=value,…`, as headers and attributes are configured; pure

mod collector;
mod messages;
mod pairs;
mod queue;
mod sender;

use std::time::Duration;

use shipway_web::spans::{Sampling, make_spans};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    configuration::{SpansConfiguration, spans::unspoken_protocol},
    failure::CommandFailure,
};
use collector::Collector;
use messages::KeyValue;
use sender::Sender;

/// The most spans that may be told to wait.
const MOST_QUEUED: usize = 1_000_000;

/// How long a server that stops waits for the collector.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sending of spans, while it goes on.
pub(super) struct Spans {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Spans {
    /// Begins to make and send spans, if the configuration names a collector; without one nothing is made.
    pub(super) fn start(configuration: &SpansConfiguration) -> Result<Self, CommandFailure> {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        if let Some(protocol) = unspoken_protocol() {
            tracing::warn!(
                protocol,
                "the collector of the environment is not used: spans are sent as http/protobuf only"
            );
        }
        let Some(endpoint) = configuration.otlp_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty())
        else {
            return Ok(Self { tracker, stop });
        };
        check(configuration)?;
        let timeout = Duration::from_secs(configuration.otlp_timeout_seconds);
        let collector = Collector::new(
            endpoint,
            configuration.otlp_headers.as_deref(),
            timeout,
            resource(configuration)?,
        )?;
        let shown = collector.shown();
        let (queue, waiting) = queue::bounded(configuration.queue);
        let sampling = Sampling { ratio: configuration.ratio, follow_callers: configuration.follow_callers };
        make_spans(sampling, Box::new(queue));
        tracker.spawn(Sender::new(collector, waiting).run(stop.clone()));
        tracing::info!(endpoint = shown, ratio = configuration.ratio, "spans are sent");
        Ok(Self { tracker, stop })
    }

    /// Sends what waits, as far as the collector takes it in time.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::warn!(seconds = PATIENCE.as_secs(), "the last spans were not sent in time");
        }
    }
}

fn check(configuration: &SpansConfiguration) -> Result<(), CommandFailure> {
    if !(0.0..=1.0).contains(&configuration.ratio) {
        return Err(CommandFailure::new(format!("spans.ratio: {} is no share", configuration.ratio))
            .with_hint("a number from 0 to 1: 0.1 for one request in ten"));
    }
    if !(1..=MOST_QUEUED).contains(&configuration.queue) {
        return Err(CommandFailure::new(format!("spans.queue: {} spans cannot wait", configuration.queue))
            .with_hint(format!("a number from 1 to {MOST_QUEUED}")));
    }
    if configuration.otlp_timeout_seconds == 0 {
        return Err(CommandFailure::new("spans.otlp_timeout_seconds: 0 is no time for an answer"));
    }
    Ok(())
}

/// What is said of this process: what the configuration says, and what it is.
fn resource(configuration: &SpansConfiguration) -> Result<Vec<KeyValue>, CommandFailure> {
    let text = configuration.resource_attributes.as_deref().unwrap_or_default();
    let said =
        pairs::parse(text).map_err(|why| CommandFailure::new(format!("spans.resource_attributes: {why}")))?;
    let own = [
        ("service.name", configuration.service_name.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let is_own = |name: &str| own.iter().any(|(key, _)| *key == name);
    let mut attributes: Vec<KeyValue> = said
        .into_iter()
        .filter(|(name, _)| !is_own(name))
        .map(|(name, value)| KeyValue::text(name, value))
        .collect();
    attributes.extend(own.map(|(key, value)| KeyValue::text(key, value)));
    Ok(attributes)
}

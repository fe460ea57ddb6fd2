//! Spans of sampled requests go to a collector: off the way of any request, in batches, out of a bounded queue.
//!
//! - `queue`: where spans wait; what does not fit is dropped and counted
//! - `sender`: takes them out in batches, tries again, says now and then what was lost
//! - `collector`: one batch over HTTP (OTLP, protobuf)
//! - `pairs`: `name=value,…`, as headers and attributes are configured; pure

mod collector;
mod pairs;
mod queue;
mod sender;

use std::time::Duration;

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    resource::TelemetryResourceDetector,
    trace::{Sampler, SdkTracerProvider},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    configuration::{SpansConfiguration, spans::unspoken_protocol},
    failure::CommandFailure,
};
use collector::Collector;
use sender::Sender;

/// The most spans that may be told to wait.
const MOST_QUEUED: usize = 1_000_000;

/// How long a server that stops waits for the collector.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sending of spans, while it goes on.
pub(super) struct Spans {
    /// What makes spans; none where none are made.
    provider: Option<SdkTracerProvider>,
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
            return Ok(Self { provider: None, tracker, stop });
        };
        check(configuration)?;
        let resource = resource(configuration)?;
        let timeout = Duration::from_secs(configuration.otlp_timeout_seconds);
        let collector = Collector::new(endpoint, configuration.otlp_headers.as_deref(), timeout, &resource)?;
        let shown = collector.shown();
        let (queue, waiting) = queue::bounded(configuration.queue);
        let of_ratio = Sampler::TraceIdRatioBased(configuration.ratio);
        let sampler = match configuration.follow_callers {
            true => Sampler::ParentBased(Box::new(of_ratio)),
            false => of_ratio,
        };
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_resource(resource)
            .with_span_processor(queue)
            .build();
        global::set_tracer_provider(provider.clone());
        global::set_text_map_propagator(TraceContextPropagator::new());
        shipway_web::spans::make_spans();
        tracker.spawn(Sender::new(collector, waiting).run(stop.clone()));
        tracing::info!(endpoint = shown, ratio = configuration.ratio, "spans are sent");
        Ok(Self { provider: Some(provider), tracker, stop })
    }

    /// Sends what waits, as far as the collector takes it in time.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(PATIENCE, self.tracker.wait()).await.is_err() {
            tracing::warn!(seconds = PATIENCE.as_secs(), "the last spans were not sent in time");
        }
        // Who asks for a span from here on gets none.
        if let Some(provider) = self.provider {
            let _ = provider.shutdown();
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

/// What is said of this process: what the configuration says, then what it is.
fn resource(configuration: &SpansConfiguration) -> Result<Resource, CommandFailure> {
    let text = configuration.resource_attributes.as_deref().unwrap_or_default();
    let said =
        pairs::parse(text).map_err(|why| CommandFailure::new(format!("spans.resource_attributes: {why}")))?;
    let said = said.into_iter().map(|(name, value)| KeyValue::new(name, value));
    Ok(Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(said)
        .with_service_name(configuration.service_name.clone())
        .build())
}

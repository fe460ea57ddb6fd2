//! Logs and metrics of the process.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use super::log_lines::{Style, WithRequest};
use crate::{
    configuration::{LogConfiguration, LogFormat},
    failure::CommandFailure,
};

/// Renders the metrics of this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

/// Seconds; from a read in memory to a training set.
const SECONDS_BUCKETS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
    30.0, 120.0,
];

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Libraries that tell at `info` what is `debug` to an operator. What the configuration says of them wins.
const QUIET: &str = "buoyant_kernel=warn,buoyant_kernel_engine=warn,deltalake_core=warn,datafusion=warn,fjall=warn,lsm_tree=warn";

/// Starts logging to standard error and the recording of metrics.
pub(crate) fn start(configuration: &LogConfiguration) -> Result<Metrics, CommandFailure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", configuration.level)).map_err(|error| {
        CommandFailure::new(format!("log.level: {error}"))
            .with_hint("such as info, or info,shipway_features=debug")
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match configuration.format {
        LogFormat::Text => builder
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .map_event_format(|inner| WithRequest { inner, style: Style::Text })
            .try_init(),
        LogFormat::Json => {
            builder.json().map_event_format(|inner| WithRequest { inner, style: Style::Json }).try_init()
        }
    };
    started.map_err(|error| CommandFailure::new(format!("logging could not start: {error}")))?;
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| CommandFailure::new(format!("metrics could not start: {error}")))?;
    Ok(Metrics(handle))
}

impl Metrics {
    /// Metrics that nobody records.
    pub(crate) fn unrecorded() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    /// Folds what was recorded into the buckets of the histograms, again and again: until then every sample is kept, and nobody
    /// may ask for the metrics for days.
    pub(crate) async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            self.0.run_upkeep();
        }
    }

    /// The metrics in the Prometheus text format.
    pub(crate) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

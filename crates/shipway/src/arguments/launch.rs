//! Arguments of `launch`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Launch {
    /// Launch a version: it answers for nobody to see, then a growing share of the requests, then takes over
    Start(Box<LaunchStart>),
    /// Show the launch that goes on, or the last one
    Show {
        /// Name of the deployment
        name: String,
        /// Look again and again, until the launch is over
        #[arg(long)]
        watch: bool,
    },
    /// List the launches of a deployment
    List {
        /// Name of the deployment
        name: String,
    },
    /// Move a launch on to its next stage, whatever it waits for
    Advance {
        /// Name of the deployment
        name: String,
    },
    /// End a launch; the version that serves answers everything
    Abort {
        /// Name of the deployment
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct LaunchStart {
    /// Name of the deployment
    pub(crate) name: String,
    /// Alias of the version to launch
    #[arg(long, required_unless_present = "version", conflicts_with = "version")]
    pub(crate) alias: Option<String>,
    /// The version to launch, by its number
    #[arg(long = "model-version", id = "version", value_name = "NUMBER")]
    pub(crate) version: Option<u64>,
    /// The share of requests that it answers too before it answers anybody, 0 to leave this out
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub(crate) shadow_share: f64,
    /// The shares of requests that it answers, one step after the other
    #[arg(long, value_name = "SHARES", value_delimiter = ',', default_values_t = [0.05, 0.25, 0.5])]
    pub(crate) canary_shares: Vec<f64>,
    /// Leave the steps out: from shadow to all
    #[arg(long, conflicts_with = "canary_shares")]
    pub(crate) no_canary: bool,
    /// Column of the request by whose value it is decided who is answered by which version
    #[arg(long, value_name = "COLUMN")]
    pub(crate) key: Option<String>,
    /// How long each stage lasts at least, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) hold: u64,
    /// How many requests each version must answer in a stage
    #[arg(long, value_name = "REQUESTS", default_value_t = 500)]
    pub(crate) min_requests: u64,
    /// The largest share of requests that it may fail to answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    pub(crate) max_error_rate: f64,
    /// How many times as long its 95th percentile of latency may be; `off` for any
    #[arg(long, value_name = "RATIO", default_value = "2", value_parser = or_off)]
    pub(crate) max_latency_ratio: Bound,
    /// The largest population stability index between its predictions and the other's; `off` for any
    #[arg(long, value_name = "INDEX", default_value = "0.2", value_parser = or_off)]
    pub(crate) max_drift: Bound,
    /// Stay and look until the launch is over; fail when it does not succeed
    #[arg(long)]
    pub(crate) watch: bool,
}

/// A bound, or none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound(pub(crate) Option<f64>);

fn or_off(text: &str) -> Result<Bound, String> {
    match text {
        "off" => Ok(Bound(None)),
        text => text.parse().map(|bound| Bound(Some(bound))).map_err(|_| "a number, or off".to_owned()),
    }
}

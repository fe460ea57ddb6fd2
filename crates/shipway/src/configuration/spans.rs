//! Spans of requests, sent to a collector of OpenTelemetry: under our own keys, and under the variables of the standard.

use std::{collections::BTreeMap, fmt};

use figment::{
    providers::Env,
    value::{Dict, Empty, Value},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Spans of requests, sent to a collector of OpenTelemetry (OTLP over HTTP). The variables `OTEL_*` of the standard are read too;
/// `SHIPWAY_SPANS__*` win over them, and they over the file.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SpansConfiguration {
    /// URL that spans are sent to, such as `http://collector:4318/v1/traces`; without it no spans are made
    pub(crate) otlp_endpoint: Option<String>,
    /// Headers of what is sent: `name=value`, more of them after commas, values percent-encoded
    pub(crate) otlp_headers: Option<String>,
    /// Seconds that the collector gets for an answer
    pub(crate) otlp_timeout_seconds: u64,
    /// Share of requests, from 0 to 1, that is sampled where no caller decides
    pub(crate) ratio: f64,
    /// Whether a caller's header `traceparent` decides for its request
    pub(crate) follow_callers: bool,
    /// Name of this service for the collector
    pub(crate) service_name: String,
    /// What else is said of this process: `name=value`, more of them after commas, values percent-encoded
    pub(crate) resource_attributes: Option<String>,
    /// Spans that wait to be sent, at most; those beyond are dropped and counted
    pub(crate) queue: usize,
    /// Whether spans of calls of models of language have what was asked and answered, where the model's definition keeps it
    pub(crate) llm_content: bool,
}

impl Default for SpansConfiguration {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers: None,
            otlp_timeout_seconds: 10,
            ratio: 1.0,
            follow_callers: true,
            service_name: "shipway".to_owned(),
            resource_attributes: None,
            queue: 4_096,
            llm_content: false,
        }
    }
}

/// Says everything but the headers, which may hold a key.
impl fmt::Debug for SpansConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SpansConfiguration")
            .field("otlp_endpoint", &self.otlp_endpoint)
            .field("ratio", &self.ratio)
            .field("follow_callers", &self.follow_callers)
            .field("service_name", &self.service_name)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Where a collector takes spans when only its address is known.
const PATH: &str = "/v1/traces";

/// What the variables of the standard say, as a part of the configuration.
pub(super) fn of_environment() -> Dict {
    Dict::from([("spans".to_owned(), of_variables(&variables()).into())])
}

/// The protocol that the environment asks for its collector, if it is one that is not spoken here: then nothing is sent there.
pub(crate) fn unspoken_protocol() -> Option<String> {
    unspoken(&variables()).map(str::to_owned)
}

/// The variables of OpenTelemetry that are set, by their names in lower case.
fn variables() -> BTreeMap<String, String> {
    let otel = Env::prefixed("OTEL_");
    otel.iter().map(|(name, value)| (name.as_str().to_ascii_lowercase(), value)).collect()
}

/// The one for traces if it is set, else the one for everything.
fn of_traces<'a>(variables: &'a BTreeMap<String, String>, what: &str) -> Option<&'a str> {
    let of_traces = variables.get(&format!("exporter_otlp_traces_{what}"));
    let found = of_traces.or_else(|| variables.get(&format!("exporter_otlp_{what}")));
    found.map(String::as_str).filter(|value| !value.is_empty())
}

fn unspoken(variables: &BTreeMap<String, String>) -> Option<&str> {
    of_traces(variables, "endpoint")?;
    of_traces(variables, "protocol").filter(|protocol| *protocol != "http/protobuf")
}

fn of_variables(variables: &BTreeMap<String, String>) -> Dict {
    let mut said = Dict::new();
    let of = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let is_off = of("sdk_disabled").is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || of("traces_exporter").is_some_and(|exporter| exporter == "none");
    let endpoint = match of("exporter_otlp_traces_endpoint") {
        Some(whole) => Some(whole.to_owned()),
        None => of("exporter_otlp_endpoint").map(|base| format!("{}{PATH}", base.trim_end_matches('/'))),
    };
    let mut say = |key: &str, value: Value| drop(said.insert(key.to_owned(), value));
    if is_off {
        say("otlp_endpoint", Empty::None.into());
    } else if let Some(endpoint) = endpoint.filter(|_| unspoken(variables).is_none()) {
        say("otlp_endpoint", endpoint.into());
        if let Some(headers) = of_traces(variables, "headers") {
            say("otlp_headers", headers.into());
        }
    }
    if let Some(ms) = of_traces(variables, "timeout").and_then(|ms| ms.parse::<u64>().ok()) {
        say("otlp_timeout_seconds", ms.div_ceil(1_000).max(1).into());
    }
    let attributes = of("resource_attributes");
    let mut among = attributes.iter().flat_map(|attributes| attributes.split(','));
    let name =
        of("service_name").or_else(|| among.find_map(|pair| pair.trim().strip_prefix("service.name=")));
    if let Some(name) = name {
        say("service_name", name.into());
    }
    if let Some(attributes) = attributes {
        say("resource_attributes", attributes.into());
    }
    if let Some(queue) = of("bsp_max_queue_size").and_then(|queue| queue.parse::<u64>().ok()) {
        say("queue", queue.into());
    }
    if let Some((ratio, follow)) =
        of("traces_sampler").and_then(|name| sampler(name, of("traces_sampler_arg")))
    {
        say("ratio", ratio.into());
        say("follow_callers", follow.into());
    }
    said
}

/// The share that is sampled, and whether callers decide. A share that is no number is the whole, as the standard has it; samplers that
/// are not here are passed over.
fn sampler(name: &str, argument: Option<&str>) -> Option<(f64, bool)> {
    let ratio = || argument.and_then(|ratio| ratio.parse().ok()).unwrap_or(1.0);
    match name {
        "always_on" => Some((1.0, false)),
        "always_off" => Some((0.0, false)),
        "traceidratio" => Some((ratio(), false)),
        "parentbased_always_on" => Some((1.0, true)),
        "parentbased_always_off" => Some((0.0, true)),
        "parentbased_traceidratio" => Some((ratio(), true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> serde_json::Value {
        let variables = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        serde_json::to_value(of_variables(&variables)).unwrap()
    }

    #[test]
    fn the_variables_of_the_standard_are_understood() {
        let base = ("exporter_otlp_endpoint", "http://collector:4318/");
        assert_eq!(read(&[base])["otlp_endpoint"], "http://collector:4318/v1/traces");
        let whole = ("exporter_otlp_traces_endpoint", "https://elsewhere/otlp");
        let read_both = read(&[
            base,
            whole,
            ("exporter_otlp_headers", "a=b"),
            ("exporter_otlp_traces_headers", "api-key=x%20y"),
            ("exporter_otlp_timeout", "2500"),
            ("service_name", "models"),
            ("bsp_max_queue_size", "7"),
            ("traces_sampler", "parentbased_traceidratio"),
            ("traces_sampler_arg", "0.25"),
        ]);
        assert_eq!(
            read_both,
            serde_json::json!({
                "otlp_endpoint": "https://elsewhere/otlp", "otlp_headers": "api-key=x%20y", "otlp_timeout_seconds": 3,
                "service_name": "models", "queue": 7, "ratio": 0.25, "follow_callers": true,
            })
        );
        assert_eq!(
            read(&[("traces_sampler", "always_off")]),
            serde_json::json!({"ratio": 0.0, "follow_callers": false})
        );
        let attributes = ("resource_attributes", "deployment.environment.name=test,service.name=inner");
        assert_eq!(read(&[attributes])["service_name"], "inner");
        assert_eq!(read(&[attributes, ("service_name", "outer")])["service_name"], "outer");
        assert_eq!(read(&[("traces_sampler", "jaeger_remote"), ("service_name", "")]), serde_json::json!({}));
    }

    #[test]
    fn what_is_switched_off_or_spoken_otherwise_gets_nothing() {
        let base = ("exporter_otlp_endpoint", "http://collector:4317");
        for off in [("sdk_disabled", "true"), ("traces_exporter", "none")] {
            assert!(read(&[base, off])["otlp_endpoint"].is_null());
            assert_eq!(read(&[base, off]).as_object().unwrap().len(), 1, "it wins over the file");
        }
        let grpc = [base, ("exporter_otlp_protocol", "grpc")];
        assert_eq!(read(&grpc), serde_json::json!({}));
        let variables = grpc.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(unspoken(&variables), Some("grpc"));
    }

    #[test]
    fn headers_are_never_shown() {
        let read: SpansConfiguration = toml::from_str("otlp_headers = 'api-key=hush'").unwrap();
        assert!(!format!("{read:?}").contains("hush"));
    }
}

//! The server's configuration: defaults < shipway.toml < OTEL_* < SHIPWAY_* < flags. The one place that reads the environment.

mod brokers;
mod llm;
mod metadata;
pub(crate) mod onnx_library;
mod providers;
mod python;
mod read_copy;
mod secrets;
mod sources;
pub(crate) mod spans;
mod tracking;
mod webhooks;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value as FigmentValue},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use brokers::{BrokerConfiguration, options as broker_options};
pub(crate) use llm::{LlmConfiguration, LlmRole};
pub(crate) use metadata::MetadataConfiguration;
pub(crate) use providers::{ProviderConfiguration, specs as provider_specs};
pub(crate) use python::PythonConfiguration;
pub(crate) use read_copy::{ReadCopyConfiguration, Role};
pub(crate) use secrets::SecretsConfiguration;
pub(crate) use sources::SourcesConfiguration;
pub(crate) use spans::SpansConfiguration;
pub(crate) use tracking::TrackingConfiguration;
pub(crate) use webhooks::WebhooksConfiguration;

use crate::failure::CommandFailure;

/// Everything that can be configured. Each field is a key of shipway.toml; `SHIPWAY_` and the key in capitals, with `__`
/// between section and key, is its environment variable.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Folder of everything that the server keeps
    pub(crate) data: PathBuf,
    /// Address and port to listen on. Any address but loopback demands a token
    pub(crate) listen: SocketAddr,
    /// Token of the operator, who may do everything: as a bearer token or as the password of basic authentication. With it every caller
    /// is asked who they are, and others sign in as users
    pub(crate) token: Option<String>,
    /// Host names, besides loopback ones, under which callers may reach the server
    pub(crate) allowed_hosts: Vec<String>,
    /// Seconds that open requests get to finish when the server is told to stop
    pub(crate) shutdown_seconds: u64,
    /// What the server writes about itself
    pub(crate) log: LogConfiguration,
    /// Spans of requests, sent to a collector of OpenTelemetry
    pub(crate) spans: SpansConfiguration,
    /// Definitions, runs, models, jobs, the audit log
    pub(crate) metadata: MetadataConfiguration,
    /// What MLflow's clients and people see
    pub(crate) mlflow: MlflowConfiguration,
    /// Experiments, runs and models
    pub(crate) tracking: TrackingConfiguration,
    /// Tables, SQL and training sets
    pub(crate) lake: LakeConfiguration,
    /// Online features
    pub(crate) online: OnlineConfiguration,
    /// The online states of views
    pub(crate) features: FeaturesConfiguration,
    /// The replay of served vectors
    pub(crate) verify: VerifyConfiguration,
    /// Model files
    pub(crate) runtime: RuntimeConfiguration,
    /// Work that outlives a request
    pub(crate) jobs: JobsConfiguration,
    /// Files and tables of somebody else that sources may load
    pub(crate) sources: SourcesConfiguration,
    /// The online states in Redis or Valkey, for readers elsewhere
    pub(crate) read_copy: ReadCopyConfiguration,
    /// Requests to others when the model registry changes
    pub(crate) webhooks: WebhooksConfiguration,
    /// Clusters of Kafka or Pulsar that sources may read from, each in a section `[brokers.NAME]`
    pub(crate) brokers: BTreeMap<String, BrokerConfiguration>,
    /// Calls of models of language
    pub(crate) llm: LlmConfiguration,
    /// Secrets of providers that are kept in the metadata database
    pub(crate) secrets: SecretsConfiguration,
    /// Providers of models of language, each in a section `[providers.NAME]`
    pub(crate) providers: BTreeMap<String, ProviderConfiguration>,
}

/// What the server writes about itself, to standard error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfiguration {
    /// Least level that is written: error, warn, info, debug or trace; or directives such as `info,shipway_features=debug`
    pub(crate) level: String,
    /// `text` for a person, `json` for a collector
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Tables, SQL and training sets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LakeConfiguration {
    /// MiB of memory that queries and training sets, jobs included, may use together before they spill to disk, in the folder
    /// `lake/.spill` of the data folder
    pub(crate) memory_limit_mib: usize,
    /// Partitions that a query is split into; 0 means one for each core
    pub(crate) partitions: usize,
    /// Hours for which an older version of a table can still be read; at least 24
    pub(crate) retention_hours: u64,
    /// Seconds between two looks at the tables for files to join, sort and remove; 0 means never
    pub(crate) upkeep_seconds: u64,
}

/// What MLflow's clients and people see.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MlflowConfiguration {
    /// Folder of an installed `mlflow` package (3.x), whose web interface is then served at `/`
    pub(crate) interface: Option<PathBuf>,
}

/// Online features.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OnlineConfiguration {
    /// MiB of memory for the cache of the online store
    pub(crate) cache_mib: u64,
}

/// The online states of views.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FeaturesConfiguration {
    /// About so many rows of history are held as states at a time while a view is built or a load is merged; decides their memory
    pub(crate) build_rows: u64,
    /// Hours after which the state of a view in force is built again from history, compared and replaced; 0 means only on request
    pub(crate) heal_every_hours: u64,
    /// Hours for which the state of a version is kept that is out of force and that no deployment and no registered model refers
    /// to; 0 means for ever
    pub(crate) retire_after_hours: u64,
    /// Records of a source's log that are kept at most for a sink that has not sent them; beyond it they are dropped, and the sink says so
    pub(crate) sink_records: u64,
}

/// The replay of served vectors against history.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VerifyConfiguration {
    /// Minutes between two rounds over all deployments; 0 replays only on request
    pub(crate) every_minutes: u64,
    /// The newest vectors of each deployment that a round compares
    pub(crate) vectors: usize,
}

/// Model files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RuntimeConfiguration {
    /// What runs ONNX models: `onnxruntime`; `rten`, which needs no library and has fewer operators and types; or `auto`: ONNX Runtime where its library is configured or found, else rten
    pub(crate) onnx_engine: String,
    /// Path of ONNX Runtime's library, 1.24 or newer, for ONNX models; without it the one is taken that `shipway runtime install` put into the data folder, or that of the active virtual environment, or of the system
    pub(crate) onnx_library: Option<PathBuf>,
    /// Threads that one operator of an ONNX model may use, and the libraries of numbers under one model that is code
    pub(crate) threads: usize,
    /// Operators of an ONNX model that may run at once; 1 for one after the other, as rten always does
    pub(crate) inter_threads: usize,
    /// Where ONNX models run: `cpu`, `cuda` or `cuda:1`. For the last two ONNX Runtime's library must have CUDA in it (`shipway runtime install --gpu`)
    pub(crate) onnx_device: String,
    /// Count inferences under the names of Triton's metrics too, `nv_inference_*`, for dashboards that know these
    pub(crate) triton_metrics: bool,
    /// Models that are loaded at most, in MiB of their files; those that were asked longest ago make room and are loaded again when they are asked. 0 for any number
    pub(crate) model_memory_mib: u64,
    /// Models that are code, each in a process of Python of its own
    pub(crate) python: PythonConfiguration,
}

/// Work that outlives a request: training sets that are kept, for one.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct JobsConfiguration {
    /// Jobs that run at once; the others wait
    pub(crate) concurrency: usize,
}

impl Default for JobsConfiguration {
    fn default() -> Self {
        Self { concurrency: 2 }
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            data: PathBuf::from("shipway-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8700)),
            token: None,
            allowed_hosts: Vec::new(),
            shutdown_seconds: 20,
            log: LogConfiguration::default(),
            spans: SpansConfiguration::default(),
            metadata: MetadataConfiguration::default(),
            mlflow: MlflowConfiguration::default(),
            tracking: TrackingConfiguration::default(),
            lake: LakeConfiguration::default(),
            online: OnlineConfiguration::default(),
            features: FeaturesConfiguration::default(),
            verify: VerifyConfiguration::default(),
            runtime: RuntimeConfiguration::default(),
            jobs: JobsConfiguration::default(),
            sources: SourcesConfiguration::default(),
            read_copy: ReadCopyConfiguration::default(),
            webhooks: WebhooksConfiguration::default(),
            brokers: BTreeMap::new(),
            llm: LlmConfiguration::default(),
            secrets: SecretsConfiguration::default(),
            providers: BTreeMap::new(),
        }
    }
}

impl Default for LogConfiguration {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for LakeConfiguration {
    fn default() -> Self {
        Self { memory_limit_mib: 1024, partitions: 0, retention_hours: 30 * 24, upkeep_seconds: 60 }
    }
}

impl Default for OnlineConfiguration {
    fn default() -> Self {
        Self { cache_mib: 256 }
    }
}

impl Default for FeaturesConfiguration {
    fn default() -> Self {
        Self {
            build_rows: 250_000,
            heal_every_hours: 24,
            retire_after_hours: 7 * 24,
            sink_records: 5_000_000,
        }
    }
}

impl Default for VerifyConfiguration {
    fn default() -> Self {
        Self { every_minutes: 60, vectors: 10_000 }
    }
}

impl Default for RuntimeConfiguration {
    fn default() -> Self {
        Self {
            onnx_engine: "auto".to_owned(),
            onnx_library: None,
            threads: 1,
            inter_threads: 1,
            onnx_device: "cpu".to_owned(),
            triton_metrics: false,
            model_memory_mib: 0,
            python: PythonConfiguration::default(),
        }
    }
}

/// The keys that the environment may set. `SHIPWAY_SERVER` belongs to the command line, not to the server.
pub(crate) const KEYS: [&str; 77] = [
    "data",
    "listen",
    "token",
    "allowed_hosts",
    "shutdown_seconds",
    "log.level",
    "log.format",
    "spans.otlp_endpoint",
    "spans.otlp_headers",
    "spans.otlp_timeout_seconds",
    "spans.ratio",
    "spans.follow_callers",
    "spans.service_name",
    "spans.resource_attributes",
    "spans.queue",
    "spans.llm_content",
    "metadata.url",
    "metadata.connections",
    "mlflow.interface",
    "tracking.purge_after_days",
    "lake.memory_limit_mib",
    "lake.partitions",
    "lake.retention_hours",
    "lake.upkeep_seconds",
    "online.cache_mib",
    "llm.cache_mib",
    "llm.content_mib",
    "llm.content_days",
    "llm.role",
    "llm.media.fetch",
    "llm.media.allowed_hosts",
    "llm.media.allow_http",
    "llm.media.file_mib",
    "llm.media.timeout_seconds",
    "secrets.key",
    "secrets.key_file",
    "features.build_rows",
    "features.heal_every_hours",
    "features.retire_after_hours",
    "features.sink_records",
    "verify.every_minutes",
    "verify.vectors",
    "runtime.onnx_engine",
    "runtime.onnx_library",
    "runtime.threads",
    "runtime.inter_threads",
    "runtime.onnx_device",
    "runtime.triton_metrics",
    "runtime.model_memory_mib",
    "runtime.python.interpreter",
    "runtime.python.environment",
    "runtime.python.index",
    "runtime.python.memory_mib",
    "runtime.python.call_timeout_seconds",
    "runtime.python.sandbox_required",
    "jobs.concurrency",
    "sources.allowed_folders",
    "sources.allowed_buckets",
    "sources.most_files",
    "sources.file_mib",
    "sources.s3.endpoint",
    "sources.s3.region",
    "sources.s3.path_style",
    "sources.s3.access_key_id",
    "sources.s3.secret_access_key",
    "sources.s3.session_token",
    "sources.s3.anonymous",
    "read_copy.address",
    "read_copy.role",
    "read_copy.cluster",
    "read_copy.prefix",
    "read_copy.username",
    "read_copy.password",
    "read_copy.ca",
    "webhooks.allowed_hosts",
    "webhooks.allow_http",
    "webhooks.secret_key",
];

/// Keys whose values are text, whatever they look like: a password of digits is no number, and must not be printed as one that does
/// not fit.
const TEXTS: [&str; 13] = [
    "token",
    "metadata.url",
    "spans.otlp_headers",
    "spans.service_name",
    "spans.resource_attributes",
    "sources.s3.access_key_id",
    "sources.s3.secret_access_key",
    "sources.s3.session_token",
    "read_copy.prefix",
    "read_copy.username",
    "read_copy.password",
    "webhooks.secret_key",
    "secrets.key",
];

fn texts_of_environment() -> Dict {
    let texts = Env::prefixed("SHIPWAY_").map(|key| key.as_str().replace("__", ".").into()).only(&TEXTS);
    let mut read = Dict::new();
    for (key, text) in texts.iter() {
        let path: Vec<&str> = key.as_str().split('.').collect();
        put_text(&mut read, &path, text.into());
    }
    read
}

/// Sets the member at `path`, and makes those on the way.
fn put_text(into: &mut Dict, path: &[&str], value: FigmentValue) {
    match path {
        [] => {}
        [last] => drop(into.insert((*last).to_owned(), value)),
        [first, rest @ ..] => {
            let member = into.entry((*first).to_owned()).or_insert_with(|| Dict::new().into());
            if let FigmentValue::Dict(_, member) = member {
                put_text(member, rest, value);
            }
        }
    }
}

/// What is set of a broker in the environment: `SHIPWAY_BROKERS__MAIN__PASSWORD` for `brokers.main.password`.
const BROKERS: &str = "SHIPWAY_BROKERS__";
/// The same of a provider: `SHIPWAY_PROVIDERS__OPENAI__API_KEY` for `providers.openai.api_key`.
const PROVIDERS: &str = "SHIPWAY_PROVIDERS__";

/// What flags say.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Flags {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

impl Configuration {
    /// Reads the configuration; a named file must exist, the default one may be missing.
    pub(crate) fn read(file: Option<PathBuf>, flags: &Flags) -> Result<Self, CommandFailure> {
        let toml = match file {
            Some(file) if !file.is_file() => {
                return Err(CommandFailure::new(format!("{}: no such configuration file", file.display())));
            }
            Some(file) => Toml::file_exact(file),
            None => Toml::file("shipway.toml"),
        };
        Figment::from(Serialized::defaults(Self::default()))
            .merge(toml)
            .merge(Serialized::defaults(spans::of_environment()))
            .merge(Env::prefixed("SHIPWAY_").map(|key| key.as_str().replace("__", ".").into()).only(&KEYS))
            .merge(Serialized::defaults(texts_of_environment()))
            .merge(Serialized::defaults(brokers::of_environment(BROKERS)))
            .merge(Serialized::defaults(providers::of_environment(PROVIDERS)))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| {
                CommandFailure::new(format!("configuration: {error}"))
                    .with_hint("docs/reference/configuration.md lists every key")
            })
    }
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "the closure of figment's jail has this signature")]
mod tests {
    use super::*;

    fn leaves(prefix: &str, value: &serde_json::Value, into: &mut Vec<String>) {
        for (key, member) in value.as_object().into_iter().flatten() {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if member.is_object() { leaves(&path, member, into) } else { into.push(path) }
        }
    }

    #[test]
    fn every_key_can_be_set_from_the_environment() {
        let mut keys = Vec::new();
        leaves("", &serde_json::to_value(Configuration::default()).unwrap(), &mut keys);
        keys.sort();
        let mut known = KEYS.to_vec();
        known.sort_unstable();
        assert_eq!(keys, known);
    }

    #[test]
    fn flags_win_over_the_environment_which_wins_over_the_file_which_wins_over_defaults() {
        figment::Jail::expect_with(|jail| {
            jail.create_file(
                "shipway.toml",
                "shutdown_seconds = 1\n[lake]\npartitions = 3\nmemory_limit_mib = 5\n",
            )?;
            jail.set_env("SHIPWAY_LAKE__PARTITIONS", "4");
            jail.set_env("SHIPWAY_DATA", "from-environment");
            jail.set_env("SHIPWAY_SERVER", "http://elsewhere");
            let flags = Flags { data: Some("from-flag".into()), ..Flags::default() };
            let read = Configuration::read(None, &flags).unwrap();
            assert_eq!((read.shutdown_seconds, read.lake.partitions, read.lake.memory_limit_mib), (1, 4, 5));
            assert_eq!((read.data, read.online.cache_mib), (PathBuf::from("from-flag"), 256));
            Ok(())
        });
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        figment::Jail::expect_with(|jail| {
            jail.create_file("shipway.toml", "listne = \"127.0.0.1:1\"\n")?;
            let refused = Configuration::read(None, &Flags::default()).unwrap_err();
            assert!(refused.message.contains("listne"), "{}", refused.message);
            Ok(())
        });
    }
}

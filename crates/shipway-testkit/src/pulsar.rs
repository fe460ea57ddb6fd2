//! A real Pulsar of one node, ready to answer; stopped, killed and restarted as a test wants it. And topics of any Pulsar, by its
//! administration over HTTP.
//!
//! Its packages come from `scripts/pulsar`. They are large, so only tests that are asked for start one.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use reqwest::Method;

use crate::{TempData, process::Process};

const READY_WITHIN: Duration = Duration::from_secs(180);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker in a process of its own, on free loopback ports. Killed when it is dropped; its folder vanishes with it.
///
/// It would make topics by itself for whoever lets it, as it does by default.
#[derive(Debug)]
pub struct Pulsar {
    // Dropped in this order: the process must be gone before its folder goes.
    process: Process,
    packages: PathBuf,
    ports: Ports,
    starts: usize,
    data: TempData,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    broker: u16,
    web: u16,
    storage: u16,
}

impl Pulsar {
    /// Starts a broker on a fresh folder and waits until it is ready.
    ///
    /// Panics with the broker's words when it ends instead, or is not ready within three minutes.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further lines of `standalone.conf`, each a name and a value.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let packages = packages();
        let (data, ports) = (TempData::new(), Ports::free());
        fs_err::write(data.join("standalone.conf"), configuration(ports, settings))
            .expect("the configuration can be written");
        let process = launch(&packages, &data, (ports, 0));
        let mut pulsar = Self { process, packages, ports, starts: 1, data };
        pulsar.ready().await;
        pulsar
    }

    /// `pulsar://127.0.0.1:<port>`. It stays good over a restart.
    pub fn address(&self) -> String {
        format!("pulsar://127.0.0.1:{}", self.ports.broker)
    }

    /// What makes its topics.
    pub fn topics(&self) -> PulsarTopics {
        PulsarTopics::at(format!("http://127.0.0.1:{}", self.ports.web))
    }

    /// SIGTERM, and how it ended.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.stop(STOPPED_WITHIN).await
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same ports and data, after [`Self::stop`] or [`Self::kill`], and waits until it is ready.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(&self.packages, &self.data, (self.ports, self.starts));
        self.starts += 1;
        self.ready().await;
    }

    /// What the broker said since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }

    async fn ready(&mut self) {
        let (deadline, topics) = (Instant::now() + READY_WITHIN, self.topics());
        while !topics.has_default_namespace().await {
            if let Some(status) = self.process.ended() {
                panic!("the broker ended with {status}; it said:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "not ready within {READY_WITHIN:?}; it said:\n{}", self.log());
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Topics in the namespace `public/default` of a Pulsar, by its administration over HTTP.
#[derive(Debug, Clone)]
pub struct PulsarTopics {
    http: reqwest::Client,
    address: String,
}

impl PulsarTopics {
    /// Those of the Pulsar whose administration is at `address`, as `http://host:8080`.
    pub fn at(address: impl Into<String>) -> Self {
        // A connection that is kept would end with the runtime of the test that opened it, under another test's question.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0).build();
        Self { http: http.expect("a client can be made"), address: address.into() }
    }

    /// Makes a topic of so many partitions.
    pub async fn create(&self, name: &str, partitions: u32) {
        self.done(Method::PUT, &format!("persistent/public/default/{name}/partitions"), Some(partitions))
            .await;
    }

    /// Makes a topic that has no partitions.
    pub async fn create_whole(&self, name: &str) {
        self.done(Method::PUT, &format!("persistent/public/default/{name}"), None).await;
    }

    /// Grows a topic to `partitions` in all.
    pub async fn grow(&self, name: &str, partitions: u32) {
        self.done(Method::POST, &format!("persistent/public/default/{name}/partitions"), Some(partitions))
            .await;
    }

    /// Has the broker close a topic that has no partitions and open it anew, with a new ledger.
    pub async fn unload(&self, name: &str) {
        self.done(Method::PUT, &format!("persistent/public/default/{name}/unload"), None).await;
    }

    /// Has the broker delete all ledgers of a topic without partitions but the newest, whether they were read or not.
    pub async fn truncate(&self, name: &str) {
        self.done(Method::DELETE, &format!("persistent/public/default/{name}/truncate"), None).await;
    }

    /// All topics by their whole names, those that hold a partition each by their own.
    pub async fn list(&self) -> Vec<String> {
        let answer =
            self.ask(Method::GET, "persistent/public/default", None).await.expect("the broker answers");
        serde_json::from_str(&answer.text().await.expect("the broker answers")).expect("a list of names")
    }

    async fn has_default_namespace(&self) -> bool {
        match self.ask(Method::GET, "namespaces/public", None).await {
            Ok(answer) => answer.text().await.is_ok_and(|text| text.contains("public/default")),
            Err(_) => false,
        }
    }

    async fn done(&self, method: Method, path: &str, body: Option<u32>) {
        let answer = self.ask(method, path, body).await.expect("the broker answers");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        assert!(status.is_success(), "{path}: {status}: {text}");
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<u32>,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let request = self.http.request(method, format!("{}/admin/v2/{path}", self.address));
        let request = request.header("content-type", "application/json");
        request.body(body.map(|number| number.to_string()).unwrap_or_default()).send().await
    }
}

impl Ports {
    /// Three free ports, held together while they are found, so that they differ.
    fn free() -> Self {
        let listeners =
            [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"));
        let [broker, web, storage] =
            listeners.map(|listener| listener.local_addr().expect("a listener has an address").port());
        Self { broker, web, storage }
    }
}

/// The folder of the broker's packages, fetched first where it is missing.
fn packages() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/pulsar");
    let output = Command::new(&script).output().expect("scripts/pulsar can be started");
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn launch(packages: &Path, data: &TempData, (ports, start): (Ports, usize)) -> Process {
    let mut command = Command::new("java");
    command.args([
        "-Xms256m",
        "-Xmx512m",
        "-XX:MaxDirectMemorySize=512m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
    ]);
    // What its own start script opens of Java for it.
    for package in [
        "java.base/java.io",
        "java.base/java.nio",
        "java.base/java.util.zip",
        "java.base/jdk.internal.loader",
        "java.base/jdk.internal.misc",
        "java.base/jdk.internal.platform",
        "java.base/sun.net",
        "java.management/sun.management",
        "jdk.management/com.sun.management.internal",
    ] {
        command.arg("--add-opens").arg(format!("{package}=ALL-UNNAMED"));
    }
    command
        .arg("-Dio.netty.tryReflectionSetAccessible=true")
        .arg("-cp")
        .arg(packages.join("libs").join("*"))
        .arg("org.apache.pulsar.PulsarStandaloneStarter")
        .args(["--config", "standalone.conf", "--no-functions-worker", "--no-stream-storage"])
        .args(["--metadata-dir", "metadata", "--bookkeeper-dir", "bookkeeper"])
        .args(["--bookkeeper-port", &ports.storage.to_string()])
        .current_dir(data.path());
    Process::start(&mut command, data.join(format!("pulsar-{start}.log")))
}

fn configuration(ports: Ports, more: &[(&str, &str)]) -> String {
    let Ports { broker, web, .. } = ports;
    let mut text = format!(
        "clusterName=standalone\n\
         brokerServicePort={broker}\n\
         webServicePort={web}\n\
         bindAddress=127.0.0.1\n\
         advertisedAddress=127.0.0.1\n\
         managedLedgerDefaultEnsembleSize=1\n\
         managedLedgerDefaultWriteQuorum=1\n\
         managedLedgerDefaultAckQuorum=1\n\
         managedLedgerCacheSizeMB=32\n\
         allowEphemeralPorts=true\n\
         journalMaxSizeMB=16\n\
         journalPreAllocSizeMB=4\n\
         dbStorage_writeCacheMaxSizeMb=16\n\
         dbStorage_readAheadCacheMaxSizeMb=16\n\
         dbStorage_rocksDB_blockCacheSize=16777216\n\
         diskUsageThreshold=0.99\n\
         diskUsageWarnThreshold=0.98\n\
         topicLevelPoliciesEnabled=false\n\
         systemTopicEnabled=false\n\
         transactionCoordinatorEnabled=false\n\
         loadManagerClassName=org.apache.pulsar.broker.loadbalance.NoopLoadManager\n\
         numIOThreads=2\n\
         numHttpServerThreads=8\n"
    );
    for (name, value) in more {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

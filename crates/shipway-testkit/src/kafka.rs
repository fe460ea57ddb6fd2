//! A real Kafka broker of one node, ready to answer; stopped, killed and restarted as a test wants it.
//!
//! Its packages come from `scripts/kafka`. Topics are made over the wire, by a client of a few lines, so that a test pays
//! milliseconds for one and not the start of another Java machine.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::{Authority, TempData, kafka_wire as wire, process::Process};

const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Another process may take a free port between the moment it is found and the moment it is used.
const ATTEMPTS: usize = 5;
/// What the broker says when it takes requests.
const STARTED: &str = "Kafka Server started";
const CLUSTER: &str = "c2hpcHdheS1vZi10ZXN0cw";

/// A broker in a process of its own, on free loopback ports. Killed when it is dropped; its folder vanishes with it.
///
/// It makes no topic by itself, and group members are assigned without delay.
#[derive(Debug)]
pub struct Kafka {
    // Dropped in this order: the process must be gone before its folder goes.
    process: Process,
    packages: PathBuf,
    ports: Ports,
    starts: usize,
    data: TempData,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    plain: u16,
    login: u16,
    encrypted: u16,
    controller: u16,
}

impl Kafka {
    /// The user that may log in at [`Self::login_bootstrap`].
    pub const USERNAME: &str = "shipway";
    /// The password of that user.
    pub const PASSWORD: &str = "of-tests-only";

    /// Formats a fresh folder, starts a broker on it and waits until it is ready.
    ///
    /// Panics with the broker's words when it ends instead, or is not ready within two minutes.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further lines of `server.properties`, each a name and a value.
    pub async fn start_with(properties: &[(&str, &str)]) -> Self {
        Self::start_as(properties, None).await
    }

    /// As [`Self::start`], with certificates of `authority`: a login is encrypted then, and there is [`Self::encrypted_bootstrap`].
    pub async fn start_encrypted(authority: &Authority) -> Self {
        Self::start_as(&[], Some(authority)).await
    }

    async fn start_as(properties: &[(&str, &str)], authority: Option<&Authority>) -> Self {
        let packages = packages();
        let mut last_words = String::new();
        for _ in 0..ATTEMPTS {
            let (data, ports) = (TempData::new(), Ports::free());
            let mut text = server_properties(&data, ports, authority.is_some());
            if let Some(authority) = authority {
                text.push_str(&encryption(&data, authority));
            }
            for (name, value) in properties {
                text.push_str(&format!("{name}={value}\n"));
            }
            fs_err::write(data.join("server.properties"), text).expect("the configuration can be written");
            format(&packages, &data);
            let mut process = launch(&packages, &data, 0);
            match ready(&mut process, ports).await {
                Ok(()) => return Self { process, packages, ports, starts: 1, data },
                Err(words) => last_words = words,
            }
            if !last_words.contains("Address already in use") {
                break;
            }
        }
        panic!("the broker did not become ready: {last_words}");
    }

    /// `127.0.0.1:<port>`, open to everybody. It stays good over a restart.
    pub fn bootstrap(&self) -> String {
        address(self.ports.plain)
    }

    /// `127.0.0.1:<port>` for a login by `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; without encryption, unless it was started with
    /// [`Self::start_encrypted`].
    pub fn login_bootstrap(&self) -> String {
        address(self.ports.login)
    }

    /// `127.0.0.1:<port>` with encryption, for those who have a certificate of the authority themselves. Nobody listens there unless
    /// it was started with [`Self::start_encrypted`].
    pub fn encrypted_bootstrap(&self) -> String {
        address(self.ports.encrypted)
    }

    /// Makes a topic, and waits until its partitions have a leader.
    pub async fn create_topic(&self, name: &str, partitions: u32) {
        self.create_topic_with(name, partitions, &[]).await;
    }

    /// As [`Self::create_topic`], with settings of the topic, such as `max.message.bytes`.
    pub async fn create_topic_with(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        let mut connection =
            wire::Connection::open(self.ports.plain).await.expect("the broker takes connections");
        connection.create_topic(name, partitions, settings).await;
        connection.wait_for_leaders(name, partitions).await;
    }

    /// Grows a topic to `partitions` in all, and waits until the new ones have a leader.
    pub async fn grow_topic(&self, name: &str, partitions: u32) {
        let mut connection =
            wire::Connection::open(self.ports.plain).await.expect("the broker takes connections");
        connection.grow_topic(name, partitions).await;
        connection.wait_for_leaders(name, partitions).await;
    }

    /// Deletes the messages of a partition before `offset`, as retention would.
    pub async fn trim_topic(&self, name: &str, partition: u32, offset: u64) {
        let mut connection =
            wire::Connection::open(self.ports.plain).await.expect("the broker takes connections");
        connection.trim_topic(name, partition, offset).await;
    }

    /// How many bytes of messages the broker has on disk for a topic.
    pub fn topic_bytes(&self, name: &str) -> u64 {
        let partitions = fs_err::read_dir(self.data.join("log")).expect("the log can be listed");
        let is_of_topic = |folder: &Path| {
            let partition =
                folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
            partition.is_some_and(|(topic, _)| topic == name)
        };
        let folders = partitions.map(|entry| entry.expect("the log can be listed").path());
        let segments = folders
            .filter(|folder| is_of_topic(folder))
            .flat_map(|folder| fs_err::read_dir(folder).expect("a partition can be listed"));
        let files = segments.map(|entry| entry.expect("a partition can be listed").path());
        let logs = files.filter(|file| file.extension().is_some_and(|ending| ending == "log"));
        logs.map(|file| fs_err::metadata(file).expect("a segment has a length").len()).sum()
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
        self.process = launch(&self.packages, &self.data, self.starts);
        self.starts += 1;
        if let Err(words) = ready(&mut self.process, self.ports).await {
            panic!("the broker did not come back: {words}");
        }
    }

    /// What the broker said since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

impl Ports {
    /// Free ports, held together while they are found, so that they differ.
    fn free() -> Self {
        let listeners =
            [(); 4].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"));
        let [plain, login, encrypted, controller] =
            listeners.map(|listener| listener.local_addr().expect("a listener has an address").port());
        Self { plain, login, encrypted, controller }
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The folder of the broker's packages, fetched first where it is missing.
fn packages() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/kafka");
    let output = Command::new(&script).output().expect("scripts/kafka can be started");
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// A Java machine that starts quickly and stays small.
fn java(packages: &Path, data: &TempData) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"])
        .arg("-cp")
        .arg(packages.join("libs").join("*"))
        .current_dir(data.path());
    command
}

fn format(packages: &Path, data: &TempData) {
    let mut command = java(packages, data);
    command.args([
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        CLUSTER,
        "--config",
        "server.properties",
    ]);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let user = format!("{mechanism}=[name={},password={}]", Kafka::USERNAME, Kafka::PASSWORD);
        command.args(["--add-scram", &user]);
    }
    let output = command.stdin(Stdio::null()).output().expect("java can be started");
    assert!(
        output.status.success(),
        "the storage cannot be formatted: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn launch(packages: &Path, data: &TempData, start: usize) -> Process {
    let mut command = java(packages, data);
    command.args(["kafka.Kafka", "server.properties"]);
    Process::start(&mut command, data.join(format!("kafka-{start}.log")))
}

async fn ready(process: &mut Process, ports: Ports) -> Result<(), String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = process.ended() {
            return Err(format!("it ended with {status}; it said:\n{}", process.log()));
        }
        if process.log().contains(STARTED) && wire::Connection::open(ports.plain).await.is_ok() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("not within {READY_WITHIN:?}; it said:\n{}", process.log()));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn server_properties(data: &TempData, ports: Ports, is_encrypted: bool) -> String {
    let Ports { plain, login, encrypted, controller } = ports;
    let folder = data.join("log");
    let (user, password) = (Kafka::USERNAME, Kafka::PASSWORD);
    let module = "org.apache.kafka.common.security";
    let scram = format!("{module}.scram.ScramLoginModule required;");
    let open = format!("OPEN://127.0.0.1:{plain},LOGIN://127.0.0.1:{login}");
    let (advertised, login_protocol) = if is_encrypted {
        (format!("{open},ENCRYPTED://127.0.0.1:{encrypted}"), "SASL_SSL")
    } else {
        (open, "SASL_PLAINTEXT")
    };
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners={advertised},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners={advertised}\n\
         listener.security.protocol.map=OPEN:PLAINTEXT,LOGIN:{login_protocol},ENCRYPTED:SSL,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=OPEN\n\
         controller.listener.names=CONTROLLER\n\
         listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
         listener.name.login.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{user}=\"{password}\";\n\
         listener.name.login.scram-sha-256.sasl.jaas.config={scram}\n\
         listener.name.login.scram-sha-512.sasl.jaas.config={scram}\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         controlled.shutdown.enable=false\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         offsets.topic.num.partitions=1\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         log.cleaner.dedupe.buffer.size=4194304\n\
         num.network.threads=2\n\
         num.io.threads=2\n",
        folder.display()
    )
}

/// Has the broker encrypt with a certificate of `authority`, and on one listener ask for one.
fn encryption(data: &TempData, authority: &Authority) -> String {
    let read = |file: PathBuf| fs_err::read_to_string(file).expect("a file of the authority can be read");
    let signed = authority.signs("broker");
    let (keystore, truststore) = (data.join("keystore.pem"), data.join("truststore.pem"));
    fs_err::write(&keystore, read(signed.key) + &read(signed.certificate))
        .expect("the keystore can be written");
    fs_err::write(&truststore, read(authority.certificate())).expect("the truststore can be written");
    let of = |listener: &str, asks_for_one: &str| {
        let prefix = format!("listener.name.{listener}.ssl");
        format!(
            "{prefix}.keystore.type=PEM\n\
             {prefix}.keystore.location={}\n\
             {prefix}.truststore.type=PEM\n\
             {prefix}.truststore.location={}\n\
             {prefix}.client.auth={asks_for_one}\n",
            keystore.display(),
            truststore.display()
        )
    };
    of("login", "none") + &of("encrypted", "required")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broker_makes_topics_and_keeps_them_over_a_kill() {
        let mut kafka = Kafka::start().await;
        let bootstrap = kafka.bootstrap();
        kafka.create_topic("departures", 3).await;

        kafka.kill();
        kafka.restart().await;

        assert_eq!(kafka.bootstrap(), bootstrap);
        kafka.grow_topic("departures", 4).await;
        kafka.stop().await;
    }
}

//! A real Redis server, or a cluster of them, ready to answer; stopped, killed and restarted as a test wants it.
//!
//! Without further arguments a server keeps nothing on disk: it comes back empty.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use crate::{TempData, process::Process};

const READY_WITHIN: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
/// Another process may take a free port between the moment it is found and the moment it is used.
const ATTEMPTS: usize = 5;
/// The hash slots of a cluster.
const SLOTS: usize = 16_384;

/// A server in a process of its own, on a free loopback port. Killed when it is dropped; its folder vanishes with it.
#[derive(Debug)]
pub struct Redis {
    // Dropped in this order: the process must be gone before its folder goes.
    process: Process,
    port: u16,
    arguments: Vec<String>,
    starts: usize,
    data: TempData,
}

/// Several servers that share the hash slots.
#[derive(Debug)]
pub struct RedisCluster {
    /// The nodes, each with a run of hash slots.
    pub nodes: Vec<Redis>,
}

impl Redis {
    /// Starts a server that keeps nothing on disk, and waits until it is ready.
    ///
    /// Panics with the server's words when it ends instead, or is not ready within half a minute.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Self::start`], with further arguments of `redis-server`, such as `--appendonly yes`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        let mut last_words = String::new();
        for _ in 0..ATTEMPTS {
            let [port] = free_ports();
            let data = TempData::new();
            let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
            let process = launch(port, &arguments, &data, 0);
            let mut redis = Self { process, port, arguments, starts: 1, data };
            match redis.ready().await {
                Ok(()) => return redis,
                Err(words) => last_words = words,
            }
            if !last_words.contains("Address already in use") {
                break;
            }
        }
        panic!("redis-server did not become ready: {last_words}");
    }

    /// `redis://127.0.0.1:<port>`. It stays good over a restart.
    pub fn address(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that the server runs in.
    pub fn data(&self) -> &TempData {
        &self.data
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// The server hangs: it takes connections and answers nothing.
    pub fn pause(&mut self) {
        self.process.signal("STOP");
    }

    /// It goes on.
    pub fn resume(&mut self) {
        self.process.signal("CONT");
    }

    /// Kills the server if it runs, starts it again on the same port and folder, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = launch(self.port, &self.arguments, &self.data, self.starts);
        self.starts += 1;
        if let Err(words) = self.ready().await {
            panic!("redis-server did not come back: {words}");
        }
    }

    /// What the server said since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Has a command carried out; its answer in a line, lists joined by spaces. Panics when the server does not answer, or with
    /// an error.
    pub fn command(&self, parts: &[&str]) -> String {
        self.try_command(parts).unwrap_or_else(|error| panic!("{parts:?}: {error}"))
    }

    fn try_command(&self, parts: &[&str]) -> Result<String, String> {
        let said = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(said)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(said)?;
        let mut request = format!("*{}\r\n", parts.len()).into_bytes();
        for part in parts {
            request.extend(format!("${}\r\n{part}\r\n", part.len()).into_bytes());
        }
        stream.write_all(&request).map_err(said)?;
        answer(&mut BufReader::new(stream))
    }

    async fn ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = self.process.ended() {
                return Err(format!("it ended with {status}; it said:\n{}", self.process.log()));
            }
            // One that wants a password is ready, too.
            match self.try_command(&["PING"]) {
                Ok(answer) if answer == "PONG" => return Ok(()),
                Err(error) if error.contains("NOAUTH") => return Ok(()),
                _ => {}
            }
            if Instant::now() > deadline {
                return Err(format!("not within {READY_WITHIN:?}; it said:\n{}", self.process.log()));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl RedisCluster {
    /// Starts `count` servers, divides the hash slots among them, and waits until they know each other.
    pub async fn start(count: usize) -> Self {
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            // The nodes talk to each other on a port of their own, by default one that may be too high.
            let [bus] = free_ports();
            let bus = bus.to_string();
            nodes.push(Redis::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await);
        }
        for (number, node) in nodes.iter().enumerate() {
            let (first, end) = (number * SLOTS / count, (number + 1) * SLOTS / count);
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]);
        }
        for node in &nodes[1..] {
            let bus = node.arguments.last().cloned().unwrap_or_default();
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), &bus]);
        }
        let cluster = Self { nodes };
        cluster.agrees().await;
        cluster
    }

    /// The addresses of all nodes.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::address).collect()
    }

    async fn agrees(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        let is_ready = |node: &Redis| {
            let info = node.try_command(&["CLUSTER", "INFO"]).unwrap_or_default();
            let slots = node.try_command(&["CLUSTER", "SLOTS"]).unwrap_or_default();
            info.contains("cluster_state:ok")
                && self.nodes.iter().all(|other| slots.contains(&other.port.to_string()))
        };
        while !self.nodes.iter().all(is_ready) {
            assert!(
                Instant::now() < deadline,
                "the nodes of the cluster do not agree: {}",
                self.nodes[0].log()
            );
            tokio::time::sleep(POLL).await;
        }
    }
}

fn launch(port: u16, arguments: &[String], data: &TempData, start: usize) -> Process {
    let mut command = Command::new("redis-server");
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--dir", &data.path().to_string_lossy()])
        .args(arguments)
        .current_dir(data.path());
    Process::start(&mut command, data.join(format!("redis-{start}.log")))
}

/// Free ports, held together while they are found, so that they differ.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let listeners =
        [(); COUNT].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port"));
    listeners.map(|listener| listener.local_addr().expect("a listener has an address").port())
}

/// Reads one answer.
fn answer(stream: &mut BufReader<TcpStream>) -> Result<String, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut line = String::new();
    stream.read_line(&mut line).map_err(said)?;
    let line = line.trim_end();
    let (kind, rest) = line.split_at_checked(1).ok_or("the connection was closed")?;
    match kind {
        "+" | ":" => Ok(rest.to_owned()),
        "-" => Err(rest.to_owned()),
        "$" if rest == "-1" => Ok(String::new()),
        "$" => {
            let length: usize = rest.parse().map_err(|_| line.to_owned())?;
            let mut bytes = vec![0; length + 2];
            stream.read_exact(&mut bytes).map_err(said)?;
            bytes.truncate(length);
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        "*" => {
            let length: i64 = rest.parse().map_err(|_| line.to_owned())?;
            let items = (0..length).map(|_| answer(stream)).collect::<Result<Vec<_>, _>>()?;
            Ok(items.join(" "))
        }
        _ => Err(format!("an answer of another form: {line}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_comes_back_empty_or_with_what_it_keeps_on_disk() {
        let mut forgets = Redis::start().await;
        let mut keeps = Redis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
        for redis in [&mut forgets, &mut keeps] {
            redis.command(&["SET", "key", "a value"]);
            assert_eq!(redis.command(&["MGET", "key", "other"]), "a value ");
            redis.kill();
            redis.restart().await;
        }
        assert_eq!(forgets.command(&["DBSIZE"]), "0");
        assert_eq!(keeps.command(&["GET", "key"]), "a value");
    }

    #[tokio::test]
    async fn the_nodes_of_a_cluster_share_the_slots() {
        let cluster = RedisCluster::start(3).await;
        assert_eq!(cluster.addresses().len(), 3);
        let error = cluster.nodes.iter().find_map(|node| node.try_command(&["SET", "{a}", "1"]).err());
        assert!(error.is_some_and(|error| error.starts_with("MOVED")));
    }
}

//! The real binary, ready to answer; killed, restarted and stopped as a test wants it.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use crate::{Client, TempData, process::Process};

const READY_WITHIN: Duration = Duration::from_secs(120);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Another process may take a free port between the moment it is found and the moment it is used.
const ATTEMPTS: usize = 5;

/// What else a server is started with.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// Environment variables. Those of the test run that begin with `SHIPWAY_` are not handed on.
    pub environment: Vec<(String, String)>,
    /// A command that is started with the binary and its arguments behind its own, and becomes the binary; none starts the binary
    /// itself.
    pub launcher: Vec<String>,
}

/// A server in a process of its own, on a free loopback port. Killed when it is dropped; its folder vanishes with it.
#[derive(Debug)]
pub struct Server {
    // Dropped in this order: the process must be gone before its folder goes.
    process: Process,
    client: Client,
    binary: PathBuf,
    options: ServerOptions,
    port: u16,
    data: TempData,
    logs: TempData,
}

impl Server {
    /// Starts `binary` (`env!("CARGO_BIN_EXE_shipway")`) on a fresh folder and waits until it is ready.
    pub async fn start(binary: impl AsRef<Path>) -> Self {
        Self::start_in(binary, TempData::new(), ServerOptions::default()).await
    }

    /// Starts `binary` on a folder that may hold data already, and waits until it is ready.
    ///
    /// Panics with the server's log when it ends instead, or is not ready within two minutes.
    pub async fn start_in(binary: impl AsRef<Path>, data: TempData, options: ServerOptions) -> Self {
        let (binary, logs) = (binary.as_ref().to_owned(), TempData::new());
        let mut last_words = String::new();
        for attempt in 0..ATTEMPTS {
            let port = free_port();
            let log = logs.join(format!("server-{attempt}.log"));
            let mut process = Process::start(&mut serve(&binary, data.path(), port, &options), log);
            let client = Client::new(base(port));
            match ready(&mut process, &client).await {
                Ok(()) => return Self { process, client, binary, options, port, data, logs },
                Err(words) => last_words = words,
            }
            if !last_words.to_lowercase().contains("address already in use") {
                break;
            }
        }
        panic!("the server did not become ready: {last_words}");
    }

    /// A client of this server. It stays good over a restart.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        base(self.port)
    }

    /// The data folder.
    pub fn data(&self) -> &TempData {
        &self.data
    }

    /// The id of the process.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// What the server has said since it was last started.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// SIGKILL: the process is gone when this returns, without having been told.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM: waits until the server has ended by itself, and says how. Panics when it takes longer than a minute.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.stop(STOPPED_WITHIN).await
    }

    /// Kills the server if it runs, starts it again on the same folder and port, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.process.kill();
        let log = tempfile::Builder::new().prefix("restart-").suffix(".log").tempfile_in(self.logs.path());
        let (_, log) = log.expect("a log can be made").keep().expect("a log can be kept");
        self.process =
            Process::start(&mut serve(&self.binary, self.data.path(), self.port, &self.options), log);
        if let Err(words) = ready(&mut self.process, &self.client).await {
            panic!("the server did not become ready again: {words}");
        }
    }

    /// Kills the server if it runs and hands its folder over, for another server or a look inside.
    pub fn into_data(self) -> TempData {
        let Self { mut process, data, .. } = self;
        process.kill();
        data
    }
}

fn base(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn serve(binary: &Path, data: &Path, port: u16, options: &ServerOptions) -> Command {
    let mut command = match options.launcher.split_first() {
        None => Command::new(binary),
        Some((launcher, words)) => {
            let mut command = Command::new(launcher);
            command.args(words).arg(binary);
            command
        }
    };
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHIPWAY_") {
            command.env_remove(name);
        }
    }
    command.arg("serve").arg("--data").arg(data).arg("--listen").arg(format!("127.0.0.1:{port}"));
    command.args(&options.arguments).envs(options.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Waits until the server says that it is ready; gives back its words when it ends or takes too long.
async fn ready(process: &mut Process, client: &Client) -> Result<(), String> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        if let Some(status) = process.ended() {
            return Err(format!("it ended with {status} and said:\n{}", process.log()));
        }
        let answer = client.send(client.request(reqwest::Method::GET, "/readyz")).await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("it was not ready within {READY_WITHIN:?} and said:\n{}", process.log()));
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "the server did not become ready: it ended with exit status: 1")]
    async fn a_server_that_does_not_start_fails_the_test_with_its_words() {
        Server::start("false").await;
    }
}

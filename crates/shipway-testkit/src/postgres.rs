//! A real PostgreSQL, ready to answer; killed, restarted, or shared by the tests of a process.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use crate::TempData;

const READY_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// Another process may take a free port between the moment it is found and the moment it is used.
const ATTEMPTS: usize = 5;
/// Where Debian puts the programs of a server, which are not on the path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A server in processes of its own, on a free loopback port. It ends, and its folder vanishes, when it is dropped or when the
/// process that started it ends, however that ends.
#[derive(Debug)]
pub struct Postgres {
    /// A shell that ends the server when its input is closed.
    keeper: Child,
    port: u16,
    data: TempData,
    databases: AtomicUsize,
}

impl Postgres {
    /// Starts a server without any data of a test, and waits until it is ready.
    ///
    /// Panics with the server's words when it ends instead, or is not ready within a minute.
    pub async fn start() -> Self {
        let data = TempData::new();
        let cluster = data.join("cluster");
        owned_by_server(data.path());
        let initialised = as_server(&program("initdb"))
            .args(["--auth=trust", "--username=shipway", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg("--pgdata")
            .arg(&cluster)
            .current_dir(data.path())
            .output()
            .expect("initdb can be started");
        assert!(
            initialised.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&initialised.stderr)
        );
        let mut words = String::new();
        for _ in 0..ATTEMPTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
            let port = listener.local_addr().expect("a listener has an address").port();
            drop(listener);
            let keeper = launch(&cluster, port);
            match ready(&cluster, port).await {
                Ok(()) => return Self { keeper, port, data, databases: AtomicUsize::new(0) },
                Err(said) => words = said,
            }
        }
        panic!("PostgreSQL did not become ready: {words}");
    }

    /// The one server of this process, which is started by the first test that asks.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Makes an empty database and says its address, `postgresql://shipway@127.0.0.1:<port>/<name>`.
    pub fn new_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.command(&format!("CREATE DATABASE {name}"));
        format!("postgresql://shipway@127.0.0.1:{}/{name}", self.port)
    }

    /// Has a statement carried out in the database `postgres`; its answer, a line for each row. Panics when it fails.
    pub fn command(&self, statement: &str) -> String {
        let answered = client(self.port)
            .args(["--tuples-only", "--no-align", "--command", statement])
            .output()
            .expect("psql can be started");
        assert!(answered.status.success(), "{statement}: {}", String::from_utf8_lossy(&answered.stderr));
        String::from_utf8_lossy(&answered.stdout).trim_end().to_owned()
    }

    /// Every process of the server is killed and a new server recovers from what they left, on the same port.
    pub async fn crash_and_restart(&mut self) {
        // The postmaster's children end by themselves when it is gone.
        end(&self.data.join("cluster"), "KILL");
        // Held until the shell has ended: it takes a closed input for the end of this process, and removes the folder.
        let input = self.keeper.stdin.take();
        let _ = self.keeper.wait();
        drop(input);
        let cluster = self.data.join("cluster");
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            self.keeper = launch(&cluster, self.port);
            match ready(&cluster, self.port).await {
                Ok(()) => return,
                // A child of the killed server may still have the memory that both would share.
                Err(words) => assert!(Instant::now() < deadline, "PostgreSQL did not come back: {words}"),
            }
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A program of the server, the newest that is installed.
fn program(name: &str) -> PathBuf {
    let versions = fs_err::read_dir(VERSIONS).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    found.pop().map_or_else(|| PathBuf::from(name), |(_, path)| path)
}

fn is_root() -> bool {
    let asked = Command::new("id").arg("-u").output().expect("id can be started");
    asked.stdout.trim_ascii() == b"0"
}

/// The server refuses to run as root; its package brings a user for it.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn owned_by_server(folder: &Path) {
    if is_root() {
        let status = Command::new("chown").arg("postgres:postgres").arg(folder).status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "the folder cannot be given to the user postgres"
        );
    }
}

fn launch(cluster: &Path, port: u16) -> Child {
    // A process in the background of a shell has no input of its own, unless it is given one by name.
    let script = "exec 3<&0; \"$@\" >>\"$LOG\" 2>&1 3<&- & server=$!; cat <&3 >/dev/null & input=$!; \
                  while kill -0 $server 2>/dev/null && kill -0 $input 2>/dev/null; do sleep 0.1; done; \
                  kill -QUIT $server 2>/dev/null; wait $server; \
                  kill $input 2>/dev/null || rm -rf \"$FOLDER\"";
    let mut command = as_server(Path::new("sh"));
    command
        .args(["-c", script, "sh"])
        .arg(program("postgres"))
        .arg("-D")
        .arg(cluster)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""])
        .args(["-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB"])
        .env("LOG", cluster.join("server.log"))
        .env("FOLDER", cluster.parent().unwrap_or(cluster))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"))
}

fn client(port: u16) -> Command {
    let mut command = Command::new(program("psql"));
    let port = port.to_string();
    command.args([
        "--no-psqlrc",
        "--host=127.0.0.1",
        "--username=shipway",
        "--dbname=postgres",
        "--port",
        &port,
    ]);
    command
}

async fn ready(cluster: &Path, port: u16) -> Result<(), String> {
    let log = || fs_err::read_to_string(cluster.join("server.log")).unwrap_or_default();
    let deadline = Instant::now() + READY_WITHIN;
    // Its own file says so, with its port, before it takes connections.
    while client(port).args(["--command", "SELECT 1"]).output().is_ok_and(|asked| !asked.status.success()) {
        let ended =
            log().lines().rev().take(3).any(|line| line.contains("FATAL") && line.contains("lock file"));
        if ended || Instant::now() > deadline || log().contains("could not create any TCP/IP sockets") {
            return Err(log());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Sends a signal to the server, by the number that it keeps in its folder.
fn end(cluster: &Path, signal: &str) {
    let file = fs_err::read_to_string(cluster.join("postmaster.pid")).unwrap_or_default();
    if let Some(id) = file.lines().next().filter(|id| id.bytes().all(|byte| byte.is_ascii_digit())) {
        let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {id}")]).status();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_has_databases_and_survives_its_own_crash() {
        let mut postgres = Postgres::start().await;
        let (first, second) = (postgres.new_database(), postgres.new_database());
        assert_ne!(first, second);
        postgres.command("CREATE TABLE kept (x BIGINT); INSERT INTO kept VALUES (7)");
        postgres.crash_and_restart().await;
        assert_eq!(postgres.command("SELECT x FROM kept"), "7");
        assert!(postgres.command("SHOW server_version_num").parse::<u32>().unwrap() >= 130_000);
    }
}

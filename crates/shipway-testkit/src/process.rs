//! A child process that cannot outlive its test.

use std::{
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(10);

/// A running child whose words go to a file; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says is appended to `log`.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Self {
        let file =
            fs_err::OpenOptions::new().create(true).append(true).open(&log).expect("the log can be opened");
        let errors = file.try_clone().expect("a file handle can be cloned");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.into_parts().0)
            .stderr(errors.into_parts().0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Self { child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child can be asked")
    }

    /// SIGKILL, and waits until it is gone. Nothing happens when it has ended.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn signal(&mut self, name: &str) {
        // The shell's own `kill` is on every machine, and this crate needs no unsafe call for it.
        let signal = format!("kill -{name} {}", self.id());
        if self.ended().is_none() {
            let _ = Command::new("sh").args(["-c", &signal]).status();
        }
    }

    /// SIGTERM, and how it ended. Panics with its log when it does not end in time.
    pub(crate) async fn stop(&mut self, patience: Duration) -> ExitStatus {
        self.signal("TERM");
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if Instant::now() > deadline {
                self.kill();
                panic!("the server did not end within {patience:?} of SIGTERM; it said:\n{}", self.log());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything said so far.
    pub(crate) fn log(&self) -> String {
        fs_err::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempData;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn shell(script: &str, data: &TempData) -> Process {
        Process::start(Command::new("sh").args(["-c", script]), data.join("log"))
    }

    async fn says(process: &Process, words: &str) {
        while !process.log().contains(words) {
            tokio::time::sleep(POLL).await;
        }
    }

    fn runs(id: u32) -> bool {
        Command::new("sh").args(["-c", &format!("kill -0 {id} 2>/dev/null")]).status().unwrap().success()
    }

    #[tokio::test]
    async fn a_child_may_end_by_itself_when_it_is_asked_to() {
        let data = TempData::new();
        let script = "trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done";
        let mut process = shell(script, &data);
        says(&process, "ready").await;
        assert_eq!(process.stop(PATIENCE).await.code(), Some(7));
        assert!(process.log().contains("bye"));
    }

    #[tokio::test]
    #[should_panic(expected = "did not end")]
    async fn a_child_that_does_not_end_fails_the_test() {
        let data = TempData::new();
        let mut process = shell("trap '' TERM; echo ready; while :; do sleep 0.01; done", &data);
        says(&process, "ready").await;
        process.stop(Duration::from_millis(100)).await;
    }

    #[test]
    fn no_child_outlives_its_owner() {
        let data = TempData::new();
        let process = shell("exec sleep 600", &data);
        let id = process.id();
        assert!(runs(id));
        drop(process);
        assert!(!runs(id));
    }
}

//! Keeps one process of a model running: one question at a time, killed when it hangs, started anew when it ended.

use std::{
    net::Shutdown,
    os::unix::net::UnixStream,
    process::Child,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    error::PythonError,
    frame::{Raised, Sent},
    process::{self, Broken, Launch},
};
use crate::tensor::Tensor;

/// How long after a process broke down the next one is started: twice as long for each that broke down without an answer in
/// between.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often a process is looked after that has closed its standard error.
const QUIET_PAUSE: Duration = Duration::from_millis(50);

/// A model's process, whichever it is just now. Dropping it ends the process, and removes the model's files after that.
#[derive(Debug)]
pub(super) struct Keeper {
    shared: Arc<Shared>,
    events: Sender<Event>,
    call_timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Counts the processes.
    generation: u64,
    /// The other end of the process's socket, so that whoever waits for it can be woken.
    wire: Option<UnixStream>,
    calls: u64,
    /// Whether the process has answered.
    answered: bool,
    /// Whether the model is not needed any more.
    stopping: bool,
}

#[derive(Debug)]
enum Phase {
    Ready(UnixStream),
    Busy,
    /// And what happened, in words.
    Down(String),
}

enum Event {
    /// The model is not needed any more.
    Stop,
    /// The process of this generation can be asked nothing more.
    Broken(u64),
    /// The process of this generation has closed its standard error, mostly by ending.
    Quiet(u64),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Starts a process and answers when it has loaded the model, or why it has not; then nothing is left of it.
    pub(super) fn start(launch: Launch) -> Result<Self, PythonError> {
        let state = State {
            phase: Phase::Down("is being started".to_owned()),
            generation: 0,
            wire: None,
            calls: 0,
            answered: false,
            stopping: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (events, received) = channel();
        let (started, first) = channel();
        let call_timeout = launch.options.call_timeout;
        let keeping = Keeping { launch, shared: Arc::clone(&shared), events: events.clone(), received };
        let failed = |reason: String| PythonError::Load(reason);
        thread::Builder::new()
            .name("python-model".to_owned())
            .spawn(move || keeping.keep(&started))
            .map_err(|error| failed(error.to_string()))?;
        first.recv().map_err(|_| failed("its keeper broke down".to_owned()))??;
        Ok(Self { shared, events, call_timeout })
    }

    /// Asks the model, after whoever asks it now. Answers at once while the process is being started anew.
    pub(super) fn ask(&self, inputs: &[Sent]) -> Result<Vec<Tensor>, PythonError> {
        let (wire, generation, call) = self.taken()?;
        let outcome = process::ask(&wire, call, inputs, self.call_timeout);
        let mut state = self.shared.state();
        let is_current = state.generation == generation && matches!(state.phase, Phase::Busy);
        let answer = match outcome {
            Ok(answer) => {
                if is_current {
                    state.answered = true;
                    state.phase = Phase::Ready(wire);
                }
                answer.map_err(|Raised { kind, message }| match kind.as_str() {
                    "refused" => PythonError::Refused(message),
                    _ => PythonError::Failed(message),
                })
            }
            Err(broken) => {
                let reason = broken.reason(self.call_timeout);
                if is_current {
                    state.phase = Phase::Down(reason.clone());
                    // The keeper is gone only when the model is.
                    let _ = self.events.send(Event::Broken(generation));
                }
                Err(PythonError::Down(reason))
            }
        };
        drop(state);
        self.shared.changed.notify_all();
        answer
    }

    /// Takes the wire, when nobody else has it any more.
    fn taken(&self) -> Result<(UnixStream, u64, u64), PythonError> {
        let deadline = Instant::now() + self.call_timeout;
        let mut state = self.shared.state();
        loop {
            match std::mem::replace(&mut state.phase, Phase::Busy) {
                Phase::Ready(wire) => {
                    state.calls += 1;
                    return Ok((wire, state.generation, state.calls));
                }
                Phase::Down(reason) => {
                    state.phase = Phase::Down(reason.clone());
                    return Err(PythonError::Down(reason));
                }
                Phase::Busy => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(PythonError::Down("is busy with another call".to_owned()));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Why the model does not answer just now.
    pub(super) fn trouble(&self) -> Option<PythonError> {
        match &self.shared.state().phase {
            Phase::Down(reason) => Some(PythonError::Down(reason.clone())),
            Phase::Ready(_) | Phase::Busy => None,
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Stop);
        let mut state = self.shared.state();
        state.stopping = true;
        if let Some(wire) = &state.wire {
            // Wakes a keeper that waits for a process to load the model.
            let _ = wire.shutdown(Shutdown::Both);
        }
    }
}

/// What the keeper's thread has. The process dies with the thread that started it, so that thread is there as long as the model.
struct Keeping {
    launch: Launch,
    shared: Arc<Shared>,
    events: Sender<Event>,
    received: Receiver<Event>,
}

impl Keeping {
    /// Keeps a process running until the model is dropped. The outcome of the first start goes to `started`; when that fails, it is
    /// the only one.
    fn keep(self, started: &Sender<Result<(), PythonError>>) {
        let mut failures = 0_u32;
        for generation in 1.. {
            let end = match self.run(generation) {
                Ok((mut child, wire)) => {
                    self.publish(generation, wire);
                    let _ = started.send(Ok(()));
                    self.watch(generation, &mut child)
                }
                Err(error) if generation == 1 => {
                    drop(self);
                    // Whoever hears of it finds nothing left of the model.
                    let _ = started.send(Err(error));
                    return;
                }
                Err(error) => Some(error.to_string()),
            };
            let Some(reason) = end else { return };
            failures = if std::mem::take(&mut self.shared.state().answered) {
                1
            } else {
                failures.saturating_add(1)
            };
            tracing::warn!(
                model = self.launch.name,
                reason,
                failures,
                "the process of a model is started anew"
            );
            self.shared.state().phase = Phase::Down(reason);
            self.shared.changed.notify_all();
            let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(20)).min(LONGEST_PAUSE);
            if self.is_stopped_within(pause) {
                return;
            }
        }
    }

    /// Starts a process that has loaded the model.
    fn run(&self, generation: u64) -> Result<(Child, UnixStream), PythonError> {
        let failed = |error: std::io::Error| {
            PythonError::Load(format!("{}: {error}", self.launch.options.interpreter.display()))
        };
        let (mut child, wire) = self.launch.spawn().map_err(failed)?;
        {
            let mut state = self.shared.state();
            state.generation = generation;
            state.wire = wire.try_clone().ok();
            if state.stopping {
                let _ = wire.shutdown(Shutdown::Both);
            }
        }
        if let Some(printed) = child.stderr.take() {
            let (name, events) = (self.launch.name.clone(), self.events.clone());
            let logging = thread::Builder::new().name("python-model-log".to_owned()).spawn(move || {
                process::log(&name, printed);
                let _ = events.send(Event::Quiet(generation));
            });
            if let Err(error) = logging {
                end(&mut child);
                return Err(failed(error));
            }
        }
        match self.launch.begin(&wire) {
            Ok(()) => Ok((child, wire)),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    fn publish(&self, generation: u64, wire: UnixStream) {
        let mut state = self.shared.state();
        state.generation = generation;
        state.answered = false;
        state.phase = Phase::Ready(wire);
        tracing::info!(model = self.launch.name, "the process of a model answers");
    }

    /// Waits until the process of this generation can be asked nothing more, and ends it. Answers what happened; `None` when the model
    /// is not needed any more.
    fn watch(&self, generation: u64, child: &mut Child) -> Option<String> {
        // One that has closed its standard error has mostly ended, or is about to; another one is only silent.
        let mut is_quiet = false;
        loop {
            let event = match is_quiet {
                false => self.received.recv().map_err(|_| RecvTimeoutError::Disconnected),
                true => self.received.recv_timeout(QUIET_PAUSE),
            };
            match event {
                Ok(Event::Broken(broken)) if broken == generation => {
                    let reason = match &self.shared.state().phase {
                        Phase::Down(reason) => reason.clone(),
                        Phase::Ready(_) | Phase::Busy => Broken::Ended.reason(Duration::ZERO),
                    };
                    return Some(match ended(child) {
                        Some(how) => how,
                        None => {
                            end(child);
                            reason
                        }
                    });
                }
                Ok(Event::Quiet(quiet)) if quiet == generation => is_quiet = true,
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(how) = ended(child) {
                        return Some(how);
                    }
                }
                Ok(Event::Broken(_) | Event::Quiet(_)) => {}
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    end(child);
                    return None;
                }
            }
        }
    }

    fn is_stopped_within(&self, pause: Duration) -> bool {
        let deadline = Instant::now() + pause;
        loop {
            match self.received.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Ok(Event::Broken(_) | Event::Quiet(_)) => {}
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

/// How a process ended, in words; `None` while it runs.
fn ended(child: &mut Child) -> Option<String> {
    child.try_wait().ok().flatten().map(|status| format!("ended ({status})"))
}

/// Kills a process, and waits until it is gone.
fn end(child: &mut Child) {
    let _ = child.kill();
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "a model's process was not waited for");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{
        super::{face::Face, folder::ModelFolder, options::PythonEnvironment, tests::options},
        *,
    };
    use crate::tensor::Elements;

    /// Stands for a model's process: does what the name of the first input says, else answers its own number.
    const PROCESS: &str = r#"
import json, os, struct, time

def read(size):
    content = b""
    while len(content) < size:
        part = os.read(0, size - len(content))
        if not part:
            os._exit(0)
        content += part
    return content

def send(header, body=b""):
    words = json.dumps(header).encode()
    os.write(0, struct.pack("<IQ", len(words), len(body)) + words + body)

while True:
    header, body = struct.unpack("<IQ", read(12))
    header, body = json.loads(read(header)), read(body)
    if "model" in header:
        is_broken = os.path.exists(header["model"] + "/broken")
        send({"call": 0, "error": {"kind": "load", "message": "it was told"}} if is_broken else {"call": 0})
        continue
    what = header["inputs"][0]["name"]
    if what == "hang":
        time.sleep(1000)
    if what == "exit":
        os._exit(3)
    if what == "raise":
        send({"call": header["call"], "error": {"kind": "refused", "message": "ValueError: no"}})
        continue
    outputs = [{"name": "pid", "datatype": "INT64", "shape": [1], "bytes": 8}]
    send({"call": header["call"], "outputs": outputs}, struct.pack("<q", os.getpid()))
"#;

    struct Stage {
        data: tempfile::TempDir,
        launch: Launch,
    }

    fn stage() -> Stage {
        let data = tempfile::tempdir().unwrap();
        let mut options = options(data.path());
        options.environment = PythonEnvironment::Given;
        options.call_timeout = Duration::from_secs(1);
        let folder = ModelFolder::create(&options).unwrap();
        fs_err::write(folder.program(), PROCESS).unwrap();
        let face = Face::of(Some(r#"[{"type": "double", "name": "a"}]"#), None).unwrap();
        let name = "stand-in 1".to_owned();
        let launch =
            Launch { options, folder, face, packages: None, requirements: None, python_version: None, name };
        Stage { data, launch }
    }

    fn models(data: &tempfile::TempDir) -> Vec<PathBuf> {
        let folder = fs_err::read_dir(data.path().join("python/models")).unwrap();
        folder.map(|entry| entry.unwrap().path()).collect()
    }

    fn ask(keeper: &Keeper, what: &str) -> Result<i64, PythonError> {
        let elements = Elements::Fp64(vec![0.0]);
        let tensor = Tensor { name: what.to_owned(), shape: vec![1], elements };
        let answers = keeper.ask(&[Sent { tensor, nulls: Vec::new() }])?;
        let Elements::Int64(numbers) = &answers[0].elements else { panic!("{answers:?}") };
        Ok(numbers[0])
    }

    /// Waits until something is so, which comes about in another thread or process.
    fn until(mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_so() {
            assert!(Instant::now() < deadline, "it did not come about");
            thread::yield_now();
        }
    }

    fn runs(pid: i64) -> bool {
        PathBuf::from(format!("/proc/{pid}")).exists()
    }

    #[test]
    fn a_process_that_hangs_or_ends_is_started_anew() {
        let Stage { data: _data, launch } = stage();
        let keeper = Keeper::start(launch).unwrap();
        for (what, words) in [("hang", "did not answer within 1 s"), ("exit", "ended")] {
            let before = ask(&keeper, "").unwrap();
            let Err(PythonError::Down(reason)) = ask(&keeper, what) else { panic!() };
            assert_eq!(reason, words);
            assert!(
                matches!(ask(&keeper, ""), Err(PythonError::Down(_))),
                "nobody waits for the next process"
            );
            until(|| keeper.trouble().is_none());
            assert_ne!(ask(&keeper, "").unwrap(), before);
            assert!(!runs(before));
        }
    }

    #[test]
    fn an_exception_leaves_the_process_as_it_is() {
        let Stage { data: _data, launch } = stage();
        let keeper = Keeper::start(launch).unwrap();
        let before = ask(&keeper, "").unwrap();
        let Err(PythonError::Refused(message)) = ask(&keeper, "raise") else { panic!() };
        assert_eq!(message, "ValueError: no");
        assert_eq!(ask(&keeper, "").unwrap(), before);
    }

    #[test]
    fn what_is_dropped_leaves_no_process_and_no_files_also_while_it_is_started_anew() {
        for what in ["", "hang"] {
            let Stage { data, launch } = stage();
            let keeper = Keeper::start(launch).unwrap();
            let pid = ask(&keeper, "").unwrap();
            assert_eq!(ask(&keeper, what).is_err(), what == "hang");
            drop(keeper);
            until(|| !runs(pid) && models(&data).is_empty());
        }
    }

    #[test]
    fn what_does_not_load_leaves_nothing() {
        let Stage { data, launch } = stage();
        launch.folder.write("broken", b"").unwrap();
        let refused = Keeper::start(launch).unwrap_err();
        assert_eq!(refused.to_string(), "Python did not load the model: it was told");
        assert_eq!(models(&data), Vec::<PathBuf>::new());
        let Stage { data, mut launch } = stage();
        launch.options.interpreter = "/no/such/python".into();
        assert!(Keeper::start(launch).unwrap_err().to_string().contains("/no/such/python"));
        assert_eq!(models(&data), Vec::<PathBuf>::new());
    }
}

//! One process of one model: how it is started, what it is asked, and how long that may take.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    process::{Child, ChildStderr, Stdio},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    environment::python,
    error::PythonError,
    face::{Column, Face, Form},
    folder::ModelFolder,
    frame::{self, Answer, Raised, Sent},
    options::{PythonEnvironment, PythonOptions},
};
use crate::tensor::Tensor;

/// The longest that a process may take to load its model.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(300);

/// The most bytes of a line that go to the log, and the most lines in a minute.
const MOST_LINE: u64 = 4096;
const MOST_LINES: usize = 1000;

/// Everything that a process is started from.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) options: PythonOptions,
    pub(super) folder: ModelFolder,
    pub(super) face: Face,
    /// The folder of installed packages; without it those of the interpreter.
    pub(super) packages: Option<std::path::PathBuf>,
    pub(super) requirements: Option<String>,
    pub(super) python_version: Option<String>,
    /// The model and its version, for the log.
    pub(super) name: String,
}

/// What the process is told first.
#[derive(Serialize)]
struct Start<'launch> {
    model: std::path::PathBuf,
    scratch: std::path::PathBuf,
    packages: Option<&'launch std::path::Path>,
    private: &'launch std::path::Path,
    server: u32,
    memory_bytes: u64,
    sandbox_required: bool,
    form: Form,
    columns: &'launch [Column],
    unnamed: bool,
    outputs: Vec<Promised<'launch>>,
    requirements: Option<&'launch str>,
    python_version: Option<&'launch str>,
    must_match: bool,
}

#[derive(Serialize)]
struct Promised<'launch> {
    name: &'launch str,
    datatype: &'static str,
}

impl Launch {
    /// Starts a process. It must be waited for by the thread that calls this: the process dies with that thread.
    pub(super) fn spawn(&self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let scratch = self.folder.scratch();
        let threads = self.options.threads.max(1).to_string();
        let mut command = python(&self.options.interpreter);
        // Isolated, without `site` and without writing byte code: nothing but the standard library runs before it is confined.
        command.args(["-I", "-S", "-B", "-X", "utf8"]).arg(self.folder.program());
        command.env("HOME", &scratch).env("TMPDIR", &scratch).current_dir(&scratch);
        for name in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"] {
            command.env(name, &threads);
        }
        command
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .env("DO_NOT_TRACK", "true")
            .env("GIT_PYTHON_REFRESH", "quiet");
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
        // A group of its own, so that what stops the server from a terminal leaves it to the server to stop the process.
        let child = command.process_group(0).spawn()?;
        Ok((child, ours))
    }

    /// Tells the process what to do and waits until it has loaded the model.
    pub(super) fn begin(&self, wire: &UnixStream) -> Result<(), PythonError> {
        let uses_interpreter = self.options.environment != PythonEnvironment::Built;
        let start = Start {
            model: self.folder.model(),
            scratch: self.folder.scratch(),
            packages: self.packages.as_deref(),
            private: &self.options.private,
            server: std::process::id(),
            memory_bytes: self.options.memory_bytes,
            sandbox_required: self.options.sandbox_required,
            form: self.face.form,
            columns: &self.face.columns,
            unnamed: self.face.unnamed,
            outputs: self
                .face
                .outputs
                .iter()
                .map(|spec| Promised { name: &spec.name, datatype: spec.datatype.word() })
                .collect(),
            requirements: self.requirements.as_deref().filter(|_| uses_interpreter),
            python_version: self.python_version.as_deref(),
            must_match: self.options.environment == PythonEnvironment::Matching,
        };
        let unstarted =
            |broken: Broken| PythonError::Load(format!("its process {}", broken.reason(START_TIMEOUT)));
        let frame = frame::header(&start).map_err(|error| PythonError::Load(error.to_string()))?;
        let answer = exchange(wire, &frame, START_TIMEOUT).map_err(unstarted)?;
        if !answer.differences.is_empty() {
            let differences = answer.differences.join(", ");
            tracing::warn!(model = self.name, differences, "the environment is another one than the model's");
        }
        answer.outcome.map(|_| ()).map_err(|Raised { kind, message }| match kind.as_str() {
            "sandbox" => PythonError::Sandbox(message),
            "environment" => PythonError::Environment(message),
            _ => PythonError::Load(message),
        })
    }
}

/// Why a process can be asked nothing more.
#[derive(Debug)]
pub(super) enum Broken {
    /// It did not answer in time.
    Hung,
    /// It ended, or closed its side.
    Ended,
    /// What it sent is no answer.
    Nonsense(String),
}

impl Broken {
    /// What happened, in words.
    pub(super) fn reason(&self, timeout: Duration) -> String {
        match self {
            Self::Hung => format!("did not answer within {} s", timeout.as_secs_f64()),
            Self::Ended => "ended".to_owned(),
            Self::Nonsense(what) => format!("sent what is no answer ({what})"),
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Hung,
            io::ErrorKind::InvalidData => Self::Nonsense(error.to_string()),
            _ => Self::Ended,
        }
    }
}

/// Asks the model. The outer failure leaves the process unusable; the inner one is an exception of the model's.
pub(super) fn ask(
    wire: &UnixStream,
    call: u64,
    inputs: &[Sent],
    timeout: Duration,
) -> Result<Result<Vec<Tensor>, Raised>, Broken> {
    let frame = frame::question(call, inputs).map_err(|error| Broken::of(&error))?;
    let answer = exchange(wire, &frame, timeout)?;
    match answer.call == call {
        true => Ok(answer.outcome),
        false => Err(Broken::Nonsense(format!("an answer to call {}, asked was {call}", answer.call))),
    }
}

fn exchange(wire: &UnixStream, frame: &[u8], timeout: Duration) -> Result<Answer, Broken> {
    let mut timed = Timed { wire, deadline: Instant::now() + timeout };
    timed.write_all(frame).and_then(|()| frame::read(&mut timed)).map_err(|error| Broken::of(&error))
}

/// A socket whose reads and writes together take no longer than until a deadline.
struct Timed<'wire> {
    wire: &'wire UnixStream,
    deadline: Instant,
}

impl Timed<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.wire.set_read_timeout(self.left()?)?;
        let mut wire = self.wire;
        wire.read(into)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        self.wire.set_write_timeout(self.left()?)?;
        let mut wire = self.wire;
        wire.write(content)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what the process prints to the log until it closes its side: cut lines, so many in a minute, without control characters.
pub(super) fn log(name: &str, printed: ChildStderr) {
    let mut reader = BufReader::new(printed);
    let (mut since, mut lines) = (Instant::now(), 0_usize);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(MOST_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if since.elapsed() >= Duration::from_secs(60) {
            if lines > MOST_LINES {
                tracing::warn!(
                    model = name,
                    lines = lines - MOST_LINES,
                    "the model printed more than is logged"
                );
            }
            (since, lines) = (Instant::now(), 0);
        }
        lines += 1;
        if lines > MOST_LINES {
            continue;
        }
        let said = String::from_utf8_lossy(&line);
        let said: String =
            said.trim_end().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        tracing::info!(model = name, "{said}");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LITTLE: Duration = Duration::from_millis(50);

    /// Asks a process that sends `bytes` and then waits, or goes away.
    fn asked(bytes: &'static [u8], stays: bool) -> Broken {
        let (ours, theirs) = UnixStream::pair().unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut theirs = theirs;
                theirs.write_all(bytes).unwrap();
                // Holds its side open until ours is closed.
                if stays {
                    let _ = theirs.read_to_end(&mut Vec::new());
                }
            });
            let broken = ask(&ours, 3, &[], LITTLE).unwrap_err();
            drop(ours);
            broken
        })
    }

    #[test]
    fn a_process_that_says_nothing_or_only_a_part_hangs() {
        assert!(matches!(asked(b"", true), Broken::Hung));
        assert!(matches!(asked(&[20, 0, 0], true), Broken::Hung));
    }

    #[test]
    fn a_process_that_goes_away_has_ended() {
        assert!(matches!(asked(&[20, 0, 0], false), Broken::Ended));
    }

    #[test]
    fn the_answer_to_another_call_is_nonsense() {
        let Broken::Nonsense(what) = asked(b"\x0a\0\0\0\0\0\0\0\0\0\0\0{\"call\":2}", true) else { panic!() };
        assert_eq!(what, "an answer to call 2, asked was 3");
        assert!(matches!(asked(b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0", true), Broken::Nonsense(_)));
    }
}

//! The packages of a model, installed once for each list of requirements.
//!
//! They are built aside and moved into their place whole, so a folder that is there is complete. pip installs wheels only: nothing of a
//! package runs before the process that it is for is confined.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fs_err as fs;
use shipway_core::Digest;

use super::{error::PythonError, options::PythonOptions, requirements};

/// The longest that pip may take.
const MOST_TIME: Duration = Duration::from_secs(30 * 60);

/// How often it is looked whether pip is done.
const PAUSE: Duration = Duration::from_millis(100);

/// The lines of pip's output that an error carries.
const LAST_LINES: usize = 12;

/// One environment is built at a time: two of the same would be built twice, two others would share the network.
static BUILDING: Mutex<()> = Mutex::new(());

/// The folder of the packages that `text`, a requirements file, asks for. Takes minutes when it is not there yet.
pub(super) fn prepared(options: &PythonOptions, text: &str) -> Result<PathBuf, PythonError> {
    let wanted = requirements::checked(text)?.join("\n");
    let version = version_of(&options.interpreter)?;
    let folder = options.folder.join("environments");
    let name = Digest::of(format!("{version}\n{wanted}\n")).hex();
    let place = folder.join(&name);
    let _one = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    if place.is_dir() {
        return Ok(place);
    }
    tracing::info!(
        environment = name,
        packages = wanted.lines().count(),
        "building the environment of a model"
    );
    let started = Instant::now();
    let aside = folder.join(format!(".{name}"));
    build(options, &wanted, &aside).and_then(|()| Ok(fs::rename(aside.join("packages"), &place)?)).map_err(
        |failure| match failure {
            Failure::Io(error) => PythonError::Environment(error.to_string()),
            Failure::Pip(words) => PythonError::Environment(words),
        },
    )?;
    // What is left beside it is pip's output; the environment itself is in its place.
    let _ = fs::remove_dir_all(&aside);
    tracing::info!(environment = name, seconds = started.elapsed().as_secs(), "the environment is there");
    Ok(place)
}

enum Failure {
    Io(std::io::Error),
    Pip(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn build(options: &PythonOptions, wanted: &str, aside: &Path) -> Result<(), Failure> {
    if aside.exists() {
        fs::remove_dir_all(aside)?;
    }
    fs::create_dir_all(aside)?;
    fs::write(aside.join("requirements.txt"), wanted)?;
    let output = aside.join("pip.log");
    let log = fs::File::create(&output)?.into_parts().0;
    let mut pip = python(&options.interpreter);
    pip.args([
        "-I",
        "-m",
        "pip",
        "install",
        "--only-binary",
        ":all:",
        "--no-input",
        "--disable-pip-version-check",
    ]);
    pip.args(["--no-warn-script-location", "--progress-bar", "off"]);
    match options.index.as_deref() {
        Some(index) if index.contains("://") => drop(pip.args(["--index-url", index])),
        Some(folder) => drop(pip.args(["--no-index", "--find-links", folder])),
        None => {}
    }
    pip.arg("--target").arg(aside.join("packages")).args(["--requirement", "requirements.txt"]);
    pip.envs(options.pip.0.iter().map(|(name, value)| (name, value)));
    pip.current_dir(aside).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut pip = pip.spawn()?;
    let deadline = Instant::now() + MOST_TIME;
    let status = loop {
        if let Some(status) = pip.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            pip.kill()?;
            pip.wait()?;
            return Err(Failure::Pip(format!("pip was not done after {} minutes", MOST_TIME.as_secs() / 60)));
        }
        std::thread::sleep(PAUSE);
    };
    // A list without packages installs nothing, and makes no folder.
    fs::create_dir_all(aside.join("packages"))?;
    if status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&fs::read(&output)?).into_owned();
    tracing::warn!(output = words, "pip did not install what a model requires");
    let lines: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("; ");
    Err(Failure::Pip(format!("pip: {}", last.chars().take(2000).collect::<String>())))
}

/// An interpreter without the server's environment.
pub(super) fn python(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LANG", "C.UTF-8");
    command
}

/// What compiled packages depend on: the implementation, its version, the system and the machine.
fn version_of(interpreter: &Path) -> Result<String, PythonError> {
    let code =
        "import sys,sysconfig; print(sys.implementation.cache_tag, sysconfig.get_platform(), sys.version)";
    let answered = python(interpreter).args(["-I", "-S", "-c", code]).output();
    let failed = |reason: String| PythonError::Environment(format!("{}: {reason}", interpreter.display()));
    let answered = answered.map_err(|error| failed(error.to_string()))?;
    if !answered.status.success() {
        return Err(failed(format!("it is no Python that runs: {}", answered.status)));
    }
    Ok(String::from_utf8_lossy(&answered.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use shipway_core::Failure as _;

    use super::{super::tests::options, *};

    /// A wheel with one module, made as the format says.
    fn wheel(folder: &Path, name: &str, version: &str) {
        let code = r#"
import sys, zipfile
folder, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}.py", f"VERSION = '{version}'\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
"#;
        let made = python(Path::new("python3")).args(["-c", code]).arg(folder).args([name, version]).status();
        assert!(made.unwrap().success());
    }

    #[test]
    fn packages_are_installed_once_and_found_again() {
        let data = tempfile::tempdir().unwrap();
        let wheels = tempfile::tempdir().unwrap();
        wheel(wheels.path(), "shipway_little", "1.0");
        let mut options = options(data.path());
        options.index = Some(wheels.path().display().to_string());
        let place = prepared(&options, "# a comment\nshipway_little==1.0\n").unwrap();
        assert_eq!(fs::read_to_string(place.join("shipway_little.py")).unwrap(), "VERSION = '1.0'\n");
        fs::remove_file(wheels.path().join("shipway_little-1.0-py3-none-any.whl")).unwrap();
        assert_eq!(
            prepared(&options, "shipway_little==1.0").unwrap(),
            place,
            "the same list is the same folder"
        );
        let left: Vec<_> = fs::read_dir(options.folder.join("environments")).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_pip_cannot_install_is_told_in_its_words_and_leaves_no_environment() {
        let data = tempfile::tempdir().unwrap();
        let wheels = tempfile::tempdir().unwrap();
        let mut options = options(data.path());
        options.index = Some(wheels.path().display().to_string());
        let refused = prepared(&options, "shipway_absent==1.0\n").unwrap_err();
        assert_eq!(refused.code(), "runtime.python_environment");
        assert!(
            refused.to_string().contains("No matching distribution found for shipway_absent==1.0"),
            "{refused}"
        );
        let refused = prepared(&options, "shipway_absent==1.0\n").unwrap_err();
        assert_eq!(refused.code(), "runtime.python_environment", "it is tried again");
    }

    #[test]
    fn an_interpreter_that_is_none_is_told() {
        let data = tempfile::tempdir().unwrap();
        let mut options = options(data.path());
        options.interpreter = "/no/such/python".into();
        assert!(prepared(&options, "").unwrap_err().to_string().contains("/no/such/python"));
    }
}

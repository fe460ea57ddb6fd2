//! A wall clock that a test steps while a process runs by it.

use std::{io::Write as _, path::PathBuf, process::Command, time::Duration};

use crate::TempData;

const SOURCE: &str = include_str!("stepped_clock.c");

/// The wall clock of the processes that are started with [`Self::environment`]. Their monotonic clock goes on as it is, as it does
/// when somebody sets the clock of a machine.
#[derive(Debug)]
pub struct SteppedClock {
    data: TempData,
}

impl Default for SteppedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SteppedClock {
    /// A clock that tells the true time.
    ///
    /// Panics where no C compiler is: Rust links with one, so it is there.
    pub fn new() -> Self {
        let clock = Self { data: TempData::new() };
        let source = clock.data.join("stepped_clock.c");
        fs_err::write(&source, SOURCE).expect("the source can be written");
        fs_err::write(clock.offset(), [0; 8]).expect("the offset can be written");
        let compile = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(clock.library())
            .arg(source)
            .output()
            .expect("cc can be started");
        assert!(compile.status.success(), "{}", String::from_utf8_lossy(&compile.stderr));
        clock
    }

    /// What a process needs in its environment to go by this clock.
    pub fn environment(&self) -> [(String, String); 2] {
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        [("LD_PRELOAD".to_owned(), path(self.library())), ("STEPPED_CLOCK".to_owned(), path(self.offset()))]
    }

    /// Sets the clock to so much before the true time, at once and for every process that goes by it.
    pub fn set_back(&self, by: Duration) {
        let behind_ns = i64::try_from(by.as_nanos()).expect("less than three centuries");
        // Not cut to nothing first: the file is mapped where it is read.
        let file = fs_err::OpenOptions::new().write(true).open(self.offset());
        let mut file = file.expect("the offset can be opened");
        file.write_all(&(-behind_ns).to_ne_bytes()).expect("the offset can be written");
    }

    fn library(&self) -> PathBuf {
        self.data.join("stepped_clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.data.join("offset")
    }
}

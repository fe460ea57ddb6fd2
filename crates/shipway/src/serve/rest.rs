//! What the server does when it has nothing to do: it gives back the pages of its program that only its start, or some rare work, needed.

use std::{io, time::Duration};

use shipway_resident::{from_files, processor_time, release_program};
use tokio::time::{Instant, sleep};

/// For how long it must have had nothing to do.
const QUIET: Duration = Duration::from_secs(10);
/// The processor time in that time that still is nothing: a fiftieth of one.
const NOTHING: Duration = Duration::from_millis(200);
/// What a server without work needs of its program is less than that.
const ENOUGH_BYTES: u64 = 40 << 20;
/// Who asks seldom does not wait for pages more often than that.
const AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// Gives pages back whenever it is time to. Never ends.
pub(super) async fn take() {
    let mut rest = Rest { used: Duration::ZERO, released: None };
    loop {
        sleep(QUIET).await;
        match rest.look() {
            Ok(0) => {}
            Ok(bytes) => {
                tracing::debug!(bytes, "pages of the program that nothing needs now were given back")
            }
            Err(error) => {
                tracing::debug!(%error, "the program stays in memory as it is");
                return std::future::pending().await;
            }
        }
    }
}

/// How the server was when it was looked at last.
struct Rest {
    /// The processor time that it had used.
    used: Duration,
    /// When pages were given back last.
    released: Option<Instant>,
}

impl Rest {
    /// Gives pages back, if it is time to; returns how many bytes.
    fn look(&mut self) -> io::Result<u64> {
        let (Some(used), Some(held)) = (processor_time()?, from_files()?) else { return Ok(0) };
        let is_busy = used.saturating_sub(self.used) > NOTHING;
        self.used = used;
        let is_early = self.released.is_some_and(|at| at.elapsed() < AT_MOST_EVERY);
        if is_busy || is_early || held <= ENOUGH_BYTES {
            return Ok(0);
        }
        self.released = Some(Instant::now());
        release_program()
    }
}

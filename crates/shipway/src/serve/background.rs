//! Threads for work that nobody waits for. They have what requests leave of the processors, and a tenth of them where requests take all.

use tokio::runtime::{Builder, Handle, Runtime};

use super::WORKER_STACK_BYTES;

/// How much more politely they run than the threads that answer (`nice`).
const POLITENESS: i32 = 10;

/// A runtime of its own, so that whatever such work starts stays among its threads: what encodes and writes for seconds would otherwise
/// share a processor evenly with what answers within microseconds.
pub(super) struct Background(Runtime);

impl Background {
    /// Starts the threads.
    pub(super) fn start() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .thread_stack_size(WORKER_STACK_BYTES)
            .thread_name("shipway-later")
            .on_thread_start(give_way)
            .build()?;
        Ok(Self(runtime))
    }

    /// Where its work is spawned.
    pub(super) fn handle(&self) -> &Handle {
        self.0.handle()
    }
}

/// On Linux this is about the thread alone; elsewhere it would be about the whole process, and is left.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(POLITENESS) {
        tracing::debug!(%error, "a thread for later work runs like all others");
    }
}

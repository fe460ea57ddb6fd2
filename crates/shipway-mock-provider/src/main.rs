//! A provider of language models that is played: a process of its own for tests and benches, never part of the server.
//!
//! It speaks OpenAI's, Anthropic's and Gemini's dialects truly enough that their own SDKs cannot tell, and misbehaves on demand: a
//! *script* says how an answer comes or fails, the *journal* says what arrived and whether the client stayed. Given a script and a
//! request, the bytes of an answer are always the same.
//!
//! - `flags`: the command line
//! - `script`, `delay`: how one answer comes, and the language it is said in
//! - `choose`: which script a request gets
//! - `wire/`: HTTP/1.1 by hand, since what has to break must be in our hands: reading, writing, what a script does to bytes
//! - `ask`, `reply`, `example`: what a request asks and what is answered, in words that all dialects share
//! - `dialects/`: how each provider reads a request, and words an answer, a stream and an error
//! - `provider`, `route`: from a request to its answer, by its path
//! - `speak`, `failures`: an honest answer, and errors
//! - `realtime/`: connections over which both sides speak
//! - `files`: files, and batches that are worked off
//! - `kept`: answers that were prepared, and responses that later requests name
//! - `relay`: passes bytes on to another one
//! - `journal`, `control`: what arrived, and the paths under `/_mock/`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the port is told on standard output")]

mod ask;
mod choose;
mod control;
mod delay;
mod dialects;
mod example;
mod failures;
mod files;
mod flags;
mod journal;
mod kept;
mod provider;
mod realtime;
mod relay;
mod reply;
mod route;
mod script;
mod speak;
mod wire;

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use tokio::{net::TcpListener, runtime, signal::unix};
use tokio_util::task::TaskTracker;

use crate::{flags::Flags, provider::Provider};

/// How often it looks whether its parent still lives.
const LOOKS_FOR_PARENT_EVERY: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut builder = match flags.threads {
        1 => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    let built = builder.worker_threads(flags.threads.max(1)).enable_all().build();
    match built.and_then(|runtime| runtime.block_on(serve(flags))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(flags: Flags) -> io::Result<()> {
    let listener = TcpListener::bind((flags.host, flags.port)).await?;
    println!("{}", listener.local_addr()?.port());
    let outlives_parent = flags.outlive_parent;
    if let Some(to) = flags.relay_to {
        tokio::spawn(relay::relay(listener, to));
        return until_the_end(outlives_parent).await;
    }
    let provider =
        Arc::new(Provider::new(flags).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?);
    let connections = TaskTracker::new();
    let mut ends = std::pin::pin!(until_the_end(outlives_parent));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(wire::connection(stream, Arc::clone(&provider)));
                }
                // Too many open files, or a client that has left already: the next one may fare better.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            ended = &mut ends => return ended,
        }
    }
}

/// Returns when somebody wants it to end, or when its parent has.
async fn until_the_end(outlives_parent: bool) -> io::Result<()> {
    let mut terminated = unix::signal(unix::SignalKind::terminate())?;
    let mut interrupted = unix::signal(unix::SignalKind::interrupt())?;
    let parent = std::os::unix::process::parent_id();
    let mut looks = tokio::time::interval(LOOKS_FOR_PARENT_EVERY);
    loop {
        tokio::select! {
            _ = terminated.recv() => return Ok(()),
            _ = interrupted.recv() => return Ok(()),
            _ = looks.tick() => if !outlives_parent && std::os::unix::process::parent_id() != parent {
                return Ok(());
            },
        }
    }
}

//! `serve`: one process that holds every part, on one port.
//!
//! - `platform`: opens the parts in order and takes them down in reverse
//! - `replica`: the server that answers calls of models only, beside the owner of the metadata
//! - `reading`: the server that has no data of its own and reads the copy of another
//! - `ports`: plugs capabilities into each other; `intake` the streams into the features, `outflow` the features into the sinks
//! - `gateway`: models of language: definitions and configuration into the gateway; `llm_calls` the table of calls; `llm_traces` calls found again, and their words (`llm_conditions`)
//! - `jobs`: the work that outlives a request, listed and cancelled
//! - `health`: health, readiness, metrics, status
//! - `permissions`: the page of every route with what it demands
//! - `unpacking`: bodies that come packed
//! - `background`: threads for work that nobody waits for; `rest` what is done when there is no work
//! - `observe`: logs and metrics of the process; `log_lines` which request a line belongs to; `spans` what sampled requests did, for a collector

mod background;
mod gateway;
mod health;
mod intake;
mod jobs;
mod llm_calls;
mod llm_conditions;
mod llm_models;
mod llm_traces;
mod log_lines;
mod observe;
mod outflow;
mod permissions;
mod platform;
mod ports;
mod reading;
mod replica;
mod rest;
mod spans;
mod unpacking;

use std::{process::ExitCode, sync::Arc, time::Duration};

use axum::{ServiceExt, extract::Request, serve::ListenerExt};
use shipway_web::{Authentication, Guard, Routes, Token};
use tokio::{net::TcpListener, signal::unix, sync::watch};

use crate::{
    arguments,
    configuration::{Configuration, Flags, LlmRole, Role},
    failure::CommandFailure,
};
use background::Background;
pub(crate) use llm_models::price as price_of_definition;
pub(crate) use permissions::page as permissions_page;
use platform::Platform;
use reading::Reading;
use replica::Replica;
use unpacking::Unpacking;

/// DataFusion plans recursively; the default stack of a worker is small for a deep query.
const WORKER_STACK_BYTES: usize = 8 << 20;

/// Runs the server until it is told to stop.
pub(crate) fn run(options: &arguments::Serve, token: Option<String>) -> Result<ExitCode, CommandFailure> {
    let flags = Flags { data: options.data.clone(), listen: options.listen, token };
    let configuration = Configuration::read(options.configuration.clone(), &flags)?;
    let metrics = observe::start(&configuration.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(WORKER_STACK_BYTES)
        .thread_name("shipway")
        .build()?;
    let background = Background::start()?;
    runtime.block_on(serve(configuration, metrics, &background))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    configuration: Configuration,
    metrics: observe::Metrics,
    background: &Background,
) -> Result<(), CommandFailure> {
    let guard = guard(&configuration)?;
    guard.check_bind(configuration.listen).map_err(|refused| CommandFailure::of(&refused))?;
    let spans = spans::Spans::start(&configuration.spans)?;
    let listener = TcpListener::bind(configuration.listen).await.map_err(|error| {
        CommandFailure::new(format!("address {}: {error}", configuration.listen))
            .with_hint("stop what listens there, or choose another with --listen")
    })?;
    let address = listener.local_addr()?;
    let served = match (configuration.read_copy.role, configuration.llm.role) {
        (Role::Owner, LlmRole::Replica) => {
            Served::Replica(Arc::new(Replica::open(&configuration, background.handle()).await?))
        }
        (Role::Owner, _) => {
            Served::Platform(Arc::new(Platform::open(&configuration, background.handle()).await?))
        }
        (Role::Reader, _) => Served::Reading(Arc::new(Reading::open(&configuration)?)),
    };
    let guard = served.known_to(guard);
    let (stopping, stop) = watch::channel(false);
    let routes = served.routes(metrics.clone(), stop.clone());
    let service = Unpacking::new(routes.into_router(Arc::new(guard)));
    // Before the first answer: who stops the server as soon as it is ready is heard.
    let signals = Signals::listen();
    tracing::info!(%address, data = %configuration.data.display(), version = env!("CARGO_PKG_VERSION"), "ready");

    let mut graceful = stop.clone();
    // A frame of a stream goes out when it is there, not when the one before it was acknowledged.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its small packets back");
        }
    });
    let serving = axum::serve(listener, ServiceExt::<Request>::into_make_service(service))
        .with_graceful_shutdown(async move {
            let _ = graceful.wait_for(|stopping| *stopping).await;
        })
        .into_future();
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended?,
        () = metrics.keep_up() => {}
        () = rest::take() => {}
        () = told_to_stop(signals) => {
            tracing::info!("stopping: open requests may finish");
            let _ = stopping.send(true);
            served.ends_connections();
            let patience = Duration::from_secs(configuration.shutdown_seconds);
            if tokio::time::timeout(patience, &mut serving).await.is_err() {
                tracing::warn!(seconds = configuration.shutdown_seconds, "some requests did not finish in time");
            }
        }
    }
    served.shutdown().await;
    spans.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// What this process is.
enum Served {
    /// The whole platform.
    Platform(Arc<Platform>),
    /// A replica of another server for calls of models.
    Replica(Arc<Replica>),
    /// A reader of another server's copy.
    Reading(Arc<Reading>),
}

impl Served {
    fn routes(&self, metrics: observe::Metrics, stop: watch::Receiver<bool>) -> Routes {
        match self {
            Self::Platform(platform) => {
                platform.routes().merge(health::routes(Arc::clone(platform), metrics, stop))
            }
            Self::Replica(replica) => replica.routes(metrics, stop),
            Self::Reading(reading) => reading.routes(metrics, stop),
        }
    }

    /// The guard with the users of this process; a reader of a copy has none.
    fn known_to(&self, guard: Guard) -> Guard {
        match self {
            Self::Platform(platform) => guard.with_users(platform.users()),
            Self::Replica(replica) => guard.with_users(replica.users()),
            Self::Reading(_) => guard,
        }
    }

    /// Connections over which both sides speak would go on for as long as both like.
    fn ends_connections(&self) {
        if let Self::Platform(platform) = self {
            platform.ends_connections();
        }
    }

    async fn shutdown(&self) {
        match self {
            Self::Platform(platform) => platform.shutdown().await,
            Self::Replica(replica) => replica.shutdown().await,
            Self::Reading(reading) => reading.shutdown().await,
        }
    }
}

fn guard(configuration: &Configuration) -> Result<Guard, CommandFailure> {
    let authentication = match &configuration.token {
        None => Authentication::OpenOnLoopback,
        Some(token) => {
            Authentication::Token(Token::new(token).map_err(|weak| CommandFailure::new(weak.to_string()))?)
        }
    };
    Ok(Guard::new(authentication).with_allowed_hosts(configuration.allowed_hosts.iter().cloned()))
}

async fn told_to_stop(signals: Option<Signals>) {
    let Some(Signals { mut terminate, mut interrupt }) = signals else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// The signals that tell the server to stop. From the moment that this is made they no longer end the process.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
}

impl Signals {
    fn listen() -> Option<Self> {
        let terminate = unix::signal(unix::SignalKind::terminate()).ok()?;
        let interrupt = unix::signal(unix::SignalKind::interrupt()).ok()?;
        Some(Self { terminate, interrupt })
    }
}

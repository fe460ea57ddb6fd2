//! Both sides of a connection, until one of them ends.
//!
//! Each direction is a loop of its own, which reads a message when the one before it is written: who does not read is not sent more than one
//! message. A third loop looks at what time brings.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::{HeaderMap, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use reqwest::Upgraded;
use shipway_web::Caller;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::Role},
};

use super::{
    super::{
        Asked,
        charge::{Call, Charge},
    },
    books::{Books, Refused},
    closing::{End, Side, close},
    credentials,
    opening::bounds,
};
use crate::{error::GatewayError, ledger::Outcome, model::Timeouts, service::Gateway};

/// How often it is looked whether the key is still taken, and whether anything takes too long.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// How often each side is asked for a sign of life.
const ASKS_FOR_LIFE_EVERY: Duration = Duration::from_secs(20);
/// What it is asked with; the answer to it goes no further.
const OWN_PING: Bytes = Bytes::from_static(b"shipway");
/// A side that gives no sign of life for so long is gone.
const SIGN_OF_LIFE_WITHIN: Duration = Duration::from_secs(65);
/// A connection over which nobody says anything for so long is closed.
const LONGEST_SILENCE: Duration = Duration::from_secs(15 * 60);
/// No connection lasts longer. Providers end theirs before.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);

/// Who opened the connection, to be asked again and again.
pub(super) struct Standing {
    caller: Caller,
    credentials: HeaderMap,
    asked: String,
    model: String,
}

impl Standing {
    pub(super) fn new(caller: Caller, asked: &Asked, model: &str) -> Self {
        let credentials = credentials(&asked.headers);
        Self { caller, credentials, asked: asked.head.model.clone(), model: model.to_owned() }
    }

    async fn still_holds(&self, gateway: &Gateway) -> Result<(), GatewayError> {
        let principal = gateway.principal(self.caller.clone(), &self.credentials).await?;
        if principal.may_use(&self.asked, &self.model) {
            return Ok(());
        }
        Err(GatewayError::ModelNotAllowed { key: principal.name, model: self.asked.clone() })
    }
}

/// One connection.
pub(super) struct Session {
    gateway: Gateway,
    books: Mutex<Books>,
    standing: Standing,
    timeouts: Timeouts,
    began: Instant,
    /// When something came from the client, and from the provider, in milliseconds since the beginning.
    lived: [AtomicU64; 2],
    /// The same of what is more than a sign of life.
    said: [AtomicU64; 2],
}

impl Session {
    pub(super) fn new(gateway: Gateway, books: Books, standing: Standing, timeouts: Timeouts) -> Self {
        let books = Mutex::new(books);
        let [lived, said] = Default::default();
        Self { gateway, books, standing, timeouts, began: Instant::now(), lived, said }
    }

    /// Passes on what both sides say until one of them ends, and closes the other. `call` is the record of the connection.
    pub(super) async fn run(self, upgrade: OnUpgrade, provider: WebSocketStream<Upgraded>, mut call: Call) {
        let (mut to_provider, mut from_provider) = provider.split();
        let Ok(upgraded) = upgrade.await else {
            self.books().close(Outcome::Abandoned, "the client left");
            call.settle(Outcome::Abandoned, Some(StatusCode::SWITCHING_PROTOCOLS), Charge::Nothing);
            let provider = (Side::Provider, &mut to_provider, &mut from_provider);
            return close(&End::Gone(Side::Client), provider).await;
        };
        let io = TokioIo::new(upgraded);
        let client = WebSocketStream::from_raw_socket(io, Role::Server, Some(bounds())).await;
        let (mut to_client, mut from_client) = client.split();
        let stopping = self.gateway.connections_end();
        let end = tokio::select! {
            end = self.pass_on(Side::Client, &mut from_client, &mut to_provider) => end,
            end = self.pass_on(Side::Provider, &mut from_provider, &mut to_client) => end,
            end = self.watch() => end,
            () = stopping.cancelled() => End::Stopping,
        };
        let outcome = end.outcome();
        self.books().close(end.outcome_of_responses(), &end.in_words());
        if outcome != Outcome::Answered {
            call.went_wrong(end.in_words());
        }
        call.settle(outcome, Some(StatusCode::SWITCHING_PROTOCOLS), Charge::Nothing);
        tokio::join!(
            close(&end, (Side::Client, &mut to_client, &mut from_client)),
            close(&end, (Side::Provider, &mut to_provider, &mut from_provider)),
        );
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, of: &[AtomicU64; 2], side: Side) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        of[side.place()].store(since, Ordering::Relaxed);
    }

    fn noted(&self, of: &[AtomicU64; 2], side: Side) -> Instant {
        self.began + Duration::from_millis(of[side.place()].load(Ordering::Relaxed))
    }

    /// Passes on what one side says.
    async fn pass_on(
        &self,
        from: Side,
        inbound: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
        outbound: &mut (impl Sink<Message, Error = Error> + Unpin),
    ) -> End {
        let mut signs = interval_at(Instant::now() + ASKS_FOR_LIFE_EVERY, ASKS_FOR_LIFE_EVERY);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (message, refused) = tokio::select! {
                _ = signs.tick() => (Message::Ping(OWN_PING), None),
                message = inbound.next() => match message {
                    Some(Ok(message)) => match self.hear(from, &message) {
                        Heard::PassesOn(refused) => (message, refused),
                        Heard::Stays => continue,
                        Heard::Ends(end) => return end,
                    },
                    Some(Err(Error::Capacity(_))) => return End::TooLong(from),
                    Some(Err(_)) | None => return End::Gone(from),
                },
            };
            match timeout(self.timeouts.idle, outbound.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Gone(from.other()),
                Err(_) => return End::DoesNotRead(from.other()),
            }
            if let Some(refused) = refused {
                return End::refused(&refused);
            }
        }
    }

    /// Notes what one side says, and what becomes of it.
    fn hear(&self, from: Side, message: &Message) -> Heard {
        self.note(&self.lived, from);
        match message {
            Message::Pong(payload) if *payload == OWN_PING => return Heard::Stays,
            Message::Ping(_) | Message::Pong(_) => return Heard::PassesOn(None),
            Message::Close(frame) => return Heard::Ends(End::Closed(from, frame.clone())),
            Message::Frame(_) => return Heard::Stays,
            Message::Text(_) | Message::Binary(_) => self.note(&self.said, from),
        }
        let Message::Text(text) = message else { return Heard::PassesOn(None) };
        match from {
            // What is not paid for is not passed on; what the provider has said is.
            Side::Client => match self.books().client_said(text.as_bytes()) {
                Ok(()) => Heard::PassesOn(None),
                Err(refused) => Heard::Ends(End::refused(&refused)),
            },
            Side::Provider => Heard::PassesOn(self.books().provider_said(text.as_bytes()).err()),
        }
    }

    /// Looks at what time brings: keys that are revoked, silence, sides that are gone.
    async fn watch(&self) -> End {
        let mut looks = interval(LOOKS_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            match self.standing.still_holds(&self.gateway).await {
                Ok(()) => {}
                // A database that fails for a moment says nothing about the key.
                Err(error @ (GatewayError::WrongKey | GatewayError::ModelNotAllowed { .. })) => {
                    return End::refused(&Refused::from(error));
                }
                Err(_) => {}
            }
            for side in [Side::Client, Side::Provider] {
                if self.noted(&self.lived, side).elapsed() > SIGN_OF_LIFE_WITHIN {
                    return End::Gone(side);
                }
            }
            let heard = self.noted(&self.said, Side::Provider);
            if let Some(late) = self.books().is_late(heard, &self.timeouts) {
                return End::Late(late);
            }
            let said = heard.max(self.noted(&self.said, Side::Client));
            if said.elapsed() > LONGEST_SILENCE {
                return End::Expired("nothing was said over the connection for 15 minutes");
            }
            if self.began.elapsed() > LONGEST {
                return End::Expired("the connection has lasted for two hours, which is the longest");
            }
        }
    }
}

/// What becomes of a message.
enum Heard {
    /// It goes to the other side; then the connection ends if there is no money for what comes next.
    PassesOn(Option<Refused>),
    /// It is for nobody but us.
    Stays,
    Ends(End),
}

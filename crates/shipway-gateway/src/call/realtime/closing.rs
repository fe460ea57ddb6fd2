//! How a connection ends, and what each side is told.

use std::time::Duration;

use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use shipway_core::Failure as _;
use shipway_dialects::{ApiError, Cause};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use uuid::Uuid;

use super::books::Refused;
use crate::ledger::Outcome;

/// How long a side may take to say goodbye.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);

/// The two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Provider,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Provider,
            Self::Provider => Self::Client,
        }
    }

    pub(super) const fn place(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Provider => 1,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Client => "the client",
            Self::Provider => "the provider",
        }
    }
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// A side closed it, with this code and reason.
    Closed(Side, Option<CloseFrame>),
    /// A side is gone without a word.
    Gone(Side),
    /// A side does not read what it is sent.
    DoesNotRead(Side),
    /// A side said something that is too long.
    TooLong(Side),
    /// The key may not go on: the error, its code here, and the event of the client that is refused.
    Refused(ApiError, &'static str, Option<String>),
    /// The provider does not go on with a response.
    Late(ApiError),
    /// It has lasted too long.
    Expired(&'static str),
    /// The server stops.
    Stopping,
}

impl End {
    pub(super) fn refused(refused: &Refused) -> Self {
        Self::Refused(ApiError::from(&refused.error), refused.error.code(), refused.event.clone())
    }

    /// What the record of the connection says.
    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Closed(..) | Self::Expired(_) | Self::Stopping => Outcome::Answered,
            Self::Gone(Side::Client) | Self::DoesNotRead(Side::Client) => Outcome::Abandoned,
            Self::TooLong(Side::Client) | Self::Refused(..) => Outcome::Refused,
            Self::Gone(Side::Provider)
            | Self::DoesNotRead(Side::Provider)
            | Self::TooLong(Side::Provider)
            | Self::Late(_) => Outcome::Broken,
        }
    }

    /// What the records of responses say that ran.
    pub(super) const fn outcome_of_responses(&self) -> Outcome {
        match self {
            Self::Closed(Side::Client, _)
            | Self::Gone(Side::Client)
            | Self::DoesNotRead(Side::Client)
            | Self::TooLong(Side::Client) => Outcome::Abandoned,
            _ => Outcome::Broken,
        }
    }

    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Closed(side, _) => format!("{} closed the connection", side.word()),
            Self::Gone(side) => format!("{} left without closing the connection", side.word()),
            Self::DoesNotRead(side) => format!("{} does not read what it is sent", side.word()),
            Self::TooLong(side) => format!("{} sent a message that is too long", side.word()),
            Self::Refused(error, ..) | Self::Late(error) => error.message.clone(),
            Self::Expired(why) => (*why).to_owned(),
            Self::Stopping => "the server stops".to_owned(),
        }
    }

    /// The event that the client is told before it is closed.
    fn event(&self) -> Option<String> {
        let (error, of) = match self {
            Self::Refused(error, _, of) => (error.clone(), of.as_deref()),
            Self::Late(error) => (error.clone(), None),
            Self::Gone(Side::Provider) => {
                (ApiError::new(Cause::Upstream, "the connection to the provider broke"), None)
            }
            Self::DoesNotRead(Side::Provider) | Self::TooLong(_) => {
                let cause = match self {
                    Self::TooLong(Side::Client) => Cause::TooLarge,
                    _ => Cause::Upstream,
                };
                (ApiError::new(cause, self.in_words()), None)
            }
            Self::Expired(why) => {
                let error = ApiError::new(Cause::InvalidRequest, *why);
                // What OpenAI says at the end of a session.
                (ApiError { code: Some("session_expired".to_owned()), ..error }, None)
            }
            Self::Closed(..)
            | Self::Gone(Side::Client)
            | Self::DoesNotRead(Side::Client)
            | Self::Stopping => {
                return None;
            }
        };
        Some(error.realtime_event(&format!("event_{}", Uuid::now_v7().simple()), of))
    }

    /// How a side is closed.
    fn frame(&self, side: Side) -> Option<CloseFrame> {
        let frame = |code, reason: &'static str| Some(CloseFrame { code, reason: reason.into() });
        match (self, side) {
            (Self::Closed(_, frame), _) => frame.clone(),
            (Self::Refused(_, code, _), Side::Client) => frame(CloseCode::Policy, code),
            (Self::TooLong(of), side) if *of == side => frame(CloseCode::Size, "the message is too long"),
            (Self::Gone(Side::Provider), Side::Client) => {
                frame(CloseCode::Error, "the connection to the provider broke")
            }
            (Self::Late(_), Side::Client) => frame(CloseCode::Error, "the provider did not go on in time"),
            (Self::DoesNotRead(Side::Provider) | Self::TooLong(Side::Provider), Side::Client) => {
                frame(CloseCode::Error, "the provider could not be understood")
            }
            (Self::Expired(_), Side::Client) => frame(CloseCode::Away, "session_expired"),
            (Self::Stopping, Side::Client) => frame(CloseCode::Away, "the server stops"),
            _ => frame(CloseCode::Away, ""),
        }
    }

    fn has_left(&self, side: Side) -> bool {
        matches!(self, Self::Gone(gone) if *gone == side)
    }
}

/// Tells a side why it ends, and waits for a moment until it has heard it.
pub(super) async fn close<Out, In>(end: &End, (side, outbound, inbound): (Side, &mut Out, &mut In))
where
    Out: Sink<Message, Error = Error> + Unpin,
    In: Stream<Item = Result<Message, Error>> + Unpin,
{
    if end.has_left(side) {
        return;
    }
    let goodbye = async {
        if let Some(event) = end.event().filter(|_| side == Side::Client) {
            outbound.send(Message::text(event)).await?;
        }
        // To a side that has closed already its own goodbye is answered by the library.
        if !matches!(end, End::Closed(closed, _) if *closed == side) {
            outbound.send(Message::Close(end.frame(side))).await?;
        }
        while let Some(Ok(_)) = inbound.next().await {}
        Ok::<_, Error>(())
    };
    // Who does not listen is left.
    let _ = timeout(GOODBYE_WITHIN, goodbye).await;
}

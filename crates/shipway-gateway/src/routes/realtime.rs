//! OpenAI's realtime API: the connection itself, and what would lead past it.

use axum::{
    extract::{Request, State},
    response::Response,
};
use shipway_web::Caller;

use crate::{
    call::{self, Connect},
    service::Gateway,
};

/// What stands before a key among the subprotocols, where a page in a browser opens the connection.
pub(super) const KEY_IN_SUBPROTOCOL: &str = "openai-insecure-api-key.";

pub(super) async fn connect(State(gateway): State<Gateway>, caller: Caller, request: Request) -> Response {
    call::connect(&gateway, Connect { caller, request }).await
}

/// A secret of the provider for a client would lead past the gateway.
pub(super) async fn client_secrets() -> Response {
    call::unmetered("a client secret")
}

/// The media of a WebRTC or SIP call go from the client to the provider.
pub(super) async fn calls() -> Response {
    call::unmetered("a call over WebRTC or SIP")
}

//! The WebSocket of a provider.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use reqwest::Upgraded;
use shipway_core::Timestamp;
use shipway_dialects::{ApiError, Cause};
use tokio::time::{Instant, timeout_at};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use super::handshake::passed_on;
use crate::{
    address::Target,
    call::attempt::{Stopped, failed, too_late},
    upstream::{self, Provider},
};

/// The longest message of either side: OpenAI takes 15 MiB of sound in one.
const LONGEST_MESSAGE_BYTES: usize = 16 << 20;
const READ_BUFFER_BYTES: usize = 16 << 10;

/// The open WebSocket of a provider.
pub(in crate::call) struct Socket {
    /// Of its answer.
    pub(super) headers: HeaderMap,
    /// The subprotocol that it chose.
    pub(super) protocol: Option<String>,
    pub(super) stream: WebSocketStream<Upgraded>,
}

/// Bounds what is held for one connection.
pub(super) fn bounds() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * LONGEST_MESSAGE_BYTES)
        .max_message_size(Some(LONGEST_MESSAGE_BYTES))
        .max_frame_size(Some(LONGEST_MESSAGE_BYTES))
}

/// Opens the WebSocket of a provider. Until a response is asked for over it nothing costs anything, whatever becomes of it.
pub(in crate::call) async fn open_socket(
    provider: &Provider,
    target: &Target<'_>,
    (caller, query): (&HeaderMap, &Bytes),
    by: Instant,
    now: Timestamp,
) -> Result<Socket, Stopped> {
    let free = |stopped: Stopped| Stopped { may_have_worked: false, ..stopped };
    let mut headers = upstream::passed_on(caller, true);
    headers.remove(header::ACCEPT);
    if let Some(protocols) = passed_on(caller) {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
    }
    let query = std::str::from_utf8(query).unwrap_or_default();
    let handshake = match timeout_at(by, provider.ask_for_socket(target, query, headers)).await {
        Ok(Ok(handshake)) => handshake,
        Ok(Err(error)) => return Err(Stopped::said(error)),
        Err(_) => return Err(free(too_late())),
    };
    let status = handshake.response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS && !status.is_success() {
        return Err(failed(handshake.response, None, by, now).await);
    }
    if status != StatusCode::SWITCHING_PROTOCOLS || !handshake.is_accepted() {
        return Err(Stopped::said(ApiError::new(Cause::Upstream, "the provider did not open a WebSocket")));
    }
    let headers = handshake.response.headers().clone();
    let protocol = headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let protocol = protocol.map(str::to_owned);
    let upgraded = match timeout_at(by, handshake.response.upgrade()).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => return Err(Stopped::said(upstream::failure(&error))),
        Err(_) => return Err(free(too_late())),
    };
    let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(bounds())).await;
    Ok(Socket { headers, protocol, stream })
}

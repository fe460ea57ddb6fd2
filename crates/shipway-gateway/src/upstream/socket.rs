//! WebSockets to providers, over the same TLS, with the same secret and the same caution as any other request.

use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, Response};
use shipway_dialects::{ApiError, Cause};
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use super::{Provider, builder, failure};
use crate::address::{self, Target};

/// What a provider answered that was asked for a WebSocket.
pub(crate) struct Handshake {
    /// 101, or a refusal.
    pub(crate) response: Response,
    /// What proves that it read the request.
    accept: String,
}

impl Handshake {
    /// Whether the provider has understood what it was asked for; else what comes now is no WebSocket.
    pub(crate) fn is_accepted(&self) -> bool {
        let headers = self.response.headers();
        let proof = headers.get(header::SEC_WEBSOCKET_ACCEPT);
        let upgrade = headers.get(header::UPGRADE).and_then(|value| value.to_str().ok());
        upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
            && proof.is_some_and(|proof| proof.as_bytes() == self.accept.as_bytes())
    }
}

impl Provider {
    /// Asks for a WebSocket; returns with the head of the answer. `query` is what the caller's address says beside the model.
    pub(crate) async fn ask_for_socket(
        &self,
        target: &Target<'_>,
        query: &str,
        mut headers: HeaderMap,
    ) -> Result<Handshake, ApiError> {
        let mut url = address::socket_url(&self.spec, target);
        if !query.is_empty() {
            let own = url.query().unwrap_or_default();
            url.set_query(Some(&format!("{own}&{query}")));
        }
        let key = generate_key();
        let proof = HeaderValue::from_str(&key);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_KEY, proof.map_err(|_| broken())?);
        let client = self.sockets()?;
        let mut request =
            client.get(url).headers(self.own(headers)).build().map_err(|error| failure(&error))?;
        self.credentials.put(&mut request).await?;
        let response = client.execute(request).await.map_err(|error| failure(&error))?;
        Ok(Handshake { response, accept: derive_accept_key(key.as_bytes()) })
    }

    fn sockets(&self) -> Result<&Client, ApiError> {
        if let Some(client) = self.sockets.get() {
            return Ok(client);
        }
        let made =
            builder(&self.spec).http1_only().pool_max_idle_per_host(0).build().map_err(|_| broken())?;
        Ok(self.sockets.get_or_init(|| made))
    }
}

fn broken() -> ApiError {
    ApiError::new(Cause::Internal, "a connection to the provider could not be set up")
}

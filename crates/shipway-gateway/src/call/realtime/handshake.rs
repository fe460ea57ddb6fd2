//! What a caller asks for who asks for a WebSocket, and what it is answered.

use axum::extract::Request;
use http::{HeaderMap, HeaderValue, header};
use shipway_dialects::{ApiError, BadRequest};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use url::form_urlencoded;

use super::{Refusal, no_socket};
use crate::{error::GatewayError, wire};

/// The subprotocol of the API.
const REALTIME: &str = "realtime";
/// What others say that means something to a provider. Keys, organisations and projects among them are the gateway's own there.
const BETA: &str = "openai-beta.";
/// Members of the address that are said by the deployment, or are secrets.
const OWN: [&str; 5] = ["model", "deployment", "api-version", "key", "api-key"];

/// A connection that is asked for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) model: String,
    /// What the address says beside it.
    pub(super) query: String,
    accept: String,
    offered: Vec<String>,
}

impl Wish {
    pub(super) fn read(request: &Request) -> Result<Self, Refusal> {
        let headers = request.headers();
        let says = |name, word: &str| {
            let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        if !says(header::CONNECTION, "upgrade") || !says(header::UPGRADE, "websocket") {
            return Err(no_socket("this address is asked for a WebSocket, over HTTP/1.1"));
        }
        if !says(header::SEC_WEBSOCKET_VERSION, "13") {
            return Err(no_socket("the WebSocket must be of version 13"));
        }
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return Err(no_socket("there is no sec-websocket-key"));
        };
        let (mut model, mut query) = (None, form_urlencoded::Serializer::new(String::new()));
        for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
            match name.as_ref() {
                "model" => model = Some(value.into_owned()).filter(|model| !model.is_empty()),
                "call_id" => return Err(GatewayError::RealtimeUnmetered { what: "joining a call" }.into()),
                name if OWN.contains(&name) => {}
                name => {
                    query.append_pair(name, &value);
                }
            }
        }
        let Some(model) = model else {
            return Err(Refusal::Theirs(ApiError::from(&BadRequest::NoModel)));
        };
        let accept = derive_accept_key(key.as_bytes());
        Ok(Self { model, query: query.finish(), accept, offered: offered(headers) })
    }

    /// Opens the connection, with the subprotocol that the provider chose if the caller offered it, else with the one of the API.
    pub(super) fn answer(&self, chosen: Option<&str>, headers: &mut HeaderMap) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        wire::put(headers, header::SEC_WEBSOCKET_ACCEPT.as_str(), &self.accept);
        let of_caller = |name: &&str| self.offered.iter().any(|one| one == name);
        if let Some(protocol) = chosen.filter(of_caller).or(Some(REALTIME).filter(of_caller)) {
            wire::put(headers, header::SEC_WEBSOCKET_PROTOCOL.as_str(), protocol);
        }
    }
}

fn offered(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let values = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    values.map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect()
}

/// The subprotocols that a provider is offered: those of the caller that are about the API, and no key.
pub(super) fn passed_on(headers: &HeaderMap) -> Option<HeaderValue> {
    let about_the_api: Vec<String> =
        offered(headers).into_iter().filter(|one| one == REALTIME || one.starts_with(BETA)).collect();
    (!about_the_api.is_empty()).then(|| HeaderValue::from_str(&about_the_api.join(", ")).ok())?
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn read(query: &str, headers: &[(&'static str, &'static str)]) -> Result<Wish, Refusal> {
        let mut request = http::Request::builder().uri(format!("/v1/realtime{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Wish::read(&request.body(Body::empty()).unwrap())
    }

    const SOCKET: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_model_stands_in_the_address_and_no_secret_goes_on() {
        let wish = read("?model=a%20b&intent=x%26y&key=secret&api-version=1&deployment=z", &SOCKET);
        let Ok(wish) = wish else { panic!("refused") };
        assert_eq!((wish.model.as_str(), wish.query.as_str()), ("a b", "intent=x%26y"));
        // The example of RFC 6455.
        assert_eq!(wish.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (query, headers) in [
            ("", &SOCKET[..]),
            ("?model=", &SOCKET),
            ("?model=a&call_id=b", &SOCKET),
            ("?model=a", &SOCKET[1..]),
        ] {
            assert!(read(query, headers).is_err(), "{query}");
        }
    }

    #[test]
    fn keys_among_the_subprotocols_stay_here() {
        let mut headers = HeaderMap::new();
        let all = "realtime, openai-insecure-api-key.secret, openai-organization.o, openai-beta.realtime-v1";
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(all));
        assert_eq!(passed_on(&headers).unwrap(), "realtime, openai-beta.realtime-v1");
        assert_eq!(passed_on(&HeaderMap::new()), None);
    }
}

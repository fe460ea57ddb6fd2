//! Bearer tokens and basic passwords, compared without telling how much of a guess was right. Pure.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue, Uri, header};
use shipway_core::Digest;

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const MINIMUM_TOKEN_CHARACTERS: usize = 16;
const MAXIMUM_USER_CHARACTERS: usize = 128;

/// The secret that callers present. Only its digest is kept, so it cannot be printed or leak from memory.
#[derive(Clone)]
pub struct Token(Digest);

/// The secret is too short to protect anything.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the access token has {characters} characters; at least {MINIMUM_TOKEN_CHARACTERS} are needed")]
pub struct WeakToken {
    characters: usize,
}

impl Token {
    /// Takes a secret of at least 16 characters.
    pub fn new(secret: &str) -> Result<Self, WeakToken> {
        let characters = secret.chars().count();
        if characters < MINIMUM_TOKEN_CHARACTERS {
            Err(WeakToken { characters })
        } else {
            Ok(Self(Digest::of(secret)))
        }
    }

    /// Whether `presented` is the secret. Takes the same time for every guess of the same length: digests are compared,
    /// and every byte of them.
    pub(crate) fn equals(&self, presented: &str) -> bool {
        let presented = Digest::of(presented);
        let different = self.0.as_bytes().iter().zip(presented.as_bytes()).fold(0, |seen, (left, right)| {
            // The black box keeps the compiler from leaving the loop at the first difference.
            std::hint::black_box(seen | (left ^ right))
        });
        different == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// What a caller shows of itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Bearer(String),
    /// A user name and a password, or a token in the place of the password.
    Basic {
        /// The user name, empty when it was left out.
        user: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Credentials {
    /// Without the secret.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bearer(_) => "Bearer(…)",
            Self::Basic { .. } => "Basic(…)",
        })
    }
}

/// The `Authorization` header is there and says nothing that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// How Anthropic's clients send a token, and how Google's do.
const API_KEYS: [&str; 2] = ["x-api-key", KEY_OF_QUERY];
/// Where a token stands that came in the address of a request.
const KEY_OF_QUERY: &str = "x-goog-api-key";

/// Takes a token out of the address of a request, where it stands under `name`, into the header that it could have come in. A header
/// that is there already goes before it.
pub(crate) fn take_from_query(name: &str, uri: &Uri, headers: &mut HeaderMap) {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    // A token has no letter that an address would have to write otherwise.
    let mut found =
        pairs.filter(|(found, value)| *found == name && !value.is_empty()).map(|(_, value)| value);
    if let Some(mut value) = found.next_back().and_then(|value| HeaderValue::from_str(value).ok()) {
        value.set_sensitive(true);
        headers.entry(KEY_OF_QUERY).or_insert(value);
    }
}

/// Takes a token out of the subprotocols that a WebSocket is asked with, where it stands behind `prefix`, into the header that it could
/// have come in: a page in a browser can set no other header. A header that is there already goes before it.
pub(crate) fn take_from_subprotocols(prefix: &str, headers: &mut HeaderMap) {
    let all = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
    let offered = all.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let found = offered.filter_map(|one| one.trim().strip_prefix(prefix)).find(|key| !key.is_empty());
    if let Some(mut value) = found.and_then(|key| HeaderValue::from_str(key).ok()) {
        value.set_sensitive(true);
        headers.entry(KEY_OF_QUERY).or_insert(value);
    }
}

impl Credentials {
    /// What a request shows: its `Authorization` header, and without one the token in `x-api-key` or `x-goog-api-key`.
    pub(crate) fn shown(headers: &HeaderMap) -> Result<Option<Self>, Unreadable> {
        let shown = Self::read(headers.get(header::AUTHORIZATION))?;
        match (shown, API_KEYS.iter().find_map(|name| headers.get(*name))) {
            (None, Some(key)) => Ok(Some(Self::Bearer(key.to_str().map_err(|_| Unreadable)?.to_owned()))),
            (shown, _) => Ok(shown),
        }
    }

    /// What an `Authorization` header says; `None` without one.
    pub(crate) fn read(authorization: Option<&HeaderValue>) -> Result<Option<Self>, Unreadable> {
        let Some(authorization) = authorization else { return Ok(None) };
        let text = authorization.to_str().map_err(|_| Unreadable)?;
        let (scheme, credentials) = text.split_once(' ').ok_or(Unreadable)?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(Self::Bearer(credentials.to_owned())));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(Unreadable);
        }
        let decoded = BASE64.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = decoded.as_deref().and_then(|text| text.split_once(':')).ok_or(Unreadable)?;
        Ok(Some(Self::Basic { user: user.to_owned(), password: password.to_owned() }))
    }

    /// The token, or what stands in its place.
    pub fn secret(&self) -> &str {
        match self {
            Self::Bearer(secret) | Self::Basic { password: secret, .. } => secret,
        }
    }

    /// The user name that the caller gives, if it may stand in a log and in the audit table.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Bearer(_) => None,
            Self::Basic { user, .. } => presentable(user),
        }
    }
}

/// A user name that may stand in a log and in the audit table.
fn presentable(user: &str) -> Option<&str> {
    let fits = !user.is_empty()
        && user.chars().count() <= MAXIMUM_USER_CHARACTERS
        && user.chars().all(|character| !character.is_control());
    fits.then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery";

    fn read(header: &str) -> Result<Option<Credentials>, Unreadable> {
        Credentials::read(Some(&HeaderValue::from_str(header).unwrap()))
    }

    /// The user name, and whether the secret is right.
    fn judged(header: &str) -> (Option<String>, bool) {
        let credentials = read(header).unwrap().unwrap();
        let right = Token::new(SECRET).unwrap().equals(credentials.secret());
        (credentials.user().map(str::to_owned), right)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    #[test]
    fn the_secret_comes_as_bearer_token_or_as_basic_password() {
        assert_eq!(judged(&format!("Bearer {SECRET}")), (None, true));
        assert_eq!(judged(&format!("bearer {SECRET}")), (None, true));
        assert_eq!(judged(&basic(&format!("alice:{SECRET}"))), (Some("alice".into()), true));
        assert_eq!(judged(&basic(&format!(":{SECRET}"))), (None, true));
    }

    #[test]
    fn a_wrong_secret_is_wrong_and_anything_else_is_unreadable() {
        assert_eq!(judged("Bearer correct horse batter"), (None, false));
        assert_eq!(judged(&basic("alice:guess")), (Some("alice".into()), false));
        for unreadable in ["Basic %%%", &basic("no colon"), "Digest x", "Bearer"] {
            assert_eq!(read(unreadable), Err(Unreadable), "{unreadable}");
        }
        assert_eq!(Credentials::read(None), Ok(None));
    }

    #[test]
    fn a_token_comes_as_api_key_where_there_is_no_authorization() {
        let mut headers = HeaderMap::new();
        assert_eq!(Credentials::shown(&headers), Ok(None));
        for name in API_KEYS {
            headers.clear();
            headers.insert(name, HeaderValue::from_static(SECRET));
            assert_eq!(Credentials::shown(&headers), Ok(Some(Credentials::Bearer(SECRET.to_owned()))));
        }
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer other"));
        assert_eq!(Credentials::shown(&headers), Ok(Some(Credentials::Bearer("other".to_owned()))));
    }

    #[test]
    fn a_token_in_an_address_is_taken_where_no_header_shows_one() {
        let taken = |query: &str, header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(header) = header {
                headers.insert(KEY_OF_QUERY, HeaderValue::from_static(header));
            }
            take_from_query("key", &format!("/v1beta/models{query}").parse().unwrap(), &mut headers);
            Credentials::shown(&headers).unwrap().map(|shown| shown.secret().to_owned())
        };
        assert_eq!(taken("?alt=sse&key=abc", None), Some("abc".to_owned()));
        assert_eq!(taken("?key=abc", Some("of-the-header")), Some("of-the-header".to_owned()));
        for query in ["", "?key=", "?monkey=abc", "?key"] {
            assert_eq!(taken(query, None), None, "{query}");
        }
    }

    #[test]
    fn a_token_in_a_subprotocol_is_taken_where_no_header_shows_one() {
        let taken = |offered: &[&'static str], header: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            for value in offered {
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value));
            }
            if let Some(header) = header {
                headers.insert(KEY_OF_QUERY, HeaderValue::from_static(header));
            }
            take_from_subprotocols("key.", &mut headers);
            Credentials::shown(&headers).unwrap().map(|shown| shown.secret().to_owned())
        };
        assert_eq!(taken(&["realtime, key.abc"], None), Some("abc".to_owned()));
        assert_eq!(taken(&["realtime", "key.abc,beta"], None), Some("abc".to_owned()));
        assert_eq!(taken(&["key.abc"], Some("of-the-header")), Some("of-the-header".to_owned()));
        for offered in [&["realtime"][..], &["key."], &["monkey.abc"], &[]] {
            assert_eq!(taken(offered, None), None, "{offered:?}");
        }
    }

    #[test]
    fn a_user_name_that_would_forge_a_log_line_is_dropped() {
        assert_eq!(judged(&basic(&format!("a\nb:{SECRET}"))), (None, true));
        assert_eq!(judged(&basic(&format!("{}:{SECRET}", "a".repeat(129)))), (None, true));
    }

    #[test]
    fn credentials_are_never_printed() {
        for header in [format!("Bearer {SECRET}"), basic(&format!("alice:{SECRET}"))] {
            assert!(!format!("{:?}", read(&header).unwrap()).contains("horse"));
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_a_secret_is_never_printed() {
        assert_eq!(Token::new("short").unwrap_err(), WeakToken { characters: 5 });
        assert!(!format!("{:?}", Token::new(SECRET).unwrap()).contains("horse"));
    }
}

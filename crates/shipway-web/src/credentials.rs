//! Bearer tokens and basic passwords, compared without telling how much of a guess was right. Pure.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::HeaderValue;
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
    fn equals(&self, presented: &str) -> bool {
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

/// What an `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Missing,
    Unreadable,
    Wrong,
    /// The secret is right; the name is the basic user name, if one was given.
    Right(Option<String>),
}

/// Judges the `Authorization` header: `Bearer <secret>`, or `Basic` with the secret as the password.
pub(crate) fn judge(token: &Token, authorization: Option<&HeaderValue>) -> Verdict {
    let Some(authorization) = authorization else { return Verdict::Missing };
    let Some((scheme, credentials)) = authorization.to_str().ok().and_then(|text| text.split_once(' '))
    else {
        return Verdict::Unreadable;
    };
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return if token.equals(credentials) { Verdict::Right(None) } else { Verdict::Wrong };
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Verdict::Unreadable;
    }
    let decoded = BASE64.decode(credentials).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return Verdict::Unreadable;
    };
    if token.equals(password) { Verdict::Right(presentable(user)) } else { Verdict::Wrong }
}

/// A user name that may stand in a log and in the audit table.
fn presentable(user: &str) -> Option<String> {
    let fits = !user.is_empty()
        && user.chars().count() <= MAXIMUM_USER_CHARACTERS
        && user.chars().all(|character| !character.is_control());
    fits.then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery";

    fn judged(header: &str) -> Verdict {
        judge(&Token::new(SECRET).unwrap(), Some(&HeaderValue::from_str(header).unwrap()))
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    #[test]
    fn the_secret_comes_as_bearer_token_or_as_basic_password() {
        assert_eq!(judged(&format!("Bearer {SECRET}")), Verdict::Right(None));
        assert_eq!(judged(&format!("bearer {SECRET}")), Verdict::Right(None));
        assert_eq!(judged(&basic(&format!("alice:{SECRET}"))), Verdict::Right(Some("alice".into())));
        assert_eq!(judged(&basic(&format!(":{SECRET}"))), Verdict::Right(None));
    }

    #[test]
    fn a_wrong_secret_is_wrong_and_anything_else_is_unreadable() {
        assert_eq!(judged("Bearer correct horse batter"), Verdict::Wrong);
        assert_eq!(judged(&basic("alice:guess")), Verdict::Wrong);
        assert_eq!(judged("Basic %%%"), Verdict::Unreadable);
        assert_eq!(judged(&basic("no colon")), Verdict::Unreadable);
        assert_eq!(judged("Digest x"), Verdict::Unreadable);
        assert_eq!(judged("Bearer"), Verdict::Unreadable);
        assert_eq!(judge(&Token::new(SECRET).unwrap(), None), Verdict::Missing);
    }

    #[test]
    fn a_user_name_that_would_forge_a_log_line_is_dropped() {
        assert_eq!(judged(&basic(&format!("a\nb:{SECRET}"))), Verdict::Right(None));
        assert_eq!(judged(&basic(&format!("{}:{SECRET}", "a".repeat(129)))), Verdict::Right(None));
    }

    #[test]
    fn a_short_secret_is_refused_and_a_secret_is_never_printed() {
        assert_eq!(Token::new("short").unwrap_err(), WeakToken { characters: 5 });
        assert!(!format!("{:?}", Token::new(SECRET).unwrap()).contains("horse"));
    }
}

//! Requests that wait and try again: a server that is busy, or away for a moment, does not end an import of hours.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::Value as Json;

use crate::failure::{CommandFailure, exit};

/// How often one thing is tried.
const ATTEMPTS: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why something was not brought.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// This item cannot be brought; the others can.
    Item { message: String, status: Option<StatusCode> },
    /// Nothing more can be brought.
    End(CommandFailure),
}

impl Trouble {
    pub(super) fn item(message: impl Into<String>) -> Self {
        Self::Item { message: message.into(), status: None }
    }

    /// Whether a server answered with this status.
    pub(super) fn is(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Item { status: Some(status), .. } if *status == wanted)
    }
}

/// What one try came to.
pub(super) enum Tried<T> {
    Done(T),
    Refused(Trouble),
    /// It may work later: after so long, if somebody said.
    Later(Option<Duration>, Trouble),
}

/// Tries until it works, until it is refused, or until patience ends.
pub(super) async fn patiently<T, F>(attempt: impl FnMut() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Tried<T>>,
{
    patiently_from(FIRST_WAIT, attempt).await
}

/// The same with another first wait; each next one is twice as long.
async fn patiently_from<T, F>(first: Duration, mut attempt: impl FnMut() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Tried<T>>,
{
    let mut wait = first;
    for number in 1.. {
        match attempt().await {
            Tried::Done(done) => return Ok(done),
            Tried::Refused(trouble) => return Err(trouble),
            Tried::Later(_, trouble) if number >= ATTEMPTS => return Err(trouble),
            Tried::Later(asked, _) => {
                tokio::time::sleep(asked.unwrap_or(wait).min(LONGEST_WAIT)).await;
                wait *= 2;
            }
        }
    }
    Err(Trouble::item("it was not tried"))
}

/// Sends a request until it is answered, and returns the answer if it is a success. `who` is the server in a sentence.
pub(super) async fn send(who: &str, request: impl Fn() -> RequestBuilder) -> Result<Response, Trouble> {
    patiently(|| async { judged(who, request().send().await).await }).await
}

/// The same for an answer in JSON, which is read within the try: it may break off too.
pub(super) async fn json(who: &str, request: impl Fn() -> RequestBuilder) -> Result<Json, Trouble> {
    patiently(|| async {
        let response = match judged(who, request().send().await).await {
            Tried::Done(response) => response,
            Tried::Refused(trouble) => return Tried::Refused(trouble),
            Tried::Later(wait, trouble) => return Tried::Later(wait, trouble),
        };
        match response.bytes().await {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(json) => Tried::Done(json),
                Err(error) => Tried::Refused(Trouble::item(format!("{who} answers with no JSON: {error}"))),
            },
            Err(error) => Tried::Later(None, away(who, &error)),
        }
    })
    .await
}

/// Sorts an answer into success, refusal and later.
pub(super) async fn judged(who: &str, answer: reqwest::Result<Response>) -> Tried<Response> {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Tried::Later(None, away(who, &error)),
    };
    let status = response.status();
    if status.is_success() {
        return Tried::Done(response);
    }
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let asked = asked.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    let text = response.text().await.unwrap_or_default();
    let message = format!("{who}: {}", said(status, &text));
    match status.as_u16() {
        429 | 502 | 503 | 504 => Tried::Later(asked, Trouble::Item { message, status: Some(status) }),
        401 => Tried::Refused(Trouble::End(
            CommandFailure::new(message).with_hint("name the credentials that this server asks for"),
        )),
        _ => Tried::Refused(Trouble::Item { message, status: Some(status) }),
    }
}

/// What a server says of its refusal, in any of the forms that servers have.
fn said(status: StatusCode, text: &str) -> String {
    let body: Json = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| body[name].as_str().filter(|word| !word.is_empty()).map(str::to_owned);
    let said = word("detail").or_else(|| word("message")).or_else(|| word("title"));
    let said = said.unwrap_or_else(|| format!("it answered {status}"));
    said.chars().take(500).collect()
}

fn away(who: &str, error: &reqwest::Error) -> Trouble {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    Trouble::End(
        CommandFailure::new(format!("no answer from {who}: {deepest}"))
            .with_hint("run the same command again: it goes on where it stopped")
            .with_exit(exit::UNREACHABLE),
    )
}

/// A path whose segments are safe whatever they hold.
pub(super) fn path_of(text: &str) -> String {
    text.split('/').map(crate::client::segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn what_may_work_later_is_tried_again_and_what_is_refused_is_not() {
        let tries = Cell::new(0);
        let busy = || async {
            tries.set(tries.get() + 1);
            match tries.get() {
                1 | 2 => Tried::Later(Some(Duration::ZERO), Trouble::item("busy")),
                _ => Tried::Done(7),
            }
        };
        assert_eq!(patiently_from(Duration::ZERO, busy).await.unwrap(), 7);
        assert_eq!(tries.get(), 3);

        let tries = Cell::new(0);
        let refused = || async {
            tries.set(tries.get() + 1);
            Tried::<()>::Refused(Trouble::item("no"))
        };
        assert!(patiently_from(Duration::ZERO, refused).await.is_err());
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn patience_ends() {
        let tries = Cell::new(0);
        let never = || async {
            tries.set(tries.get() + 1);
            Tried::<()>::Later(None, Trouble::item("busy"))
        };
        assert!(
            matches!(patiently_from(Duration::ZERO, never).await, Err(Trouble::Item { message, .. }) if message == "busy")
        );
        assert_eq!(tries.get(), ATTEMPTS);
    }

    #[test]
    fn a_refusal_is_read_in_every_form() {
        assert_eq!(said(StatusCode::CONFLICT, r#"{"detail":"taken"}"#), "taken");
        assert_eq!(said(StatusCode::NOT_FOUND, r#"{"error_code":"X","message":"gone"}"#), "gone");
        assert_eq!(said(StatusCode::BAD_GATEWAY, "<html>"), "it answered 502 Bad Gateway");
    }
}

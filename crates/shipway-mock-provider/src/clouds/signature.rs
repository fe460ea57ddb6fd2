//! Checks signatures of AWS, version 4, as its documentation describes them: worked out anew from what arrived.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};

use crate::wire::{Request, headers};

/// An access key that is known: `ID:SECRET`, or `ID:SECRET:TOKEN` where a session token belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AwsKey {
    id: String,
    secret: String,
    token: Option<String>,
}

impl std::str::FromStr for AwsKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(id), Some(secret), token) if !id.is_empty() && !secret.is_empty() => {
                Ok(Self { id, secret, token })
            }
            _ => Err("an access key is ID:SECRET or ID:SECRET:TOKEN".to_owned()),
        }
    }
}

/// Why a request is not let in, as AWS names and says it.
pub(crate) fn verify(request: &Request, known: &[AwsKey]) -> Result<(), (&'static str, String)> {
    let missing = || ("MissingAuthenticationTokenException", "Missing Authentication Token".to_owned());
    let incomplete = |what: &str| ("IncompleteSignatureException", format!("the signature has no {what}"));
    let given = request.header("authorization").and_then(|value| value.strip_prefix("AWS4-HMAC-SHA256"));
    let given = given.ok_or_else(missing)?;
    let part = |name: &str| {
        let mut parts = given.split(',').filter_map(|part| part.trim().split_once('='));
        parts.find(|(key, _)| *key == name).map(|(_, value)| value).ok_or_else(|| incomplete(name))
    };
    let (scope, signed, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);
    let (id, scope) = scope.split_once('/').ok_or_else(|| incomplete("scope"))?;
    let invalid_token = || {
        ("UnrecognizedClientException", "The security token included in the request is invalid.".to_owned())
    };
    let key = known.iter().find(|key| key.id == id).ok_or_else(invalid_token)?;
    if key.token.as_deref() != request.header("x-amz-security-token") {
        return Err(invalid_token());
    }
    let date = request.header("x-amz-date").ok_or_else(|| incomplete("x-amz-date"))?;
    let expected =
        expected(request, key, (scope, signed, date)).ok_or_else(|| incomplete("scope of four parts"))?;
    if expected == signature {
        return Ok(());
    }
    let why = "The request signature we calculated does not match the signature you provided.";
    Err(("InvalidSignatureException", why.to_owned()))
}

fn expected(request: &Request, key: &AwsKey, (scope, signed, date): (&str, &str, &str)) -> Option<String> {
    let mut canonical = format!("{}\n{}\n{}\n", request.method, path(request.path()), query(request.query()));
    for name in signed.split(';') {
        let values = headers(&request.head).filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Vec<&str> = values.map(|(_, value)| value).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(canonical, "{name}:{}", values.join(","));
    }
    let _ = write!(canonical, "\n{signed}\n{}", sha256(&request.body));
    let said = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let parts: Vec<&str> = scope.split('/').collect();
    let [day, region, service, last] = parts[..] else { return None };
    let first = format!("AWS4{}", key.secret);
    let keyed = [day, region, service, last].iter().fold(first.into_bytes(), |key, part| mac(&key, part));
    Some(hex::encode(mac(&keyed, &said)))
}

fn mac(key: &[u8], data: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data.as_bytes()).as_ref().to_vec()
}

fn sha256(data: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, data))
}

/// What arrived is encoded, and is encoded once more.
fn path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn query(query: &str) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;

    /// The example `get-vanilla` of AWS's suite of tests for this signature.
    fn example(signature: &str) -> Request {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: example.amazonaws.com\r\nX-Amz-Date: 20150830T123600Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature={signature}\r\n\r\n"
        );
        Request {
            head: Bytes::from(head),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            body: Bytes::new(),
            wants_close: false,
            arrived: Instant::now(),
        }
    }

    const RIGHT: &str = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";

    #[test]
    fn the_published_example_is_let_in_and_nothing_else() {
        let key = |text: &str| text.parse::<AwsKey>().unwrap();
        let known = key("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        assert_eq!(verify(&example(RIGHT), std::slice::from_ref(&known)), Ok(()));
        let why = |request: &Request, known: &[AwsKey]| verify(request, known).unwrap_err().0;
        assert_eq!(
            why(&example(&RIGHT.replace('5', "6")), std::slice::from_ref(&known)),
            "InvalidSignatureException"
        );
        assert_eq!(why(&example(RIGHT), &[key("AKIDEXAMPLE:other")]), "InvalidSignatureException");
        assert_eq!(why(&example(RIGHT), &[key("OTHER:x")]), "UnrecognizedClientException");
        let mut unsigned = example(RIGHT);
        unsigned.head = Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(why(&unsigned, &[known]), "MissingAuthenticationTokenException");
        assert!("AKID".parse::<AwsKey>().is_err());
    }
}

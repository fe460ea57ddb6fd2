//! Signatures of AWS, version 4, over the whole request.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials as Keys;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings, sign},
    sign::v4,
};
use http::{HeaderName, HeaderValue, header};
use reqwest::Request;
use shipway_core::Clock;
use shipway_dialects::{ApiError, Cause};

use crate::model::AwsKeys;

/// The name of the service in signatures, also of its runtime.
const SERVICE: &str = "bedrock";

/// Signs for one region.
pub(crate) struct Signer {
    region: String,
    keys: Keys,
    clock: Arc<dyn Clock>,
}

impl Signer {
    pub(super) fn new(region: &str, keys: &AwsKeys, clock: Arc<dyn Clock>) -> Self {
        let AwsKeys { access_key_id, secret_access_key, session_token } = keys.clone();
        let keys = Keys::new(access_key_id, secret_access_key, session_token, None, "configuration");
        Self { region: region.to_owned(), keys, clock }
    }

    pub(super) fn sign(&self, request: &mut Request) -> Result<(), ApiError> {
        let since = u64::try_from(self.clock.now().0).unwrap_or(0);
        let identity = self.keys.clone().into();
        let params: SigningParams<'_> = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(SERVICE)
            .time(SystemTime::UNIX_EPOCH + Duration::from_micros(since))
            .settings(SigningSettings::default())
            .build()
            .map_err(failed)?
            .into();
        let (method, url) = (request.method().clone(), request.url().clone());
        let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
        // What a proxy may change on the way is not signed.
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let signed = content_type.map(|value| ("content-type", value)).into_iter();
        let signable = SignableRequest::new(method.as_str(), url.as_str(), signed, SignableBody::Bytes(body))
            .map_err(failed)?;
        let output = sign(signable, &params).map_err(failed)?;
        let (instructions, _) = output.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::try_from(name).map_err(failed)?;
            let mut value = HeaderValue::try_from(value).map_err(failed)?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        Ok(())
    }
}

fn failed<E>(_: E) -> ApiError {
    ApiError::new(Cause::Internal, "the request could not be signed")
}

#[cfg(test)]
mod tests {
    use shipway_core::{ManualClock, Timestamp};

    use super::*;

    fn signed(token: Option<&str>, path: &str) -> Request {
        let keys = AwsKeys {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: token.map(str::to_owned),
        };
        // 2015-08-30T12:36:00Z, as in the examples of AWS.
        let clock = Arc::new(ManualClock::at(Timestamp(1_440_938_160_000_000)));
        let signer = Signer::new("us-east-1", &keys, clock);
        let mut request = reqwest::Client::new()
            .post(format!("https://bedrock-runtime.us-east-1.amazonaws.com{path}"))
            .header("content-type", "application/json")
            .header("user-agent", "someone/1")
            .body("{}")
            .build()
            .unwrap();
        signer.sign(&mut request).unwrap();
        request
    }

    #[test]
    fn what_is_signed_is_said_and_the_secret_is_not() {
        let request = signed(Some("session"), "/model/a%3A0/converse");
        let authorization = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(authorization.starts_with(expected), "{authorization}");
        assert_eq!(request.headers()["x-amz-date"], "20150830T123600Z");
        assert_eq!(request.headers()["x-amz-security-token"], "session");
        assert!(!format!("{request:?}").contains("wJalr"));
    }

    #[test]
    fn another_path_or_token_has_another_signature() {
        let signature = |token, path| {
            let request = signed(token, path);
            request.headers()[header::AUTHORIZATION].to_str().unwrap().rsplit_once('=').unwrap().1.to_owned()
        };
        let one = signature(None, "/model/a%3A0/converse");
        assert_eq!(one, signature(None, "/model/a%3A0/converse"));
        assert_ne!(one, signature(None, "/model/a%3A1/converse"));
        assert_ne!(one, signature(Some("session"), "/model/a%3A0/converse"));
    }
}

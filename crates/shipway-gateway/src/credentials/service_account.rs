//! A service account of Google, and what it signs to be given access tokens (RFC 7523).

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::Deserialize;
use serde_json::json;
use shipway_core::Timestamp;
use url::Url;

/// What the tokens are for: everything that the account may do.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long an assertion holds; the longest that Google takes.
const ASSERTION_SECONDS: i64 = 3_600;

/// Who asks.
pub(crate) struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: Url,
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    #[serde(default = "googles")]
    token_uri: String,
}

fn googles() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

impl ServiceAccount {
    /// Reads the file that Google hands out. What is wrong is said without anything secret.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(json).map_err(|error| {
            format!(
                "the service account is no JSON with client_email and private_key (line {})",
                error.line()
            )
        })?;
        if written.kind != "service_account" {
            let kind = written.kind;
            return Err(format!("credentials of type {kind} are not taken; a service account's are"));
        }
        let der = pem(&written.private_key).ok_or("private_key of the service account is no PEM")?;
        let key = RsaKeyPair::from_pkcs8(&der)
            .map_err(|rejected| format!("private_key of the service account cannot be used: {rejected}"))?;
        let token_uri: Url =
            written.token_uri.parse().map_err(|error| format!("token_uri {}: {error}", written.token_uri))?;
        if !matches!(token_uri.scheme(), "http" | "https") {
            return Err(format!("token_uri {token_uri} is not https://…"));
        }
        Ok(Self { email: written.client_email, key_id: written.private_key_id, key, token_uri })
    }

    /// Where tokens are asked for.
    pub(super) const fn token_uri(&self) -> &Url {
        &self.token_uri
    }

    /// A claim to be this account, signed; holds for an hour from `now`.
    pub(super) fn assertion(&self, now: Timestamp) -> Option<String> {
        let issued = now.0.div_euclid(1_000_000);
        let mut head = json!({"alg": "RS256", "typ": "JWT"});
        if let Some(id) = &self.key_id {
            head["kid"] = id.as_str().into();
        }
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_uri.as_str(),
            "iat": issued, "exp": issued + ASSERTION_SECONDS,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The bytes between the lines of a PEM of PKCS #8.
fn pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN PRIVATE KEY-----")?;
    let (inner, _) = rest.split_once("-----END PRIVATE KEY-----")?;
    let inner: String = inner.chars().filter(|letter| !letter.is_whitespace()).collect();
    STANDARD.decode(inner).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use aws_lc_rs::{
        encoding::AsDer as _,
        rsa::{KeyPair, KeySize},
        signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
    };

    use super::*;

    /// An account with a key of its own, and the public half of that.
    pub(crate) fn account(token_uri: &str) -> (String, Vec<u8>) {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = pair.as_der().unwrap();
        let bytes: &[u8] = der.as_ref();
        let pem = STANDARD.encode(bytes);
        let json = json!({
            "type": "service_account", "client_email": "gateway@project.iam.gserviceaccount.com",
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n"),
            "private_key_id": "key-1", "token_uri": token_uri,
        });
        (json.to_string(), pair.public_key().as_ref().to_vec())
    }

    #[test]
    fn an_assertion_says_who_asks_for_what_and_is_signed() {
        let (json, public) = account("https://oauth2.example/token");
        let account = ServiceAccount::read(&json).unwrap();
        let assertion = account.assertion(Timestamp(1_800_000_000_500_000)).unwrap();
        let (signed, signature) = assertion.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        let read = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(read(head), r#"{"alg":"RS256","typ":"JWT","kid":"key-1"}"#);
        let claims: serde_json::Value = serde_json::from_str(&read(claims)).unwrap();
        assert_eq!(claims["aud"], "https://oauth2.example/token");
        assert_eq!(
            (claims["iat"].as_i64(), claims["exp"].as_i64()),
            (Some(1_800_000_000), Some(1_800_003_600))
        );
    }

    #[test]
    fn what_is_no_service_account_is_refused_without_a_word_of_its_secret() {
        let (json, _) = account("https://oauth2.example/token");
        let wrong = [
            "hush".to_owned(),
            r#"{"type":"authorized_user","client_email":"a","private_key":"hush"}"#.to_owned(),
            r#"{"type":"service_account","client_email":"a","private_key":"hush"}"#.to_owned(),
            json.replace("https://oauth2.example/token", "file:///etc/hush"),
            r#"{"type":"service_account","client_email":"a","private_key":"-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----"}"#
                .to_owned(),
        ];
        for (place, json) in wrong.iter().enumerate() {
            let Err(why) = ServiceAccount::read(json) else { panic!("{place} is taken") };
            assert!(place == 3 || !why.contains("hush"), "{why}");
        }
    }
}

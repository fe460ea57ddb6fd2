//! Google's token endpoint: a service account with a key of its own, which is handed out at `/_mock/service_account`, and access tokens
//! for claims that it has signed.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

const EMAIL: &str = "mock@mock-project.iam.gserviceaccount.com";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that a claim may hold.
const LONGEST_CLAIM: i64 = 3_600;

/// Who may ask, and what was given out.
#[derive(Debug)]
pub(crate) struct Google {
    lives: Duration,
    account: OnceLock<Option<Account>>,
    tokens: Mutex<BTreeMap<String, Instant>>,
}

#[derive(Debug)]
struct Account {
    private_key: String,
    public_key: Vec<u8>,
}

impl Account {
    fn new() -> Option<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
        let der = pair.as_der().ok()?;
        let bytes: &[u8] = der.as_ref();
        let encoded = STANDARD.encode(bytes);
        let lines: Vec<&str> =
            encoded.as_bytes().chunks(64).filter_map(|line| str::from_utf8(line).ok()).collect();
        let private_key =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        Some(Self { private_key, public_key: pair.public_key().as_ref().to_vec() })
    }
}

impl Google {
    pub(crate) fn new(lives: Duration) -> Self {
        Self { lives, account: OnceLock::new(), tokens: Mutex::default() }
    }

    /// The file of the service account; its tokens come from `host`.
    pub(crate) fn service_account(&self, host: &str) -> Option<Value> {
        let account = self.account.get_or_init(Account::new).as_ref()?;
        Some(json!({
            "type": "service_account",
            "project_id": "mock-project",
            "private_key_id": "mock-key",
            "private_key": account.private_key,
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": format!("http://{host}/token"),
        }))
    }

    /// Whether tokens are asked for: from when an account was handed out.
    pub(crate) fn insists(&self) -> bool {
        self.account.get().is_some()
    }

    /// Whether a token was given out, and has not expired.
    pub(crate) fn accepts(&self, token: &str) -> bool {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).is_some_and(|expires| Instant::now() < *expires)
    }

    /// The answer of the token endpoint to a form; `number` makes the token another one each time.
    pub(crate) fn grant(&self, form: &[u8], number: u64) -> (u16, Value) {
        let denied = |why: &str| (400, json!({"error": "invalid_grant", "error_description": why}));
        let form = String::from_utf8_lossy(form);
        let member = |name: &str| {
            let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
            let (_, value) = pairs.find(|(key, _)| *key == name)?;
            Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
        };
        if member("grant_type").as_deref() != Some(GRANT) {
            return (
                400,
                json!({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}),
            );
        }
        let Some(assertion) = member("assertion") else { return denied("no assertion") };
        if let Err(why) = self.check(&assertion) {
            return denied(why);
        }
        let token = format!("ya29.mock-{number}");
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(token.clone(), Instant::now() + self.lives);
        let answer =
            json!({"access_token": token, "expires_in": self.lives.as_secs(), "token_type": "Bearer"});
        (200, answer)
    }

    fn check(&self, assertion: &str) -> Result<(), &'static str> {
        let account =
            self.account.get().and_then(Option::as_ref).ok_or("Invalid grant: account not found")?;
        let (signed, signature) = assertion.rsplit_once('.').ok_or("Invalid JWT")?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "Invalid JWT Signature.")?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &account.public_key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| "Invalid JWT Signature.")?;
        let part = |part: Option<&str>| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part?).ok()?).ok()
        };
        let mut parts = signed.split('.');
        let (head, claims) = (part(parts.next()), part(parts.next()));
        let (head, claims) = (head.ok_or("Invalid JWT")?, claims.ok_or("Invalid JWT")?);
        let (issued, expires) = (claims["iat"].as_i64(), claims["exp"].as_i64());
        let lives = expires.zip(issued).map(|(expires, issued)| expires - issued);
        if head["alg"] != "RS256"
            || claims["iss"] != EMAIL
            || claims["scope"].as_str().is_none_or(str::is_empty)
        {
            return Err("Invalid JWT: alg, iss or scope");
        }
        if !claims["aud"].as_str().is_some_and(|audience| audience.ends_with("/token")) {
            return Err("Invalid JWT: Failed audience check.");
        }
        if !lives.is_some_and(|lives| (1..=LONGEST_CLAIM).contains(&lives)) {
            return Err("Invalid JWT: Token must be a short-lived token (60 minutes)");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{RSA_PKCS1_SHA256, RsaKeyPair},
    };

    use super::*;

    fn asked(google: &Google, key: &str, claims: &Value) -> (u16, Value) {
        let pem: String = key.lines().filter(|line| !line.starts_with("---")).collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(pem).unwrap()).unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "RS256"})), part(claims));
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        let assertion = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        google.grant(format!("grant_type={}&assertion={assertion}", GRANT.replace(':', "%3A")).as_bytes(), 7)
    }

    #[test]
    fn a_token_is_given_for_a_claim_that_the_account_has_signed_and_for_no_other() {
        let google = Google::new(Duration::from_secs(60));
        assert!(!google.insists());
        let account = google.service_account("127.0.0.1:1").unwrap();
        let key = account["private_key"].as_str().unwrap();
        let claims =
            json!({"iss": EMAIL, "scope": "s", "aud": account["token_uri"], "iat": 100, "exp": 3700});
        let (status, granted) = asked(&google, key, &claims);
        assert_eq!((status, granted["expires_in"].as_u64()), (200, Some(60)));
        assert!(google.insists() && google.accepts("ya29.mock-7") && !google.accepts("ya29.mock-8"));
        let mut long = claims.clone();
        long["exp"] = json!(9_000);
        assert_eq!(asked(&google, key, &long).0, 400);
        let other = Google::new(Duration::from_secs(60));
        other.service_account("127.0.0.1:1").unwrap();
        assert_eq!(asked(&other, key, &claims).1["error_description"], "Invalid JWT Signature.");
        assert_eq!(google.grant(b"grant_type=password", 1).0, 400);
    }

    #[test]
    fn a_token_that_has_expired_is_no_token() {
        let google = Google::new(Duration::ZERO);
        let account = google.service_account("127.0.0.1:1").unwrap();
        let claims =
            json!({"iss": EMAIL, "scope": "s", "aud": account["token_uri"], "iat": 100, "exp": 3700});
        assert_eq!(asked(&google, account["private_key"].as_str().unwrap(), &claims).0, 200);
        assert!(!google.accepts("ya29.mock-7"));
    }
}

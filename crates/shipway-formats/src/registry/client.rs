//! Requests to a registry: to its own address only, bounded in time and in size.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Certificate, Client, Method, RequestBuilder, StatusCode, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use url::Url;

use super::{Missing, SchemaType};
use crate::{definition::SchemaRegistry, error::FormatError};

/// How long a connection may take, and an answer as a whole.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read. Registries themselves keep schemas below a megabyte.
pub(crate) const LONGEST_ANSWER: usize = 4 << 20;

/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The codes with which registries say that there is no such subject, version or schema.
const NOT_THERE: [i64; 3] = [40_401, 40_402, 40_403];

/// A registry and how it is asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    http: Client,
    address: Url,
    registry: SchemaRegistry,
    timeout: Duration,
}

/// A schema as the registry has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registered {
    pub(super) schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    pub(super) references: Vec<Reference>,
}

/// A schema that another builds on.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: i64,
}

impl Registered {
    pub(super) fn schema_type(&self) -> Result<SchemaType, String> {
        match self.schema_type.as_deref() {
            None | Some("AVRO") => Ok(SchemaType::Avro),
            Some("PROTOBUF") => Ok(SchemaType::Protobuf),
            Some("JSON") => Ok(SchemaType::Json),
            Some(other) => Err(format!("there is no schema type {other}")),
        }
    }
}

impl RegistryClient {
    /// Takes a registry into use; nothing is asked yet.
    pub fn new(registry: &SchemaRegistry) -> Result<Self, FormatError> {
        let invalid = |reason: String| FormatError::Invalid { reason: format!("schema_registry: {reason}") };
        let address = Url::parse(&registry.address).map_err(|error| invalid(format!("address: {error}")))?;
        if !matches!(address.scheme(), "http" | "https")
            || !address.has_host()
            || !address.username().is_empty()
            || address.password().is_some()
            || address.query().is_some()
            || address.fragment().is_some()
        {
            let wanted = "address: expected http or https, a host, and no user, password, query or fragment";
            return Err(invalid(wanted.to_owned()));
        }
        let mut http = Client::builder()
            // A redirect would send the credentials, and this server's requests, where nobody declared.
            .redirect(Policy::none())
            .referer(false)
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT);
        if let Some(pem) = &registry.ca {
            let found = Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|error| invalid(format!("ca: not certificates in PEM: {error}")))?;
            if found.is_empty() {
                return Err(invalid("ca: there is no certificate in it".to_owned()));
            }
            http = found.into_iter().fold(http, reqwest::ClientBuilder::add_root_certificate);
        }
        let http = http.build().map_err(|error| invalid(error.to_string()))?;
        Ok(Self { http, address, registry: registry.clone(), timeout: TIMEOUT })
    }

    /// The same with another bound on how long an answer may take, 10 seconds if not set.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The host that is asked, for whoever decides where requests may go.
    pub fn host(&self) -> &str {
        self.address.host_str().unwrap_or_default()
    }

    /// Registers `schema` of Avro under `subject`, and says its id; the same schema has the same id again.
    pub async fn register_avro(&self, subject: &str, schema: &str) -> Result<u32, FormatError> {
        #[derive(Deserialize)]
        struct Id {
            id: u32,
        }
        let request = self.request(Method::POST, &["subjects", subject, "versions"]);
        let (status, body) = self.send(request.json(&json!({ "schema": schema }))).await?;
        if matches!(status.as_u16(), 409 | 422) {
            let reason = said(&body).unwrap_or_else(|| status.to_string());
            return Err(FormatError::SchemaRefused { subject: subject.to_owned(), reason });
        }
        let body = self.success(status, body)?;
        serde_json::from_slice::<Id>(&body).map(|answer| answer.id).map_err(|_| self.no_registry())
    }

    /// The schema of `id`.
    pub(super) async fn schema(&self, id: u32) -> Result<Registered, Missing> {
        let mut request = self.request(Method::GET, &["schemas", "ids", &id.to_string()]);
        if let Some(subject) = &self.registry.subject {
            request = request.query(&[("subject", subject)]);
        }
        self.registered(request).await
    }

    /// The schema of a version of `subject`.
    pub(super) async fn version(&self, subject: &str, version: i64) -> Result<Registered, Missing> {
        let path = ["subjects", subject, "versions", &version.to_string()];
        self.registered(self.request(Method::GET, &path)).await
    }

    async fn registered(&self, request: RequestBuilder) -> Result<Registered, Missing> {
        let (status, body) = self.send(request).await.map_err(Missing::Surroundings)?;
        let Some(body) = body else {
            return Err(Missing::Unusable(format!("it has more than {LONGEST_ANSWER} bytes")));
        };
        if status == StatusCode::NOT_FOUND && is_not_there(&body) {
            return Err(Missing::Unknown);
        }
        let body = self.success(status, Some(body)).map_err(Missing::Surroundings)?;
        serde_json::from_slice(&body).map_err(|_| Missing::Surroundings(self.no_registry()))
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut address = self.address.clone();
        let mut whole = address.path().trim_end_matches('/').to_owned();
        for part in path {
            whole.push('/');
            // A part that is only points would be a step in the path.
            let part = if part.bytes().all(|byte| byte == b'.') {
                part.replace('.', "%2E")
            } else {
                utf8_percent_encode(part, PLAIN).to_string()
            };
            whole.push_str(&part);
        }
        address.set_path(&whole);
        let accepted = "application/vnd.schemaregistry.v1+json, application/json";
        let request = self.http.request(method, address).header("accept", accepted).timeout(self.timeout);
        match &self.registry.user {
            Some(user) => {
                request.basic_auth(user, self.registry.password.as_ref().map(|password| &password.0))
            }
            None => request,
        }
    }

    /// The status and the body; no body where it is longer than the bound.
    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Option<Vec<u8>>), FormatError> {
        let unavailable = |error: reqwest::Error| self.unavailable(describe(&error));
        let mut response = request.send().await.map_err(unavailable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Ok((status, None));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, Some(body)))
    }

    fn success(&self, status: StatusCode, body: Option<Vec<u8>>) -> Result<Vec<u8>, FormatError> {
        if let (true, Some(body)) = (status.is_success(), body) {
            return Ok(body);
        }
        let address = || self.address.to_string();
        Err(match status.as_u16() {
            401 | 403 => FormatError::RegistryDenied { address: address(), status: status.as_u16() },
            408 | 429 | 500.. => self.unavailable(format!("it answers {status}")),
            _ => FormatError::RegistryAnswer { address: address(), reason: format!("it answers {status}") },
        })
    }

    fn unavailable(&self, reason: String) -> FormatError {
        FormatError::RegistryUnavailable { address: self.address.to_string(), reason }
    }

    fn no_registry(&self) -> FormatError {
        let reason = "what it answers is not that of a schema registry".to_owned();
        FormatError::RegistryAnswer { address: self.address.to_string(), reason }
    }
}

/// In words that do not repeat the address.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    if error.is_connect() {
        return "no connection".to_owned();
    }
    "the connection broke".to_owned()
}

fn is_not_there(body: &[u8]) -> bool {
    let body: Option<Json> = serde_json::from_slice(body).ok();
    let code = body.as_ref().and_then(|body| body.get("error_code")).and_then(Json::as_i64);
    code.is_some_and(|code| NOT_THERE.contains(&code))
}

fn said(body: &Option<Vec<u8>>) -> Option<String> {
    let body: Json = serde_json::from_slice(body.as_deref()?).ok()?;
    Some(body.get("message")?.as_str()?.chars().take(500).collect())
}

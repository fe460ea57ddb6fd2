//! HTTP to a server. A problem that the server answers becomes an error that a person reads.

use bytes::Bytes;
use reqwest::{Body, Method, Response, StatusCode, header};
use serde_json::Value as Json;

use crate::{
    arguments::Connection,
    failure::{CommandFailure, exit},
    output,
};

/// A server, as a command sees it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    shown: Shown,
}

/// What a command shows of itself.
enum Shown {
    Nothing,
    Token(String),
    Password { user: String, password: String },
}

impl Client {
    /// A client that shows a token, or a user with the password that is asked for here.
    pub(crate) fn new(connection: &Connection) -> Result<Self, CommandFailure> {
        let server = connection.server.trim_end_matches('/');
        let base = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
        let shown = match (&connection.signed_in_as, &connection.token) {
            (Some(user), _) => Shown::Password {
                password: match &connection.sign_in_password {
                    Some(password) => password.clone(),
                    None => asked(&format!("password of {user}"))?,
                },
                user: user.clone(),
            },
            (None, Some(token)) => Shown::Token(token.clone()),
            (None, None) => Shown::Nothing,
        };
        Ok(Self { http: reqwest::Client::new(), base, shown })
    }

    /// The password that the caller signed in with, or else one that is asked for.
    pub(crate) fn password_or_ask(&self, what: &str) -> Result<String, CommandFailure> {
        match &self.shown {
            Shown::Password { password, .. } => Ok(password.clone()),
            Shown::Nothing | Shown::Token(_) => asked(what),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Json, CommandFailure> {
        self.json(self.send(Method::GET, path, None, Body::default()).await?).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Json) -> Result<Json, CommandFailure> {
        self.json(self.send_json(Method::POST, path, body).await?).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Json) -> Result<Json, CommandFailure> {
        self.json(self.send_json(Method::PUT, path, body).await?).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Json) -> Result<Json, CommandFailure> {
        self.json(self.send_json(Method::PATCH, path, body).await?).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Json, CommandFailure> {
        self.json(self.send(Method::DELETE, path, None, Body::default()).await?).await
    }

    /// Posts bytes of a given content type.
    pub(crate) async fn post_bytes(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<Body>,
    ) -> Result<Json, CommandFailure> {
        self.json(self.send(Method::POST, path, Some(content_type), body.into()).await?).await
    }

    /// Posts JSON and returns the answer as it streams in: an Arrow stream.
    pub(crate) async fn post_for_arrow(&self, path: &str, body: &Json) -> Result<Response, CommandFailure> {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/vnd.apache.arrow.stream")
            .body(body.to_string());
        self.checked(request).await
    }

    /// The next piece of a streamed answer.
    pub(crate) async fn chunk(&self, response: &mut Response) -> Result<Option<Bytes>, CommandFailure> {
        response.chunk().await.map_err(|error| {
            CommandFailure::new(format!("the answer broke off: {}", shipway_core::failure::chain(&error)))
                .with_hint("the server's log says why")
        })
    }

    async fn send_json(&self, method: Method, path: &str, body: &Json) -> Result<Response, CommandFailure> {
        self.send(method, path, Some("application/json"), body.to_string().into()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Result<Response, CommandFailure> {
        let mut request = self.request(method, path).body(body);
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        self.checked(request).await
    }

    /// A request with the credentials, to a path below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        match &self.shown {
            Shown::Token(token) => request.bearer_auth(token),
            Shown::Password { user, password } => request.basic_auth(user, Some(password)),
            Shown::Nothing => request,
        }
    }

    async fn checked(&self, request: reqwest::RequestBuilder) -> Result<Response, CommandFailure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        Err(problem(status, &text))
    }

    async fn json(&self, response: Response) -> Result<Json, CommandFailure> {
        let text = response.text().await.map_err(|error| self.unreachable(&error))?;
        if text.is_empty() {
            return Ok(Json::Null);
        }
        serde_json::from_str(&text)
            .map_err(|_| CommandFailure::new(format!("{} does not answer like a Shipway server", self.base)))
    }

    fn unreachable(&self, error: &reqwest::Error) -> CommandFailure {
        CommandFailure::new(format!("no answer from {}: {}", self.base, innermost(error)))
            .with_hint("start one with `shipway serve`, or name another with --server or SHIPWAY_SERVER")
            .with_exit(exit::UNREACHABLE)
    }
}

/// A password, asked for at the terminal.
fn asked(what: &str) -> Result<String, CommandFailure> {
    if !output::is_at_terminal() {
        return Err(CommandFailure::new(format!("{what}: there is nobody to ask"))
            .with_hint("set SHIPWAY_PASSWORD, or use a token"));
    }
    Ok(rpassword::prompt_password(format!("{what}: "))?)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn problem(status: StatusCode, text: &str) -> CommandFailure {
    let body: Json = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| body[name].as_str().map(str::to_owned);
    let message =
        word("detail").or_else(|| word("title")).unwrap_or_else(|| format!("the server answered {status}"));
    CommandFailure { message, hint: word("hint"), code: word("code"), exit: exit::FAILED }
}

/// A path segment that is safe whatever the name holds.
pub(crate) fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

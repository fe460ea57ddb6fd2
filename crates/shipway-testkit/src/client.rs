//! Requests and answers in a line each.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The content type, empty when the answer has none.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8700`.
    pub fn new(base: impl Into<String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        Self { base: base.into(), http: http.expect("a client can be made") }
    }

    /// A request to build on; `path` starts with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request and reads the whole answer; an error when the connection fails, as it may when a server is killed.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let status = response.status().as_u16();
        Ok(Answer { status, content_type, body: response.bytes().await?.to_vec() })
    }

    /// GET. Panics when the connection fails, as do the following.
    pub async fn get(&self, path: &str) -> Answer {
        self.answer(self.request(Method::GET, path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    /// PUT with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::PUT, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.answer(self.request(Method::DELETE, path)).await
    }

    /// POST with a body of another type.
    pub async fn post_body(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.answer(self.request(Method::POST, path).header("content-type", content_type).body(body)).await
    }

    async fn answer(&self, request: RequestBuilder) -> Answer {
        self.send(request).await.unwrap_or_else(|error| panic!("{error:?}"))
    }
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics with the body when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The JSON of a successful answer; panics with status and body when it is not successful.
    pub fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// `<status> <code>` of a refusal; panics with status and body when the answer is not one.
    pub fn refusal(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        let body = self.json();
        let code = body.get("code").or_else(|| body.get("error_code")).and_then(Value::as_str);
        format!("{} {}", self.status, code.unwrap_or("without a code"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with `answer`, and gives back the request.
    async fn ask(answer: &str, ask: impl AsyncFnOnce(Client) -> Answer) -> (String, Answer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(format!("http://{}", listener.local_addr().unwrap()));
        let serve = async {
            let (mut connection, _) = listener.accept().await.unwrap();
            let (mut request, mut chunk) = (Vec::new(), [0; 4096]);
            while !request.ends_with(b"}") {
                let read = connection.read(&mut chunk).await.unwrap();
                request.extend_from_slice(&chunk[..read]);
            }
            connection.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        };
        tokio::join!(serve, ask(client))
    }

    #[tokio::test]
    async fn a_request_and_its_answer_take_a_line_each() {
        let answer = "HTTP/1.1 409 Conflict\r\ncontent-length: 14\r\n\r\n{\"code\":\"a.b\"}";
        let (request, answer) =
            ask(answer, async |client| client.post("/api/v1/x", &json!({ "a": 1 })).await).await;
        assert!(request.starts_with("POST /api/v1/x HTTP/1.1"), "{request}");
        assert!(request.ends_with("{\"a\":1}"), "{request}");
        assert_eq!(answer.refusal(), "409 a.b");
    }
}

//! What the gateway needs of other capabilities. The binary plugs them in.

use async_trait::async_trait;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

/// Models that this server serves itself, under OpenAI's API.
#[async_trait]
pub trait LocalModels: Send + Sync {
    /// Whether there is one of this name.
    fn has(&self, name: &str) -> bool;

    /// All of them, each as OpenAI's API shows a model.
    fn list(&self) -> Vec<Value>;

    /// Answers for embeddings; the body is as it was sent, and names one of these models.
    async fn embeddings(&self, body: Bytes) -> Response;

    /// Shows one of them, or says that there is none.
    async fn show(&self, name: &str) -> Response;
}

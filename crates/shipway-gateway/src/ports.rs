//! What the gateway needs of other capabilities. The binary plugs them in.

use async_trait::async_trait;
use axum::response::Response;
use bytes::Bytes;
use serde_json::Value;

/// Models of texts that this server serves itself, and that give labels of a text scores.
#[async_trait]
pub trait Classifiers: Send + Sync {
    /// The score of each label from 0 to 1: of several texts, and of the parts of one that is longer than the model takes, the highest.
    /// Dropped, it is given up.
    async fn scores(&self, name: &str, texts: Vec<String>) -> Result<Vec<(String, f32)>, Unclassified>;
}

/// Why a text has no scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclassified {
    /// There is no deployment of this name, or none that classifies texts.
    Missing,
    /// Too many wait already.
    Busy,
    /// The texts have more parts than are looked at.
    TooLong,
    /// It failed.
    Failed,
}

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

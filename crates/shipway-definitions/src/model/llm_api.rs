//! Which of OpenAI's APIs a server has.

use serde::{Deserialize, Serialize};

/// One of OpenAI's APIs, as a server has it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmApi {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/responses` and what belongs to it.
    Responses,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/images/…`.
    Images,
    /// `/v1/audio/…`.
    Audio,
    /// `/v1/moderations`.
    Moderations,
    /// `/v1/realtime`.
    Realtime,
}

impl LlmApi {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Chat,
        Self::Completions,
        Self::Responses,
        Self::Embeddings,
        Self::Images,
        Self::Audio,
        Self::Moderations,
        Self::Realtime,
    ];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Moderations => "moderations",
            Self::Realtime => "realtime",
        }
    }
}

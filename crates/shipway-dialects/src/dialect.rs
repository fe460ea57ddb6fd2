//! The APIs that are spoken here.

use std::fmt;

/// One API of one provider: what a request's body, its answer, its stream and its errors look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `POST /v1/chat/completions`, as OpenAI and all who follow it have it.
    OpenAiChat,
    /// `POST /v1/completions`.
    OpenAiCompletions,
    /// `POST /v1/responses`.
    OpenAiResponses,
    /// `POST /v1/embeddings`.
    OpenAiEmbeddings,
    /// What OpenAI has for images, sound and moderations: it names a model, as JSON or as a form, and is passed on.
    OpenAiMedia,
    /// `GET /v1/realtime`: events over a WebSocket. What passes is read as [`ServerEvent`](crate::ServerEvent) and
    /// [`ClientEvent`](crate::ClientEvent).
    OpenAiRealtime,
    /// `POST /v1/messages` of Anthropic.
    AnthropicMessages,
    /// `POST /v1beta/models/{model}:generateContent` and `:streamGenerateContent` of Google. Model and streaming are
    /// said by the path (see [`gemini_call`]), not by the body.
    GeminiGenerate,
    /// `POST /model/{id}/converse` and `/converse-stream` of Amazon Bedrock. Model and streaming are said by the path; the binary
    /// stream is read as events, each under the name of its message. Only providers speak it, never clients.
    BedrockConverse,
    /// `POST /v1beta/models/{model}:embedContent` and `:batchEmbedContents` of Google. The model is said by the path.
    GeminiEmbeddings,
    /// `POST …/publishers/google/models/{model}:predict` of Vertex, for embeddings. Only providers speak it, never clients.
    VertexPredict,
    /// `POST /model/{id}/invoke` of Amazon Bedrock, for embeddings, in the words of the model's maker. Only providers speak it, never
    /// clients.
    BedrockInvoke,
}

/// Whose conventions a dialect follows in errors and headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `{"error": {"message", "type", "param", "code"}}`, `x-ratelimit-…`.
    OpenAi,
    /// `{"type": "error", "error": {"type", "message"}}`, `anthropic-ratelimit-…`.
    Anthropic,
    /// `{"error": {"code", "message", "status"}}`.
    Gemini,
    /// `{"message"}`, with the type in a header.
    Bedrock,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::OpenAiChat,
        Self::OpenAiCompletions,
        Self::OpenAiResponses,
        Self::OpenAiEmbeddings,
        Self::OpenAiMedia,
        Self::OpenAiRealtime,
        Self::AnthropicMessages,
        Self::GeminiGenerate,
        Self::BedrockConverse,
        Self::GeminiEmbeddings,
        Self::VertexPredict,
        Self::BedrockInvoke,
    ];

    /// Whose conventions hold.
    pub const fn family(self) -> Family {
        match self {
            Self::AnthropicMessages => Family::Anthropic,
            Self::GeminiGenerate | Self::GeminiEmbeddings | Self::VertexPredict => Family::Gemini,
            Self::BedrockConverse | Self::BedrockInvoke => Family::Bedrock,
            Self::OpenAiChat
            | Self::OpenAiCompletions
            | Self::OpenAiResponses
            | Self::OpenAiEmbeddings
            | Self::OpenAiMedia
            | Self::OpenAiRealtime => Family::OpenAi,
        }
    }

    /// The name in configuration and logs, such as `open_ai_chat`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "open_ai_chat",
            Self::OpenAiCompletions => "open_ai_completions",
            Self::OpenAiResponses => "open_ai_responses",
            Self::OpenAiEmbeddings => "open_ai_embeddings",
            Self::OpenAiMedia => "open_ai_media",
            Self::OpenAiRealtime => "open_ai_realtime",
            Self::AnthropicMessages => "anthropic_messages",
            Self::GeminiGenerate => "gemini_generate",
            Self::BedrockConverse => "bedrock_converse",
            Self::GeminiEmbeddings => "gemini_embeddings",
            Self::VertexPredict => "vertex_predict",
            Self::BedrockInvoke => "bedrock_invoke",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the last segment of a Gemini path asks for: model, and whether the answer is streamed. `None` for what
/// generates nothing, such as `gemini-x:countTokens`.
pub fn gemini_call(segment: &str) -> Option<(&str, bool)> {
    let (model, action) = segment.rsplit_once(':')?;
    match action {
        "generateContent" if !model.is_empty() => Some((model, false)),
        "streamGenerateContent" if !model.is_empty() => Some((model, true)),
        _ => None,
    }
}

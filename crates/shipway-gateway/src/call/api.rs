//! Which API a call comes by.

use shipway_dialects::Dialect;

use crate::model::KeyRoute;

/// Which API a call comes by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api {
    pub(crate) dialect: Dialect,
    /// Where it lies behind the address of a provider that has this API; of Gemini what is done with the model.
    pub(crate) path: &'static str,
    /// Tokens are written, and charged.
    pub(crate) writes: bool,
    /// Providers charge for it.
    pub(crate) is_charged: bool,
}

impl Api {
    /// What a key may be bound to that calls by it are.
    pub(super) fn route(self) -> KeyRoute {
        match self.dialect {
            Dialect::OpenAiChat => KeyRoute::Chat,
            Dialect::OpenAiCompletions => KeyRoute::Completions,
            Dialect::OpenAiResponses => KeyRoute::Responses,
            Dialect::OpenAiRealtime => KeyRoute::Realtime,
            Dialect::AnthropicMessages => KeyRoute::Messages,
            Dialect::GeminiGenerate | Dialect::BedrockConverse => KeyRoute::Gemini,
            Dialect::OpenAiEmbeddings
            | Dialect::GeminiEmbeddings
            | Dialect::VertexPredict
            | Dialect::BedrockInvoke => KeyRoute::Embeddings,
            Dialect::OpenAiMedia if self.path.starts_with("images/") => KeyRoute::Images,
            Dialect::OpenAiMedia if self.path.starts_with("audio/") => KeyRoute::Audio,
            Dialect::OpenAiMedia => KeyRoute::Moderations,
        }
    }
}

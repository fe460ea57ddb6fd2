//! Which path asks for what. A path may come with `/v1` or without, and under the prefixes that clients are given as base addresses.

use crate::dialects::House;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Chat,
    Completions,
    Responses,
    Response(String),
    ResponseInput(String),
    ResponseCancel(String),
    Embeddings,
    Images,
    Speech,
    Heard,
    Moderation,
    Files,
    File(String),
    FileContent(String),
    Batches,
    Batch(String),
    BatchCancel(String),
    Models(House),
    Model(House, String),
    Realtime,
    Messages,
    CountTokens,
    Generate {
        model: String,
        stream: bool,
    },
    Converse {
        model: String,
        stream: bool,
    },
    /// Anthropic's messages as Vertex has them.
    RawPredict {
        model: String,
    },
    /// The counting of their tokens.
    RawCount,
    GeminiCount(String),
    GeminiEmbeddings(String),
    GeminiEmbedding(String),
    /// Embeddings as Vertex has them.
    Predict(String),
    /// The counting of OpenAI's tokens.
    InputTokens,
    BedrockCount(String),
    /// A model of Bedrock in its maker's words.
    Invoke(String),
}

impl Route {
    /// The route of a request; `None` where the path is not known or does not take the method.
    pub(crate) fn of(method: &str, path: &str, is_anthropic: bool) -> Option<Self> {
        if let Some((before, verb)) = path.rsplit_once(':')
            && let Some((_, model)) = before.split_once("/models/")
        {
            return Self::of_gemini(method, model, verb);
        }
        if let Some((_, rest)) = path.split_once("/model/")
            && let Some((model, verb)) = rest.rsplit_once('/')
        {
            return Self::of_bedrock(method, model, verb);
        }
        let house = if is_anthropic { House::Anthropic } else { House::OpenAi };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let start = parts
            .iter()
            .rposition(|part| matches!(*part, "v1" | "openai" | "anthropic"))
            .map_or(0, |at| at + 1);
        Some(match (method, &parts[start..]) {
            ("POST", ["chat", "completions"] | ["deployments", _, "chat", "completions"]) => Self::Chat,
            ("POST", ["completions"] | ["deployments", _, "completions"]) => Self::Completions,
            ("POST", ["embeddings"] | ["deployments", _, "embeddings"]) => Self::Embeddings,
            ("POST", ["images", "generations" | "edits" | "variations"]) => Self::Images,
            ("POST", ["audio", "speech"]) => Self::Speech,
            ("POST", ["audio", "transcriptions" | "translations"]) => Self::Heard,
            ("POST", ["moderations"]) => Self::Moderation,
            ("POST", ["responses"]) => Self::Responses,
            ("POST", ["responses", "input_tokens"]) => Self::InputTokens,
            ("GET" | "DELETE", ["responses", id]) => Self::Response((*id).to_owned()),
            ("GET", ["responses", id, "input_items"]) => Self::ResponseInput((*id).to_owned()),
            ("POST", ["responses", id, "cancel"]) => Self::ResponseCancel((*id).to_owned()),
            ("GET" | "POST", ["files"]) => Self::Files,
            ("GET" | "DELETE", ["files", id]) => Self::File((*id).to_owned()),
            ("GET", ["files", id, "content"]) => Self::FileContent((*id).to_owned()),
            ("GET" | "POST", ["batches"]) => Self::Batches,
            ("GET", ["batches", id]) => Self::Batch((*id).to_owned()),
            ("POST", ["batches", id, "cancel"]) => Self::BatchCancel((*id).to_owned()),
            ("GET", ["models"]) => Self::Models(house),
            ("GET", ["models", name @ ..]) => Self::Model(house, name.join("/")),
            ("GET", ["realtime"]) => Self::Realtime,
            ("POST", ["messages"]) => Self::Messages,
            ("POST", ["messages", "count_tokens"]) => Self::CountTokens,
            _ => return None,
        })
    }

    fn of_bedrock(method: &str, model: &str, verb: &str) -> Option<Self> {
        let model = percent_encoding::percent_decode_str(model).decode_utf8_lossy().into_owned();
        match (method, verb) {
            ("POST", "converse") => Some(Self::Converse { model, stream: false }),
            ("POST", "converse-stream") => Some(Self::Converse { model, stream: true }),
            ("POST", "count-tokens") => Some(Self::BedrockCount(model)),
            ("POST", "invoke") => Some(Self::Invoke(model)),
            _ => None,
        }
    }

    fn of_gemini(method: &str, model: &str, verb: &str) -> Option<Self> {
        let model = percent_encoding::percent_decode_str(model).decode_utf8_lossy().into_owned();
        match (method, verb) {
            ("POST", "generateContent") => Some(Self::Generate { model, stream: false }),
            ("POST", "streamGenerateContent") => Some(Self::Generate { model, stream: true }),
            ("POST", "rawPredict") if model == "count-tokens" => Some(Self::RawCount),
            ("POST", "rawPredict" | "streamRawPredict") => Some(Self::RawPredict { model }),
            ("POST", "countTokens") => Some(Self::GeminiCount(model)),
            ("POST", "batchEmbedContents") => Some(Self::GeminiEmbeddings(model)),
            ("POST", "embedContent") => Some(Self::GeminiEmbedding(model)),
            ("POST", "predict") => Some(Self::Predict(model)),
            _ => None,
        }
    }

    /// Who answers.
    pub(crate) const fn house(&self) -> House {
        match self {
            Self::Models(house) | Self::Model(house, _) => *house,
            Self::Messages | Self::CountTokens | Self::RawPredict { .. } | Self::RawCount => House::Anthropic,
            Self::Converse { .. } | Self::BedrockCount(_) | Self::Invoke(_) => House::Bedrock,
            Self::Generate { .. }
            | Self::GeminiCount(_)
            | Self::GeminiEmbeddings(_)
            | Self::GeminiEmbedding(_)
            | Self::Predict(_) => House::Gemini,
            _ => House::OpenAi,
        }
    }

    /// The model, where the path names it.
    pub(crate) fn model(&self) -> Option<&str> {
        match self {
            Self::Generate { model, .. }
            | Self::Converse { model, .. }
            | Self::RawPredict { model }
            | Self::GeminiCount(model)
            | Self::GeminiEmbeddings(model)
            | Self::GeminiEmbedding(model)
            | Self::Predict(model)
            | Self::BedrockCount(model)
            | Self::Invoke(model)
            | Self::Model(_, model) => Some(model),
            _ => None,
        }
    }

    /// Whether the path says that the answer is streamed.
    pub(crate) const fn streams(&self) -> bool {
        matches!(self, Self::Generate { stream: true, .. } | Self::Converse { stream: true, .. })
    }

    /// Whether it is about files or batches.
    pub(crate) const fn is_of_files(&self) -> bool {
        matches!(
            self,
            Self::Files
                | Self::File(_)
                | Self::FileContent(_)
                | Self::Batches
                | Self::Batch(_)
                | Self::BatchCancel(_)
        )
    }

    /// Whether a body belongs to it, of JSON or a form.
    pub(crate) const fn has_body(&self) -> bool {
        !matches!(
            self,
            Self::File(_)
                | Self::FileContent(_)
                | Self::Batch(_)
                | Self::BatchCancel(_)
                | Self::Response(_)
                | Self::ResponseInput(_)
                | Self::ResponseCancel(_)
                | Self::Realtime
                | Self::Models(_)
                | Self::Model(..)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_under_every_base_address() {
        let of = |method, path| Route::of(method, path, false);
        for path in [
            "/v1/chat/completions",
            "/chat/completions",
            "/openai/v1/chat/completions",
            "/openai/deployments/gpt/chat/completions",
        ] {
            assert_eq!(of("POST", path), Some(Route::Chat), "{path}");
        }
        assert_eq!(of("GET", "/v1/models/a/b"), Some(Route::Model(House::OpenAi, "a/b".to_owned())));
        assert_eq!(Route::of("GET", "/v1/models", true), Some(Route::Models(House::Anthropic)));
        assert_eq!(of("DELETE", "/v1/responses/resp_1"), Some(Route::Response("resp_1".to_owned())));
        assert_eq!(of("GET", "/v1/chat/completions"), None);
        assert_eq!(of("POST", "/v1/elsewhere"), None);
    }

    #[test]
    fn bedrock_has_its_model_encoded_in_the_path() {
        let of = |path| Route::of("POST", path, false);
        let model = "us.anthropic.claude-v1:0".to_owned();
        assert_eq!(
            of("/model/us.anthropic.claude-v1%3A0/converse"),
            Some(Route::Converse { model: model.clone(), stream: false })
        );
        assert_eq!(
            of("/model/us.anthropic.claude-v1%3A0/converse-stream"),
            Some(Route::Converse { model, stream: true })
        );
        assert_eq!(of("/model/x/invoke"), Some(Route::Invoke("x".to_owned())));
        assert_eq!(of("/model/x/count-tokens"), Some(Route::BedrockCount("x".to_owned())));
        assert_eq!(of("/model/x/unheard-of"), None);
    }

    #[test]
    fn gemini_has_model_and_verb_in_its_path() {
        let of = |path| Route::of("POST", path, false);
        assert_eq!(
            of("/v1beta/models/gemini%2Fchunks=2:streamGenerateContent"),
            Some(Route::Generate { model: "gemini/chunks=2".to_owned(), stream: true })
        );
        assert_eq!(
            of("/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent"),
            Some(Route::Generate { model: "gemini".to_owned(), stream: false })
        );
        assert_eq!(of("/v1beta/models/gemini:unheardOf"), None);
    }
}

//! Where a call lies at a provider, and how its secret is shown there, by the provider's kind. Pure.

use http::{HeaderName, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shipway_dialects::{Dialect, Family};
use url::Url;

use crate::model::{Cloud, ProviderKind, ProviderSpec};

/// What stays as it is within one part of a path.
const WITHIN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Where Anthropic counts.
pub(crate) const COUNT_TOKENS: &str = "messages/count_tokens";
/// Where OpenAI does.
pub(crate) const INPUT_TOKENS: &str = "responses/input_tokens";
/// What Google calls it.
pub(crate) const COUNT_TOKENS_OF_GEMINI: &str = "countTokens";
/// What Bedrock does.
pub(crate) const COUNT_TOKENS_OF_BEDROCK: &str = "count-tokens";

/// Where calls of Azure lie behind the address of a resource.
const AZURE: &str = "openai";

/// What a provider is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) dialect: Dialect,
    /// The path of the call behind the provider's address; of Gemini what is done with the model.
    pub(crate) path: &'a str,
    /// What the provider calls the model.
    pub(crate) model: &'a str,
    pub(crate) is_stream: bool,
}

impl ProviderKind {
    /// Whose conventions its API follows when it is asked for `model`.
    pub(crate) fn family(self, model: &str) -> Family {
        match self {
            Self::Bedrock => Family::Bedrock,
            Self::Vertex if Publisher::of(model).0 == Publisher::Anthropic => Family::Anthropic,
            Self::Vertex => Family::Gemini,
            Self::OpenAi | Self::Azure => Family::OpenAi,
            Self::Anthropic => Family::Anthropic,
            Self::Gemini => Family::Gemini,
        }
    }

    /// What it is asked in for `model` where a call is translated for it, and the path of that.
    pub(crate) fn chat(self, model: &str) -> (Dialect, &'static str) {
        match self.family(model) {
            Family::OpenAi => (Dialect::OpenAiChat, "chat/completions"),
            Family::Anthropic => (Dialect::AnthropicMessages, "messages"),
            Family::Gemini => (Dialect::GeminiGenerate, GENERATE),
            Family::Bedrock => (Dialect::BedrockConverse, "converse"),
        }
    }

    /// The header that carries the secret, and what stands before it.
    pub(crate) const fn secret(self) -> (HeaderName, &'static str) {
        match self {
            Self::OpenAi | Self::Bedrock | Self::Vertex => (header::AUTHORIZATION, "Bearer "),
            Self::Anthropic => (HeaderName::from_static("x-api-key"), ""),
            Self::Gemini => (HeaderName::from_static("x-goog-api-key"), ""),
            Self::Azure => (HeaderName::from_static("api-key"), ""),
        }
    }
}

/// What Gemini calls an answer.
pub(crate) const GENERATE: &str = "generateContent";
/// The same as a stream.
pub(crate) const STREAM: &str = "streamGenerateContent";

/// The address of `target` at a provider.
pub(crate) fn url(spec: &ProviderSpec, target: &Target<'_>) -> Url {
    let mut url = spec.base_url.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    match (spec.kind, &spec.api_version) {
        (ProviderKind::OpenAi | ProviderKind::Anthropic, _) => {
            url.set_path(&format!("{base}/{}", target.path));
        }
        (ProviderKind::Gemini, _) => {
            let verb = if target.is_stream { STREAM } else { target.path };
            // Models that somebody tuned lie beside the others, and are named with where they lie.
            let place = if target.model.contains('/') { "" } else { "models/" };
            url.set_path(&format!("{base}/{place}{}:{verb}", target.model));
            if target.is_stream {
                url.set_query(Some("alt=sse"));
            }
        }
        (ProviderKind::Bedrock, _) => {
            // An ARN has slashes and colons in it, and is one part of the path.
            let model = utf8_percent_encode(target.model, WITHIN_PATH);
            let stream = if target.is_stream { "-stream" } else { "" };
            url.set_path(&format!("{base}/model/{model}/{}{stream}", target.path));
        }
        (ProviderKind::Vertex, _) => {
            url.set_path(&format!("{base}/{}", on_vertex(spec, target)));
            if target.is_stream && target.dialect == Dialect::GeminiGenerate {
                url.set_query(Some("alt=sse"));
            }
        }
        (ProviderKind::Azure, None) => url.set_path(&format!("{base}/{AZURE}/v1/{}", target.path)),
        (ProviderKind::Azure, Some(version)) => {
            // Responses name their model in the body there, too; files belong to none.
            let deployment = match target.dialect {
                Dialect::OpenAiResponses => String::new(),
                _ if target.model.is_empty() => String::new(),
                _ => format!("deployments/{}/", target.model),
            };
            url.set_path(&format!("{base}/{AZURE}/{deployment}{}", target.path));
            url.query_pairs_mut().append_pair("api-version", version);
        }
    }
    url
}

/// A connection has no body that could name the model: its address does.
pub(crate) fn socket_url(spec: &ProviderSpec, target: &Target<'_>) -> Url {
    let mut url = spec.base_url.clone();
    let base = url.path().trim_end_matches('/').to_owned();
    let (path, name) = match (spec.kind, &spec.api_version) {
        (ProviderKind::Azure, None) => (format!("{AZURE}/v1/{}", target.path), "model"),
        (ProviderKind::Azure, Some(version)) => {
            url.query_pairs_mut().append_pair("api-version", version);
            (format!("{AZURE}/{}", target.path), "deployment")
        }
        _ => (target.path.to_owned(), "model"),
    };
    url.set_path(&format!("{base}/{path}"));
    url.query_pairs_mut().append_pair(name, target.model);
    url
}

/// Who publishes a model that Vertex has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Publisher {
    Google,
    Anthropic,
}

impl Publisher {
    /// The publisher of a model, and its name: `claude-…` is Anthropic's, as is what says so: `publishers/anthropic/models/…`,
    /// `anthropic/…`; all else is Google's.
    fn of(model: &str) -> (Self, &str) {
        let named = model.strip_prefix("publishers/").unwrap_or(model);
        let plain = |rest: &'_ str| rest.strip_prefix("models/").map_or(0, |_| "models/".len());
        if let Some(rest) = named.strip_prefix("anthropic/") {
            return (Self::Anthropic, &rest[plain(rest)..]);
        }
        if let Some(rest) = named.strip_prefix("google/") {
            return (Self::Google, &rest[plain(rest)..]);
        }
        (if model.starts_with("claude-") { Self::Anthropic } else { Self::Google }, model)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Anthropic => "anthropic",
        }
    }
}

/// The path of a call behind the address of Vertex.
fn on_vertex(spec: &ProviderSpec, target: &Target<'_>) -> String {
    let (project, location) = match &spec.cloud {
        Some(Cloud::Google { project, location, .. }) => (project.as_str(), location.as_str()),
        _ => ("", ""),
    };
    let (publisher, model) = Publisher::of(target.model);
    let (model, verb) = match (publisher, target.is_stream) {
        (Publisher::Anthropic, _) if target.path == COUNT_TOKENS => ("count-tokens", "rawPredict"),
        (Publisher::Anthropic, false) => (model, "rawPredict"),
        (Publisher::Anthropic, true) => (model, "streamRawPredict"),
        (Publisher::Google, false) => (model, target.path),
        (Publisher::Google, true) => (model, STREAM),
    };
    // Models that somebody tuned lie at an endpoint of the project.
    let place = match model.starts_with("endpoints/") {
        true => String::new(),
        false => format!("publishers/{}/models/", publisher.name()),
    };
    format!("v1/projects/{project}/locations/{location}/{place}{model}:{verb}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn spec(kind: ProviderKind, base_url: &str, api_version: Option<&str>) -> ProviderSpec {
        ProviderSpec {
            name: "p".to_owned(),
            kind,
            base_url: base_url.parse().unwrap(),
            api_version: api_version.map(str::to_owned),
            api_key: None,
            api_key_secret: None,
            cloud: Some(Cloud::Google {
                project: "p".to_owned(),
                location: "eu".to_owned(),
                service_account: None,
            }),
            connect_timeout: Duration::from_secs(1),
        }
    }

    fn at(kind: ProviderKind, base_url: &str, api_version: Option<&str>, target: &Target<'_>) -> String {
        url(&spec(kind, base_url, api_version), target).into()
    }

    const CHAT: Target<'static> =
        Target { dialect: Dialect::OpenAiChat, path: "chat/completions", model: "m", is_stream: true };

    #[test]
    fn a_path_goes_behind_that_of_the_address() {
        for base in ["http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/"] {
            let found = at(ProviderKind::OpenAi, base, None, &CHAT);
            assert_eq!(found, "http://127.0.0.1:1/v1/chat/completions");
        }
    }

    #[test]
    fn gemini_has_model_and_verb_in_its_path() {
        let asked = |model, path, is_stream| {
            let target = Target { dialect: Dialect::GeminiGenerate, path, model, is_stream };
            at(ProviderKind::Gemini, "http://g/v1beta", None, &target)
        };
        assert_eq!(asked("gemini-x", GENERATE, false), "http://g/v1beta/models/gemini-x:generateContent");
        assert_eq!(
            asked("gemini-x", GENERATE, true),
            "http://g/v1beta/models/gemini-x:streamGenerateContent?alt=sse"
        );
        assert_eq!(asked("gemini-x", "countTokens", false), "http://g/v1beta/models/gemini-x:countTokens");
        assert_eq!(asked("tunedModels/x", GENERATE, false), "http://g/v1beta/tunedModels/x:generateContent");
        // A name is no way out of the path.
        assert_eq!(asked("x?y=#z", GENERATE, false), "http://g/v1beta/models/x%3Fy=%23z:generateContent");
    }

    #[test]
    fn realtime_has_the_model_in_its_query() {
        let target =
            Target { dialect: Dialect::OpenAiRealtime, path: "realtime", model: "a&b", is_stream: true };
        let at = |kind, base_url: &str, api_version| -> String {
            socket_url(&spec(kind, base_url, api_version), &target).into()
        };
        assert_eq!(
            at(ProviderKind::OpenAi, "https://r.example/v1", None),
            "https://r.example/v1/realtime?model=a%26b"
        );
        let azure = |version| at(ProviderKind::Azure, "https://r.example", version);
        assert_eq!(azure(None), "https://r.example/openai/v1/realtime?model=a%26b");
        assert_eq!(
            azure(Some("2025-04-01-preview")),
            "https://r.example/openai/realtime?api-version=2025-04-01-preview&deployment=a%26b"
        );
    }

    #[test]
    fn azure_has_the_model_in_the_body_or_by_an_older_version_in_the_path() {
        let azure =
            |version, target: &Target<'_>| at(ProviderKind::Azure, "https://r.example/", version, target);
        let responses = Target { dialect: Dialect::OpenAiResponses, path: "responses", ..CHAT };
        assert_eq!(azure(None, &CHAT), "https://r.example/openai/v1/chat/completions");
        assert_eq!(
            azure(Some("2024-10-21"), &CHAT),
            "https://r.example/openai/deployments/m/chat/completions?api-version=2024-10-21"
        );
        assert_eq!(
            azure(Some("2025-04-01-preview"), &responses),
            "https://r.example/openai/responses?api-version=2025-04-01-preview"
        );
    }

    #[test]
    fn bedrock_has_its_model_as_one_part_of_the_path() {
        let asked = |model, is_stream| {
            let target = Target { dialect: Dialect::BedrockConverse, path: "converse", model, is_stream };
            at(ProviderKind::Bedrock, "https://b.example", None, &target)
        };
        assert_eq!(
            asked("us.anthropic.claude-x-v1:0", false),
            "https://b.example/model/us.anthropic.claude-x-v1%3A0/converse"
        );
        assert_eq!(
            asked("arn:aws:bedrock:eu-west-1:1:application-inference-profile/a", true),
            "https://b.example/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2Fa/converse-stream"
        );
    }

    #[test]
    fn vertex_has_models_of_google_and_of_anthropic_each_with_its_verbs() {
        let asked = |model, path, is_stream| {
            let dialect = match ProviderKind::Vertex.family(model) {
                Family::Anthropic => Dialect::AnthropicMessages,
                _ => Dialect::GeminiGenerate,
            };
            let target = Target { dialect, path, model, is_stream };
            at(ProviderKind::Vertex, "https://v.example", None, &target)
        };
        let place = "https://v.example/v1/projects/p/locations/eu";
        for (model, path, is_stream, expected) in [
            ("gemini-x", GENERATE, false, "publishers/google/models/gemini-x:generateContent"),
            (
                "google/gemini-x",
                GENERATE,
                true,
                "publishers/google/models/gemini-x:streamGenerateContent?alt=sse",
            ),
            ("gemini-x", "countTokens", false, "publishers/google/models/gemini-x:countTokens"),
            ("endpoints/12", GENERATE, false, "endpoints/12:generateContent"),
            (
                "claude-x@20260101",
                "messages",
                false,
                "publishers/anthropic/models/claude-x@20260101:rawPredict",
            ),
            (
                "publishers/anthropic/models/y",
                "messages",
                true,
                "publishers/anthropic/models/y:streamRawPredict",
            ),
            ("claude-x", COUNT_TOKENS, false, "publishers/anthropic/models/count-tokens:rawPredict"),
        ] {
            assert_eq!(asked(model, path, is_stream), format!("{place}/{expected}"));
        }
    }
}

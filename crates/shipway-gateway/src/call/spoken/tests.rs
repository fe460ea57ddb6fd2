//! How deployments are asked, by kind and by what their servers have.

use super::*;
use crate::model::ServedApi;

fn asked(kind: ProviderKind, spec: &DeploymentSpec, api: Api) -> Option<(Dialect, &'static str)> {
    spoken_to(kind, spec, api).map(|spoken| (spoken.dialect, spoken.path))
}

fn api(dialect: Dialect, path: &'static str, writes: bool) -> Api {
    Api { dialect, path, writes, is_charged: true }
}

fn deployment(model: &str, apis: &[ServedApi]) -> DeploymentSpec {
    DeploymentSpec {
        name: "d".to_owned(),
        provider: "p".to_owned(),
        model: model.to_owned(),
        price: None,
        price_as_of: None,
        max_output_tokens: 1,
        output_limit: translate::OutputLimit::default(),
        apis: apis.to_vec(),
        fetch_media: None,
    }
}

#[test]
fn a_server_is_asked_only_in_the_apis_that_it_has() {
    let chat = api(Dialect::OpenAiChat, "chat/completions", true);
    let responses = api(Dialect::OpenAiResponses, "responses", true);
    let spoken_to = |apis: &[ServedApi], api| asked(ProviderKind::OpenAi, &deployment("m", apis), api);
    let only_chat = &[ServedApi::Chat];
    assert_eq!(spoken_to(only_chat, responses), Some((Dialect::OpenAiChat, "chat/completions")));
    assert_eq!(spoken_to(only_chat, chat), Some((Dialect::OpenAiChat, "chat/completions")));
    assert_eq!(spoken_to(only_chat, api(Dialect::OpenAiEmbeddings, "embeddings", false)), None);
    assert_eq!(spoken_to(only_chat, api(Dialect::OpenAiMedia, "audio/speech", true)), None);
    assert_eq!(spoken_to(only_chat, api(Dialect::OpenAiResponses, "responses/input_tokens", false)), None);
    assert_eq!(
        spoken_to(&[ServedApi::Audio], api(Dialect::OpenAiMedia, "audio/speech", true)),
        Some((Dialect::OpenAiMedia, "audio/speech"))
    );
    let messages = api(Dialect::AnthropicMessages, "messages", true);
    assert_eq!(spoken_to(&[ServedApi::Embeddings], messages), None);
    // It is about servers of OpenAI's API.
    let anthropic = asked(ProviderKind::Anthropic, &deployment("m", only_chat), messages);
    assert_eq!(anthropic, Some((Dialect::AnthropicMessages, "messages")));
}

#[test]
fn bytes_pass_within_an_api_and_what_is_written_goes_to_the_others() {
    let chat = api(Dialect::OpenAiChat, "chat/completions", true);
    let messages = api(Dialect::AnthropicMessages, "messages", true);
    let responses = api(Dialect::OpenAiResponses, "responses", true);
    let spoken_to = |kind, api| asked(kind, &deployment("m", &[]), api);
    assert_eq!(spoken_to(ProviderKind::Azure, chat), Some((Dialect::OpenAiChat, "chat/completions")));
    assert_eq!(spoken_to(ProviderKind::OpenAi, responses), Some((Dialect::OpenAiResponses, "responses")));
    assert_eq!(spoken_to(ProviderKind::Anthropic, chat), Some((Dialect::AnthropicMessages, "messages")));
    assert_eq!(spoken_to(ProviderKind::Gemini, messages), Some((Dialect::GeminiGenerate, "generateContent")));
    assert_eq!(spoken_to(ProviderKind::OpenAi, messages), Some((Dialect::OpenAiChat, "chat/completions")));
    assert_eq!(spoken_to(ProviderKind::Bedrock, messages), Some((Dialect::BedrockConverse, "converse")));
    assert_eq!(
        asked(ProviderKind::Vertex, &deployment("claude-x", &[]), messages),
        Some((Dialect::AnthropicMessages, "messages"))
    );
    assert_eq!(spoken_to(ProviderKind::Vertex, chat), Some((Dialect::GeminiGenerate, "generateContent")));
    for (kind, api) in [
        (ProviderKind::Bedrock, api(Dialect::OpenAiEmbeddings, "embeddings", false)),
        (ProviderKind::Anthropic, api(Dialect::OpenAiEmbeddings, "embeddings", false)),
        (ProviderKind::Gemini, api(Dialect::OpenAiMedia, "audio/speech", true)),
        (ProviderKind::Bedrock, api(Dialect::AnthropicMessages, "messages/count_tokens", false)),
    ] {
        assert_eq!(spoken_to(kind, api), None, "{kind:?} {api:?}");
    }
}

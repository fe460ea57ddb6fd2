//! Whether a whole answer is one: an error that comes with a good status, or an answer that will only be there later, is not kept.

use serde_json::Value;
use shipway_dialects::Dialect;

/// Whether the answer says that it came to its end.
pub(crate) fn is_complete(dialect: Dialect, body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else { return false };
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return false;
    }
    let each = |list: &str, reason: &str| {
        let items = answer.get(list).and_then(Value::as_array);
        items.is_some_and(|items| !items.is_empty() && items.iter().all(|item| item[reason].is_string()))
    };
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => each("choices", "finish_reason"),
        Dialect::OpenAiResponses => matches!(answer["status"].as_str(), Some("completed" | "incomplete")),
        Dialect::OpenAiEmbeddings => answer["data"].as_array().is_some_and(|items| !items.is_empty()),
        // It has no words for its end.
        Dialect::OpenAiMedia | Dialect::OpenAiRealtime => false,
        Dialect::AnthropicMessages => answer["stop_reason"].is_string(),
        Dialect::GeminiEmbeddings => {
            let is_filled = |list: &Value| list.as_array().is_some_and(|items| !items.is_empty());
            is_filled(&answer["embeddings"]) || is_filled(&answer["embedding"]["values"])
        }
        // Nobody is answered in it.
        Dialect::BedrockConverse | Dialect::VertexPredict | Dialect::BedrockInvoke => false,
        Dialect::GeminiGenerate => each("candidates", "finishReason"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_its_end_is_none() {
        for (dialect, whole, half) in [
            (
                Dialect::OpenAiChat,
                r#"{"choices":[{"finish_reason":"stop"}],"error":null}"#,
                r#"{"choices":[{"finish_reason":null}]}"#,
            ),
            (Dialect::OpenAiCompletions, r#"{"choices":[{"finish_reason":"length"}]}"#, r#"{"choices":[]}"#),
            (Dialect::OpenAiResponses, r#"{"status":"completed","error":null}"#, r#"{"status":"queued"}"#),
            (Dialect::OpenAiEmbeddings, r#"{"data":[{}]}"#, r#"{"data":[]}"#),
            (Dialect::GeminiEmbeddings, r#"{"embeddings":[{}]}"#, r#"{"embeddings":[]}"#),
            (Dialect::GeminiEmbeddings, r#"{"embedding":{"values":[1]}}"#, r#"{"embedding":{}}"#),
            (Dialect::AnthropicMessages, r#"{"stop_reason":"end_turn"}"#, r#"{"stop_reason":null}"#),
            (
                Dialect::GeminiGenerate,
                r#"{"candidates":[{"finishReason":"STOP"}]}"#,
                r#"{"candidates":[{}]}"#,
            ),
        ] {
            assert!(is_complete(dialect, whole.as_bytes()), "{whole}");
            assert!(!is_complete(dialect, half.as_bytes()), "{half}");
            let failed =
                whole.replacen('{', r#"{"error":{"message":"no"},"#, 1).replace(r#","error":null"#, "");
            assert!(!is_complete(dialect, failed.as_bytes()), "{failed}");
        }
        assert!(!is_complete(Dialect::OpenAiChat, b"<html>"));
    }
}

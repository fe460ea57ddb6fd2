//! Requests that may be about the same: all of a request but its last words, and the words by themselves.

use serde_json::Value;

use crate::{canonical::canonical, dialect::Dialect};

/// The last words of a request, and what stands around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWords {
    /// What the user says last.
    pub text: String,
    /// The canonical form of everything else: two requests that differ in their last words only have the same.
    pub around: Vec<u8>,
}

/// What the user of a conversation says last, where that is one text and nothing else. None where a tool may be called, since what it is
/// called with hangs on every word; where the last to speak is not the user; and in APIs that hold no conversation.
pub fn last_words(dialect: Dialect, body: &[u8]) -> Option<LastWords> {
    let mut request: Value = serde_json::from_slice(body).ok()?;
    if offers_tools(&request) {
        return None;
    }
    let said = match dialect {
        Dialect::OpenAiChat | Dialect::AnthropicMessages => content(last(&mut request, "messages")?)?,
        Dialect::OpenAiResponses => match request.get_mut("input")? {
            Value::Array(items) => content(items.last_mut()?)?,
            input => input,
        },
        Dialect::GeminiGenerate => {
            let last = last(&mut request, "contents")?;
            is_of_user(last).then_some(())?;
            only(last.get_mut("parts")?)?.get_mut("text")?
        }
        Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiMedia
        | Dialect::OpenAiRealtime
        | Dialect::BedrockConverse
        | Dialect::GeminiEmbeddings
        | Dialect::VertexPredict
        | Dialect::BedrockInvoke => return None,
    };
    let Value::String(text) = said else { return None };
    let text = std::mem::take(text);
    if text.trim().is_empty() {
        return None;
    }
    let around = canonical(dialect, &serde_json::to_vec(&request).ok()?).ok()?;
    Some(LastWords { text, around })
}

fn offers_tools(request: &Value) -> bool {
    ["tools", "functions", "mcp_servers"].iter().any(|name| {
        request.get(*name).is_some_and(|tools| tools.as_array().is_none_or(|list| !list.is_empty()))
    })
}

fn last<'v>(request: &'v mut Value, list: &str) -> Option<&'v mut Value> {
    request.get_mut(list)?.as_array_mut()?.last_mut()
}

/// Without a role it is the user who speaks.
fn is_of_user(message: &Value) -> bool {
    message.get("role").is_none_or(|role| role == "user")
}

/// The text of a message: its content, or the only part of it.
fn content(message: &mut Value) -> Option<&mut Value> {
    is_of_user(message).then_some(())?;
    match message.get_mut("content")? {
        parts @ Value::Array(_) => {
            let part = only(parts)?;
            let kind = part.get("type")?.as_str()?;
            matches!(kind, "text" | "input_text").then_some(())?;
            part.get_mut("text")
        }
        text => Some(text),
    }
}

fn only(list: &mut Value) -> Option<&mut Value> {
    match list.as_array_mut()?.as_mut_slice() {
        [one] => Some(one),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(dialect: Dialect, body: &str) -> Option<LastWords> {
        last_words(dialect, body.as_bytes())
    }

    #[test]
    fn requests_that_differ_in_their_last_words_have_the_same_around_them() {
        for (dialect, body) in [
            (
                Dialect::OpenAiChat,
                r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"WORDS"}]}"#,
            ),
            (
                Dialect::OpenAiChat,
                r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"WORDS"}]}],"tools":[]}"#,
            ),
            (Dialect::OpenAiResponses, r#"{"model":"m","input":"WORDS"}"#),
            (
                Dialect::OpenAiResponses,
                r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"WORDS"}]}]}"#,
            ),
            (
                Dialect::AnthropicMessages,
                r#"{"model":"m","system":"s","messages":[{"role":"user","content":[{"type":"text","text":"WORDS","cache_control":{}}]}]}"#,
            ),
            (Dialect::GeminiGenerate, r#"{"contents":[{"parts":[{"text":"WORDS"}]}]}"#),
        ] {
            let one = words(dialect, &body.replace("WORDS", "how \\u0068igh is it?")).expect(body);
            let two = words(dialect, &body.replace("WORDS", "what height has it?")).expect(body);
            assert_eq!((one.text.as_str(), &one.around), ("how high is it?", &two.around), "{body}");
            // Whatever stands around is a part of it.
            let other = body.replacen('{', r#"{"extra":1,"#, 1);
            assert_ne!(words(dialect, &other).expect(body).around, one.around, "{body}");
        }
    }

    #[test]
    fn what_is_more_than_a_last_text_of_the_user_has_none() {
        for (dialect, body) in [
            (
                Dialect::OpenAiChat,
                r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            ),
            (Dialect::OpenAiChat, r#"{"messages":[{"role":"tool","content":"a"}]}"#),
            (
                Dialect::OpenAiChat,
                r#"{"messages":[{"role":"user","content":"a"}],"tools":[{"type":"function"}]}"#,
            ),
            (Dialect::OpenAiChat, r#"{"messages":[{"role":"user","content":"  "}]}"#),
            (
                Dialect::OpenAiChat,
                r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}}]}]}"#,
            ),
            (Dialect::OpenAiChat, r#"{"messages":[]}"#),
            (Dialect::OpenAiChat, r#"{"messages":"a"}"#),
            (Dialect::OpenAiChat, "nonsense"),
            (
                Dialect::AnthropicMessages,
                r#"{"messages":[{"role":"user","content":[{"type":"tool_result","content":"a"}]}]}"#,
            ),
            (Dialect::OpenAiResponses, r#"{"input":[{"type":"function_call_output","output":"a"}]}"#),
            (Dialect::GeminiGenerate, r#"{"contents":[{"role":"model","parts":[{"text":"a"}]}]}"#),
            (Dialect::GeminiGenerate, r#"{"contents":[{"parts":[{"text":"a"},{"inlineData":{}}]}]}"#),
            (Dialect::OpenAiEmbeddings, r#"{"input":"a"}"#),
        ] {
            assert_eq!(words(dialect, body), None, "{body}");
        }
    }
}

//! Whole answers of OpenAI's completions.

use serde_json::{Map, Value, json};

use crate::failure::{ApiError, Cause};
use crate::translate::Context;
use crate::translate::chat::answer::usage_of;
use crate::translate::form::{Answer, PartKind};

/// Thoughts have no place here.
pub(in crate::translate) fn write(answer: Answer, context: &Context<'_>) -> Result<Value, ApiError> {
    let mut text = String::new();
    for part in answer.parts {
        match part.kind {
            PartKind::Text(more) | PartKind::Refusal(more) => text.push_str(&more),
            PartKind::Thinking { .. } | PartKind::Redacted(_) => {}
            PartKind::ToolUse { .. } | PartKind::Medium(_) | PartKind::ToolResult { .. } => {
                let message = "the provider's answer has a part that a completion has no place for";
                return Err(ApiError::new(Cause::Upstream, message));
            }
        }
    }
    let choice = choice(&text, Some(answer.finish.to_openai()));
    let mut body = Map::new();
    body.insert("id".to_owned(), answer.id.into());
    body.insert("object".to_owned(), "text_completion".into());
    body.insert("created".to_owned(), context.created.into());
    body.insert("model".to_owned(), context.model.into());
    body.insert("choices".to_owned(), json!([choice]));
    if let Some(usage) = answer.usage {
        body.insert("usage".to_owned(), usage_of(&usage));
    }
    Ok(Value::Object(body))
}

/// The one choice of an answer, or what more of it comes.
pub(in crate::translate) fn choice(text: &str, finish: Option<&str>) -> Value {
    json!({"text": text, "index": 0, "logprobs": null, "finish_reason": finish})
}

//! Whole answers of OpenAI's chat.

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::failure::{ApiError, Cause};
use crate::finish::Finish;
use crate::head::BadRequest;
use crate::translate::Context;
use crate::translate::chat::messages_out::message_of;
use crate::translate::chat::parts::{content, tool_calls};
use crate::translate::chat::request_in::thoughts;
use crate::translate::fields::Fields;
use crate::translate::form::{Answer, Part, PartKind};
use crate::translate::policy::{Judge, Lossy};
use crate::usage::Usage;

pub(in crate::translate) fn read(body: Value) -> Result<Answer, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let choices = fields.list("choices")?.unwrap_or_default();
    let mut choice = match <[Value; 1]>::try_from(choices) {
        Ok([choice]) => Fields::of(choice, "choices[0]")?,
        Err(_) => return Err(fields.wrong("choices", "must be one")),
    };
    let mut message = choice.needs_object("message")?;
    let mut parts = thoughts(&mut message)?;
    // What an answer has beside what is read, such as annotations, no other dialect shows.
    parts.extend(content(&mut message, "content", &mut Judge::new(Lossy::Drop))?);
    let refused = message.text("refusal")?;
    let refuses = refused.is_some();
    parts.extend(refused.map(|text| Part::new(PartKind::Refusal(text), "refusal")));
    let id = fields.text("id")?.unwrap_or_default();
    let calls = tool_calls(&mut message, Some(&id))?;
    let called = !calls.is_empty();
    parts.extend(calls);
    let finish = match choice.text("finish_reason")?.as_deref() {
        // Some say `stop` although they call tools, and some say nothing.
        None | Some("stop") if called => Finish::ToolUse,
        None | Some("stop") if refuses => Finish::Refusal,
        None => Finish::Stop,
        Some(reason) => Finish::of_openai(reason),
    };
    let usage = fields.take("usage").and_then(|value| {
        let mut usage = Usage::default();
        usage.take(Dialect::OpenAiChat, &value).then_some(usage)
    });
    for known in ["object", "model", "created", "system_fingerprint", "service_tier"] {
        fields.take(known);
    }
    Ok(Answer { id, parts, finish, stop_sequence: None, usage, rest: fields.rest() })
}

pub(in crate::translate) fn write(answer: Answer, context: &Context<'_>) -> Result<Value, ApiError> {
    let mut judge = Judge::new(Lossy::Drop);
    let message = message_of(answer.parts, &mut judge, true).map_err(|bad| {
        ApiError::new(Cause::Upstream, format!("the provider's answer cannot be translated: {bad}"))
    })?;
    let choice = json!({
        "index": 0, "message": message, "logprobs": null, "finish_reason": answer.finish.to_openai(),
    });
    let mut body = Map::new();
    body.insert("id".to_owned(), answer.id.into());
    body.insert("object".to_owned(), "chat.completion".into());
    body.insert("created".to_owned(), context.created.into());
    body.insert("model".to_owned(), context.model.into());
    body.insert("choices".to_owned(), json!([choice]));
    if let Some(usage) = answer.usage {
        body.insert("usage".to_owned(), usage_of(&usage));
    }
    for (name, value) in answer.rest {
        body.entry(name).or_insert(value);
    }
    Ok(Value::Object(body))
}

/// Usage in chat's shape.
pub(in crate::translate) fn usage_of(usage: &Usage) -> Value {
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    json!({
        "prompt_tokens": usage.total_input(),
        "completion_tokens": usage.output,
        "total_tokens": usage.total(),
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

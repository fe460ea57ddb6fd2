//! The counting of tokens, as strict as the providers are about what belongs into such a request.

use serde_json::{Value, json};

use crate::{ask::Refused, script::Script};

/// What Anthropic takes.
const OF_ANTHROPIC: [&str; 9] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "anthropic_version",
];
/// What OpenAI takes.
const OF_OPENAI: [&str; 12] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
    "conversation",
    "previous_response_id",
    "personality",
];
/// What Bedrock takes of a request of Converse.
const OF_BEDROCK: [&str; 4] = ["messages", "system", "toolConfig", "additionalModelRequestFields"];

fn strange<'v>(body: &'v Value, known: &[&str]) -> Option<&'v String> {
    body.as_object().and_then(|members| members.keys().find(|name| !known.contains(&name.as_str())))
}

pub(crate) fn check_anthropic(body: &Value) -> Result<(), Refused> {
    match strange(body, &OF_ANTHROPIC) {
        Some(name) => Err(Refused::invalid(format!("{name}: Extra inputs are not permitted"))),
        None => Ok(()),
    }
}

pub(crate) fn check_openai(body: &Value) -> Result<(), Refused> {
    match strange(body, &OF_OPENAI) {
        Some(name) => Err(Refused::at(name, format!("Unknown parameter: '{name}'."))),
        None => Ok(()),
    }
}

/// What OpenAI answers.
pub(crate) fn openai(body_bytes: usize, script: &Script) -> Value {
    json!({"object": "response.input_tokens", "input_tokens": counted(body_bytes, script)})
}

/// What would be asked of Converse. Bedrock counts for Anthropic's models, by their own names.
pub(crate) fn bedrock<'v>(body: &'v Value, model: &str) -> Result<&'v Value, Refused> {
    if !model.starts_with("anthropic.") {
        return Err(Refused::invalid("The provided model doesn't support counting tokens."));
    }
    let converse = body.pointer("/input/converse");
    let converse =
        converse.ok_or_else(|| Refused::invalid("1 validation error detected: input is required"))?;
    match strange(converse, &OF_BEDROCK) {
        Some(name) => Err(Refused::invalid(format!("input.converse.{name} is not known"))),
        None => Ok(converse),
    }
}

/// What Bedrock answers.
pub(crate) fn of_bedrock(body_bytes: usize, script: &Script) -> Value {
    json!({"inputTokens": counted(body_bytes, script)})
}

/// What Google is to count: the request itself, or one within it, which names the model that the path does.
pub(crate) fn google<'v>(body: &'v Value, model: &str) -> Result<&'v Value, Refused> {
    let Some(within) = body.get("generateContentRequest") else { return Ok(body) };
    if body.get("contents").is_some() {
        return Err(Refused::invalid(
            "contents and generate_content_request cannot be specified at the same time",
        ));
    }
    let named = within.get("model").and_then(Value::as_str).unwrap_or_default();
    if named.rsplit('/').next() != model.rsplit('/').next() {
        return Err(Refused::invalid(format!(
            "* GenerateContentRequest.model: {named} is not models/{model}"
        )));
    }
    Ok(within)
}

fn counted(body_bytes: usize, script: &Script) -> u64 {
    script.usage.input.unwrap_or_else(|| u64::try_from(body_bytes.div_ceil(4)).unwrap_or(u64::MAX))
}

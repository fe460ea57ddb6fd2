//! Reads a request for content, or says what Gemini would refuse.

use serde_json::{Value, json};

use super::signature;
use crate::ask::{Ask, Image, MustCall, Refused, Tool, list, text};

/// Reads a request; the model and whether it streams are in its path.
pub(crate) fn read(body: &Value, model: &str, stream: bool) -> Result<Ask, Refused> {
    let contents = list(body, "contents");
    if contents.is_empty() {
        return Err(Refused::invalid("* GenerateContentRequest.contents: contents is not specified"));
    }
    let config = either(body, "generationConfig", "generation_config").unwrap_or(&Value::Null);
    let thinking = either(config, "thinkingConfig", "thinking_config");
    let declared = list(body, "tools").iter().flat_map(|tool| {
        either(tool, "functionDeclarations", "function_declarations")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    });
    let mut ask = Ask {
        model: model.to_owned(),
        stream,
        wants_usage: true,
        choices: config
            .get("candidateCount")
            .and_then(Value::as_u64)
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(1)
            .clamp(1, 8),
        messages: contents.len(),
        tools: declared.filter_map(tool_of).collect(),
        must_call: must_call(body),
        parallel: true,
        schema: schema(config),
        thinks: thinking
            .is_some_and(|thinking| thinking.get("includeThoughts").and_then(Value::as_bool) == Some(true)),
        has_results: contents.last().is_some_and(|last| {
            list(last, "parts").iter().any(|part| part.get("functionResponse").is_some())
        }),
        ..Ask::default()
    };
    for (index, content) in contents.iter().enumerate() {
        read_content(index, content, &mut ask)?;
    }
    Ok(ask)
}

/// Google's JSON may be written in either way.
fn either<'a>(value: &'a Value, camel: &str, snake: &str) -> Option<&'a Value> {
    value.get(camel).or_else(|| value.get(snake))
}

fn tool_of(function: &Value) -> Option<Tool> {
    let schema = function
        .get("parameters")
        .or_else(|| either(function, "parametersJsonSchema", "parameters_json_schema"));
    Some(Tool {
        name: text(function, "name")?.to_owned(),
        schema: schema.cloned().unwrap_or_else(|| json!({"type": "object"})),
    })
}

fn must_call(body: &Value) -> Option<MustCall> {
    let config = either(body, "toolConfig", "tool_config")?;
    let config = either(config, "functionCallingConfig", "function_calling_config")?;
    if !text(config, "mode")?.eq_ignore_ascii_case("any") {
        return None;
    }
    let allowed = config.get("allowedFunctionNames").and_then(|names| names.get(0)).and_then(Value::as_str);
    Some(allowed.map_or(MustCall::Any, |name| MustCall::This(name.to_owned())))
}

fn schema(config: &Value) -> Option<Value> {
    if either(config, "responseMimeType", "response_mime_type").and_then(Value::as_str)
        != Some("application/json")
    {
        return None;
    }
    let schema = either(config, "responseSchema", "response_schema")
        .or_else(|| either(config, "responseJsonSchema", "response_json_schema"));
    Some(
        schema
            .cloned()
            .unwrap_or_else(|| json!({"type": "object", "properties": {"answer": {"type": "string"}}})),
    )
}

fn read_content(index: usize, content: &Value, ask: &mut Ask) -> Result<(), Refused> {
    let role = text(content, "role").unwrap_or("user");
    if role != "user" && role != "model" {
        return Err(Refused::invalid(format!(
            "Please use a valid role: user, model. (contents[{index}].role is {role})"
        )));
    }
    let mut said = String::new();
    for part in list(content, "parts") {
        said.push_str(text(part, "text").unwrap_or_default());
        if let Some(data) = either(part, "inlineData", "inline_data") {
            ask.images.push(Image::of_base64(&standard_base64(text(data, "data").unwrap_or_default()))?);
        }
        if let Some(call) = part.get("functionCall") {
            check_signature(index, part, call)?;
        }
    }
    if role == "user" {
        ask.said = said;
    }
    Ok(())
}

/// Google's clients write the URL-safe alphabet.
fn standard_base64(data: &str) -> String {
    let mut standard = data.replace('-', "+").replace('_', "/");
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    standard
}

/// A signature that comes back must be the one that stood at this call. A call without one is another model's, and let through.
fn check_signature(index: usize, part: &Value, call: &Value) -> Result<(), Refused> {
    let Some(given) = either(part, "thoughtSignature", "thought_signature").and_then(Value::as_str) else {
        return Ok(());
    };
    if standard_base64(given) == signature(text(call, "name").unwrap_or_default()) {
        return Ok(());
    }
    Err(Refused::invalid(format!("Function call in contents[{index}] has an invalid thought_signature.")))
}

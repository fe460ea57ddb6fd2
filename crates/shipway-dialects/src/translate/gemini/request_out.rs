//! Writes a request of Gemini. The model and streaming are said by the path.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::head::BadRequest;
use crate::translate::form::{
    Format, Medium, Origin, Part, PartKind, Reasoning, Request, Role, Source, ToolChoice, Turn,
};
use crate::translate::messages::blocks_out::input;
use crate::translate::policy::{Judge, refusal};
use crate::translate::write_known;

/// Members of chat that Gemini has under another name.
const RENAMED: [(&str, &str); 3] =
    [("seed", "seed"), ("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty")];

pub(in crate::translate) fn write(
    mut request: Request,
    from: Dialect,
    judge: &mut Judge,
) -> Result<Value, BadRequest> {
    let mut body = Map::new();
    let names = names_of_calls(&request.turns);
    let mut contents = Vec::new();
    for turn in std::mem::take(&mut request.turns) {
        let role = if turn.role == Role::User { "user" } else { "model" };
        let parts = parts(turn.parts, &names, judge)?;
        if !parts.is_empty() {
            contents.push(json!({"role": role, "parts": parts}));
        }
    }
    body.insert("contents".to_owned(), contents.into());
    let system = parts(std::mem::take(&mut request.system), &names, judge)?;
    if !system.is_empty() {
        body.insert("systemInstruction".to_owned(), json!({"parts": system}));
    }
    tools(&mut request, &mut body, judge);
    let config = config(&mut request, judge);
    if !config.is_empty() {
        body.insert("generationConfig".to_owned(), Value::Object(config));
    }
    if request.user.is_some() {
        judge.notes("user", "Gemini is told no user");
    }
    write_known(&mut body, request.known, (from, Dialect::GeminiGenerate), judge)?;
    for (name, value) in request.rest {
        body.entry(name).or_insert(value);
    }
    Ok(Value::Object(body))
}

/// Results name the function here; elsewhere the id of the call says which it was.
fn names_of_calls(turns: &[Turn]) -> HashMap<String, String> {
    let calls = turns.iter().flat_map(|turn| &turn.parts).filter_map(|part| match &part.kind {
        PartKind::ToolUse { id, name, .. } => Some((id.clone(), name.clone())),
        _ => None,
    });
    calls.collect()
}

fn parts(
    parts: Vec<Part>,
    names: &HashMap<String, String>,
    judge: &mut Judge,
) -> Result<Vec<Value>, BadRequest> {
    let mut written: Vec<Value> = Vec::with_capacity(parts.len());
    let calls = parts.iter().filter(|part| matches!(part.kind, PartKind::ToolUse { .. })).count();
    let (mut calls_left, mut signature) = (calls, None);
    for part in parts {
        if part.cache.is_some() {
            judge.notes("cache_control", "Gemini caches by itself");
        }
        let is_call = matches!(part.kind, PartKind::ToolUse { .. });
        let Some(mut value) = part_of(part, names, &mut signature, judge)? else { continue };
        calls_left -= usize::from(is_call);
        // What has been proved is a call, if there is one.
        if (is_call || calls_left == 0)
            && let Some(signature) = signature.take()
        {
            value["thoughtSignature"] = Value::String(signature);
        }
        written.push(value);
    }
    if let Some(signature) = signature {
        written.push(json!({"text": "", "thoughtSignature": signature}));
    }
    Ok(written)
}

fn part_of(
    part: Part,
    names: &HashMap<String, String>,
    signature: &mut Option<String>,
    judge: &mut Judge,
) -> Result<Option<Value>, BadRequest> {
    Ok(Some(match part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => json!({"text": text}),
        PartKind::Medium(medium) => medium_part(medium, &part.path)?,
        PartKind::ToolUse { id, name, arguments } => {
            json!({"functionCall": {"id": id, "name": name, "args": input(&arguments, &part.path)?}})
        }
        PartKind::ToolResult { id, parts, is_error } => {
            let Some(name) = names.get(&id) else {
                return Err(refusal(&part.path, format!("there is no call {id} that this is the result of")));
            };
            let text = crate::translate::chat::messages_out::texts(parts, judge)?;
            let key = if is_error { "error" } else { "output" };
            json!({"functionResponse": {"id": id, "name": name, "response": {key: text}}})
        }
        PartKind::Thinking { seal: Some(seal), .. } if seal.origin == Origin::Gemini => {
            *signature = Some(seal.data);
            return Ok(None);
        }
        PartKind::Thinking { .. } | PartKind::Redacted(_) => {
            judge.notes(&part.path, "Gemini takes no thoughts back but its own signatures");
            return Ok(None);
        }
    }))
}

fn medium_part(medium: Medium, path: &str) -> Result<Value, BadRequest> {
    Ok(match medium.source {
        Source::Base64 { media_type, data } => json!({"inlineData": {"mimeType": media_type, "data": data}}),
        Source::Url(url) => json!({"fileData": {"fileUri": url}}),
        Source::Text(text) => json!({"text": text}),
        Source::Id => {
            return Err(refusal(
                path,
                "a file that lies at another provider cannot be carried across; send its data",
            ));
        }
    })
}

fn tools(request: &mut Request, body: &mut Map<String, Value>, judge: &mut Judge) {
    let tools = std::mem::take(&mut request.tools).into_iter().map(|tool| {
        if tool.strict == Some(true) {
            judge.notes("tools.strict", "Gemini does not promise that arguments hold to their schema");
        }
        let mut declaration = json!({"name": tool.name, "parametersJsonSchema": tool.parameters});
        if let Some(description) = tool.description {
            declaration["description"] = description.into();
        }
        declaration
    });
    let tools: Vec<Value> = tools.collect();
    if !tools.is_empty() {
        body.insert("tools".to_owned(), json!([{"functionDeclarations": tools}]));
    }
    let config = match request.tool_choice.take() {
        None => None,
        Some(ToolChoice::Auto) => Some(json!({"mode": "AUTO"})),
        Some(ToolChoice::None) => Some(json!({"mode": "NONE"})),
        Some(ToolChoice::Any) => Some(json!({"mode": "ANY"})),
        Some(ToolChoice::Named(name)) => Some(json!({"mode": "ANY", "allowedFunctionNames": [name]})),
    };
    if let Some(config) = config {
        body.insert("toolConfig".to_owned(), json!({"functionCallingConfig": config}));
    }
    if request.parallel_tools == Some(false) {
        judge.notes("parallel_tool_calls", "Gemini cannot be kept from calling several tools");
    }
}

fn config(request: &mut Request, judge: &mut Judge) -> Map<String, Value> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    put("maxOutputTokens", request.max_output_tokens.map(Value::from));
    put("temperature", request.temperature.take().map(Value::Number));
    put("topP", request.top_p.take().map(Value::Number));
    put("topK", request.top_k.take().map(Value::Number));
    put("stopSequences", (!request.stop.is_empty()).then(|| Value::from(std::mem::take(&mut request.stop))));
    match request.format.take() {
        None => {}
        Some(Format::Json) => put("responseMimeType", Some("application/json".into())),
        Some(Format::Schema { schema, .. }) => {
            put("responseMimeType", Some("application/json".into()));
            put("responseJsonSchema", Some(schema));
        }
    }
    put("thinkingConfig", request.reasoning.take().map(thinking));
    for (name, theirs) in RENAMED {
        let place = request.known.iter().position(|known| known.name == name);
        put(theirs, place.map(|place| request.known.remove(place).value));
    }
    if config.contains_key("thinkingConfig") {
        judge.notes(
            "reasoning",
            "Gemini's way to think is set by a budget, or by its model where it has none",
        );
    }
    config
}

/// Thoughts are asked for in words, too: the other dialects show them.
fn thinking(reasoning: Reasoning) -> Value {
    match reasoning {
        Reasoning::Off => json!({"thinkingBudget": 0}),
        // As much as the model thinks it needs.
        Reasoning::Adaptive => json!({"includeThoughts": true, "thinkingBudget": -1}),
        Reasoning::Budget(budget) => json!({"includeThoughts": true, "thinkingBudget": budget}),
        Reasoning::Effort(effort) => {
            let budget = match effort.as_str() {
                "minimal" | "low" => 1_024,
                "medium" => 8_192,
                _ => 24_576,
            };
            json!({"includeThoughts": true, "thinkingBudget": budget})
        }
    }
}

//! Reads a request of OpenAI's chat.

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::chat::parts::{content, tool_calls};
use crate::translate::fields::Fields;
use crate::translate::form::{
    Format, Known, Origin, Part, PartKind, Reasoning, Request, Role, Seal, Tool, ToolChoice, Turn,
};
use crate::translate::policy::{Judge, Loss};

/// Members that other dialects do not have: how much is lost with each, the value that asks for nothing, and why.
const KNOWN: &[(&str, Loss, &str, &str)] = &[
    ("n", Loss::Shape, "1", "gives one answer to each request"),
    ("functions", Loss::Shape, "[]", "is the old way; use tools"),
    ("function_call", Loss::Shape, "\"none\"", "is the old way; use tool_choice"),
    ("modalities", Loss::Shape, "[\"text\"]", "answers with text only"),
    ("audio", Loss::Shape, "{}", "answers with text only"),
    ("logprobs", Loss::Shape, "false", "does not tell probabilities"),
    ("top_logprobs", Loss::Shape, "0", "does not tell probabilities"),
    ("web_search_options", Loss::Shape, "", "has another way to search"),
    ("moderation", Loss::Shape, "", "has no such moderation"),
    ("frequency_penalty", Loss::Changes, "0", "has no penalties"),
    ("presence_penalty", Loss::Changes, "0", "has no penalties"),
    ("logit_bias", Loss::Changes, "{}", "cannot bias tokens"),
    ("seed", Loss::Changes, "", "has no seed"),
    ("verbosity", Loss::Changes, "\"medium\"", "has no verbosity"),
    ("prediction", Loss::Harmless, "", "does not use predictions"),
    ("store", Loss::Harmless, "false", "does not store answers"),
    ("metadata", Loss::Harmless, "{}", "keeps no metadata"),
    ("service_tier", Loss::Harmless, "\"auto\"", "has other tiers of service"),
    ("safety_identifier", Loss::Harmless, "", "has one name for a user"),
    ("prompt_cache_key", Loss::Harmless, "", "caches by the prompt alone"),
    ("prompt_cache_options", Loss::Harmless, "", "caches by breakpoints"),
    ("prompt_cache_retention", Loss::Harmless, "", "caches by breakpoints"),
];

pub(in crate::translate) fn read(body: Value, judge: &mut Judge) -> Result<Request, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let mut request = Request { model: fields.needs_text("model")?, ..Request::default() };
    let messages = fields.list("messages")?.ok_or_else(|| fields.wrong("messages", "is missing"))?;
    for (index, message) in messages.into_iter().enumerate() {
        read_message(&mut request, message, index, judge)?;
    }
    let older = fields.count("max_tokens")?;
    request.max_output_tokens = fields.count("max_completion_tokens")?.or(older);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.number("top_k")?;
    request.stop = stop(&mut fields)?;
    request.tools = tools(&mut fields, judge)?;
    request.tool_choice = tool_choice(&mut fields)?;
    request.parallel_tools = fields.flag("parallel_tool_calls")?;
    request.format = format(&mut fields)?;
    request.reasoning = fields.text("reasoning_effort")?.map(|effort| match effort.as_str() {
        "none" => Reasoning::Off,
        _ => Reasoning::Effort(effort),
    });
    request.stream = fields.flag("stream")?.unwrap_or(false);
    fields.take("stream_options");
    request.user = fields.text("user")?;
    request.known = known(&mut fields, KNOWN);
    request.rest = fields.rest();
    Ok(request)
}

/// Takes the members of `table` that ask for something.
pub(in crate::translate) fn known(
    fields: &mut Fields,
    table: &[(&'static str, Loss, &'static str, &'static str)],
) -> Vec<Known> {
    let mut found = Vec::new();
    for (name, loss, nothing, why) in table {
        let Some(value) = fields.take(name) else { continue };
        // As numbers, so that 0 and 0.0 are the same.
        let asks = match (serde_json::from_str::<Value>(nothing), value.as_f64()) {
            (Ok(nothing), Some(number)) => nothing.as_f64() != Some(number),
            (Ok(nothing), None) => nothing != value,
            (Err(_), _) => true,
        };
        if asks {
            found.push(Known { name: (*name).to_owned(), value, loss: *loss, why });
        }
    }
    found
}

fn read_message(
    request: &mut Request,
    message: Value,
    index: usize,
    judge: &mut Judge,
) -> Result<(), BadRequest> {
    let mut fields = Fields::of(message, format!("messages[{index}]"))?;
    let role = fields.needs_text("role")?;
    if fields.take("name").is_some() {
        judge.notes(&fields.at("name"), "the other dialect has no names of participants");
    }
    let body = content(&mut fields, "content", judge)?;
    match role.as_str() {
        "system" | "developer" => {
            if !request.turns.is_empty() {
                judge.notes(&fields.at("role"), "instructions within a conversation are moved to its start");
            }
            request.system.extend(body);
        }
        "user" => push(request, Role::User, body),
        "assistant" => {
            let mut parts = thoughts(&mut fields)?;
            parts.extend(body);
            if let Some(refusal) = fields.text("refusal")? {
                parts.push(Part::new(PartKind::Refusal(refusal), fields.at("refusal")));
            }
            parts.extend(tool_calls(&mut fields, None)?);
            for gone in ["function_call", "audio"] {
                if fields.take(gone).is_some() {
                    return Err(fields.wrong(gone, "cannot be carried across; leave it out"));
                }
            }
            push(request, Role::Assistant, parts);
        }
        "tool" => {
            let id = fields.needs_text("tool_call_id")?;
            let path = format!("messages[{index}]");
            let result = PartKind::ToolResult { id, parts: body, is_error: false };
            push(request, Role::User, vec![Part { kind: result, cache: fields.take("cache_control"), path }]);
        }
        _ => return Err(fields.wrong("role", "must be system, developer, user, assistant or tool")),
    }
    fields.leaves(judge);
    Ok(())
}

/// Turns of one role that follow each other are one turn: the results of parallel calls must come together.
pub(in crate::translate) fn push(request: &mut Request, role: Role, parts: Vec<Part>) {
    match request.turns.last_mut() {
        Some(turn) if turn.role == role => turn.parts.extend(parts),
        _ => request.turns.push(Turn { role, parts }),
    }
}

/// Thoughts that an answer had and a client gives back: whole blocks with their signatures, or text alone.
pub(in crate::translate) fn thoughts(fields: &mut Fields) -> Result<Vec<Part>, BadRequest> {
    let plain = fields.text("reasoning_content")?;
    let plain = plain.or(fields.text("reasoning")?).filter(|text| !text.is_empty());
    let Some(blocks) = fields.list("thinking_blocks")? else {
        let path = fields.at("reasoning_content");
        return Ok(plain
            .into_iter()
            .map(|text| Part::new(PartKind::Thinking { text, seal: None }, path.clone()))
            .collect());
    };
    let mut parts = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        let path = format!("{}[{index}]", fields.at("thinking_blocks"));
        let mut block = Fields::of(block, path.clone())?;
        let seal = |text: String| Seal::of_text(&text, Origin::Anthropic);
        let kind = if let Some(data) = block.text("data")? {
            PartKind::Redacted(seal(data))
        } else {
            let signature = block.text("signature")?.filter(|signature| !signature.is_empty());
            PartKind::Thinking {
                text: block.text("thinking")?.unwrap_or_default(),
                seal: signature.map(seal),
            }
        };
        parts.push(Part::new(kind, path));
    }
    Ok(parts)
}

pub(in crate::translate) fn stop(fields: &mut Fields) -> Result<Vec<String>, BadRequest> {
    match fields.take("stop") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(many)) => many
            .into_iter()
            .map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(fields.wrong("stop", "must be a list of texts")),
            })
            .collect(),
        Some(_) => Err(fields.wrong("stop", "must be a text or a list of texts")),
    }
}

fn tools(fields: &mut Fields, judge: &mut Judge) -> Result<Vec<Tool>, BadRequest> {
    let mut tools = Vec::new();
    for (index, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut tool = Fields::of(tool, format!("tools[{index}]"))?;
        let kind = tool.needs_text("type")?;
        if kind != "function" {
            return Err(tool.wrong("type", format!("`{kind}` cannot be carried across; only functions can")));
        }
        let cache = tool.take("cache_control");
        let mut function = tool.needs_object("function")?;
        tools.push(function_of(&mut function, cache)?);
        function.leaves(judge);
        tool.leaves(judge);
    }
    Ok(tools)
}

/// A function's name, description, parameters and strictness, which chat and responses write alike.
pub(in crate::translate) fn function_of(
    function: &mut Fields,
    cache: Option<Value>,
) -> Result<Tool, BadRequest> {
    Ok(Tool {
        name: function.needs_text("name")?,
        description: function.text("description")?,
        parameters: function
            .take("parameters")
            .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
        strict: function.flag("strict")?,
        cache,
    })
}

fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, BadRequest> {
    let Some(choice) = fields.take("tool_choice") else { return Ok(None) };
    let named = choice.pointer("/function/name").or_else(|| choice.get("name")).and_then(Value::as_str);
    match (choice.as_str(), named) {
        (Some("auto"), _) => Ok(Some(ToolChoice::Auto)),
        (Some("none"), _) => Ok(Some(ToolChoice::None)),
        (Some("required"), _) => Ok(Some(ToolChoice::Any)),
        (None, Some(name)) => Ok(Some(ToolChoice::Named(name.to_owned()))),
        _ => Err(fields.wrong(
            "tool_choice",
            "must be auto, none, required or a function; nothing else can be carried across",
        )),
    }
}

fn format(fields: &mut Fields) -> Result<Option<Format>, BadRequest> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    match format.needs_text("type")?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => Ok(Some(schema_of(&mut format.needs_object("json_schema")?)?)),
        other => Err(format.wrong("type", format!("`{other}` cannot be carried across"))),
    }
}

/// The format of a schema, which chat has in an object of its own and responses beside the type.
pub(in crate::translate) fn schema_of(fields: &mut Fields) -> Result<Format, BadRequest> {
    Ok(Format::Schema {
        name: fields.text("name")?,
        description: fields.text("description")?,
        schema: fields.take("schema").unwrap_or_else(|| json!({"type": "object"})),
        strict: fields.flag("strict")?,
    })
}

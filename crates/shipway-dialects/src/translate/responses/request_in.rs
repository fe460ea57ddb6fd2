//! Reads a request of OpenAI's responses.

use serde_json::Value;

use crate::head::BadRequest;
use crate::translate::chat::parts::{file_of, image_of};
use crate::translate::chat::request_in::{function_of, known, push, schema_of};
use crate::translate::fields::Fields;
use crate::translate::form::{
    Format, Known, Origin, Part, PartKind, REDACTED, Reasoning, Request, Role, Seal, Tool, ToolChoice,
};
use crate::translate::policy::{Judge, Loss};

/// Members that other dialects do not have.
const KNOWN: &[(&str, Loss, &str, &str)] = &[
    ("previous_response_id", Loss::Shape, "", "keeps no answers to go on from"),
    ("conversation", Loss::Shape, "", "keeps no conversations"),
    ("prompt", Loss::Shape, "", "keeps no prompts"),
    ("background", Loss::Shape, "false", "does not work in the background"),
    ("top_logprobs", Loss::Shape, "0", "does not tell probabilities"),
    ("moderation", Loss::Shape, "", "has no such moderation"),
    ("context_management", Loss::Changes, "[]", "does not edit the context"),
    ("truncation", Loss::Changes, "\"disabled\"", "does not cut the input"),
    ("max_tool_calls", Loss::Harmless, "", "runs no tools of its own"),
    ("include", Loss::Harmless, "[]", "has everything in its answer that it can have"),
    ("store", Loss::Harmless, "false", "does not store answers"),
    ("stream_options", Loss::Harmless, "{}", "has no such options"),
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
    if let Some(instructions) = fields.text("instructions")?.filter(|text| !text.is_empty()) {
        request.system.push(Part::new(PartKind::Text(instructions), "instructions"));
    }
    match fields.take("input") {
        None => {}
        Some(Value::String(text)) => {
            push(&mut request, Role::User, vec![Part::new(PartKind::Text(text), "input")])
        }
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                read_item(&mut request, item, format!("input[{index}]"), judge)?;
            }
        }
        Some(_) => return Err(fields.wrong("input", "must be a text or a list of items")),
    }
    request.max_output_tokens = fields.count("max_output_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.tools = tools(&mut fields, judge)?;
    request.tool_choice = tool_choice(&mut fields)?;
    request.parallel_tools = fields.flag("parallel_tool_calls")?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    request.user = fields.text("user")?;
    request.known = known(&mut fields, KNOWN);
    text(&mut fields, &mut request)?;
    reasoning(&mut fields, &mut request, judge)?;
    request.rest = fields.rest();
    Ok(request)
}

fn read_item(request: &mut Request, item: Value, path: String, judge: &mut Judge) -> Result<(), BadRequest> {
    let mut fields = Fields::of(item, path.clone())?;
    let kind = fields.text("type")?.unwrap_or_else(|| "message".to_owned());
    match kind.as_str() {
        "message" => {
            let role = fields.needs_text("role")?;
            let parts = content(&mut fields, "content", judge)?;
            match role.as_str() {
                "user" => push(request, Role::User, parts),
                "assistant" => push(request, Role::Assistant, parts),
                "system" | "developer" => {
                    if !request.turns.is_empty() {
                        judge.notes(&path, "instructions within a conversation are moved to its start");
                    }
                    request.system.extend(parts);
                }
                _ => return Err(fields.wrong("role", "must be user, assistant, system or developer")),
            }
        }
        "function_call" => {
            let (id, name) = (fields.needs_text("call_id")?, fields.needs_text("name")?);
            let arguments = fields.text("arguments")?.unwrap_or_default();
            push(request, Role::Assistant, vec![Part::new(PartKind::ToolUse { id, name, arguments }, path)]);
        }
        "function_call_output" => {
            let id = fields.needs_text("call_id")?;
            let result =
                PartKind::ToolResult { id, parts: content(&mut fields, "output", judge)?, is_error: false };
            push(request, Role::User, vec![Part::new(result, path)]);
        }
        "reasoning" => push(request, Role::Assistant, vec![Part::new(thought(&mut fields)?, path)]),
        other => return Err(fields.wrong("type", format!("`{other}` cannot be carried across"))),
    }
    for said in ["id", "status"] {
        fields.take(said);
    }
    fields.leaves(judge);
    Ok(())
}

/// What a model thought, as text, and what proves it to whoever made it.
fn thought(fields: &mut Fields) -> Result<PartKind, BadRequest> {
    let mut text = String::new();
    for name in ["content", "summary"] {
        let items = fields.list(name)?.unwrap_or_default();
        if text.is_empty() {
            let texts = items.iter().filter_map(|item| item.get("text").and_then(Value::as_str));
            text = texts.collect::<Vec<_>>().join("\n\n");
        }
    }
    let Some(sealed) = fields.text("encrypted_content")? else {
        return Ok(PartKind::Thinking { text, seal: None });
    };
    let Seal { origin, data } = Seal::of_text(&sealed, Origin::Responses);
    Ok(match data.strip_prefix(REDACTED) {
        Some(data) => PartKind::Redacted(Seal { origin, data: data.to_owned() }),
        None => PartKind::Thinking { text, seal: Some(Seal { origin, data }) },
    })
}

fn content(fields: &mut Fields, name: &str, judge: &mut Judge) -> Result<Vec<Part>, BadRequest> {
    let path = fields.at(name);
    match fields.take(name) {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::new(PartKind::Text(text), path)]),
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| part(item, format!("{path}[{index}]"), judge))
            .collect(),
        Some(_) => Err(fields.wrong(name, "must be a text or a list of parts")),
    }
}

fn part(value: Value, path: String, judge: &mut Judge) -> Result<Part, BadRequest> {
    let mut fields = Fields::of(value, path.clone())?;
    let kind = match fields.needs_text("type")?.as_str() {
        "input_text" | "output_text" | "text" => PartKind::Text(fields.needs_text("text")?),
        "refusal" => PartKind::Refusal(fields.needs_text("refusal")?),
        "input_image" => match fields.text("image_url")? {
            Some(url) => image_of(url, fields.text("detail")?),
            None => {
                return Err(fields
                    .wrong("file_id", "a file at another provider cannot be carried across; send its data"));
            }
        },
        "input_file" => file_of(&mut fields)?,
        other => return Err(fields.wrong("type", format!("`{other}` is no part that can be carried across"))),
    };
    // What an answer said of its text, and a client gives back.
    for said in ["annotations", "logprobs"] {
        fields.take(said);
    }
    fields.leaves(judge);
    Ok(Part::new(kind, path))
}

fn tools(fields: &mut Fields, judge: &mut Judge) -> Result<Vec<Tool>, BadRequest> {
    let mut tools = Vec::new();
    for (index, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut tool = Fields::of(tool, format!("tools[{index}]"))?;
        let kind = tool.needs_text("type")?;
        if kind != "function" {
            return Err(tool.wrong(
                "type",
                format!("`{kind}` runs at OpenAI only; only functions can be carried across"),
            ));
        }
        tools.push(function_of(&mut tool, None)?);
        tool.leaves(judge);
    }
    Ok(tools)
}

fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, BadRequest> {
    let Some(choice) = fields.take("tool_choice") else { return Ok(None) };
    let named = choice.get("type").and_then(Value::as_str) == Some("function");
    match (choice.as_str(), choice.get("name").and_then(Value::as_str)) {
        (Some("auto"), _) => Ok(Some(ToolChoice::Auto)),
        (Some("none"), _) => Ok(Some(ToolChoice::None)),
        (Some("required"), _) => Ok(Some(ToolChoice::Any)),
        (None, Some(name)) if named => Ok(Some(ToolChoice::Named(name.to_owned()))),
        _ => Err(fields.wrong(
            "tool_choice",
            "must be auto, none, required or a function; nothing else can be carried across",
        )),
    }
}

fn text(fields: &mut Fields, request: &mut Request) -> Result<(), BadRequest> {
    let Some(mut text) = fields.object("text")? else { return Ok(()) };
    if let Some(mut format) = text.object("format")? {
        request.format = match format.needs_text("type")?.as_str() {
            "text" => None,
            "json_object" => Some(Format::Json),
            "json_schema" => Some(schema_of(&mut format)?),
            other => return Err(format.wrong("type", format!("`{other}` cannot be carried across"))),
        };
    }
    if let Some(verbosity) = text.text("verbosity")?.filter(|verbosity| verbosity != "medium") {
        let (name, value) = ("verbosity".to_owned(), verbosity.into());
        request.known.push(Known { name, value, loss: Loss::Changes, why: "has no verbosity" });
    }
    Ok(())
}

fn reasoning(fields: &mut Fields, request: &mut Request, judge: &mut Judge) -> Result<(), BadRequest> {
    let Some(mut reasoning) = fields.object("reasoning")? else { return Ok(()) };
    request.reasoning = reasoning.text("effort")?.map(|effort| match effort.as_str() {
        "none" => Reasoning::Off,
        _ => Reasoning::Effort(effort),
    });
    for name in reasoning.names() {
        judge.notes(&reasoning.at(&name), "thoughts come as the provider tells them");
    }
    Ok(())
}

//! Reads a request of Anthropic's messages.

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::chat::request_in::{known, push};
use crate::translate::fields::Fields;
use crate::translate::form::{Format, Known, Reasoning, Request, Role, Tool, ToolChoice};
use crate::translate::messages::blocks_in::content;
use crate::translate::policy::{Judge, Loss};

/// Members that other dialects do not have.
const KNOWN: &[(&str, Loss, &str, &str)] = &[
    ("mcp_servers", Loss::Shape, "[]", "does not call MCP servers"),
    ("container", Loss::Shape, "", "has no containers"),
    ("context_management", Loss::Changes, "{}", "does not edit the context"),
    ("speed", Loss::Harmless, "\"standard\"", "has no speeds"),
    ("service_tier", Loss::Harmless, "\"auto\"", "has other tiers of service"),
    ("inference_geo", Loss::Shape, "", "cannot promise where it runs"),
    ("cache_control", Loss::Harmless, "", "caches by itself"),
    ("diagnostics", Loss::Harmless, "", "has no such diagnostics"),
    ("user_profile_id", Loss::Harmless, "", "has one name for a user"),
    ("workspace_id", Loss::Harmless, "", "has no workspaces"),
];

pub(in crate::translate) fn read(body: Value, judge: &mut Judge) -> Result<Request, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    let mut request = Request { model: fields.needs_text("model")?, ..Request::default() };
    request.system = content(&mut fields, "system", judge)?;
    let messages = fields.list("messages")?.ok_or_else(|| fields.wrong("messages", "is missing"))?;
    for (index, message) in messages.into_iter().enumerate() {
        let mut message = Fields::of(message, format!("messages[{index}]"))?;
        let role = message.needs_text("role")?;
        let parts = content(&mut message, "content", judge)?;
        match role.as_str() {
            "user" => push(&mut request, Role::User, parts),
            "assistant" => push(&mut request, Role::Assistant, parts),
            "system" => {
                judge.notes(&message.at("role"), "instructions within a conversation are moved to its start");
                request.system.extend(parts);
            }
            _ => return Err(message.wrong("role", "must be user or assistant")),
        }
        message.leaves(judge);
    }
    request.max_output_tokens =
        Some(fields.count("max_tokens")?.ok_or_else(|| fields.wrong("max_tokens", "is missing"))?);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.number("top_k")?;
    request.stop = stop(&mut fields)?;
    request.tools = tools(&mut fields, judge)?;
    tool_choice(&mut fields, &mut request)?;
    output(&mut fields, &mut request, judge)?;
    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = metadata.text("user_id")?;
    }
    request.known = known(&mut fields, KNOWN);
    request.rest = fields.rest();
    Ok(request)
}

fn stop(fields: &mut Fields) -> Result<Vec<String>, BadRequest> {
    let sequences = fields.list("stop_sequences")?.unwrap_or_default().into_iter().map(|item| match item {
        Value::String(text) => Ok(text),
        _ => Err(fields.wrong("stop_sequences", "must be a list of texts")),
    });
    sequences.collect()
}

fn tools(fields: &mut Fields, judge: &mut Judge) -> Result<Vec<Tool>, BadRequest> {
    let mut tools = Vec::new();
    for (index, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut tool = Fields::of(tool, format!("tools[{index}]"))?;
        let kind = tool.text("type")?.unwrap_or_else(|| "custom".to_owned());
        if kind != "custom" {
            return Err(
                tool.wrong("type", format!("`{kind}` runs at Anthropic only; it cannot be carried across"))
            );
        }
        tools.push(Tool {
            name: tool.needs_text("name")?,
            description: tool.text("description")?,
            parameters: tool
                .take("input_schema")
                .unwrap_or_else(|| json!({"type": "object", "properties": {}})),
            strict: tool.flag("strict")?,
            cache: tool.take("cache_control"),
        });
        tool.leaves(judge);
    }
    Ok(tools)
}

fn tool_choice(fields: &mut Fields, request: &mut Request) -> Result<(), BadRequest> {
    let Some(mut choice) = fields.object("tool_choice")? else { return Ok(()) };
    request.tool_choice = Some(match choice.needs_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(choice.needs_text("name")?),
        _ => return Err(choice.wrong("type", "must be auto, any, tool or none")),
    });
    if choice.flag("disable_parallel_tool_use")? == Some(true) {
        request.parallel_tools = Some(false);
    }
    Ok(())
}

/// Format and effort of the output, and thinking, which one dialect has in three places.
fn output(fields: &mut Fields, request: &mut Request, judge: &mut Judge) -> Result<(), BadRequest> {
    let mut format = fields.object("output_format")?;
    let mut effort = None;
    if let Some(mut config) = fields.object("output_config")? {
        format = config.object("format")?.or(format);
        effort = config.text("effort")?;
        request.known.extend(config.names().into_iter().map(|name| Known {
            name: format!("output_config.{name}"),
            value: Value::Null,
            loss: Loss::Changes,
            why: "has no such setting",
        }));
    }
    if let Some(mut format) = format {
        if format.needs_text("type")? != "json_schema" {
            return Err(format.wrong("type", "must be json_schema"));
        }
        let schema = format.take("schema").ok_or_else(|| format.wrong("schema", "is missing"))?;
        request.format = Some(Format::Schema { name: None, description: None, schema, strict: Some(true) });
    }
    request.reasoning = match fields.object("thinking")? {
        None => effort.map(Reasoning::Effort),
        Some(mut thinking) => match thinking.needs_text("type")?.as_str() {
            "disabled" => None,
            "enabled" => {
                let budget = thinking.count("budget_tokens")?;
                effort.map(Reasoning::Effort).or(budget.map(Reasoning::Budget)).or(Some(Reasoning::Adaptive))
            }
            "adaptive" => Some(effort.map_or(Reasoning::Adaptive, Reasoning::Effort)),
            _ => {
                judge.loses(Loss::Changes, "thinking.type", "this way of thinking is Anthropic's alone")?;
                None
            }
        },
    };
    Ok(())
}

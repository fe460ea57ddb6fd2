//! Writes a request of Anthropic's messages.

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::head::BadRequest;
use crate::translate::fields::object;
use crate::translate::form::{Format, Reasoning, Request, Role, ToolChoice, Turn};
use crate::translate::messages::blocks_out::{blocks, cached};
use crate::translate::policy::{Judge, Loss, Options};
use crate::translate::write_known;

/// The least that Anthropic lets a model think.
const LEAST_BUDGET: u64 = 1_024;

pub(in crate::translate) fn write(
    mut request: Request,
    from: Dialect,
    options: &Options,
    judge: &mut Judge,
) -> Result<Value, BadRequest> {
    let limit = limit(&request, from, options, judge);
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(Value::from(std::mem::take(&mut request.model))));
    put("max_tokens", Some(limit.into()));
    let system = blocks(std::mem::take(&mut request.system), judge)?;
    put("system", (!system.is_empty()).then(|| Value::from(system)));
    put("messages", Some(messages(std::mem::take(&mut request.turns), judge)?));
    put("tools", tools(&mut request));
    put("tool_choice", tool_choice(&request));
    put("temperature", temperature(&request, judge)?);
    put("top_p", request.top_p.take().map(Value::Number));
    put("top_k", request.top_k.take().map(Value::Number));
    put("stop_sequences", (!request.stop.is_empty()).then(|| Value::from(std::mem::take(&mut request.stop))));
    put("thinking", thinking(request.reasoning.as_ref(), from, limit, judge));
    put("output_config", output_config(request.format.take(), from, judge)?);
    put("metadata", request.user.take().map(|user| json!({"user_id": user})));
    put("stream", request.stream.then(|| Value::from(true)));
    write_known(&mut body, request.known, (from, Dialect::AnthropicMessages), judge)?;
    for (name, value) in request.rest {
        body.entry(name).or_insert(value);
    }
    Ok(Value::Object(body))
}

fn limit(request: &Request, from: Dialect, options: &Options, judge: &mut Judge) -> u64 {
    request.max_output_tokens.unwrap_or_else(|| {
        judge.notes(field(from, "max_tokens"), "Anthropic insists on a limit; the deployment's is set");
        options.default_max_output_tokens
    })
}

fn messages(turns: Vec<Turn>, judge: &mut Judge) -> Result<Value, BadRequest> {
    let mut messages = Vec::new();
    for turn in turns {
        let (role, mut parts) = (turn.role, turn.parts);
        if role == Role::User {
            // Results must come first in the turn that answers the calls.
            parts.sort_by_key(|part| {
                !matches!(part.kind, crate::translate::form::PartKind::ToolResult { .. })
            });
        }
        let content = blocks(parts, judge)?;
        // A turn of nothing says nothing, and is refused there.
        if !content.is_empty() {
            messages.push(
                json!({"role": if role == Role::User { "user" } else { "assistant" }, "content": content}),
            );
        }
    }
    Ok(messages.into())
}

fn tools(request: &mut Request) -> Option<Value> {
    let tools = std::mem::take(&mut request.tools).into_iter().map(|tool| {
        let written = object([
            ("name", Some(tool.name.into())),
            ("description", tool.description.map(Value::from)),
            ("input_schema", Some(tool.parameters)),
            ("strict", tool.strict.filter(|strict| *strict).map(Value::from)),
        ]);
        cached(written, tool.cache)
    });
    let tools: Vec<Value> = tools.collect();
    (!tools.is_empty()).then(|| tools.into())
}

/// Parallel calls are forbidden within the choice, so there must be one to say it in.
fn tool_choice(request: &Request) -> Option<Value> {
    let single = request.parallel_tools == Some(false) && request.tool_choice != Some(ToolChoice::None);
    let mut choice = match &request.tool_choice {
        None if single => json!({"type": "auto"}),
        None => return None,
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::None) => json!({"type": "none"}),
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
    };
    if single {
        choice["disable_parallel_tool_use"] = true.into();
    }
    Some(choice)
}

fn temperature(request: &Request, judge: &mut Judge) -> Result<Option<Value>, BadRequest> {
    let Some(temperature) = &request.temperature else { return Ok(None) };
    if temperature.as_f64().is_some_and(|value| value > 1.0) {
        judge.loses(
            Loss::Changes,
            "temperature",
            "Anthropic's range ends at 1, which is sent where this is let through",
        )?;
        return Ok(Some(1.into()));
    }
    Ok(Some(Value::Number(temperature.clone())))
}

/// An effort in words becomes a share of the limit, since thoughts count towards it.
pub(in crate::translate) fn thinking(
    reasoning: Option<&Reasoning>,
    from: Dialect,
    limit: u64,
    judge: &mut Judge,
) -> Option<Value> {
    let budget = match reasoning? {
        Reasoning::Off => return Some(json!({"type": "disabled"})),
        Reasoning::Adaptive => return Some(json!({"type": "adaptive"})),
        Reasoning::Budget(budget) => *budget,
        Reasoning::Effort(effort) => {
            let percent = match effort.as_str() {
                "minimal" => 10,
                "low" => 20,
                "medium" => 50,
                _ => 80,
            };
            if limit <= LEAST_BUDGET {
                judge.notes(field(from, "reasoning_effort"), "the limit of the answer is too small to think");
                return None;
            }
            (limit.saturating_mul(percent) / 100).clamp(LEAST_BUDGET, limit - 1)
        }
    };
    Some(json!({"type": "enabled", "budget_tokens": budget}))
}

fn output_config(
    format: Option<Format>,
    from: Dialect,
    judge: &mut Judge,
) -> Result<Option<Value>, BadRequest> {
    match format {
        None => Ok(None),
        Some(Format::Json) => {
            judge.loses(
                Loss::Changes,
                field(from, "response_format"),
                "Anthropic wants a schema; use json_schema",
            )?;
            Ok(None)
        }
        Some(Format::Schema { name, description, schema, strict }) => {
            if name.is_some() || description.is_some() {
                judge.notes(
                    field(from, "response_format"),
                    "Anthropic has no name or description of a schema",
                );
            }
            if strict == Some(false) {
                judge.notes(field(from, "response_format"), "Anthropic holds to a schema always");
            }
            Ok(Some(json!({"format": {"type": "json_schema", "schema": schema}})))
        }
    }
}

/// A member of chat as the client's dialect calls it.
pub(in crate::translate) fn field(from: Dialect, name: &'static str) -> &'static str {
    match (from, name) {
        (Dialect::OpenAiResponses, "max_tokens") => "max_output_tokens",
        (Dialect::OpenAiResponses, "reasoning_effort") => "reasoning.effort",
        (Dialect::OpenAiResponses, "response_format") => "text.format",
        _ => name,
    }
}

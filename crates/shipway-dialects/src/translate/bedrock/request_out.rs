//! Writes a request of Converse. The model and streaming are said by the path.

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::head::BadRequest;
use crate::translate::bedrock::blocks_out::{Blocks, cache_point, tool_name};
use crate::translate::chat::request_out::effort;
use crate::translate::fields::object;
use crate::translate::form::{Format, PartKind, Reasoning, Request, Role, ToolChoice, Turn};
use crate::translate::messages::request_out::{field, thinking};
use crate::translate::policy::{Judge, Loss, Maker, Options};
use crate::translate::write_known;

/// What goes through to the model itself, in its maker's words.
const MORE: &str = "additionalModelRequestFields";
/// Members of Converse that no other API has; whoever puts one into a request means Bedrock.
const OWN: [&str; 10] = [
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "inferenceConfig",
    "outputConfig",
    "performanceConfig",
    "projectIdentifier",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
    "toolConfig",
];

pub(in crate::translate) fn write(
    mut request: Request,
    from: Dialect,
    options: &Options,
    judge: &mut Judge,
) -> Result<Value, BadRequest> {
    let mut more = Map::new();
    let limit = think(&mut request, from, options, &mut more, judge)?;
    let mut blocks = Blocks::new(judge);
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("messages", Some(messages(std::mem::take(&mut request.turns), &mut blocks)?));
    let system = blocks.content(std::mem::take(&mut request.system))?;
    put("system", (!system.is_empty()).then(|| Value::from(system)));
    put("inferenceConfig", inference(&mut request, limit, judge)?);
    let has_calls = body_has_calls(body.get("messages"));
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("toolConfig", tools(&mut request, has_calls, judge)?);
    put("outputConfig", output(request.format.take(), from, judge)?);
    top_k(&mut request, options.maker, &mut more, judge)?;
    put("serviceTier", service_tier(&mut request));
    if request.user.is_some() {
        judge.notes("user", "Bedrock is told no user");
    }
    write_known(&mut body, request.known, (from, Dialect::BedrockConverse), judge)?;
    for (name, value) in request.rest {
        match (name.as_str(), value) {
            (MORE, Value::Object(members)) => more.extend(members),
            (own, value) if OWN.contains(&own) => drop(body.entry(name).or_insert(value)),
            (_, value) => drop(more.entry(name).or_insert(value)),
        }
    }
    if !more.is_empty() {
        body.insert(MORE.to_owned(), Value::Object(more));
    }
    Ok(Value::Object(body))
}

fn messages(turns: Vec<Turn>, blocks: &mut Blocks<'_>) -> Result<Value, BadRequest> {
    let mut messages = Vec::new();
    for Turn { role, mut parts } in turns {
        if role == Role::User {
            // Results come first in the turn that answers the calls.
            parts.sort_by_key(|part| !matches!(part.kind, PartKind::ToolResult { .. }));
        }
        let content = blocks.content(parts)?;
        // A turn of nothing says nothing, and is refused there.
        if !content.is_empty() {
            let role = if role == Role::User { "user" } else { "assistant" };
            messages.push(json!({"role": role, "content": content}));
        }
    }
    Ok(messages.into())
}

/// Whether tools were called before: then Bedrock insists on being told of tools.
fn body_has_calls(messages: Option<&Value>) -> bool {
    let messages = messages.and_then(Value::as_array);
    let mut blocks = messages.into_iter().flatten().filter_map(|message| message["content"].as_array());
    blocks.any(|blocks| {
        blocks.iter().any(|block| block.get("toolUse").is_some() || block.get("toolResult").is_some())
    })
}

fn inference(
    request: &mut Request,
    limit: Option<u64>,
    judge: &mut Judge,
) -> Result<Option<Value>, BadRequest> {
    let temperature = match request.temperature.take() {
        Some(temperature) if temperature.as_f64().is_some_and(|value| value > 1.0) => {
            let why = "Bedrock's range ends at 1, which is sent where this is let through";
            judge.loses(Loss::Changes, "temperature", why)?;
            Some(1.into())
        }
        other => other.map(Value::Number),
    };
    let stop = std::mem::take(&mut request.stop);
    let config = object([
        ("maxTokens", limit.map(Value::from)),
        ("temperature", temperature),
        ("topP", request.top_p.take().map(Value::Number)),
        ("stopSequences", (!stop.is_empty()).then(|| stop.into())),
    ]);
    Ok(config.as_object().is_some_and(|members| !members.is_empty()).then_some(config))
}

/// Says how to think in the words of the model's maker; returns the limit of the answer, which thoughts count towards.
fn think(
    request: &mut Request,
    from: Dialect,
    options: &Options,
    more: &mut Map<String, Value>,
    judge: &mut Judge,
) -> Result<Option<u64>, BadRequest> {
    let limit = request.max_output_tokens;
    let Some(reasoning) = request.reasoning.take() else { return Ok(limit) };
    match (options.maker, reasoning) {
        (Maker::Anthropic, Reasoning::Off) => Ok(limit),
        (Maker::Anthropic, reasoning) => {
            // A budget must be below the limit, so one is set where the request has none.
            let limit = limit.unwrap_or(options.default_max_output_tokens);
            if let Some(thinking) = thinking(Some(&reasoning), from, limit, judge) {
                more.insert("thinking".to_owned(), thinking);
            }
            Ok(Some(limit))
        }
        (Maker::OpenAi, reasoning) => {
            if let Some(effort) = effort(reasoning, judge) {
                more.insert("reasoning_effort".to_owned(), effort);
            }
            Ok(limit)
        }
        (Maker::Amazon, Reasoning::Off) => {
            more.insert("reasoningConfig".to_owned(), json!({"type": "disabled"}));
            Ok(limit)
        }
        (Maker::Amazon, reasoning) => {
            let effort = effort_of_nova(&reasoning, judge);
            let config = json!({"type": "enabled", "maxReasoningEffort": effort});
            more.insert("reasoningConfig".to_owned(), config);
            Ok(limit)
        }
        (Maker::Unknown, Reasoning::Off) => Ok(limit),
        (Maker::Unknown, _) => {
            let why = "Bedrock has no word for it that all models know; put the model's own into additionalModelRequestFields";
            judge.loses(Loss::Changes, field(from, "reasoning_effort"), why)?;
            Ok(limit)
        }
    }
}

/// Amazon's models know three efforts and no budgets.
fn effort_of_nova(reasoning: &Reasoning, judge: &mut Judge) -> &'static str {
    let effort = match reasoning {
        Reasoning::Effort(effort) => match effort.as_str() {
            "minimal" | "low" => "low",
            "medium" => "medium",
            _ => "high",
        },
        Reasoning::Budget(0..=4_096) => "low",
        Reasoning::Budget(16_385..) => "high",
        Reasoning::Budget(_) | Reasoning::Adaptive | Reasoning::Off => "medium",
    };
    if !matches!(reasoning, Reasoning::Effort(_)) {
        judge.notes(
            "reasoning",
            "Amazon's models know efforts, no budgets: low to 4,096 tokens, high above 16,384",
        );
    }
    effort
}

fn top_k(
    request: &mut Request,
    maker: Maker,
    more: &mut Map<String, Value>,
    judge: &mut Judge,
) -> Result<(), BadRequest> {
    let Some(top_k) = request.top_k.take() else { return Ok(()) };
    match maker {
        Maker::Anthropic => drop(more.insert("top_k".to_owned(), Value::Number(top_k))),
        Maker::Amazon => drop(more.insert("inferenceConfig".to_owned(), json!({"topK": top_k}))),
        Maker::OpenAi | Maker::Unknown => {
            judge.loses(Loss::Changes, "top_k", "Bedrock has no word for it that all models know")?;
        }
    }
    Ok(())
}

fn tools(request: &mut Request, has_calls: bool, judge: &mut Judge) -> Result<Option<Value>, BadRequest> {
    if request.parallel_tools == Some(false) {
        judge.notes("parallel_tool_calls", "Bedrock cannot be kept from calling several tools");
    }
    let choice = match request.tool_choice.take() {
        None => None,
        Some(ToolChoice::Auto) => Some(json!({"auto": {}})),
        Some(ToolChoice::Any) => Some(json!({"any": {}})),
        Some(ToolChoice::Named(name)) => Some(json!({"tool": {"name": name}})),
        // A tool that nobody tells the model of is called by no model.
        Some(ToolChoice::None) if !has_calls => {
            if !request.tools.is_empty() {
                judge.notes("tools", "Bedrock has no way to say that none may be called; they are left out");
                request.tools.clear();
            }
            None
        }
        Some(ToolChoice::None) => {
            let why = "Bedrock has no way to say that no tool may be called where some were called before";
            judge.loses(Loss::Changes, "tool_choice", why)?;
            None
        }
    };
    let mut tools = Vec::new();
    for (index, tool) in std::mem::take(&mut request.tools).into_iter().enumerate() {
        let spec = object([
            ("name", Some(tool_name(tool.name, &format!("tools[{index}]"))?.into())),
            ("description", tool.description.filter(|text| !text.is_empty()).map(Value::from)),
            ("inputSchema", Some(json!({"json": tool.parameters}))),
            ("strict", tool.strict.filter(|strict| *strict).map(Value::from)),
        ]);
        tools.push(json!({"toolSpec": spec}));
        tools.extend(tool.cache.as_ref().map(cache_point));
    }
    if tools.is_empty() {
        return Ok(None);
    }
    Ok(Some(object([("tools", Some(tools.into())), ("toolChoice", choice)])))
}

fn output(format: Option<Format>, from: Dialect, judge: &mut Judge) -> Result<Option<Value>, BadRequest> {
    match format {
        None => Ok(None),
        Some(Format::Json) => {
            let field = field(from, "response_format");
            judge.loses(Loss::Changes, field, "Bedrock wants a schema; use json_schema")?;
            Ok(None)
        }
        Some(Format::Schema { name, description, schema, strict }) => {
            if strict == Some(false) {
                judge.notes(field(from, "response_format"), "Bedrock holds to a schema always");
            }
            let schema = object([
                ("schema", Some(schema.to_string().into())),
                ("name", name.map(Value::from)),
                ("description", description.map(Value::from)),
            ]);
            let format = json!({"type": "json_schema", "structure": {"jsonSchema": schema}});
            Ok(Some(json!({"textFormat": format})))
        }
    }
}

/// Tiers that Bedrock has under the names that OpenAI has for them; others are judged with what is left.
fn service_tier(request: &mut Request) -> Option<Value> {
    let place = request.known.iter().position(|known| {
        known.name == "service_tier" && matches!(known.value.as_str(), Some("default" | "flex" | "priority"))
    })?;
    let tier = request.known.remove(place).value;
    Some(json!({"type": tier}))
}

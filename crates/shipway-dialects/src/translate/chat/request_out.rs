//! Writes a request of OpenAI's chat.

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::head::BadRequest;
use crate::translate::chat::messages_out::{messages, texts};
use crate::translate::fields::object;
use crate::translate::form::{Format, Reasoning, Request, ToolChoice};
use crate::translate::policy::{Judge, Loss, Options, OutputLimit};
use crate::translate::{write_known, write_rest};

pub(in crate::translate) fn write(
    mut request: Request,
    from: Dialect,
    options: &Options,
    judge: &mut Judge,
) -> Result<Value, BadRequest> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(Value::from(std::mem::take(&mut request.model))));
    let mut written = Vec::new();
    if !request.system.is_empty() {
        let system = texts(std::mem::take(&mut request.system), judge)?;
        written.push(json!({"role": "system", "content": system}));
    }
    messages(std::mem::take(&mut request.turns), &mut written, judge)?;
    put("messages", Some(written.into()));
    put("tools", tools(&mut request, judge));
    put("tool_choice", request.tool_choice.take().map(tool_choice));
    put("parallel_tool_calls", request.parallel_tools.map(Value::from));
    let limit = match options.output_limit {
        OutputLimit::MaxCompletionTokens => "max_completion_tokens",
        OutputLimit::MaxTokens => "max_tokens",
    };
    put(limit, request.max_output_tokens.map(Value::from));
    put("temperature", request.temperature.take().map(Value::Number));
    put("top_p", request.top_p.take().map(Value::Number));
    put("stop", (!request.stop.is_empty()).then(|| Value::from(std::mem::take(&mut request.stop))));
    put("response_format", request.format.take().map(format));
    put("reasoning_effort", request.reasoning.take().and_then(|reasoning| effort(reasoning, judge)));
    put("user", request.user.take().map(Value::from));
    if request.stream {
        put("stream", Some(true.into()));
        put("stream_options", Some(json!({"include_usage": true})));
    }
    if request.top_k.is_some() {
        judge.loses(Loss::Changes, "top_k", "OpenAI's chat has no top_k")?;
    }
    write_known(&mut body, request.known, (from, Dialect::OpenAiChat), judge)?;
    write_rest(&mut body, request.rest)?;
    Ok(Value::Object(body))
}

fn tools(request: &mut Request, judge: &mut Judge) -> Option<Value> {
    let tools = std::mem::take(&mut request.tools).into_iter().map(|tool| {
        if tool.cache.is_some() {
            judge.notes("tools.cache_control", "OpenAI caches by itself");
        }
        let function = object([
            ("name", Some(tool.name.into())),
            ("description", tool.description.map(Value::from)),
            ("parameters", Some(tool.parameters)),
            ("strict", tool.strict.map(Value::from)),
        ]);
        json!({"type": "function", "function": function})
    });
    let tools: Vec<Value> = tools.collect();
    (!tools.is_empty()).then(|| tools.into())
}

fn tool_choice(choice: ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn format(format: Format) -> Value {
    match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, description, schema, strict } => {
            let schema = object([
                // OpenAI insists on a name.
                ("name", Some(name.unwrap_or_else(|| "answer".to_owned()).into())),
                ("description", description.map(Value::from)),
                ("schema", Some(schema)),
                ("strict", strict.map(Value::from)),
            ]);
            json!({"type": "json_schema", "json_schema": schema})
        }
    }
}

/// A budget in tokens becomes an effort in words. Where nothing is to be thought, nothing is said: models that cannot
/// think refuse the member.
pub(in crate::translate) fn effort(reasoning: Reasoning, judge: &mut Judge) -> Option<Value> {
    match reasoning {
        Reasoning::Off => None,
        Reasoning::Adaptive => {
            judge.notes("thinking", "OpenAI's models think as much as they need without being asked");
            None
        }
        Reasoning::Effort(effort) => Some(effort.into()),
        Reasoning::Budget(budget) => {
            judge.notes(
                "thinking.budget_tokens",
                "OpenAI knows efforts, no budgets: low to 4,096 tokens, medium to 16,384, high above",
            );
            Some(
                match budget {
                    0..=4_096 => "low",
                    4_097..=16_384 => "medium",
                    _ => "high",
                }
                .into(),
            )
        }
    }
}

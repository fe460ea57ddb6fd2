//! Writes a request of OpenAI's responses.

use serde_json::{Map, Value, json};

use crate::dialect::Dialect;
use crate::head::BadRequest;
use crate::translate::chat::messages_out::texts;
use crate::translate::chat::request_out::effort;
use crate::translate::fields::object;
use crate::translate::form::{Format, Request, ToolChoice};
use crate::translate::policy::{Judge, Loss};
use crate::translate::responses::items_out::items;
use crate::translate::{write_known, write_rest};

pub(in crate::translate) fn write(
    mut request: Request,
    from: Dialect,
    judge: &mut Judge,
) -> Result<Value, BadRequest> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("model", Some(Value::from(std::mem::take(&mut request.model))));
    if !request.system.is_empty() {
        put("instructions", Some(texts(std::mem::take(&mut request.system), judge)?));
    }
    put("input", Some(items(std::mem::take(&mut request.turns), judge)?.into()));
    put("tools", tools(&mut request, judge));
    put("tool_choice", request.tool_choice.take().map(tool_choice));
    put("parallel_tool_calls", request.parallel_tools.map(Value::from));
    put("max_output_tokens", request.max_output_tokens.map(Value::from));
    put("temperature", request.temperature.take().map(Value::Number));
    put("top_p", request.top_p.take().map(Value::Number));
    put("text", text(&mut request));
    let effort = request.reasoning.take().and_then(|reasoning| effort(reasoning, judge));
    let thinks = effort.is_some();
    put("reasoning", effort.map(|effort| json!({"effort": effort})));
    put("user", request.user.take().map(Value::from));
    put("stream", request.stream.then(|| Value::from(true)));
    if !request.stop.is_empty() {
        judge.loses(Loss::Changes, "stop", "OpenAI's responses know no texts that end an answer")?;
    }
    if request.top_k.is_some() {
        judge.loses(Loss::Changes, "top_k", "OpenAI's responses have no top_k")?;
    }
    write_known(&mut body, request.known, (from, Dialect::OpenAiResponses), judge)?;
    // Nobody could go on from it: what was thought comes back sealed, with the conversation.
    body.entry("store").or_insert(false.into());
    if thinks {
        // Models that do not think refuse to be asked for it.
        body.insert("include".to_owned(), json!(["reasoning.encrypted_content"]));
    }
    write_rest(&mut body, request.rest)?;
    Ok(Value::Object(body))
}

fn tools(request: &mut Request, judge: &mut Judge) -> Option<Value> {
    let tools = std::mem::take(&mut request.tools).into_iter().map(|tool| {
        if tool.cache.is_some() {
            judge.notes("tools.cache_control", "OpenAI caches by itself");
        }
        object([
            ("type", Some("function".into())),
            ("name", Some(tool.name.into())),
            ("description", tool.description.map(Value::from)),
            ("parameters", Some(tool.parameters)),
            // What is not said is strict there, and most schemas are not written for that.
            ("strict", Some(tool.strict.unwrap_or(false).into())),
        ])
    });
    let tools: Vec<Value> = tools.collect();
    (!tools.is_empty()).then(|| tools.into())
}

fn tool_choice(choice: ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::Named(name) => json!({"type": "function", "name": name}),
    }
}

/// The format of the answer and its verbosity, which have one place.
fn text(request: &mut Request) -> Option<Value> {
    let format = request.format.take().map(|format| match format {
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, description, schema, strict } => object([
            ("type", Some("json_schema".into())),
            // OpenAI insists on a name.
            ("name", Some(name.unwrap_or_else(|| "answer".to_owned()).into())),
            ("description", description.map(Value::from)),
            ("schema", Some(schema)),
            ("strict", strict.map(Value::from)),
        ]),
    });
    let place = request.known.iter().position(|known| known.name == "verbosity");
    let verbosity = place.map(|place| request.known.remove(place).value);
    let text = object([("format", format), ("verbosity", verbosity)]);
    text.as_object().is_some_and(|members| !members.is_empty()).then_some(text)
}

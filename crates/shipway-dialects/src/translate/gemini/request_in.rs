//! Reads a request of Gemini. Members may be written in camel case or with underscores.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use crate::head::BadRequest;
use crate::translate::chat::request_in::{known, push};
use crate::translate::fields::Fields;
use crate::translate::form::{Format, Known, Part, Reasoning, Request, Role, Tool, ToolChoice};
use crate::translate::gemini::parts_in::read_parts;
use crate::translate::policy::{Judge, Loss};

/// Members that other dialects do not have.
const KNOWN: &[(&str, Loss, &str, &str)] = &[
    ("cachedContent", Loss::Shape, "", "has no content that was cached at Google"),
    ("safetySettings", Loss::Harmless, "[]", "has filters of its own"),
    ("labels", Loss::Harmless, "{}", "keeps no labels"),
    ("store", Loss::Harmless, "false", "does not store answers"),
    ("serviceTier", Loss::Harmless, "", "has other tiers of service"),
];

/// Members of the configuration that other dialects do not have.
const CONFIG: &[(&str, Loss, &str, &str)] = &[
    ("candidateCount", Loss::Shape, "1", "gives one answer to each request"),
    ("responseLogprobs", Loss::Shape, "false", "does not tell probabilities"),
    ("logprobs", Loss::Shape, "0", "does not tell probabilities"),
    ("responseModalities", Loss::Shape, "[\"TEXT\"]", "answers with text only"),
    ("speechConfig", Loss::Shape, "", "answers with text only"),
    ("imageConfig", Loss::Shape, "", "answers with text only"),
    ("seed", Loss::Changes, "", "has no seed"),
    ("presencePenalty", Loss::Changes, "0", "has no penalties"),
    ("frequencyPenalty", Loss::Changes, "0", "has no penalties"),
    ("mediaResolution", Loss::Changes, "", "has no resolution of media"),
];

pub(in crate::translate) fn read(
    body: Value,
    (model, stream): (&str, bool),
    judge: &mut Judge,
) -> Result<Request, BadRequest> {
    let mut fields = Fields::of(body, "")?;
    fields.camel_case();
    let mut request = Request { model: model.to_owned(), stream, ..Request::default() };
    let mut calls = Calls::default();
    if let Some(system) = fields.take("systemInstruction") {
        // A text alone is understood, too.
        let system = if system.is_string() { json!({"parts": [{"text": system}]}) } else { system };
        let mut content = Fields::of(system, "systemInstruction")?;
        request.system = read_parts(&mut content, &mut calls, judge)?;
    }
    let contents = fields.list("contents")?.ok_or_else(|| fields.wrong("contents", "is missing"))?;
    for (index, content) in contents.into_iter().enumerate() {
        let mut content = Fields::of(content, format!("contents[{index}]"))?;
        let role = match content.text("role")?.as_deref() {
            None | Some("user" | "function") => Role::User,
            Some("model") => Role::Assistant,
            Some(_) => return Err(content.wrong("role", "must be user or model")),
        };
        let parts = read_parts(&mut content, &mut calls, judge)?;
        push(&mut request, role, parts);
    }
    tools(&mut fields, &mut request)?;
    request.known = known(&mut fields, KNOWN);
    if let Some(config) = fields.object("generationConfig")? {
        read_config(config, &mut request)?;
    }
    fields.take("model");
    request.rest = fields.rest();
    Ok(request)
}

/// The calls of a conversation whose results have not come yet: Gemini may name them by their functions alone.
#[derive(Debug, Default)]
pub(in crate::translate) struct Calls {
    count: usize,
    open: HashMap<String, VecDeque<String>>,
}

impl Calls {
    pub(in crate::translate) fn begins(&mut self, id: Option<String>, name: &str) -> String {
        self.count += 1;
        let id = id.unwrap_or_else(|| format!("call_{}_{name}", self.count));
        self.open.entry(name.to_owned()).or_default().push_back(id.clone());
        id
    }

    pub(in crate::translate) fn ends(&mut self, id: Option<String>, name: &str) -> Option<String> {
        let open = self.open.get_mut(name)?;
        match id {
            Some(id) => {
                open.retain(|one| *one != id);
                Some(id)
            }
            None => open.pop_front(),
        }
    }
}

fn tools(fields: &mut Fields, request: &mut Request) -> Result<(), BadRequest> {
    for (index, tool) in fields.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut tool = Fields::of(tool, format!("tools[{index}]"))?;
        tool.camel_case();
        for (place, function) in
            tool.list("functionDeclarations")?.unwrap_or_default().into_iter().enumerate()
        {
            let mut function = Fields::of(function, format!("tools[{index}].functionDeclarations[{place}]"))?;
            function.camel_case();
            let schema =
                function.take("parametersJsonSchema").or(function.take("parameters").map(json_schema));
            request.tools.push(Tool {
                name: function.needs_text("name")?,
                description: function.text("description")?,
                parameters: schema.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
                strict: None,
                cache: None,
            });
        }
        if let Some(name) = tool.names().first() {
            return Err(tool.wrong(name, "runs at Google only; only functions can be carried across"));
        }
    }
    let Some(mut config) = fields.object("toolConfig")? else { return Ok(()) };
    config.camel_case();
    let Some(mut config) = config.object("functionCallingConfig")? else { return Ok(()) };
    config.camel_case();
    let allowed = config.list("allowedFunctionNames")?.unwrap_or_default();
    request.tool_choice = match (config.text("mode")?.as_deref(), allowed.as_slice()) {
        (None | Some("AUTO" | "MODE_UNSPECIFIED"), []) => Some(ToolChoice::Auto),
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some("ANY"), []) => Some(ToolChoice::Any),
        (Some("ANY"), [Value::String(name)]) => Some(ToolChoice::Named(name.clone())),
        _ => {
            return Err(
                config.wrong("mode", "only AUTO, NONE, ANY and one allowed function can be carried across")
            );
        }
    };
    Ok(())
}

fn read_config(mut config: Fields, request: &mut Request) -> Result<(), BadRequest> {
    config.camel_case();
    request.max_output_tokens = config.count("maxOutputTokens")?;
    request.temperature = config.number("temperature")?;
    request.top_p = config.number("topP")?;
    request.top_k = config.number("topK")?;
    for item in config.list("stopSequences")?.unwrap_or_default() {
        let Value::String(text) = item else {
            return Err(config.wrong("stopSequences", "must be a list of texts"));
        };
        request.stop.push(text);
    }
    let schema = config.take("responseJsonSchema").or(config.take("responseSchema").map(json_schema));
    let media_type = config.text("responseMimeType")?.unwrap_or_default();
    request.format = match (schema, media_type.as_str()) {
        (Some(schema), _) => Some(Format::Schema { name: None, description: None, schema, strict: None }),
        (None, "application/json") => Some(Format::Json),
        (None, "" | "text/plain") => None,
        (None, other) => {
            return Err(config.wrong("responseMimeType", format!("`{other}` cannot be carried across")));
        }
    };
    if let Some(mut thinking) = config.object("thinkingConfig")? {
        thinking.camel_case();
        let level = thinking.text("thinkingLevel")?;
        let budget = thinking.number("thinkingBudget")?.and_then(|budget| budget.as_i64());
        request.reasoning = match (level, budget) {
            (Some(level), _) => Some(Reasoning::Effort(level.to_lowercase())),
            (None, Some(0)) => Some(Reasoning::Off),
            (None, Some(budget)) => {
                Some(u64::try_from(budget).map_or(Reasoning::Adaptive, Reasoning::Budget))
            }
            (None, None) => None,
        };
    }
    request.known.extend(known(&mut config, CONFIG).into_iter().map(renamed));
    let left = config.names().into_iter().map(|name| Known {
        name: format!("generationConfig.{name}"),
        value: Value::Null,
        loss: Loss::Changes,
        why: "has no such setting",
    });
    request.known.extend(left);
    Ok(())
}

fn renamed(known: Known) -> Known {
    Known { name: format!("generationConfig.{}", known.name), ..known }
}

/// A schema of Gemini's own as a JSON schema: its types are in capitals, and null is a flag.
pub(crate) fn json_schema(schema: Value) -> Value {
    match schema {
        Value::Object(members) => {
            let nullable = members.get("nullable") == Some(&Value::Bool(true));
            let converted =
                members.into_iter().filter(|(name, _)| name != "nullable").map(|(name, value)| {
                    let value = match (name.as_str(), value) {
                        ("type", Value::String(kind)) if nullable => json!([kind.to_lowercase(), "null"]),
                        ("type", Value::String(kind)) => Value::String(kind.to_lowercase()),
                        // Names of properties are no words of the schema.
                        ("properties", Value::Object(properties)) => Value::Object(
                            properties.into_iter().map(|(name, value)| (name, json_schema(value))).collect(),
                        ),
                        ("enum" | "example" | "default" | "required", value) => value,
                        (_, value) => json_schema(value),
                    };
                    (name, value)
                });
            Value::Object(converted.collect())
        }
        Value::Array(items) => items.into_iter().map(json_schema).collect(),
        other => other,
    }
}

/// Thoughts whose proof comes behind them, as streams bring it, are one.
pub(in crate::translate) fn joins(parts: &mut Vec<Part>, text: &mut String) {
    use crate::translate::form::PartKind;
    if !text.is_empty() {
        return;
    }
    let mut words = Vec::new();
    while let Some(Part { kind: PartKind::Thinking { seal: None, .. }, .. }) = parts.last() {
        if let Some(Part { kind: PartKind::Thinking { text, .. }, .. }) = parts.pop() {
            words.push(text);
        }
    }
    words.reverse();
    *text = words.concat();
}

//! What other tracers call inputs, outputs, models, kinds of spans and tokens. What they say is repeated under the names that the
//! clients of the MLflow wire know, unless those are there already; nothing is taken away.
//!
//! The names are those of the OpenTelemetry conventions for generative AI, of OpenInference, OpenLLMetry, the Vercel AI SDK, Google
//! ADK, Laminar and Langfuse.

use serde_json::{Map, Value, json};

use super::{
    money::{cost, langfuse_usage},
    numbered::{answered, asked},
    value::spaced,
};

pub(super) const INPUTS: &str = "mlflow.spanInputs";
pub(super) const OUTPUTS: &str = "mlflow.spanOutputs";
pub(super) const SPAN_TYPE: &str = "mlflow.spanType";
pub(super) const USAGE: &str = "mlflow.chat.tokenUsage";
pub(super) const COST: &str = "mlflow.llm.cost";
pub(super) const MODEL: &str = "mlflow.llm.model";
pub(super) const PROVIDER: &str = "mlflow.llm.provider";
const TOOLS: &str = "mlflow.chat.tools";

struct Convention {
    /// The attribute that says what kind of span it is, and what its values mean.
    kind: (&'static str, &'static [(&'static str, &'static str)]),
    input_tokens: &'static str,
    output_tokens: &'static str,
    total_tokens: &'static str,
    cache_read: &'static str,
    /// The first that is there counts.
    cache_creation: &'static [&'static str],
    inputs: &'static [&'static str],
    outputs: &'static [&'static str],
    models: &'static [&'static str],
    provider: &'static str,
    tools: &'static str,
}

const NONE: Convention = Convention {
    kind: ("", &[]),
    input_tokens: "",
    output_tokens: "",
    total_tokens: "",
    cache_read: "",
    cache_creation: &[],
    inputs: &[],
    outputs: &[],
    models: &[],
    provider: "",
    tools: "",
};

/// The first convention that says something is believed.
const CONVENTIONS: [Convention; 8] = [
    OPEN_INFERENCE,
    GENERATIVE_AI,
    OPEN_LLMETRY,
    OPEN_LLMETRY_CALLS,
    Convention {
        inputs: &["gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_call_args"],
        outputs: &["gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response"],
        ..NONE
    },
    VERCEL_AI,
    LAMINAR,
    LANGFUSE,
];

const OPEN_INFERENCE: Convention = Convention {
    kind: (
        "openinference.span.kind",
        &[
            ("TOOL", "TOOL"),
            ("CHAIN", "CHAIN"),
            ("LLM", "LLM"),
            ("RETRIEVER", "RETRIEVER"),
            ("EMBEDDING", "EMBEDDING"),
            ("AGENT", "AGENT"),
            ("RERANKER", "RERANKER"),
            ("UNKNOWN", "UNKNOWN"),
            ("GUARDRAIL", "GUARDRAIL"),
            ("EVALUATOR", "EVALUATOR"),
        ],
    ),
    input_tokens: "llm.token_count.prompt",
    output_tokens: "llm.token_count.completion",
    total_tokens: "llm.token_count.total",
    cache_read: "llm.token_count.prompt_details.cache_read",
    cache_creation: &["llm.token_count.prompt_details.cache_write"],
    inputs: &["input.value"],
    outputs: &["output.value"],
    models: &["llm.response.model_name", "llm.model_name", "llm.request.model_name", "embedding.model_name"],
    provider: "llm.provider",
    ..NONE
};

const GENERATIVE_AI: Convention = Convention {
    kind: (
        "gen_ai.operation.name",
        &[
            ("chat", "CHAT_MODEL"),
            ("create_agent", "AGENT"),
            ("embeddings", "EMBEDDING"),
            ("execute_tool", "TOOL"),
            ("generate_content", "LLM"),
            ("invoke_agent", "AGENT"),
            ("invoke_workflow", "WORKFLOW"),
            ("plan", "CHAIN"),
            ("retrieval", "RETRIEVER"),
            ("text_completion", "LLM"),
            ("response", "LLM"),
        ],
    ),
    input_tokens: "gen_ai.usage.input_tokens",
    output_tokens: "gen_ai.usage.output_tokens",
    cache_read: "gen_ai.usage.cache_read.input_tokens",
    cache_creation: &["gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"],
    inputs: &["gen_ai.input.messages", "gen_ai.tool.call.arguments"],
    outputs: &["gen_ai.output.messages", "gen_ai.tool.call.result"],
    models: &["gen_ai.response.model", "gen_ai.request.model"],
    provider: "gen_ai.provider.name",
    tools: "gen_ai.tool.definitions",
    ..NONE
};

const OPEN_LLMETRY: Convention = Convention {
    kind: (
        "traceloop.span.kind",
        &[
            ("workflow", "WORKFLOW"),
            ("task", "TASK"),
            ("agent", "AGENT"),
            ("tool", "TOOL"),
            ("unknown", "UNKNOWN"),
        ],
    ),
    input_tokens: "gen_ai.usage.prompt_tokens",
    output_tokens: "gen_ai.usage.completion_tokens",
    total_tokens: "llm.usage.total_tokens",
    cache_read: "gen_ai.usage.cache_read_input_tokens",
    cache_creation: &["gen_ai.usage.cache_creation_input_tokens"],
    inputs: &["traceloop.entity.input"],
    outputs: &["traceloop.entity.output"],
    provider: "gen_ai.system",
    ..NONE
};

/// Calls of models say what they are by another attribute than everything else.
const OPEN_LLMETRY_CALLS: Convention = Convention {
    kind: (
        "llm.request.type",
        &[("chat", "CHAT_MODEL"), ("completion", "LLM"), ("embedding", "EMBEDDING"), ("rerank", "RERANKER")],
    ),
    total_tokens: "gen_ai.usage.total_tokens",
    ..NONE
};

const VERCEL_AI: Convention = Convention {
    kind: (
        "ai.operationId",
        &[
            ("ai.generateText", "LLM"),
            ("ai.generateText.doGenerate", "LLM"),
            ("ai.toolCall", "TOOL"),
            ("ai.streamText", "LLM"),
            ("ai.streamText.doStream", "LLM"),
            ("ai.generateObject", "LLM"),
            ("ai.generateObject.doGenerate", "LLM"),
            ("ai.streamObject", "LLM"),
            ("ai.streamObject.doStream", "LLM"),
            ("ai.embed", "EMBEDDING"),
            ("ai.embed.doEmbed", "EMBEDDING"),
            ("ai.embedMany", "EMBEDDING"),
        ],
    ),
    inputs: &["ai.prompt", "ai.toolCall.args", "ai.value", "ai.values"],
    outputs: &[
        "ai.response.text",
        "ai.toolCall.result",
        "ai.response.object",
        "ai.embedding",
        "ai.embeddings",
    ],
    ..NONE
};

const LAMINAR: Convention = Convention {
    kind: (
        "lmnr.span.type",
        &[
            ("LLM", "LLM"),
            ("TOOL", "TOOL"),
            ("DEFAULT", "CHAIN"),
            ("PIPELINE", "CHAIN"),
            ("EXECUTOR", "AGENT"),
            ("EVALUATOR", "EVALUATOR"),
            ("HUMAN_EVALUATOR", "EVALUATOR"),
            ("EVALUATION", "EVALUATOR"),
            ("CACHED", "LLM"),
        ],
    ),
    inputs: &["lmnr.span.input"],
    outputs: &["lmnr.span.output"],
    ..NONE
};

const LANGFUSE: Convention = Convention {
    kind: (
        "langfuse.observation.type",
        &[
            ("generation", "LLM"),
            ("embedding", "EMBEDDING"),
            ("tool", "TOOL"),
            ("retriever", "RETRIEVER"),
            ("agent", "AGENT"),
            ("chain", "CHAIN"),
            ("evaluator", "EVALUATOR"),
            ("guardrail", "GUARDRAIL"),
            ("span", "UNKNOWN"),
            ("event", "UNKNOWN"),
        ],
    ),
    inputs: &["langfuse.observation.input", "langfuse.trace.input"],
    outputs: &["langfuse.observation.output", "langfuse.trace.output"],
    models: &["langfuse.observation.model.name"],
    ..NONE
};

/// The JSON text of an attribute, unless it says nothing.
fn said<'a>(attributes: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let text = attributes.get(key)?.as_str()?;
    let nothing = match serde_json::from_str::<Value>(text) {
        Ok(Value::Null) | Ok(Value::Bool(false)) => true,
        Ok(Value::String(text)) => text.is_empty(),
        Ok(Value::Array(values)) => values.is_empty(),
        Ok(Value::Object(fields)) => fields.is_empty(),
        Ok(Value::Number(number)) => number.as_f64() == Some(0.0),
        Ok(Value::Bool(true)) | Err(_) => false,
    };
    (!nothing).then_some(text)
}

/// The text that an attribute says.
pub(super) fn text(attributes: &Map<String, Value>, key: &str) -> Option<String> {
    match serde_json::from_str(said(attributes, key)?) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The JSON object that an attribute says.
pub(super) fn object(attributes: &Map<String, Value>, key: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(said(attributes, key)?).ok()?;
    value.is_object().then_some(value)
}

fn tokens(attributes: &Map<String, Value>, key: &str) -> Option<i64> {
    match serde_json::from_str(attributes.get(key)?.as_str()?) {
        Ok(Value::Number(number)) => number.as_i64(),
        Ok(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    }
}

fn first<'a>(attributes: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| said(attributes, key))
}

/// Repeats under the known names what other conventions say of a span.
pub(super) fn translate(attributes: &mut Map<String, Value>) {
    let kind_is_open = match text(attributes, SPAN_TYPE) {
        None => true,
        Some(kind) => kind == "UNKNOWN",
    };
    let kind = CONVENTIONS.iter().find_map(|convention| {
        let word = text(attributes, convention.kind.0)?;
        convention.kind.1.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
    });
    if let (true, Some(kind)) = (kind_is_open, kind) {
        attributes.insert(SPAN_TYPE.to_owned(), json!(Value::from(kind).to_string()));
    }
    let found = |pick: &dyn Fn(&Convention) -> Option<String>| CONVENTIONS.iter().find_map(pick);
    let copied = [
        (
            INPUTS,
            found(&|one| first(attributes, one.inputs).map(str::to_owned)).or_else(|| asked(attributes)),
        ),
        (
            OUTPUTS,
            found(&|one| first(attributes, one.outputs).map(str::to_owned)).or_else(|| answered(attributes)),
        ),
        (USAGE, found(&|one| usage(attributes, one)).or_else(|| langfuse_usage(attributes))),
        (COST, cost(attributes)),
        (TOOLS, found(&|one| said(attributes, one.tools).map(str::to_owned))),
        (PROVIDER, found(&|one| said(attributes, one.provider).map(str::to_owned))),
        (MODEL, found(&|one| first(attributes, one.models).map(str::to_owned))),
    ];
    for (key, value) in copied {
        if let (false, Some(value)) = (attributes.contains_key(key), value) {
            attributes.insert(key.to_owned(), value.into());
        }
    }
    if !attributes.contains_key(MODEL) {
        let named = [INPUTS, OUTPUTS].iter().find_map(|key| {
            object(attributes, key)?.get("model")?.as_str().map(|model| Value::from(model).to_string())
        });
        if let Some(model) = named {
            attributes.insert(MODEL.to_owned(), model.into());
        }
    }
}

fn usage(attributes: &Map<String, Value>, convention: &Convention) -> Option<String> {
    let input = tokens(attributes, convention.input_tokens);
    let output = tokens(attributes, convention.output_tokens);
    let total = tokens(attributes, convention.total_tokens);
    let total = total.or_else(|| input.zip(output).and_then(|(input, output)| input.checked_add(output)));
    if input.is_none() && output.is_none() && total.is_none() {
        return None;
    }
    let mut usage = Map::new();
    for (kind, number) in [
        ("input_tokens", input),
        ("output_tokens", output),
        ("total_tokens", total),
        ("cache_read_input_tokens", tokens(attributes, convention.cache_read)),
        (
            "cache_creation_input_tokens",
            convention.cache_creation.iter().find_map(|key| tokens(attributes, key)),
        ),
    ] {
        if let Some(number) = number {
            usage.insert(kind.to_owned(), number.into());
        }
    }
    Some(spaced(&Value::Object(usage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(attributes: Value) -> Map<String, Value> {
        let mut attributes = attributes.as_object().unwrap().clone();
        translate(&mut attributes);
        attributes
    }

    #[test]
    fn what_others_say_is_repeated_under_known_names() {
        let found = translated(json!({
            "gen_ai.operation.name": "\"chat\"", "gen_ai.usage.input_tokens": "3", "gen_ai.usage.output_tokens": "\"4\"",
            "gen_ai.request.model": "\"m\"", "gen_ai.provider.name": "\"p\"",
            "gen_ai.input.messages": "[{\"role\": \"user\"}]", "gen_ai.output.messages": "[]",
        }));
        assert_eq!(found[SPAN_TYPE], "\"CHAT_MODEL\"");
        assert_eq!(found[USAGE], "{\"input_tokens\": 3, \"output_tokens\": 4, \"total_tokens\": 7}");
        assert_eq!((&found[MODEL], &found[PROVIDER]), (&json!("\"m\""), &json!("\"p\"")));
        assert_eq!(found[INPUTS], "[{\"role\": \"user\"}]");
        assert!(!found.contains_key(OUTPUTS), "an empty list says nothing");
    }

    #[test]
    fn what_is_known_already_stays() {
        let found = translated(json!({
            "openinference.span.kind": "\"LLM\"", "mlflow.spanType": "\"TOOL\"", "input.value": "\"other\"",
            "mlflow.spanInputs": "{\"model\": \"from inputs\"}",
        }));
        assert_eq!(found[SPAN_TYPE], "\"TOOL\"");
        assert_eq!(found[INPUTS], "{\"model\": \"from inputs\"}");
        assert_eq!(found[MODEL], "\"from inputs\"");
        assert_eq!(translated(json!({ "a": "1" })).len(), 1);
    }
}

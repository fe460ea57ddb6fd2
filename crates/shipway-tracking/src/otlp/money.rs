//! What a span says that it used and cost, where that is an object of its own, and where money stands in several attributes. Pure.

use serde_json::{Map, Value, json};

use super::{
    conventions::{object, text},
    value::spaced,
};

/// Where each part of a cost stands: of the input, of the output, of both.
const COSTS: [[&str; 3]; 2] = [
    ["llm.cost.prompt", "llm.cost.completion", "llm.cost.total"],
    ["gen_ai.usage.input_cost", "gen_ai.usage.output_cost", "gen_ai.usage.cost"],
];
const CACHE_READ: &str = "cache_read_input_tokens";
const LANGFUSE_COST: &str = "langfuse.observation.cost_details";
const LANGFUSE_USAGE: &str = "langfuse.observation.usage_details";
/// Names of MLflow's tokens, and those that Langfuse's senders have for them; the first that is there counts.
const LANGFUSE_TOKENS: [(&str, &[&str]); 5] = [
    ("input_tokens", &["input", "prompt_tokens", "input_tokens"]),
    ("output_tokens", &["output", "completion_tokens", "output_tokens"]),
    ("total_tokens", &["total", "total_tokens"]),
    (CACHE_READ, &["input_cached_tokens", "cache_read_input_tokens", "input_cache_read"]),
    ("cache_creation_input_tokens", &["cache_creation_input_tokens", "input_cache_creation"]),
];

/// An object that is sent as one, or as its JSON text.
fn object_or_text(attributes: &Map<String, Value>, key: &str) -> Option<Value> {
    object(attributes, key)
        .or_else(|| serde_json::from_str(&text(attributes, key)?).ok().filter(Value::is_object))
}

/// The cost, as MLflow's clients know it: dollars of input, of output, of both.
pub(super) fn cost(attributes: &Map<String, Value>) -> Option<String> {
    let number = |key: &str| serde_json::from_str::<Value>(attributes.get(key)?.as_str()?).ok()?.as_f64();
    let [input, output, total] = match object_or_text(attributes, LANGFUSE_COST) {
        Some(details) => ["input", "output", "total"].map(|name| details.get(name).and_then(Value::as_f64)),
        None => {
            COSTS.into_iter().map(|keys| keys.map(number)).find(|found| found.iter().any(Option::is_some))?
        }
    };
    let total = total.or_else(|| input.zip(output).map(|(input, output)| input + output));
    let mut cost = Map::new();
    for (name, dollars) in [("input_cost", input), ("output_cost", output), ("total_cost", total)] {
        if let Some(dollars) = dollars.filter(|dollars| dollars.is_finite()) {
            cost.insert(name.to_owned(), json!(dollars));
        }
    }
    (!cost.is_empty()).then(|| spaced(&Value::Object(cost)))
}

/// Tokens, as Langfuse's senders count them.
pub(super) fn langfuse_usage(attributes: &Map<String, Value>) -> Option<String> {
    let details = object_or_text(attributes, LANGFUSE_USAGE)?;
    let mut usage = Map::new();
    for (name, keys) in LANGFUSE_TOKENS {
        let found = keys.iter().find_map(|key| details.get(*key)?.as_i64()).or_else(|| {
            // What a provider said may be passed on as it was.
            let details = details.get("prompt_tokens_details").filter(|_| name == CACHE_READ)?;
            details.get("cached_tokens")?.as_i64()
        });
        if let Some(found) = found {
            usage.insert(name.to_owned(), found.into());
        }
    }
    let count = |name: &str| usage.get(name).and_then(Value::as_i64);
    if let (None, Some(input), Some(output)) =
        (count("total_tokens"), count("input_tokens"), count("output_tokens"))
    {
        usage.insert("total_tokens".to_owned(), input.saturating_add(output).into());
    }
    (!usage.is_empty()).then(|| spaced(&Value::Object(usage)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(value: Value) -> Map<String, Value> {
        let fields = value.as_object().unwrap().iter();
        fields.map(|(key, value)| (key.clone(), Value::from(value.to_string()))).collect()
    }

    fn read(found: Option<String>) -> Value {
        found.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn costs_are_read_wherever_a_convention_has_them() {
        for (sent, expected) in [
            (
                json!({ "llm.cost.prompt": 0.25, "llm.cost.completion": 0.5 }),
                json!({ "input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75 }),
            ),
            (json!({ "gen_ai.usage.cost": 0.5 }), json!({ "total_cost": 0.5 })),
            (
                json!({ "langfuse.observation.cost_details": "{\"input\": 0.25, \"output\": 0.25, \"total\": 0.5}" }),
                json!({ "input_cost": 0.25, "output_cost": 0.25, "total_cost": 0.5 }),
            ),
            (json!({ "llm.cost.total": "much" }), Value::Null),
            (json!({}), Value::Null),
        ] {
            assert_eq!(read(cost(&attributes(sent.clone()))), expected, "{sent}");
        }
    }

    #[test]
    fn tokens_of_langfuse_are_named_as_mlflow_names_them() {
        let sent = json!({ "langfuse.observation.usage_details": "{\"input\": 10, \"output\": 5, \"input_cached_tokens\": 4}" });
        assert_eq!(
            read(langfuse_usage(&attributes(sent))),
            json!({ "input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "cache_read_input_tokens": 4 })
        );
        let as_object = json!({ "langfuse.observation.usage_details": { "prompt_tokens": 1, "total": 3 } });
        assert_eq!(
            read(langfuse_usage(&attributes(as_object))),
            json!({ "input_tokens": 1, "total_tokens": 3 })
        );
        assert_eq!(langfuse_usage(&attributes(json!({ "langfuse.observation.usage_details": "x" }))), None);
    }
}

//! The shape that a request asks its answer to have.

use serde_json::{Value, json};

use crate::{dialect::Dialect, translate::json_schema};

/// The JSON schema that the text of an answer to this request should fit; none where it asks for none, or is none that can be read.
pub fn wanted_schema(dialect: Dialect, body: &[u8]) -> Option<Value> {
    let mut body: Value = serde_json::from_slice(body).ok()?;
    let any_object = || json!({ "type": "object" });
    match dialect {
        Dialect::OpenAiChat => {
            let format = body.get_mut("response_format")?;
            match format.get("type").and_then(Value::as_str)? {
                "json_schema" => {
                    Some(format.pointer_mut("/json_schema/schema").map_or_else(any_object, Value::take))
                }
                "json_object" => Some(any_object()),
                _ => None,
            }
        }
        Dialect::OpenAiResponses => {
            let format = body.pointer_mut("/text/format")?;
            match format.get("type").and_then(Value::as_str)? {
                "json_schema" => Some(format.get_mut("schema").map_or_else(any_object, Value::take)),
                "json_object" => Some(any_object()),
                _ => None,
            }
        }
        Dialect::AnthropicMessages => {
            let place = ["/output_config/format/schema", "/output_format/schema"];
            let place = place.into_iter().find(|place| body.pointer(place).is_some())?;
            body.pointer_mut(place).map(Value::take)
        }
        Dialect::GeminiGenerate => {
            let config = ["generationConfig", "generation_config"];
            let config = config.into_iter().find(|name| body.get(name).is_some())?;
            let mut take = |names: [&str; 2]| {
                let config = body.get_mut(config)?;
                let name = names.into_iter().find(|name| config.get(name).is_some())?;
                config.get_mut(name).map(Value::take)
            };
            let schema = take(["responseJsonSchema", "response_json_schema"])
                .or_else(|| take(["responseSchema", "response_schema"]).map(json_schema));
            schema.or_else(|| {
                let media_type = take(["responseMimeType", "response_mime_type"])?;
                (media_type == "application/json").then_some(Value::Bool(true))
            })
        }
        Dialect::OpenAiCompletions
        | Dialect::OpenAiEmbeddings
        | Dialect::OpenAiMedia
        | Dialect::OpenAiRealtime
        | Dialect::BedrockConverse
        | Dialect::GeminiEmbeddings
        | Dialect::VertexPredict
        | Dialect::BedrockInvoke => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(dialect: Dialect, body: Value) -> Option<Value> {
        wanted_schema(dialect, body.to_string().as_bytes())
    }

    #[test]
    fn every_api_says_it_in_its_own_place() {
        let schema = json!({ "type": "object", "required": ["a"] });
        let format = json!({ "type": "json_schema", "json_schema": { "name": "x", "schema": schema } });
        assert_eq!(wanted(Dialect::OpenAiChat, json!({ "response_format": format })), Some(schema.clone()));
        let format = json!({ "type": "json_schema", "name": "x", "schema": schema });
        assert_eq!(
            wanted(Dialect::OpenAiResponses, json!({ "text": { "format": format } })),
            Some(schema.clone())
        );
        let format = json!({ "format": { "type": "json_schema", "schema": schema } });
        assert_eq!(
            wanted(Dialect::AnthropicMessages, json!({ "output_config": format })),
            Some(schema.clone())
        );
        let config = json!({ "responseMimeType": "application/json", "responseJsonSchema": schema });
        assert_eq!(
            wanted(Dialect::GeminiGenerate, json!({ "generationConfig": config })),
            Some(schema.clone())
        );
        let own = json!({ "type": "OBJECT", "required": ["a"] });
        let config = json!({ "generationConfig": { "responseSchema": own } });
        assert_eq!(wanted(Dialect::GeminiGenerate, config), Some(schema));
    }

    #[test]
    fn json_without_a_schema_is_wanted_too_and_text_is_not() {
        let object = Some(json!({ "type": "object" }));
        let format = |kind: &str| json!({ "response_format": { "type": kind } });
        assert_eq!(wanted(Dialect::OpenAiChat, format("json_object")), object);
        assert_eq!(wanted(Dialect::OpenAiChat, format("text")), None);
        assert_eq!(
            wanted(Dialect::OpenAiResponses, json!({ "text": { "format": { "type": "json_object" } } })),
            object
        );
        let config = json!({ "generationConfig": { "responseMimeType": "application/json" } });
        assert_eq!(wanted(Dialect::GeminiGenerate, config), Some(json!(true)));
        for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages, Dialect::GeminiGenerate] {
            assert_eq!((wanted(dialect, json!({})), wanted_schema(dialect, b"{")), (None, None));
        }
    }
}

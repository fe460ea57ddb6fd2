//! Embeddings as Google and the models of Bedrock answer them. The same text has the same numbers wherever it is asked for.

use serde_json::{Value, json};

use crate::{
    ask::{Refused, list, text},
    dialects::openai::embeddings::numbers,
    script::{Script, UsageShape},
};

const DIMENSIONS: usize = 16;
const MOST_DIMENSIONS: usize = 8192;
/// The most contents of one batch of Gemini.
const MOST_OF_GEMINI: usize = 100;
/// The most texts of one request of Cohere.
const MOST_OF_COHERE: usize = 96;

fn vector(of: &Value, dimensions: Option<&Value>) -> Vec<f32> {
    let dimensions = dimensions.and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
    numbers(of, dimensions.unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS))
}

/// About four bytes for a token, unless the script says how many there are.
fn tokens(of: &Value, script: &Script) -> u64 {
    let bytes = of.as_str().map_or_else(|| of.to_string().len(), str::len);
    script.usage.input.unwrap_or_else(|| u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX))
}

/// What a content of Google says: a text that stands alone as it is, anything else whole.
fn said(request: &Value) -> Result<&Value, Refused> {
    let content = request.get("content").ok_or_else(|| Refused::invalid("* content: is not specified"))?;
    match list(content, "parts") {
        [] => Err(Refused::invalid("* content.parts: is not specified")),
        [only] if text(only, "text").is_some() => Ok(only.get("text").unwrap_or(only)),
        _ => Ok(content),
    }
}

/// `batchEmbedContents`: each request names the model that the path does.
pub(crate) fn batch(body: &Value, model: &str, script: &Script) -> Result<Value, Refused> {
    let requests = list(body, "requests");
    if requests.is_empty() {
        return Err(Refused::invalid("* BatchEmbedContentsRequest.requests: is not specified"));
    }
    if requests.len() > MOST_OF_GEMINI {
        return Err(Refused::invalid(
            "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch",
        ));
    }
    let mut embeddings = Vec::with_capacity(requests.len());
    let mut sum = 0;
    for request in requests {
        let named = text(request, "model").unwrap_or_default();
        if named.rsplit('/').next() != model.rsplit('/').next() {
            return Err(Refused::invalid(format!(
                "* model {named} is not the model of the batch, models/{model}"
            )));
        }
        let content = said(request)?;
        sum += tokens(content, script);
        embeddings.push(json!({"values": vector(content, request.get("outputDimensionality"))}));
    }
    let mut answer = json!({"embeddings": embeddings});
    put_usage(&mut answer, sum, script);
    Ok(answer)
}

/// `embedContent`, with its options beside the content or, as Vertex has them, in a configuration.
pub(crate) fn one(body: &Value, script: &Script) -> Result<Value, Refused> {
    let content = said(body)?;
    let config = body.get("embedContentConfig").unwrap_or(body);
    let mut answer = json!({"embedding": {"values": vector(content, config.get("outputDimensionality"))}});
    put_usage(&mut answer, tokens(content, script), script);
    Ok(answer)
}

fn put_usage(answer: &mut Value, tokens: u64, script: &Script) {
    if script.usage.shape != UsageShape::Never {
        answer["usageMetadata"] = json!({"promptTokenCount": tokens, "totalTokenCount": tokens});
    }
}

/// `predict` of Vertex. Models named after Gemini take one instance at a time.
pub(crate) fn predict(body: &Value, model: &str, script: &Script) -> Result<Value, Refused> {
    let instances = list(body, "instances");
    if instances.is_empty() || (model.contains("gemini") && instances.len() > 1) {
        return Err(Refused::invalid(format!("{} instance(s) is not allowed.", instances.len())));
    }
    let dimensions = body.get("parameters").and_then(|parameters| parameters.get("outputDimensionality"));
    let mut predictions = Vec::with_capacity(instances.len());
    for instance in instances {
        let content = instance
            .get("content")
            .filter(|content| content.is_string())
            .ok_or_else(|| Refused::invalid("instances[].content: Field required"))?;
        let statistics = json!({"token_count": tokens(content, script), "truncated": false});
        predictions
            .push(json!({"embeddings": {"values": vector(content, dimensions), "statistics": statistics}}));
    }
    Ok(json!({"predictions": predictions}))
}

/// `invoke` of a model that Bedrock has, and how many tokens it tells in a header.
pub(crate) fn invoke(body: &Value, model: &str, script: &Script) -> Result<(Value, u64), Refused> {
    let knows = |names: &[&str]| match body.as_object() {
        Some(members) => members.keys().find(|name| !names.contains(&name.as_str())).cloned(),
        None => Some("body".to_owned()),
    };
    let malformed = |name: String| {
        Err(Refused::invalid(format!(
            "Malformed input request: extraneous key [{name}] is not permitted, please reformat your input and try again."
        )))
    };
    if model.contains("titan-embed") {
        if let Some(name) = knows(&["inputText", "dimensions", "normalize", "embeddingTypes"]) {
            return malformed(name);
        }
        let said = body.get("inputText").filter(|text| text.is_string());
        let said = said
            .ok_or_else(|| Refused::invalid("Malformed input request: required key [inputText] not found"))?;
        let counted = tokens(said, script);
        return Ok((
            json!({"embedding": vector(said, body.get("dimensions")), "inputTextTokenCount": counted}),
            counted,
        ));
    }
    if !model.contains("cohere.embed") {
        return Err(Refused::invalid("The provided model doesn't support embeddings here."));
    }
    if let Some(name) = knows(&["texts", "input_type", "embedding_types", "truncate", "output_dimension"]) {
        return malformed(name);
    }
    let texts = list(body, "texts");
    if texts.is_empty() || texts.len() > MOST_OF_COHERE || text(body, "input_type").is_none() {
        return Err(Refused::invalid(
            "Malformed input request: texts (96 at most) and input_type are required",
        ));
    }
    let counted = texts.iter().map(|text| tokens(text, script)).sum();
    let vectors: Vec<_> = texts.iter().map(|text| vector(text, body.get("output_dimension"))).collect();
    let embeddings =
        if body.get("embedding_types").is_some() { json!({"float": vectors}) } else { json!(vectors) };
    Ok((
        json!({"id": "mock", "embeddings": embeddings, "response_type": "embeddings_by_type", "texts": texts}),
        counted,
    ))
}

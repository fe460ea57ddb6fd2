//! Embeddings: numbers that stand for a text, the same for the same text.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{
    ask::{Ask, Refused, text},
    delay::Chance,
    script::{Script, UsageShape},
};

const DIMENSIONS: usize = 16;
const MOST_DIMENSIONS: usize = 8192;

pub(crate) fn read(body: &Value) -> Result<Ask, Refused> {
    let model = text(body, "model").ok_or_else(|| Refused::invalid("you must provide a model parameter"))?;
    if body.get("input").is_none() {
        return Err(Refused::at("input", "Missing required parameter: 'input'."));
    }
    Ok(Ask { model: model.to_owned(), messages: inputs(body).len(), ..Ask::default() })
}

/// Each text, or list of tokens, that is asked for.
fn inputs(body: &Value) -> Vec<&Value> {
    match body.get("input") {
        Some(Value::Array(many)) if many.first().is_some_and(|one| !one.is_number()) => many.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

pub(crate) fn whole(ask: &Ask, body: &Value, script: &Script) -> Value {
    let dimensions = body
        .get("dimensions")
        .and_then(Value::as_u64)
        .and_then(|dimensions| usize::try_from(dimensions).ok());
    let dimensions = dimensions.unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS);
    let in_base64 = text(body, "encoding_format") == Some("base64");
    let data: Vec<_> = inputs(body)
        .into_iter()
        .enumerate()
        .map(|(index, input)| {
            let numbers = numbers(input, dimensions);
            let embedding = if in_base64 { encoded(&numbers) } else { json!(numbers) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut answer = json!({"object": "list", "data": data, "model": ask.model});
    if script.usage.shape != UsageShape::Never {
        let tokens = script
            .usage
            .input
            .unwrap_or_else(|| u64::try_from(ask.body_bytes.div_ceil(4)).unwrap_or(u64::MAX));
        answer["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    }
    answer
}

fn encoded(numbers: &[f32]) -> Value {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Value::from(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// A vector of length 1, drawn from the text.
pub(crate) fn numbers(input: &Value, dimensions: usize) -> Vec<f32> {
    let text = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
    let mut chance = Chance::new(u64::from(crc32fast::hash(text.as_bytes())));
    let drawn: Vec<f64> = (0..dimensions).map(|_| chance.unit().mul_add(2.0, -1.0)).collect();
    let length = drawn.iter().map(|number| number * number).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    #[expect(clippy::cast_possible_truncation, reason = "embeddings have 32 bits")]
    drawn.into_iter().map(|number| (number / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_vectors_of_length_one() {
        let vector = numbers(&json!("a text"), 16);
        assert_eq!(vector, numbers(&json!("a text"), 16));
        assert_ne!(vector, numbers(&json!("another"), 16));
        assert!((vector.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

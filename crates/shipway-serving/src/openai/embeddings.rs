//! Embeddings of texts.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use shipway_runtime::text::normalize;

use super::{
    Refusal,
    request::{Asked, Encoding},
};
use crate::service::Serving;

#[derive(Serialize)]
struct Answer {
    object: &'static str,
    data: Vec<Embedding>,
    model: String,
    usage: Usage,
}

#[derive(Serialize)]
struct Embedding {
    object: &'static str,
    index: usize,
    embedding: Numbers,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Numbers {
    Float(Vec<f32>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

/// Embeds texts.
pub(super) async fn embeddings(
    serving: &Serving,
    body: serde_json::Map<String, serde_json::Value>,
) -> Response {
    match answer(serving, body).await {
        Ok(answer) => Json(answer).into_response(),
        Err(refusal) => refusal.answer(),
    }
}

async fn answer(
    serving: &Serving,
    body: serde_json::Map<String, serde_json::Value>,
) -> Result<Answer, Refusal> {
    let Asked { model, inputs, encoding, dimensions, user } = Asked::read(body)?;
    let embedder = serving.embedder(&model).await?;
    if let Some(dimensions) = dimensions.filter(|dimensions| !embedder.has_dimensions(*dimensions)) {
        let reason = format!(
            "model {model} has no embeddings of {dimensions} dimensions; its own has {}",
            embedder.width()
        );
        return Err(Refusal::of("dimensions", reason));
    }
    let embedded = embedder.embed(inputs, user).await?;
    let vectors = embedded.vectors.into_iter().enumerate();
    let data = vectors.map(|(index, vector)| {
        let vector = shortened(vector, dimensions);
        let embedding = match encoding {
            Encoding::Float => Numbers::Float(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                Numbers::Base64(STANDARD.encode(bytes))
            }
        };
        Embedding { object: "embedding", index, embedding }
    });
    let tokens = embedded.tokens;
    Ok(Answer {
        object: "list",
        data: data.collect(),
        model,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    })
}

/// The first numbers of an embedding, made one of length one again.
fn shortened(mut vector: Vec<f32>, dimensions: Option<usize>) -> Vec<f32> {
    let Some(dimensions) = dimensions.filter(|dimensions| *dimensions < vector.len()) else { return vector };
    vector.truncate(dimensions);
    normalize(&mut vector);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_dimensions_have_length_one_again() {
        assert_eq!(shortened(vec![3.0, 4.0, 12.0], Some(2)), [0.6, 0.8]);
        assert_eq!(shortened(vec![0.0, 0.0, 1.0], Some(2)), [0.0, 0.0]);
        assert_eq!(shortened(vec![3.0, 4.0], Some(2)), [3.0, 4.0]);
        assert_eq!(shortened(vec![3.0, 4.0], None), [3.0, 4.0]);
    }
}

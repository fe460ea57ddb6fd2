//! Texts become embeddings: counted, refused when they are too long, and run like the texts of any other wire.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use shipway_core::Timestamp;
use shipway_runtime::{
    tensor::{Elements, Tensor},
    text::{EMBEDDING, MAX_TEXT_BYTES, TEXT, TOKENS, TextModel, TextTask},
};

use super::{Serving, Source, Target, TensorQuestion};
use crate::{batching::Urgency, error::ServingError, model::prediction::MAX_ROWS, openai::Inputs};

/// A deployment that embeds, with the version that answers.
pub(crate) struct Embedder {
    serving: Serving,
    target: Target,
}

/// What texts became.
pub(crate) struct Embedded {
    /// One per text, in order.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// The tokens of all texts as the model saw them, those around each included.
    pub(crate) tokens: usize,
}

impl Serving {
    /// The deployment of this name, if it embeds texts that come with the request; loaded if it is parked.
    pub(crate) async fn embedder(&self, name: &str) -> Result<Embedder, ServingError> {
        self.embedder_of(self.target(name, None).await?)
    }

    /// The same unless it is parked.
    pub(crate) fn loaded_embedder(&self, name: &str) -> Result<Embedder, ServingError> {
        self.embedder_of(self.loaded_target(name, None)?)
    }

    fn embedder_of(&self, target: Target) -> Result<Embedder, ServingError> {
        let served = &target.served;
        let embeds = served.model.text().is_some_and(|text| text.task() == TextTask::Embed);
        match embeds && matches!(served.source, Source::Direct { .. }) {
            true => Ok(Embedder { serving: self.clone(), target }),
            false => Err(ServingError::NoEmbeddings(target.deployment.name.to_string())),
        }
    }
}

impl Embedder {
    /// Since when its version answers.
    pub(crate) fn since(&self) -> Timestamp {
        self.target.served.since
    }

    /// Dimensions of an embedding.
    pub(crate) fn width(&self) -> usize {
        self.target.served.model.outputs()
    }

    /// Whether the first so many numbers of an embedding are one too.
    pub(crate) fn has_dimensions(&self, dimensions: usize) -> bool {
        self.target.served.model.text().is_some_and(|text| text.has_dimensions(dimensions))
    }

    /// Embeds texts, all of them or none. A text with more tokens than the model takes is refused, if the model's settings do not say
    /// that it is cut. `key` is who asks, where a launch decides by it.
    pub(crate) async fn embed(&self, inputs: Inputs, key: Option<String>) -> Result<Embedded, ServingError> {
        let text = self.target.served.model.text().ok_or(ServingError::ModelFailed)?;
        let (counts, parts): (Vec<usize>, Vec<Tensor>) = match inputs {
            Inputs::Texts(texts) => {
                let texts = Arc::new(texts);
                let counts = self.counts(Arc::clone(&texts)).await?;
                (counts, texts.chunks(MAX_ROWS).map(text_tensor).collect())
            }
            Inputs::Tokens(rows) => {
                let part = |rows: &[Vec<i64>]| token_tensor(rows, text.max_tokens());
                (rows.iter().map(Vec::len).collect(), rows.chunks(MAX_ROWS).map(part).collect())
            }
        };
        refuse_long(text, &counts)?;
        let tokens = counts.iter().map(|count| (*count).min(text.max_tokens())).sum();
        let mut vectors = Vec::with_capacity(counts.len());
        for part in parts {
            let question = TensorQuestion {
                inputs: vec![part],
                wanted: vec![EMBEDDING.to_owned()],
                urgency: Urgency::default(),
                key: key.clone(),
            };
            let answer = self.serving.ask(&self.target, question, Instant::now()).await?;
            let Some(Elements::Fp32(numbers)) =
                answer.outputs.into_iter().next().map(|output| output.elements)
            else {
                return Err(ServingError::ModelFailed);
            };
            vectors.extend(numbers.chunks_exact(self.width().max(1)).map(<[f32]>::to_vec));
        }
        Ok(Embedded { vectors, tokens })
    }

    /// The tokens of each text, counted where it holds up nobody.
    async fn counts(&self, texts: Arc<Vec<String>>) -> Result<Vec<usize>, ServingError> {
        if let Some((input, text)) = texts.iter().enumerate().find(|(_, text)| text.len() > MAX_TEXT_BYTES) {
            let bytes = text.len();
            let reason = format!("input {input} has {bytes} bytes; at most {MAX_TEXT_BYTES} are read");
            return Err(ServingError::WrongRequest(reason));
        }
        let served = Arc::clone(&self.target.served);
        let count = move || {
            let text = served.model.text()?;
            Some(texts.iter().map(|one| text.count(one)).collect())
        };
        let counted = self.serving.inner.tracker.spawn_blocking(count).await;
        counted.ok().flatten().ok_or(ServingError::ModelFailed)
    }
}

fn refuse_long(text: &TextModel, counts: &[usize]) -> Result<(), ServingError> {
    let limit = text.max_tokens();
    match counts.iter().enumerate().find(|(_, count)| **count > limit && !text.truncates()) {
        Some((input, tokens)) => Err(ServingError::TooManyTokens { input, tokens: *tokens, limit }),
        None => Ok(()),
    }
}

fn text_tensor(texts: &[String]) -> Tensor {
    let elements = texts.iter().map(|text| Bytes::from(text.clone())).collect();
    Tensor { name: TEXT.to_owned(), shape: vec![texts.len()], elements: Elements::Bytes(elements) }
}

/// Rows of tokens, each cut to `most` and filled up with -1 to the longest.
pub(super) fn token_tensor(rows: &[Vec<i64>], most: usize) -> Tensor {
    let width = rows.iter().map(|row| row.len().min(most)).max().unwrap_or(0);
    let cells = rows.iter().flat_map(|row| row.iter().copied().chain(std::iter::repeat(-1)).take(width));
    Tensor {
        name: TOKENS.to_owned(),
        shape: vec![rows.len(), width],
        elements: Elements::Int64(cells.collect()),
    }
}

//! Embeddings, across APIs: texts go out in the words of a provider, and what comes back is numbers, which all of them mean alike.
//!
//! - `form`: what all of them can say
//! - `openai`, `gemini`: clients and providers ↔ the form; `vertex`, `bedrock`: what providers alone speak

mod bedrock;
mod form;
mod gemini;
mod openai;
mod vertex;

use bytes::Bytes;
use serde_json::Value;

use crate::dialect::Dialect;
use crate::failure::{ApiError, Cause};
use crate::head::BadRequest;
use crate::translate::policy::{Dropped, Judge, Lossy, refusal};
use crate::translate::{Context, Untranslatable, parse};
use crate::usage::Usage;
use form::{Embed, Vectors};

/// The most texts of a call that goes to a provider one by one.
pub const MOST_ONE_BY_ONE: usize = 256;

/// How a provider is asked for embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedder {
    /// OpenAI's `/v1/embeddings`.
    OpenAi,
    /// Gemini's `:batchEmbedContents`, of 100 texts at most.
    Gemini,
    /// Vertex's `:predict`, of 250 texts at most.
    VertexPredict,
    /// The same of a model that takes one text at a time.
    VertexPredictOne,
    /// Vertex's `:embedContent`, of one text.
    VertexContent,
    /// Titan of Amazon at Bedrock, of one text: the first version, which knows no dimensions.
    TitanFirst,
    /// Titan of Amazon at Bedrock, of one text.
    Titan,
    /// Cohere at Bedrock, of 96 texts at most: up to version 3, whose vectors have one length.
    CohereThird,
    /// Cohere at Bedrock, of 96 texts at most.
    Cohere,
}

impl Embedder {
    /// How Vertex is asked for a model of Google.
    pub fn at_vertex(model: &str) -> Self {
        let id = model.rsplit_once('/').map_or(model, |(_, id)| id);
        match id {
            id if id.starts_with("gemini-embedding-001") || id.starts_with("gemini-embedding-exp") => {
                Self::VertexPredictOne
            }
            id if id.contains("gemini") => Self::VertexContent,
            _ => Self::VertexPredict,
        }
    }

    /// How Bedrock is asked for a model, by its id; none where nobody here knows.
    pub fn at_bedrock(model: &str) -> Option<Self> {
        let id = model.rsplit_once('/').map_or(model, |(_, id)| id);
        let is_of = |maker: &str| id.find(maker).map(|at| &id[at + maker.len()..]);
        if let Some(name) = is_of("amazon.titan-embed-") {
            let is_first = name.starts_with("text-v1") || name.starts_with("g1");
            let known = is_first || name.starts_with("text-v2");
            return known.then_some(if is_first { Self::TitanFirst } else { Self::Titan });
        }
        let name = is_of("cohere.embed-")?;
        let is_third = name.starts_with("english-v3") || name.starts_with("multilingual-v3");
        Some(if is_third { Self::CohereThird } else { Self::Cohere })
    }

    /// The dialect of its requests and answers.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi => Dialect::OpenAiEmbeddings,
            Self::Gemini | Self::VertexContent => Dialect::GeminiEmbeddings,
            Self::VertexPredict | Self::VertexPredictOne => Dialect::VertexPredict,
            Self::TitanFirst | Self::Titan | Self::CohereThird | Self::Cohere => Dialect::BedrockInvoke,
        }
    }

    /// The path behind a provider's address, or what is done with the model.
    pub const fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "embeddings",
            Self::Gemini => "batchEmbedContents",
            Self::VertexContent => "embedContent",
            Self::VertexPredict | Self::VertexPredictOne => "predict",
            Self::TitanFirst | Self::Titan | Self::CohereThird | Self::Cohere => "invoke",
        }
    }

    /// Whose words, for people.
    const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "OpenAI's embeddings",
            Self::Gemini => "Gemini",
            Self::VertexPredict | Self::VertexPredictOne | Self::VertexContent => "Vertex",
            Self::TitanFirst | Self::Titan => "Titan",
            Self::CohereThird | Self::Cohere => "Cohere",
        }
    }

    const fn takes_one(self) -> bool {
        matches!(self, Self::VertexPredictOne | Self::VertexContent | Self::TitanFirst | Self::Titan)
    }

    /// How many texts a call of a client may have.
    const fn most_texts(self) -> usize {
        match self {
            Self::OpenAi => 2_048,
            Self::Gemini => 100,
            Self::VertexPredict => 250,
            Self::CohereThird | Self::Cohere => 96,
            _ => MOST_ONE_BY_ONE,
        }
    }
}

/// Whether requests for embeddings in a client's dialect can go to others.
pub const fn can_embed(from: Dialect) -> bool {
    matches!(from, Dialect::OpenAiEmbeddings | Dialect::GeminiEmbeddings)
}

/// Requests for the embeddings of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedding {
    /// The bodies to send, in the order of the texts: one, or one for each text where the provider takes one at a time.
    pub bodies: Vec<Bytes>,
    /// What was left out or set on the way.
    pub dropped: Vec<Dropped>,
    /// What the answer is to be like.
    pub shape: Shape,
}

/// What the answer to a client is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    texts: usize,
    in_base64: bool,
    /// The answer is one vector, not a list.
    is_one: bool,
}

/// Translates a request for embeddings from a client's dialect. `model` is what the provider calls the model. Refuses, naming the member,
/// what cannot be carried across.
pub fn embed_request(
    from: Dialect,
    to: Embedder,
    model: &str,
    body: &[u8],
    lossy: Lossy,
) -> Result<Embedding, BadRequest> {
    if !can_embed(from) {
        return Err(refusal("model", Untranslatable { from, to: to.dialect() }.to_string()));
    }
    let mut judge = Judge::new(lossy);
    let body = parse(body)?;
    let (embed, shape) = match from {
        Dialect::GeminiEmbeddings => gemini::read(body)?,
        _ => openai::read(body, to)?,
    };
    if embed.texts.len() > to.most_texts() {
        let problem = format!(
            "{} is asked for at most {} texts at once, and these are {}",
            to.name(),
            to.most_texts(),
            embed.texts.len()
        );
        return Err(refusal(embed.field, problem));
    }
    let bodies = if to.takes_one() {
        embed.each().map(|one| write(to, model, one, &mut judge)).collect::<Result<_, _>>()?
    } else {
        vec![write(to, model, embed, &mut judge)?]
    };
    Ok(Embedding { bodies, dropped: judge.dropped, shape })
}

fn write(to: Embedder, model: &str, embed: Embed, judge: &mut Judge) -> Result<Bytes, BadRequest> {
    let written = match to {
        Embedder::OpenAi => openai::write(model, embed, judge)?,
        Embedder::Gemini => gemini::write(model, embed, judge),
        Embedder::VertexContent => vertex::content(embed, judge)?,
        Embedder::VertexPredict | Embedder::VertexPredictOne => vertex::predict(embed, judge),
        Embedder::TitanFirst | Embedder::Titan => bedrock::titan(to, embed, judge)?,
        Embedder::CohereThird | Embedder::Cohere => bedrock::cohere(to, embed, judge)?,
    };
    Ok(Bytes::from(written.to_string()))
}

/// What a provider says that one answer of embeddings used; none where it does not say. `header` is the count of tokens that Bedrock tells
/// in a header.
pub fn embed_usage(from: Embedder, body: &[u8], header: Option<u64>) -> Option<Usage> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let input = match from {
        Embedder::OpenAi => {
            let mut usage = Usage::default();
            return usage.take(Dialect::OpenAiEmbeddings, value.get("usage")?).then_some(usage);
        }
        Embedder::Gemini | Embedder::VertexContent => gemini::tokens(&value),
        Embedder::VertexPredict | Embedder::VertexPredictOne => vertex::tokens(&value),
        Embedder::TitanFirst | Embedder::Titan => bedrock::titan_tokens(&value).or(header),
        Embedder::CohereThird | Embedder::Cohere => header,
    };
    input.map(|input| Usage { input, ..Usage::default() })
}

/// Translates the answers to the requests of one call, in their order. `usage` is what all of them used, where their provider said so; an
/// API that insists on usage is told an estimate where it did not. What is not one vector for each text is a failure of the provider.
pub fn embed_answer(
    from: Embedder,
    to: Dialect,
    (bodies, shape): (&[Bytes], Shape),
    usage: Option<Usage>,
    context: &Context<'_>,
) -> Result<Bytes, ApiError> {
    let mut vectors = Vectors::new();
    for body in bodies {
        let value: Value = serde_json::from_slice(body).map_err(|error| broken(&error.to_string()))?;
        if value.get("error").is_some_and(|error| !error.is_null()) {
            return Err(ApiError::of_frame(body));
        }
        let read = match from {
            Embedder::OpenAi => openai::vectors(&value),
            Embedder::Gemini | Embedder::VertexContent => gemini::vectors(&value),
            Embedder::VertexPredict | Embedder::VertexPredictOne => vertex::vectors(&value),
            Embedder::TitanFirst | Embedder::Titan => bedrock::titan_vectors(&value),
            Embedder::CohereThird | Embedder::Cohere => bedrock::cohere_vectors(&value),
        };
        vectors.extend(read.ok_or_else(|| broken("a vector is missing, or is none"))?);
    }
    if vectors.len() != shape.texts {
        return Err(broken(&format!("there are {} vectors for {} texts", vectors.len(), shape.texts)));
    }
    let written = match to {
        Dialect::GeminiEmbeddings => gemini::answer(vectors, shape.is_one, usage),
        _ => openai::answer(&vectors, shape.in_base64, usage, context),
    };
    Ok(Bytes::from(written.to_string()))
}

fn broken(problem: &str) -> ApiError {
    ApiError::new(Cause::Upstream, format!("the provider's answer cannot be read: {problem}"))
}

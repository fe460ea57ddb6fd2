//! In which API a deployment is asked for a call: the caller's where its provider has it, another one where the call can be translated.

use shipway_dialects::{
    Dialect, Family,
    translate::{self, Embedder, Maker},
};

use super::Api;
use crate::{
    address::{COUNT_TOKENS, COUNT_TOKENS_OF_BEDROCK, COUNT_TOKENS_OF_GEMINI, INPUT_TOKENS},
    model::{DeploymentSpec, ProviderKind},
    service::Deployment,
};

/// How a deployment is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) dialect: Dialect,
    /// Behind the provider's address; of Google and Bedrock what is done with the model.
    pub(super) path: &'static str,
    pub(super) how: How,
}

/// What becomes of the call's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// They pass.
    Passing,
    /// What is to be written is translated.
    Written,
    /// What is to be counted is.
    Counted,
    /// Texts whose embeddings are wanted are.
    Embedded(Embedder),
}

impl Api {
    /// Whether tokens are counted.
    pub(super) fn counts(self) -> bool {
        matches!(self.path, COUNT_TOKENS | COUNT_TOKENS_OF_GEMINI | INPUT_TOKENS)
    }

    /// As refusals call it.
    pub(super) fn name(self) -> String {
        if self.counts() { format!("{} for counting", self.dialect) } else { self.dialect.to_string() }
    }
}

impl Deployment {
    /// How it is asked; none: it cannot be.
    pub(super) fn spoken_to(&self, api: Api) -> Option<Spoken> {
        spoken_to(self.provider.as_ref()?.kind(), &self.spec, api)
    }
}

fn spoken_to(kind: ProviderKind, spec: &DeploymentSpec, api: Api) -> Option<Spoken> {
    let family = kind.family(&spec.model);
    let has = |path: &str| family != Family::OpenAi || spec.serves(path);
    let embeds = translate::can_embed(api.dialect);
    // Vertex has Gemini's models, and other words for their embeddings.
    let is_its_own = family == api.dialect.family() && !(embeds && kind == ProviderKind::Vertex);
    if is_its_own && has(api.path) {
        return Some(Spoken { dialect: api.dialect, path: api.path, how: How::Passing });
    }
    if embeds {
        let embedder = embedder(kind, &spec.model)?;
        let (dialect, path) = (embedder.dialect(), embedder.path());
        return has(path).then_some(Spoken { dialect, path, how: How::Embedded(embedder) });
    }
    if api.counts() {
        let (dialect, path) = counter(family, &spec.model)?;
        let can = has(path) && translate::can_count(api.dialect, dialect);
        return can.then_some(Spoken { dialect, path, how: How::Counted });
    }
    let others = [kind.chat(&spec.model), (Dialect::OpenAiResponses, "responses")];
    let others = others.into_iter().filter(|(dialect, path)| dialect.family() == family && has(path));
    let mut written = others.filter(|(dialect, _)| translate::can_translate(api.dialect, *dialect));
    let (dialect, path) = written.next().filter(|_| api.writes)?;
    Some(Spoken { dialect, path, how: How::Written })
}

/// How embeddings are asked for at a provider of another API.
fn embedder(kind: ProviderKind, model: &str) -> Option<Embedder> {
    match (kind, kind.family(model)) {
        (_, Family::OpenAi) => Some(Embedder::OpenAi),
        (ProviderKind::Vertex, Family::Gemini) => Some(Embedder::at_vertex(model)),
        (_, Family::Gemini) => Some(Embedder::Gemini),
        (_, Family::Bedrock) => Embedder::at_bedrock(model),
        (_, Family::Anthropic) => None,
    }
}

/// Where providers of a family count tokens.
fn counter(family: Family, model: &str) -> Option<(Dialect, &'static str)> {
    match family {
        Family::OpenAi => Some((Dialect::OpenAiResponses, INPUT_TOKENS)),
        Family::Anthropic => Some((Dialect::AnthropicMessages, COUNT_TOKENS)),
        Family::Gemini => Some((Dialect::GeminiGenerate, COUNT_TOKENS_OF_GEMINI)),
        Family::Bedrock => {
            Maker::counted_by_bedrock(model).map(|_| (Dialect::BedrockConverse, COUNT_TOKENS_OF_BEDROCK))
        }
    }
}

#[cfg(test)]
mod tests;

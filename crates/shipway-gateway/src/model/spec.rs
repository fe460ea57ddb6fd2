//! Models and deployments, as the binary installs them out of definitions and configuration.

use std::{fmt, time::Duration};

use shipway_core::Sampling;
use shipway_dialects::translate::{Lossy, OutputLimit};
use url::Url;

use super::{Cloud, Detours, Hedge, Route};

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI's API, or one that is compatible with it: vLLM, SGLang, Ollama.
    OpenAi,
    /// Anthropic's API.
    Anthropic,
    /// Google's API for Gemini.
    Gemini,
    /// OpenAI's API as Azure has it.
    Azure,
    /// Amazon Bedrock's Converse.
    Bedrock,
    /// Google's Vertex AI: Gemini, and Anthropic's models in Anthropic's API.
    Vertex,
}

/// A provider: where it is, and the secret that opens it. Only operators write these.
#[derive(Clone)]
pub struct ProviderSpec {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Where its API begins, with the version: `https://api.openai.com/v1`; of Azure, Bedrock and Vertex without a path.
    pub base_url: Url,
    /// Of Azure: the version of the older paths, which name the deployment. None: the paths of `/openai/v1`.
    pub api_version: Option<String>,
    /// The secret; none for servers that ask for none. Of Vertex: an access token.
    pub api_key: Option<String>,
    /// The name of a secret that is kept, in the place of `api_key`.
    pub api_key_secret: Option<String>,
    /// Of Bedrock and Vertex: where it lies within its cloud, and the cloud's credentials.
    pub cloud: Option<Cloud>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
}

/// Says where, never with what secret.
impl fmt::Debug for ProviderSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderSpec")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}

/// A model that callers ask for by name.
#[derive(Debug, Clone)]
pub struct ModelSpec {
    /// Its name.
    pub name: String,
    /// Further names.
    pub called: Vec<String>,
    /// What answers.
    pub deployments: Vec<DeploymentSpec>,
    /// In which order they are tried; by their places in `deployments`.
    pub route: Route,
    /// A second attempt where the first takes its time.
    pub hedge: Option<Hedge>,
    /// Where a call goes that is refused for a reason that may not hold elsewhere.
    pub detours: Detours,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// How often one deployment is tried again.
    pub retries: Retries,
    /// When a deployment is left out for a while.
    pub cooldown: Cooldown,
    /// What happens to a call whose price is not known.
    pub unknown_price: UnknownPrice,
    /// What becomes of members of a call that the API of a deployment has no words for.
    pub lossy: Lossy,
    /// Whether answers are kept and given again; none: never.
    pub cache: Option<CacheSpec>,
    /// The guardrails that look at its calls, by name, in this order.
    pub guardrails: Vec<String>,
    /// What is kept of what is asked and answered; none: nothing.
    pub content: Option<ContentSpec>,
}

/// What is kept of what is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentSpec {
    /// How much of it.
    pub keep: ContentKeep,
    /// Of which calls; those of a session together.
    pub share: Sampling,
    /// The most bytes of what is asked, and of what is answered.
    pub most_bytes: usize,
}

/// How much is kept of what is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKeep {
    /// What the provider saw and wrote, without what any guardrail of the model finds in it.
    Redacted,
    /// What the caller wrote and got.
    Full,
}

impl ContentKeep {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Redacted => "redacted",
            Self::Full => "full",
        }
    }
}

/// How answers are kept to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSpec {
    /// For how long.
    pub time: Duration,
    /// To whom they are given.
    pub scope: CacheScope,
    /// Who asks for a whole answer that is on its way to somebody else waits for it.
    pub together: bool,
    /// Whether they are given to who asks about the same; none: only to who asks exactly the same.
    pub similar: Option<SimilarSpec>,
}

/// Whether an answer is given to who asks about the same in other words. Parts of one are in millionths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimilarSpec {
    /// What turns texts into vectors.
    pub embeddings: Embedder,
    /// Nothing is given: it is only measured.
    pub is_shadow: bool,
    /// How alike questions are at least: a cosine.
    pub least: u32,
    /// From where on two answers count as the same: a cosine.
    pub same: u32,
    /// The part of answers that are given that may be others than would have come. Where more are, none is given.
    pub wrong: u32,
    /// Which calls are asked although an answer could be given, so that it is known how many would be wrong.
    pub check: Sampling,
}

/// What turns texts into vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Embedder {
    /// A model of the gateway, by its name.
    Model(String),
    /// A model that this server serves itself.
    Served(String),
}

/// Who shares answers that are kept. Whoever calls without a key shares with nobody; where a key is in no such group, the next smaller
/// one that it is in counts, and in the end the key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheScope {
    /// The key that asked first.
    Key,
    /// All keys of its project.
    Project,
    /// All keys of its team.
    Team,
    /// All keys of its organisation.
    Organisation,
}

/// A model at a provider.
#[derive(Debug, Clone)]
pub struct DeploymentSpec {
    /// Its name, unique within the model.
    pub name: String,
    /// The provider's name.
    pub provider: String,
    /// What the provider calls the model.
    pub model: String,
    /// What its tokens cost; none: not known.
    pub price: Option<shipway_dialects::Price>,
    /// Which version of the provider's price list that is.
    pub price_as_of: Option<String>,
    /// What is reserved for an answer where the caller sets no bound, and what Anthropic is told then.
    pub max_output_tokens: u64,
    /// What its server calls the limit of an answer in calls that are translated to OpenAI's chat.
    pub output_limit: OutputLimit,
    /// Those of OpenAI's APIs that its server has; empty: all of them. Of a provider of another kind it says nothing.
    pub apis: Vec<ServedApi>,
    /// Whether images and documents that a call has by their address are fetched here and go out as data; none: where the API of its
    /// provider takes no addresses.
    pub fetch_media: Option<bool>,
}

/// One of OpenAI's APIs, as a server has it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedApi {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/responses` and what belongs to it.
    Responses,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/v1/images/…`.
    Images,
    /// `/v1/audio/…`.
    Audio,
    /// `/v1/moderations`.
    Moderations,
    /// `/v1/realtime`.
    Realtime,
}

impl ServedApi {
    /// The one that a call on `path` behind a provider's address belongs to, by its first part.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        Some(match path.split('/').next()? {
            "chat" => Self::Chat,
            "completions" => Self::Completions,
            "responses" => Self::Responses,
            "embeddings" => Self::Embeddings,
            "images" => Self::Images,
            "audio" => Self::Audio,
            "moderations" => Self::Moderations,
            "realtime" => Self::Realtime,
            _ => return None,
        })
    }
}

impl DeploymentSpec {
    /// Whether its server, if it speaks OpenAI's API, has the one that lies on `path`.
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.apis.is_empty() || ServedApi::of_path(path).is_none_or(|api| self.apis.contains(&api))
    }
}

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the first event of a stream.
    pub first_token: Duration,
    /// Between two parts of a stream.
    pub idle: Duration,
    /// For all of it.
    pub total: Duration,
}

/// How often one deployment is tried again, by what went wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Retries {
    /// The provider limits the rate.
    pub rate_limit: u32,
    /// The provider is overloaded or failed.
    pub overloaded: u32,
    /// The connection could not be made or broke.
    pub connection: u32,
    /// It took too long.
    pub timeout: u32,
}

/// When a deployment is left out for a while.
#[derive(Debug, Clone, Copy)]
pub struct Cooldown {
    /// After so many failures in a row.
    pub failures: u32,
    /// For how long.
    pub pause: Duration,
}

/// What happens to a call whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownPrice {
    /// It is refused.
    Block,
    /// It is let through and flagged.
    Flag,
}

//! The shape of a model of language.

use schemars::JsonSchema;
use shipway_core::{Length, Name};

use super::Tag;

/// A model of language that callers ask by name, and the deployments at providers that answer for it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmModelDocument {
    kind: LlmModelKind,
    /// Its name, unique among models of language.
    name: Name,
    /// Further names that callers may ask for, as they write them.
    #[schemars(length(min = 1, max = 64))]
    called: Option<Vec<String>>,
    /// What answers.
    #[schemars(length(min = 1, max = 64))]
    deployments: Vec<LlmDeploymentDocument>,
    /// In which order the deployments are tried. Default: in the order written.
    route: Option<RouteDocument>,
    /// How long is waited for a provider.
    timeouts: Option<LlmTimeoutsDocument>,
    /// How often one deployment is tried again, by what went wrong, before the next one is.
    retries: Option<LlmRetriesDocument>,
    /// When a deployment is left out for a while.
    cooldown: Option<LlmCooldownDocument>,
    /// What happens to a call whose price is not known: it is refused, or let through and flagged. Default block.
    unknown_price: Option<UnknownPriceWord>,
    /// Whether answers are kept and given again to who asks exactly the same. Default: never.
    cache: Option<LlmCacheDocument>,
    /// The guardrails that look at its calls, in this order.
    #[schemars(length(min = 1, max = 64))]
    guardrails: Option<Vec<Name>>,
    /// What it is, for people.
    description: Option<String>,
    /// Who answers for it.
    owner: Option<String>,
    /// Words to find it by.
    tags: Option<Vec<Tag>>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum LlmModelKind {
    LlmModel,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum UnknownPriceWord {
    Block,
    Flag,
}

/// How answers are kept.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmCacheDocument {
    /// For how long.
    time: Length,
    /// Who shares them; a key that is in no such group shares within the next smaller one that it is in. Default key.
    scope: Option<CacheScopeWord>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum CacheScopeWord {
    Key,
    Project,
    Team,
    Organisation,
}

/// A model at a provider.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmDeploymentDocument {
    /// Its name, unique within the model. Default: the provider's.
    name: Option<Name>,
    /// The provider, by its name under `providers` in the server's configuration.
    provider: Name,
    /// What the provider calls the model.
    model: String,
    /// What its tokens cost.
    price: Option<LlmPriceDocument>,
    /// What is reserved for an answer where the caller sets no bound. Default 16384.
    #[schemars(range(min = 1, max = 10_000_000))]
    max_output_tokens: Option<u64>,
}

/// What tokens cost: dollars for a million of them.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmPriceDocument {
    /// Tokens of the request.
    #[schemars(range(min = 0, max = 1_000_000))]
    input: f64,
    /// Tokens of the request that the provider had in its cache. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    cached_input: Option<f64>,
    /// Tokens that the provider put into its cache. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    cache_write: Option<f64>,
    /// Tokens of the answer.
    #[schemars(range(min = 0, max = 1_000_000))]
    output: f64,
}

/// A deployment, or a strategy over others.
#[derive(JsonSchema)]
#[serde(untagged)]
enum RouteDocument {
    /// This deployment.
    Deployment(Name),
    /// The first that answers, in this order.
    Fallback(FallbackDocument),
    /// One of them by chance.
    Weighted(WeightedDocument),
}

/// The first that answers, in this order.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct FallbackDocument {
    #[schemars(length(min = 1))]
    fallback: Vec<RouteDocument>,
}

/// One of them by chance, in proportion to its weight; the others after it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct WeightedDocument {
    #[schemars(length(min = 1))]
    weighted: Vec<ShareDocument>,
}

/// A share of a weighted strategy.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShareDocument {
    /// Where it goes.
    to: RouteDocument,
    /// Its weight. Default 1.
    #[schemars(range(min = 1, max = 1_000_000))]
    weight: Option<u32>,
}

/// How long is waited for a provider.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmTimeoutsDocument {
    /// For the first event of a stream. An answer that is not streamed comes when it is whole, within total. Default 120s.
    first_token: Option<Length>,
    /// Between two parts of a stream. Default 60s.
    idle: Option<Length>,
    /// For all of it, every attempt included. Default 600s.
    total: Option<Length>,
}

/// How often one deployment is tried again, by what went wrong.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmRetriesDocument {
    /// The provider limits the rate. Default 0.
    #[schemars(range(max = 5))]
    rate_limit: Option<u32>,
    /// The provider says that it is overloaded or failed. Default 1.
    #[schemars(range(max = 5))]
    overloaded: Option<u32>,
    /// The connection could not be made or broke. Default 1.
    #[schemars(range(max = 5))]
    connection: Option<u32>,
    /// It took too long. Default 0.
    #[schemars(range(max = 5))]
    timeout: Option<u32>,
}

/// When a deployment is left out for a while.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmCooldownDocument {
    /// After so many failures in a row. Default 3.
    #[schemars(range(min = 1, max = 1000))]
    failures: Option<u32>,
    /// For how long. Default 30s.
    pause: Option<Length>,
}

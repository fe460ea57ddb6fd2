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
    /// A second attempt where the first takes its time: the first to answer wins, and both are charged.
    hedge: Option<LlmHedgeDocument>,
    /// Where a call goes whose input does not fit into the context of a deployment. Default: the refusal goes to the caller.
    on_context_window: Option<RouteDocument>,
    /// Where a call goes that a filter of a provider refuses. Default: the refusal goes to the caller.
    on_content_policy: Option<RouteDocument>,
    /// Where a call goes in which a guardrail that reroutes finds something. Needed where such a guardrail is named.
    on_guardrail: Option<RouteDocument>,
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
    /// What is kept of what is asked and answered, to be searched and shown: nothing, what guardrails leave of it, or all of it. Default
    /// none.
    content: Option<ContentDocument>,
    /// What becomes of a member of a call that may change the answer, where the call is translated to an API that has no words for it: the
    /// call is refused, or the member left out and reported. Default refuse.
    lossy: Option<LossyWord>,
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
    /// Who asks while the same is being answered to somebody else waits for that answer; whole answers only. Default false.
    together: Option<bool>,
    /// Whether they are given to who asks about the same in other words. Default: only to who asks exactly the same.
    similar: Option<LlmSimilarDocument>,
}

/// Whether an answer is given to who asks about the same in other words.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmSimilarDocument {
    /// What turns texts into vectors: a model of language, or a model that this server serves.
    embeddings: EmbeddingsDocument,
    /// Whether answers are given (`serve`), or only counted how often they would have been the same. Default shadow.
    mode: Option<SimilarModeWord>,
    /// How alike questions are at least: a cosine. Default 0.95.
    #[schemars(range(min = 0.5, max = 1))]
    least: Option<f64>,
    /// From where on two answers count as the same: a cosine. Default 0.9.
    #[schemars(range(min = 0.5, max = 1))]
    same: Option<f64>,
    /// The share of answers that are given that may be others than would have come; beyond it none is given. Default 0.02.
    #[schemars(range(min = 0, max = 1))]
    wrong: Option<f64>,
    /// The share of calls that are asked although an answer could be given, to know how many would be wrong. Default 0.05.
    #[schemars(range(min = 0, max = 1))]
    check: Option<f64>,
}

/// What turns texts into vectors.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum EmbeddingsDocument {
    Model(Name),
    Served(LlmServedDocument),
}

/// A model that this server serves itself.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmServedDocument {
    /// Its deployment.
    served: Name,
}

/// What is done where somebody asks about the same.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum SimilarModeWord {
    Shadow,
    Serve,
}

/// A level, or a level with a share and a bound.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum ContentDocument {
    Word(ContentWord),
    Full(LlmContentDocument),
}

/// What is kept of what is asked and answered.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmContentDocument {
    /// How much: nothing; what the provider saw and wrote without what any guardrail finds; what the caller wrote and got.
    keep: ContentWord,
    /// The share of calls, from 0 to 1; calls of a session are kept together. Default 1.
    #[schemars(range(min = 0, max = 1))]
    share: Option<f64>,
    /// The most KiB of what is asked, and of what is answered; what is longer is cut. Default 64.
    #[schemars(range(min = 1, max = 4096))]
    max_kib: Option<u32>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ContentWord {
    None,
    Redacted,
    Full,
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

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum LossyWord {
    Refuse,
    Drop,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ApiWord {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Images,
    Audio,
    Moderations,
    Realtime,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum OutputLimitWord {
    MaxCompletionTokens,
    MaxTokens,
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
    /// What is reserved for an answer where the caller sets no bound, and what Anthropic, who insists on one, is told then. Default 16384.
    #[schemars(range(min = 1, max = 10_000_000))]
    max_output_tokens: Option<u64>,
    /// What its server calls the limit of an answer, in calls that are translated to OpenAI's chat. Default max_completion_tokens.
    output_limit: Option<OutputLimitWord>,
    /// Those of OpenAI's APIs that its server has. A call by another one is translated where that can be done, and left to other
    /// deployments where not. Default: all of them.
    #[schemars(length(min = 1, max = 8))]
    apis: Option<Vec<ApiWord>>,
    /// Whether images and documents that a call has by their address are fetched by Shipway and go out as data: true for servers that
    /// fetch nothing, or should not; false where such calls are to be refused. Default: where the provider's API takes no addresses.
    fetch_media: Option<bool>,
}

/// What a call costs: dollars for a million tokens, and for what is no token.
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
    /// Tokens that the provider put into its cache for an hour or more. Default: as cache_write.
    #[schemars(range(min = 0, max = 1_000_000))]
    cache_write_1h: Option<f64>,
    /// Tokens of the answer.
    #[schemars(range(min = 0, max = 1_000_000))]
    output: f64,
    /// Tokens of reasoning. Default: as output.
    #[schemars(range(min = 0, max = 1_000_000))]
    reasoning: Option<f64>,
    /// Tokens of sound in the request. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    input_audio: Option<f64>,
    /// Tokens of images in the request. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    input_image: Option<f64>,
    /// Tokens of sound in the answer. Default: as output.
    #[schemars(range(min = 0, max = 1_000_000))]
    output_audio: Option<f64>,
    /// Tokens of images in the answer. Default: as output.
    #[schemars(range(min = 0, max = 1_000_000))]
    output_image: Option<f64>,
    /// The day from which the prices hold, such as 2026-11-01. Each call records it.
    #[schemars(length(equal = 10))]
    as_of: Option<String>,
    /// Other rates for calls with a long input; they hold for all tokens of such a call.
    #[schemars(length(min = 1, max = 16))]
    tiers: Option<Vec<LlmPriceTierDocument>>,
    /// What tokens cost at a tier of service, as a share of what is usual: `{ batch: 0.5, priority: 2 }`.
    service_tiers: Option<std::collections::BTreeMap<String, f64>>,
    /// Dollars for each request.
    #[schemars(range(min = 0, max = 1_000_000))]
    per_request: Option<f64>,
    /// Dollars for each image that is made.
    #[schemars(range(min = 0, max = 1_000_000))]
    per_image: Option<f64>,
    /// Dollars for each second of sound or film.
    #[schemars(range(min = 0, max = 1_000_000))]
    per_second: Option<f64>,
    /// Dollars for each search of the web that the provider runs.
    #[schemars(range(min = 0, max = 1_000_000))]
    per_search: Option<f64>,
}

/// Rates for calls with a long input.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct LlmPriceTierDocument {
    /// They hold where the input, cached or not, has more tokens than this.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    above: u64,
    /// Tokens of the request.
    #[schemars(range(min = 0, max = 1_000_000))]
    input: f64,
    /// Tokens of the request that the provider had in its cache. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    cached_input: Option<f64>,
    /// Tokens that the provider put into its cache. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    cache_write: Option<f64>,
    /// Tokens that the provider put into its cache for an hour or more. Default: as cache_write.
    #[schemars(range(min = 0, max = 1_000_000))]
    cache_write_1h: Option<f64>,
    /// Tokens of the answer.
    #[schemars(range(min = 0, max = 1_000_000))]
    output: f64,
    /// Tokens of reasoning. Default: as output.
    #[schemars(range(min = 0, max = 1_000_000))]
    reasoning: Option<f64>,
    /// Tokens of sound in the request. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    input_audio: Option<f64>,
    /// Tokens of images in the request. Default: as input.
    #[schemars(range(min = 0, max = 1_000_000))]
    input_image: Option<f64>,
    /// Tokens of sound in the answer. Default: as output.
    #[schemars(range(min = 0, max = 1_000_000))]
    output_audio: Option<f64>,
    /// Tokens of images in the answer. Default: as output.
    #[schemars(range(min = 0, max = 1_000_000))]
    output_image: Option<f64>,
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
    /// The one that answers fastest.
    Latency(LatencyDocument),
    /// The one that the call costs least at.
    Cost(CostDocument),
    /// By what the call is like.
    Conditional(ConditionalDocument),
    /// The same one for calls that belong together.
    Sticky(StickyDocument),
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

/// Of those that are well, the one that answers fastest by a moving average; the others after it. One without figures is tried.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct LatencyDocument {
    #[schemars(length(min = 1))]
    latency: Vec<RouteDocument>,
}

/// The one that the call costs least at, by its price and an estimate; the others after it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct CostDocument {
    #[schemars(length(min = 1))]
    cost: Vec<RouteDocument>,
}

/// The first whose condition holds, and nothing else.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionalDocument {
    conditional: ConditionsDocument,
}

/// Conditions, and where they lead.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionsDocument {
    #[schemars(length(min = 1, max = 64))]
    when: Vec<WhenDocument>,
    /// Where none holds.
    otherwise: Box<RouteDocument>,
}

/// A condition, and where it leads.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct WhenDocument {
    /// A condition in CEL on the call: `input_tokens > 200000 && !tools`. What it can ask: model, api, stream, tools, structured_output,
    /// reasoning, media, max_tokens, input_tokens, user, session, key, groups, service_tier, tags.
    #[serde(rename = "if")]
    #[schemars(length(min = 1, max = 1000))]
    condition: String,
    /// Where it goes.
    to: RouteDocument,
}

/// The same one for calls that belong together, so that caches of providers are hit; the others after it.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct StickyDocument {
    sticky: StickinessDocument,
}

/// What keeps calls together, and where.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct StickinessDocument {
    /// `session` (the header x-shipway-session, prompt_cache_key, or else the user), `user`, `key`, or the name of a header `x-…`.
    by: String,
    #[schemars(length(min = 1))]
    within: Vec<RouteDocument>,
}

/// A second attempt where the first takes its time.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmHedgeDocument {
    /// How long is waited for the first sign of an answer: `1500ms` or `2s`, from 10ms to 600s.
    #[schemars(regex(pattern = r"^[0-9]+(ms|s)$"))]
    after: String,
    /// Who is asked as well.
    to: RouteDocument,
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

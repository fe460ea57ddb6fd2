//! A model of language that callers ask by name, and the deployments at providers that answer for it.

use std::fmt;

use serde::{Deserialize, Serialize};
use shipway_core::{Length, Name, Sampling};

use super::{LlmApi, LlmCache};

/// A model of language: the name that callers ask for, and what answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmModel {
    /// Its name, unique among models of language.
    pub name: Name,
    /// Further names that callers may ask for, as they write them: `gpt-5-mini`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub called: Vec<String>,
    /// What answers; at least one, each with a name of its own.
    pub deployments: Vec<LlmDeployment>,
    /// In which order they are tried. It names every deployment at least once.
    pub route: LlmRoute,
    /// A second attempt where the first takes its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<LlmHedge>,
    /// Where a call goes whose input does not fit into the context of a deployment; none: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_context_window: Option<LlmRoute>,
    /// Where a call goes that a filter of a provider refuses; none: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_content_policy: Option<LlmRoute>,
    /// Where a call goes in which a guardrail that reroutes finds something; none: it names no such guardrail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_guardrail: Option<LlmRoute>,
    /// How long is waited.
    pub timeouts: LlmTimeouts,
    /// How often one deployment is tried again before the next one is.
    pub retries: LlmRetries,
    /// When a deployment is left out for a while.
    pub cooldown: LlmCooldown,
    /// What happens to a call whose price is not known.
    pub unknown_price: UnknownPrice,
    /// Whether answers are kept to be given again; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<LlmCache>,
    /// The guardrails that look at its calls, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guardrails: Vec<Name>,
    /// What is kept of what is asked and answered; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<LlmContent>,
    /// What becomes of members of a call that the API of a deployment has no words for.
    #[serde(default, skip_serializing_if = "LlmLossy::is_usual")]
    pub lossy: LlmLossy,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmDeployment {
    /// Its name, unique within the model.
    pub name: Name,
    /// The provider, by its name in the configuration of the server. Address and secret stand there.
    pub provider: Name,
    /// What the provider calls the model.
    pub model: String,
    /// What its tokens cost; none: not known.
    pub price: Option<LlmPrice>,
    /// The most tokens that an answer can have where the caller sets no bound: what is reserved of a budget.
    pub max_output_tokens: u64,
    /// What its server calls the limit of an answer, in calls that are translated to OpenAI's chat.
    #[serde(default, skip_serializing_if = "LlmOutputLimit::is_usual")]
    pub output_limit: LlmOutputLimit,
    /// Those of OpenAI's APIs that its server has, in the order of [`LlmApi::ALL`]; empty: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<LlmApi>,
    /// Whether images and documents that a call has by their address go out as data; none: where the API of its provider takes no addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch_media: Option<bool>,
}

/// What a call costs, in billionths of a dollar. Exact integers, never negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmPrice {
    /// What a million tokens cost.
    #[serde(flatten)]
    pub rates: LlmRates,
    /// Which version of the provider's price list this is: a date as people write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// Other rates for calls with a long input, by rising bounds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<LlmPriceTier>,
    /// What tokens cost at a tier of service, in millionths of what they cost otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_tiers: Vec<(String, u32)>,
    /// Each request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_request: Option<i64>,
    /// Each image that is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_image: Option<i64>,
    /// Each second of sound or film.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<i64>,
    /// Each search of the web that the provider runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_search: Option<i64>,
}

/// What a million tokens cost. What has no price of its own costs what the whole costs that it is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LlmRates {
    /// Tokens of the request.
    pub input: i64,
    /// Tokens of the request that the provider had in its cache; none: as `input`.
    pub cached_input: Option<i64>,
    /// Tokens that the provider put into its cache; none: as `input`.
    pub cache_write: Option<i64>,
    /// Tokens of the answer, those of its reasoning among them.
    pub output: i64,
    /// Tokens that the provider put into its cache for an hour or more; none: as `cache_write`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<i64>,
    /// Tokens of reasoning; none: as `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<i64>,
    /// Tokens of sound in the request; none: as `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<i64>,
    /// Tokens of images in the request; none: as `input`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_image: Option<i64>,
    /// Tokens of sound in the answer; none: as `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<i64>,
    /// Tokens of images in the answer; none: as `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_image: Option<i64>,
}

/// Rates for calls with a long input: they hold for all tokens of such a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmPriceTier {
    /// They hold where the input, cached or not, has more tokens than this.
    pub above: u64,
    /// What a million tokens cost then.
    #[serde(flatten)]
    pub rates: LlmRates,
}

/// In which order deployments are tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmRoute {
    /// This one.
    Deployment(Name),
    /// The first that answers, in this order; at least one.
    Fallback(Vec<LlmRoute>),
    /// One of them by chance, in proportion to its weight; the others after it, by chance as well. At least one; weights from 1.
    Weighted(Vec<(LlmRoute, u32)>),
    /// The one that answers fastest, the others after it; at least one.
    Latency(Vec<LlmRoute>),
    /// The one that the call costs least at, the others after it; at least one.
    Cost(Vec<LlmRoute>),
    /// The first whose condition holds, and nothing else.
    Conditional {
        /// Conditions in CEL that were checked, with where they lead; at least one.
        when: Vec<(String, LlmRoute)>,
        /// Where none holds.
        otherwise: Box<LlmRoute>,
    },
    /// The same one for calls that belong together, the others after it.
    Sticky {
        /// What keeps them together.
        by: LlmStickiness,
        /// At least one.
        within: Vec<LlmRoute>,
    },
}

/// What keeps calls together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmStickiness {
    /// What the call says its session is.
    Session,
    /// Whom the caller acts for.
    User,
    /// The key.
    Key,
    /// The value of this header: `x-…`, in lower case.
    Header(String),
}

/// A second attempt where the first takes its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmHedge {
    /// How long is waited for the first sign of an answer, in thousandths of a second; from 10 to 600,000.
    pub after_ms: u32,
    /// Who is asked as well.
    pub to: LlmRoute,
}

/// How long is waited for a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmTimeouts {
    /// For the first event of a stream. An answer that is not streamed comes when it is whole, within `total`.
    pub first_token: Length,
    /// Between two parts of a stream.
    pub idle: Length,
    /// For all of it, every attempt included.
    pub total: Length,
}

/// How often one deployment is tried again, by what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmRetries {
    /// The provider limits the rate.
    pub rate_limit: u32,
    /// The provider says that it is overloaded or failed.
    pub overloaded: u32,
    /// The connection could not be made or broke.
    pub connection: u32,
    /// It took too long.
    pub timeout: u32,
}

/// When a deployment is left out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmCooldown {
    /// After so many failures in a row.
    pub failures: u32,
    /// For how long.
    pub pause: Length,
}

/// What is kept of what is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmContent {
    /// How much of it.
    pub keep: LlmContentKeep,
    /// Of which calls. Calls of one session are kept together.
    #[serde(default, skip_serializing_if = "Sampling::is_all")]
    pub share: Sampling,
    /// The most bytes of what is asked, and of what is answered; what is longer is cut, and its record says so.
    pub most_bytes: u32,
}

/// How much is kept of what is asked and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmContentKeep {
    /// What the provider saw and wrote, without what any guardrail of the model finds in it.
    Redacted,
    /// What the caller wrote and got.
    Full,
}

/// What happens to a call whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPrice {
    /// It is refused.
    Block,
    /// It is let through, and its record says that its cost is not known.
    Flag,
}

/// What becomes of a member of a call that may change the answer, where the API of a deployment has no words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmLossy {
    /// The call is refused, and the member named.
    #[default]
    Refuse,
    /// It is left out and reported.
    Drop,
}

/// What a server calls the limit of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmOutputLimit {
    /// `max_completion_tokens`, which models that reason insist on.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`, the only name that older servers know.
    MaxTokens,
}

impl LlmModel {
    /// Whether callers may ask for it by this name.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_str() == name || self.called.iter().any(|called| called == name)
    }
}

impl LlmContentKeep {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Redacted, Self::Full];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Redacted => "redacted",
            Self::Full => "full",
        }
    }
}

impl UnknownPrice {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Flag => "flag",
        }
    }
}

impl LlmModel {
    /// Every route: the one of calls, that of second attempts, and those of calls that were refused or sent elsewhere.
    pub fn routes(&self) -> impl Iterator<Item = &LlmRoute> {
        let hedge = self.hedge.as_ref().map(|hedge| &hedge.to);
        std::iter::once(&self.route)
            .chain(hedge)
            .chain(&self.on_context_window)
            .chain(&self.on_content_policy)
            .chain(&self.on_guardrail)
    }
}

impl LlmStickiness {
    /// As it is written.
    pub fn word(&self) -> &str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Key => "key",
            Self::Header(name) => name,
        }
    }
}

impl LlmLossy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Refuse, Self::Drop];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Drop => "drop",
        }
    }

    /// Whether it is what holds where nothing is written.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl LlmOutputLimit {
    /// Both.
    pub const ALL: [Self; 2] = [Self::MaxCompletionTokens, Self::MaxTokens];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::MaxTokens => "max_tokens",
        }
    }

    /// Whether it is what holds where nothing is written.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl LlmRoute {
    /// The deployments that it names, in the order written.
    pub fn deployments(&self) -> Vec<&Name> {
        match self {
            Self::Deployment(name) => vec![name],
            Self::Fallback(routes)
            | Self::Latency(routes)
            | Self::Cost(routes)
            | Self::Sticky { within: routes, .. } => routes.iter().flat_map(Self::deployments).collect(),
            Self::Weighted(routes) => routes.iter().flat_map(|(route, _)| route.deployments()).collect(),
            Self::Conditional { when, otherwise } => {
                let routes = when.iter().map(|(_, route)| route).chain([&**otherwise]);
                routes.flat_map(Self::deployments).collect()
            }
        }
    }
}

/// On one line: `fallback(primary, weighted(3 eu, 1 us))`.
impl fmt::Display for LlmRoute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |routes: &[Self]| routes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (word, routes): (_, Vec<String>) = match self {
            Self::Deployment(name) => return formatter.write_str(name.as_str()),
            Self::Fallback(routes) => ("fallback", all(routes)),
            Self::Latency(routes) => ("latency", all(routes)),
            Self::Cost(routes) => ("cost", all(routes)),
            Self::Weighted(routes) => {
                ("weighted", routes.iter().map(|(route, weight)| format!("{weight} {route}")).collect())
            }
            Self::Conditional { when, otherwise } => {
                let mut parts: Vec<String> =
                    when.iter().map(|(condition, route)| format!("if {condition:?} {route}")).collect();
                parts.push(format!("otherwise {otherwise}"));
                ("conditional", parts)
            }
            Self::Sticky { by, within } => {
                let mut parts = vec![format!("by {}", by.word())];
                parts.extend(all(within));
                ("sticky", parts)
            }
        };
        write!(formatter, "{word}({})", routes.join(", "))
    }
}

//! A model of language that callers ask by name, and the deployments at providers that answer for it.

use std::fmt;

use serde::{Deserialize, Serialize};
use shipway_core::{Length, Name};

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
}

/// What tokens cost, in billionths of a dollar for a million of them. Exact integers, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmPrice {
    /// Tokens of the request.
    pub input: i64,
    /// Tokens of the request that the provider had in its cache; none: as `input`.
    pub cached_input: Option<i64>,
    /// Tokens that the provider put into its cache; none: as `input`.
    pub cache_write: Option<i64>,
    /// Tokens of the answer, those of its reasoning among them.
    pub output: i64,
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

/// How answers are kept, to be given again to who asks exactly the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmCache {
    /// For how long.
    pub time: Length,
    /// Who shares them.
    pub scope: LlmCacheScope,
}

/// Who shares answers that are kept. A key that is in no such group shares within the next smaller one that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmCacheScope {
    /// Nobody: each key has its own.
    Key,
    /// The keys of a project.
    Project,
    /// The keys of a team.
    Team,
    /// The keys of an organisation.
    Organisation,
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

impl LlmModel {
    /// Whether callers may ask for it by this name.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_str() == name || self.called.iter().any(|called| called == name)
    }
}

impl LlmCacheScope {
    /// All of them, from the smallest.
    pub const ALL: [Self; 4] = [Self::Key, Self::Project, Self::Team, Self::Organisation];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Project => "project",
            Self::Team => "team",
            Self::Organisation => "organisation",
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

impl LlmRoute {
    /// The deployments that it names, in the order written.
    pub fn deployments(&self) -> Vec<&Name> {
        match self {
            Self::Deployment(name) => vec![name],
            Self::Fallback(routes) => routes.iter().flat_map(Self::deployments).collect(),
            Self::Weighted(routes) => routes.iter().flat_map(|(route, _)| route.deployments()).collect(),
        }
    }
}

/// On one line: `fallback(primary, weighted(3 eu, 1 us))`.
impl fmt::Display for LlmRoute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, routes): (_, Vec<String>) = match self {
            Self::Deployment(name) => return formatter.write_str(name.as_str()),
            Self::Fallback(routes) => ("fallback", routes.iter().map(ToString::to_string).collect()),
            Self::Weighted(routes) => {
                ("weighted", routes.iter().map(|(route, weight)| format!("{weight} {route}")).collect())
            }
        };
        write!(formatter, "{word}({})", routes.join(", "))
    }
}

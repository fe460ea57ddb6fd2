//! In which order deployments are tried, and what is done where the first does not answer in time or at all.

use std::time::Duration;

use shipway_condition::Condition;

/// In which order deployments are tried. Strategies lie within each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// The one at this place.
    Deployment(usize),
    /// The first that answers.
    Fallback(Vec<Route>),
    /// One by chance in proportion to its weight, then the others.
    Weighted(Vec<(Route, u32)>),
    /// The one that answers fastest, then the others.
    Latency(Vec<Route>),
    /// The one that the call costs least at, then the others.
    Cost(Vec<Route>),
    /// The first whose condition holds, and nothing else; where none holds, the last.
    Conditional(Vec<(Condition, Route)>, Box<Route>),
    /// The same one for the same session, then the others.
    Sticky(Stickiness, Vec<Route>),
}

/// What keeps calls together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stickiness {
    /// What the call says its session is.
    Session,
    /// Whom the caller acts for.
    User,
    /// The key, or the caller without one.
    Key,
    /// The value of this header, in lower case.
    Header(String),
}

/// A second attempt where the first takes its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hedge {
    /// How long is waited for the first sign of an answer.
    pub after: Duration,
    /// Who is asked as well.
    pub to: Route,
}

/// Where a call goes that a deployment refuses for a reason that may not hold elsewhere, or that a guardrail sends elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detours {
    /// Input and output do not fit into the context of the model.
    pub on_context_window: Option<Route>,
    /// A filter of the provider refused it.
    pub on_content_policy: Option<Route>,
    /// A guardrail that reroutes found something in it or in its answer.
    pub on_guardrail: Option<Route>,
}

impl Stickiness {
    /// As it is written, and as reasons call it.
    pub fn word(&self) -> &str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Key => "key",
            Self::Header(name) => name,
        }
    }
}

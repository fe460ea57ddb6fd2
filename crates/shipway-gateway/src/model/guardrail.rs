//! What a request or an answer must not hold, and what is done about it.

use serde::{Deserialize, Serialize};
use shipway_guardrails::Detector;

/// A guardrail, as the binary installs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardrailSpec {
    /// Its name.
    pub name: String,
    /// What it looks at.
    pub on: GuardrailOn,
    /// What is done when something is found.
    pub action: GuardrailAction,
    /// What is looked for.
    pub detector: Detector,
}

/// What a guardrail looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardrailOn {
    /// Requests.
    Input,
    /// Answers.
    Output,
    /// Both.
    Both,
}

/// What is done when something is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardrailAction {
    /// The call is refused, or its answer broken off.
    Block,
    /// Something else is put in its place.
    Redact,
    /// It is said with the answer.
    Annotate,
    /// The call goes to the deployments that the model has for it. Where that cannot be any more, it is refused.
    Reroute,
    /// It is counted, and nothing else.
    Shadow,
}

/// Which way what was looked at went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// To the provider.
    Input,
    /// From it.
    Output,
}

impl Side {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

impl GuardrailOn {
    /// Whether it looks at this side.
    pub const fn looks_at(self, side: Side) -> bool {
        matches!((self, side), (Self::Both, _) | (Self::Input, Side::Input) | (Self::Output, Side::Output))
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Both => "both",
        }
    }
}

impl GuardrailAction {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Redact => "redact",
            Self::Annotate => "annotate",
            Self::Reroute => "reroute",
            Self::Shadow => "shadow",
        }
    }

    /// What became of a call in which something was found.
    pub const fn verdict(self) -> &'static str {
        match self {
            Self::Block => "blocked",
            Self::Redact => "redacted",
            Self::Annotate => "annotated",
            Self::Reroute => "rerouted",
            Self::Shadow => "shadowed",
        }
    }
}

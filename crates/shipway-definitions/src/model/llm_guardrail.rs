//! What calls of models of language must not hold, and what is done about it.

use serde::{Deserialize, Serialize};
use shipway_core::Name;
use shipway_guardrails::Detector;

/// A guardrail. Models name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LlmGuardrail {
    /// Its name, unique among guardrails.
    pub name: Name,
    /// What it looks at.
    pub on: LlmGuardrailOn,
    /// What is done when something is found.
    pub action: LlmGuardrailAction,
    /// What is looked for. It was checked.
    pub find: Detector,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// What a guardrail looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmGuardrailOn {
    /// Requests.
    Input,
    /// Answers.
    Output,
    /// Both.
    Both,
}

/// What is done when something is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LlmGuardrailAction {
    /// The call is refused, or its answer broken off.
    Block,
    /// Something else is put in its place, and back in the answer.
    Redact,
    /// It is said with the answer.
    Annotate,
    /// The call goes where the model says under `on_guardrail`.
    Reroute,
    /// It is counted, and nothing else.
    Shadow,
}

impl LlmGuardrailOn {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Both];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Both => "both",
        }
    }
}

impl LlmGuardrailAction {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Block, Self::Redact, Self::Annotate, Self::Reroute, Self::Shadow];

    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Redact => "redact",
            Self::Annotate => "annotate",
            Self::Reroute => "reroute",
            Self::Shadow => "shadow",
        }
    }
}

impl LlmGuardrail {
    /// What is looked for, in one form for one meaning.
    pub fn find_in_words(&self) -> String {
        serde_json::to_string(&self.find).unwrap_or_default()
    }
}

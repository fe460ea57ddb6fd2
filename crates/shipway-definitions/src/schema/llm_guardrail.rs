//! The shape of a guardrail.

use schemars::JsonSchema;
use shipway_core::Name;
use shipway_guardrails::Detector;

use super::Tag;

/// What calls of models of language must not hold, and what is done about it. Models name it under `guardrails`.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LlmGuardrailDocument {
    kind: LlmGuardrailKind,
    /// Its name, unique among guardrails.
    name: Name,
    /// What it looks at: requests, answers, or both. Default both.
    on: Option<OnWord>,
    /// What is done when something is found: the call is refused, something else is put in its place, it is said with the answer, the call
    /// goes where its model says under `on_guardrail`, or it is only counted.
    action: ActionWord,
    /// What is looked for.
    find: Detector,
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
enum LlmGuardrailKind {
    LlmGuardrail,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum OnWord {
    Input,
    Output,
    Both,
}

#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum ActionWord {
    Block,
    Redact,
    Annotate,
    Reroute,
    Shadow,
}

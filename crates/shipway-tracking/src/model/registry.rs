//! Registered models, their versions and aliases.

use super::Pair;

/// The tag that makes a registered model, or a version, a prompt.
pub(crate) const PROMPT_TAG: &str = "mlflow.prompt.is_prompt";

/// Whether these are the tags of a prompt. Of two tags with one key the last counts, as when they are kept.
pub(crate) fn is_prompt(tags: &[Pair]) -> bool {
    let last = tags.iter().rev().find(|tag| tag.key == PROMPT_TAG);
    last.is_some_and(|tag| tag.value.eq_ignore_ascii_case("true"))
}

/// The stages of the old registry, still on the wire. Gates guard aliases, not stages: nothing is deployed from a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    None,
    Staging,
    Production,
    Archived,
}

impl Stage {
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }

    /// Upper and lower case are the same.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.word().eq_ignore_ascii_case(word))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegisteredModel {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
    /// Alias and the version that holds it.
    pub(crate) aliases: Vec<(String, i64)>,
    /// The newest version of each stage.
    pub(crate) latest_versions: Vec<ModelVersion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelVersion {
    pub(crate) name: String,
    pub(crate) version: i64,
    /// What the client called the source; never a path on this machine.
    pub(crate) source: String,
    /// Where the files are; empty for a version without files.
    pub(crate) artifact_root: String,
    pub(crate) artifact_folder: String,
    /// Empty when the version was not made of a logged model.
    pub(crate) model_id: String,
    pub(crate) run_id: String,
    pub(crate) run_link: String,
    pub(crate) description: String,
    pub(crate) user_id: String,
    pub(crate) stage: Stage,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) tags: Vec<Pair>,
    pub(crate) aliases: Vec<String>,
}

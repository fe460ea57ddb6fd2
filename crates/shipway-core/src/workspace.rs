//! Workspaces, which people call projects: what keeps experiments and models of different groups apart.
//!
//! Ids of experiments and of what is in them are everybody's. A registered model has one name for the whole server, its *key*: its own
//! name in the workspace `default`, and `workspace/name` in every other one. No model has a `/` in its own name, so no key has two meanings.

use std::{fmt, sync::Arc};

/// The workspace that is always there, and that a request is in when it names none.
pub const DEFAULT_WORKSPACE: &str = "default";

const SHORTEST: usize = 2;
const LONGEST: usize = 63;
/// Words that paths and links give a meaning to.
const RESERVED: [&str; 4] = ["workspaces", "api", "ajax-api", "static-files"];

/// The name of a workspace: 2 to 63 lower-case letters, digits and inner dashes. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workspace(Arc<str>);

/// Why something is no name of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAWorkspace {
    /// It has other characters, or too few or too many of them.
    #[error(
        "Workspace name '{shown}' must have 2 to 63 characters: lower-case letters, digits and inner hyphens"
    )]
    Form {
        /// Its beginning.
        shown: String,
    },
    /// The word means something else in paths.
    #[error("Workspace name '{name}' is reserved")]
    Reserved {
        /// The word.
        name: String,
    },
}

impl Default for Workspace {
    fn default() -> Self {
        Self(DEFAULT_WORKSPACE.into())
    }
}

impl Workspace {
    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self, NotAWorkspace> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = name.as_bytes();
        let fits = (SHORTEST..=LONGEST).contains(&bytes.len())
            && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
            && bytes.first().is_some_and(|byte| plain(*byte))
            && bytes.last().is_some_and(|byte| plain(*byte));
        if !fits {
            return Err(NotAWorkspace::Form { shown: name.chars().take(LONGEST + 1).collect() });
        }
        if RESERVED.contains(&name) {
            return Err(NotAWorkspace::Reserved { name: name.to_owned() });
        }
        Ok(Self(name.into()))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one that is always there.
    pub fn is_default(&self) -> bool {
        &*self.0 == DEFAULT_WORKSPACE
    }

    /// What the keys of its models begin with: nothing in `default`.
    pub fn key_prefix(&self) -> String {
        if self.is_default() { String::new() } else { format!("{}/", self.0) }
    }

    /// The key of a registered model of this workspace. The name must have no `/`.
    pub fn key(&self, model: &str) -> String {
        self.key_prefix() + model
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The workspace of a registered model, and its name there.
pub fn of_model_key(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or((DEFAULT_WORKSPACE, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_lower_case_letters_digits_and_inner_dashes() {
        for good in ["default", "ab", "team-a", "0x", &"a".repeat(63)] {
            assert_eq!(Workspace::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "a",
            "-ab",
            "ab-",
            "Team",
            "a_b",
            "a/b",
            "a b",
            "ab\n",
            "\u{e4}b",
            "..",
            "api",
            "workspaces",
            "a%2fb",
            &"a".repeat(64),
        ] {
            assert!(Workspace::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_says_of_which_workspace_a_model_is() {
        let team = Workspace::parse("team-a").unwrap();
        assert_eq!(team.key("churn"), "team-a/churn");
        assert_eq!(Workspace::default().key("churn"), "churn");
        assert_eq!(of_model_key("team-a/churn"), ("team-a", "churn"));
        assert_eq!(of_model_key("churn"), ("default", "churn"));
    }
}

//! A `config.yaml` of LiteLLM's proxy as definitions of models, and as the providers of the server's configuration: pure.
//!
//! What says the same here is carried over. What does not is listed by name and place: nothing of the file is dropped silently, and no
//! secret leaves it.
//!
//! - `section`: the maps of the file, of which every entry is either taken or listed
//! - `provider`: which provider a deployment is at, and how the server is told of it
//! - `cloud`: where in a cloud that is, and with which credentials it is asked
//! - `deployment`: an entry of `model_list`
//! - `price`: what LiteLLM's prices for a token are for a million
//! - `settings`: what holds for all models: retries, timeouts, cooldown, fallbacks, aliases
//! - `group`: entries of one name as a model with a route
//! - `write`: the texts

mod cloud;
mod deployment;
mod group;
mod price;
mod provider;
mod section;
mod settings;
mod write;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use self::{group::Groups, provider::Providers, section::Section, settings::Settings};
use crate::yaml::{self, Content};

/// What a configuration of LiteLLM is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LitellmImport {
    /// Definitions of kind `llm_model`, as a file that `shipway apply` takes. Empty where no model could be carried.
    pub definitions: String,
    /// The sections `[providers.NAME]` of `shipway.toml`. There is no secret in it.
    pub configuration: String,
    /// Variables that the server is to be started with, and the variable of LiteLLM's that each has its value from:
    /// `SHIPWAY_PROVIDERS__OPENAI__API_KEY` from `OPENAI_API_KEY`.
    pub environment: BTreeMap<String, String>,
    /// What was not carried, in the order of the file.
    pub left_out: Vec<LeftOut>,
}

/// A part of the configuration that was not carried, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    /// Its line, from 1.
    pub line: u64,
    /// Where it stands: `model_list[2].litellm_params.temperature`. Never what stands there: it may be a secret.
    pub place: String,
    /// Why, and what to do instead.
    pub reason: String,
}

/// The text is no configuration of LiteLLM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct NotLitellm {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub message: String,
}

impl LitellmImport {
    /// Reads the text of a `config.yaml`. Files that it includes are not read.
    pub fn read(text: &str) -> Result<Self, NotLitellm> {
        let refused = |line, message: &str| NotLitellm { line, message: message.to_owned() };
        let documents = yaml::documents(text).map_err(|error| refused(error.line, &error.message))?;
        let Some(document) = documents.first() else { return Err(refused(1, "the file is empty")) };
        let mut losses = Losses::default();
        let mut whole = Section::of(String::new(), document, &mut losses)
            .ok_or_else(|| refused(document.line, "a configuration of LiteLLM is a map"))?;
        let list =
            whole.take("model_list").ok_or_else(|| refused(document.line, "there is no model_list"))?;
        let Content::List(entries) = &list.node.content else {
            return Err(refused(list.line, "model_list is no list"));
        };
        let settings = Settings::read(&mut whole, &mut losses);
        whole.leave(&mut losses, settings::reason_at_the_top);
        let mut providers = Providers::default();
        let mut groups = Groups::default();
        for (place, entry) in entries.iter().enumerate() {
            let found = deployment::read(&format!("model_list[{place}]"), entry, &mut providers, &mut losses);
            if let Some((called, deployment)) = found {
                groups.add(called, deployment, &mut losses);
            }
        }
        let models = groups.models(&settings, &mut losses);
        let (configuration, environment) = providers.written();
        losses.0.sort();
        losses.0.dedup();
        Ok(Self { definitions: write::definitions(&models), configuration, environment, left_out: losses.0 })
    }
}

/// Collects what was left out.
#[derive(Debug, Default)]
struct Losses(Vec<LeftOut>);

impl Losses {
    fn say(&mut self, line: u64, place: impl Into<String>, reason: impl Into<String>) {
        self.0.push(LeftOut { line, place: place.into(), reason: reason.into() });
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, {}: {}", self.line, self.place, self.reason)
    }
}

/// A name out of any text: `gpt-4o` becomes `gpt_4o`.
fn as_name(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars().map(|character| character.to_ascii_lowercase()) {
        match character {
            'a'..='z' | '0'..='9' => name.push(character),
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name.insert_str(0, "m_");
    }
    // Room for a number after it.
    name.truncate(56);
    name.trim_end_matches('_').to_owned()
}

/// `name`, or `name_2`, `name_3` … where it is taken.
fn not_yet(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut found = name.to_owned();
    let mut number = 2_u32;
    while is_taken(&found) {
        found = format!("{name}_{number}");
        number += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_name() {
        let named = ["gpt-4o", "Claude 3.5 / Sonnet", "4o-mini", "___", "ü", "a.b-"].map(as_name);
        assert_eq!(named, ["gpt_4o", "claude_3_5_sonnet", "m_4o_mini", "m", "m", "a_b"]);
        assert!(named.iter().all(|name| shipway_core::Name::new(name.clone()).is_ok()));
        assert_eq!(not_yet("a", |name| ["a", "a_2"].contains(&name)), "a_3");
    }
}

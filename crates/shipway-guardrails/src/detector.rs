//! What is looked for, as definitions write it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::{Classifier, Judge};

/// The most regular expressions of one detector, and the longest of them.
const MOST_PATTERNS: usize = 64;
const LONGEST_PATTERN: usize = 1_024;
const MOST_ITEMS: usize = 1_000;
const LONGEST_ITEM: usize = 253;

/// What a guardrail looks for: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Detector {
    /// What tells who somebody is: `[email, phone, credit_card, iban, us_ssn, ip_address]`, or some of them.
    Personal(Vec<PersonalKind>),
    /// What opens something: `[api_key, private_key, jwt]`, and `high_entropy`, which takes anything for one that looks like chance.
    Secrets(Vec<SecretKind>),
    /// Regular expressions by name. They are linear in time: without look-around and back references.
    Patterns(BTreeMap<String, String>),
    /// Characters that nobody sees and a model reads: `[tags, bidi, zero_width, variation_selectors]`, or some of them.
    Unicode(Vec<UnicodeKind>),
    /// Addresses of the web by their host.
    Urls(Hosts),
    /// Tools by their name: those that a request offers and those that an answer calls.
    Tools(Names),
    /// How large a request may be.
    Size(Limits),
    /// The JSON schema that the text of an answer must fit.
    JsonSchema(Value),
    /// What the text of an answer must fit: `request`, the schema that its request asks for, if it asks for one.
    Fits(FitsWhat),
    /// What another model says of a text.
    Judge(Judge),
    /// What a model that this server serves says of a text.
    Classifier(Classifier),
}

/// What an answer must fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FitsWhat {
    /// The schema that its request asks for.
    Request,
}

/// What tells who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PersonalKind {
    /// An address of e-mail.
    Email,
    /// A number of a telephone, with its country or in the American manner.
    Phone,
    /// A number of a payment card whose digits add up.
    CreditCard,
    /// A number of a bank account whose digits add up.
    Iban,
    /// A social security number of the United States.
    UsSsn,
    /// An address of the internet, of version 4 or 6.
    IpAddress,
}

/// What opens something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretKind {
    /// Keys and tokens of services that begin in a way of their own.
    ApiKey,
    /// A private key in PEM.
    PrivateKey,
    /// A token of JSON Web Tokens.
    Jwt,
    /// Anything long that looks like chance.
    HighEntropy,
}

/// Characters that nobody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnicodeKind {
    /// The block of tags, but within the flags that are made of them.
    Tags,
    /// What turns the direction of writing round.
    Bidi,
    /// Characters without width, but those that join letters or pictures.
    ZeroWidth,
    /// Selectors of variants that follow each other or carry more than a variant.
    VariationSelectors,
}

/// Hosts. A host stands for itself and for all that lies below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hosts {
    /// Only these are let through; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// These are not, whatever is allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Names of tools. `*` at the end of a name stands for any rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// Only these are let through; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// These are not, whatever is allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// How large a request may be; what is left out has no bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Messages, items or contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// Tokens of the input, as they are estimated: four bytes for each, and a thousand for an image or a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// A detector that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDetector {
    /// Nothing is looked for.
    #[error("nothing is looked for")]
    Nothing,
    /// There is too much of something.
    #[error("{what} has more than {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How much there may be.
        most: usize,
    },
    /// A name of a pattern cannot be one.
    #[error("`{0}` is no name of a pattern: use a lower-case letter, then at most 31 of a-z, 0-9 and _")]
    Name(String),
    /// A pattern cannot be read, or is too large.
    #[error("pattern {name}: {reason}")]
    Pattern {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A pattern finds nothing at all in every text.
    #[error("pattern {0} matches the empty text, so it would be found everywhere")]
    Empty(String),
    /// A schema cannot be checked.
    #[error("the schema cannot be checked: {0}")]
    Schema(String),
    /// Another model cannot be asked like this.
    #[error("{0}")]
    Judge(String),
    /// Something cannot be a host or a name of a tool.
    #[error("`{0}` is no such name")]
    Item(String),
}

impl Detector {
    /// What it is, in one word, as it is written.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Personal(_) => "personal",
            Self::Secrets(_) => "secrets",
            Self::Patterns(_) => "patterns",
            Self::Unicode(_) => "unicode",
            Self::Urls(_) => "urls",
            Self::Tools(_) => "tools",
            Self::Size(_) => "size",
            Self::JsonSchema(_) => "json_schema",
            Self::Fits(_) => "fits",
            Self::Judge(_) => "judge",
            Self::Classifier(_) => "classifier",
        }
    }

    /// Whether it finds places in texts, which something else can be put into the place of.
    pub const fn reads_texts(&self) -> bool {
        matches!(
            self,
            Self::Personal(_) | Self::Secrets(_) | Self::Patterns(_) | Self::Unicode(_) | Self::Urls(_)
        )
    }

    /// Whether it looks at an answer as a whole, once all of it is there.
    pub const fn reads_whole_answers(&self) -> bool {
        matches!(self, Self::JsonSchema(_) | Self::Fits(_) | Self::Judge(_) | Self::Classifier(_))
    }

    /// The other model that it asks, if it asks one.
    pub const fn judge(&self) -> Option<&Judge> {
        match self {
            Self::Judge(judge) => Some(judge),
            _ => None,
        }
    }

    /// Whether it asks a model, and so waits.
    pub const fn asks(&self) -> bool {
        matches!(self, Self::Judge(_) | Self::Classifier(_))
    }

    /// Whether it is about answers only, or about requests only: `Some(true)` for answers.
    pub const fn is_of_answers(&self) -> Option<bool> {
        match self {
            Self::JsonSchema(_) | Self::Fits(_) => Some(true),
            Self::Size(_) => Some(false),
            _ => None,
        }
    }

    /// Refuses what finds nothing, is beyond a bound, or cannot be compiled.
    pub fn check(&self) -> Result<(), BadDetector> {
        match self {
            Self::Personal(kinds) if kinds.is_empty() => return Err(BadDetector::Nothing),
            Self::Secrets(kinds) if kinds.is_empty() => return Err(BadDetector::Nothing),
            Self::Unicode(kinds) if kinds.is_empty() => return Err(BadDetector::Nothing),
            Self::Patterns(patterns) => check_patterns(patterns)?,
            Self::Urls(Hosts { allow, deny }) => check_items(allow, deny, is_host)?,
            Self::Tools(Names { allow, deny }) => check_items(allow, deny, is_tool)?,
            Self::Size(limits) if *limits == Limits::default() => return Err(BadDetector::Nothing),
            Self::Judge(judge) => judge.check()?,
            Self::Classifier(classifier) => classifier.check()?,
            Self::JsonSchema(schema) => drop(crate::TextSchema::new(schema)?),
            _ => {}
        }
        crate::Finder::new(self).map(drop)
    }
}

fn check_patterns(patterns: &BTreeMap<String, String>) -> Result<(), BadDetector> {
    if patterns.is_empty() {
        return Err(BadDetector::Nothing);
    }
    if patterns.len() > MOST_PATTERNS {
        return Err(BadDetector::TooMany { what: "patterns", most: MOST_PATTERNS });
    }
    for (name, pattern) in patterns {
        let is_name = name.len() <= 32
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_name {
            return Err(BadDetector::Name(name.clone()));
        }
        if pattern.len() > LONGEST_PATTERN {
            let reason = format!("it is longer than {LONGEST_PATTERN} bytes");
            return Err(BadDetector::Pattern { name: name.clone(), reason });
        }
    }
    Ok(())
}

fn check_items(allow: &[String], deny: &[String], is_good: fn(&str) -> bool) -> Result<(), BadDetector> {
    if allow.is_empty() && deny.is_empty() {
        return Err(BadDetector::Nothing);
    }
    if allow.len() + deny.len() > MOST_ITEMS {
        return Err(BadDetector::TooMany { what: "the list", most: MOST_ITEMS });
    }
    match allow.iter().chain(deny).find(|item| item.is_empty() || item.len() > LONGEST_ITEM || !is_good(item))
    {
        Some(bad) => Err(BadDetector::Item(bad.clone())),
        None => Ok(()),
    }
}

fn is_host(item: &str) -> bool {
    item.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:".contains(&byte))
}

fn is_tool(item: &str) -> bool {
    item.chars().all(|character| character.is_ascii_graphic())
}

impl Names {
    /// Whether a tool of this name is let through.
    pub fn allow(&self, name: &str) -> bool {
        !lists_tool(&self.deny, name) && (self.allow.is_empty() || lists_tool(&self.allow, name))
    }
}

/// Whether a list has the tool of this name. `*` at the end of an item stands for any rest; an empty list has none.
pub fn lists_tool(list: &[String], name: &str) -> bool {
    list.iter().any(|item| match item.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => item == name,
    })
}

impl Limits {
    /// The bounds that a request breaks, by name.
    pub fn broken(&self, bytes: u64, messages: u64, tokens: u64) -> Vec<&'static str> {
        let bounds = [
            ("bytes", self.bytes, bytes),
            ("messages", self.messages, messages),
            ("tokens", self.tokens, tokens),
        ];
        let beyond = |(name, most, has): (&'static str, Option<u64>, u64)| {
            most.is_some_and(|most| has > most).then_some(name)
        };
        bounds.into_iter().filter_map(beyond).collect()
    }
}

//! What a condition may look at.

use std::collections::{BTreeMap, HashMap};

use cel::Context;

use crate::check::Type;

/// The facts of a call. What a call does not say is empty or 0.
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// The name of the model that was asked for.
    pub model: &'a str,
    /// Which API the call came by, such as `openai_chat`.
    pub api: &'a str,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether the call has tools.
    pub tools: bool,
    /// Whether the answer must be JSON.
    pub structured_output: bool,
    /// Whether reasoning is asked for.
    pub reasoning: bool,
    /// Images, sounds and documents in it.
    pub media: u64,
    /// The most tokens that one answer may have; 0: the call does not say.
    pub max_tokens: u64,
    /// About how many tokens its input has.
    pub input_tokens: u64,
    /// Whom the caller says that they act for.
    pub user: &'a str,
    /// What the session is called that it belongs to.
    pub session: &'a str,
    /// The name of the virtual key; empty for callers without one.
    pub key: &'a str,
    /// The groups of the key, from the nearest to the greatest.
    pub groups: Vec<&'a str>,
    /// The tier of service that is asked for.
    pub service_tier: &'a str,
    /// The headers `x-shipway-tag-…` of the call, by what stands behind the prefix.
    pub tags: BTreeMap<String, &'a str>,
}

/// Every fact with the type that conditions see.
pub const FACTS: [(&str, Type); 15] = [
    ("model", Type::Text),
    ("api", Type::Text),
    ("stream", Type::Flag),
    ("tools", Type::Flag),
    ("structured_output", Type::Flag),
    ("reasoning", Type::Flag),
    ("media", Type::Whole),
    ("max_tokens", Type::Whole),
    ("input_tokens", Type::Whole),
    ("user", Type::Text),
    ("session", Type::Text),
    ("key", Type::Text),
    ("groups", Type::Texts),
    ("service_tier", Type::Text),
    ("tags", Type::Tags),
];

impl Facts<'_> {
    pub(crate) fn put_into(&self, context: &mut Context<'_, '_>) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for (name, text) in [
            ("model", self.model),
            ("api", self.api),
            ("user", self.user),
            ("session", self.session),
            ("key", self.key),
            ("service_tier", self.service_tier),
        ] {
            context.add_variable_from_value(name, text);
        }
        for (name, flag) in [
            ("stream", self.stream),
            ("tools", self.tools),
            ("structured_output", self.structured_output),
            ("reasoning", self.reasoning),
        ] {
            context.add_variable_from_value(name, flag);
        }
        for (name, number) in
            [("media", self.media), ("max_tokens", self.max_tokens), ("input_tokens", self.input_tokens)]
        {
            context.add_variable_from_value(name, whole(number));
        }
        context.add_variable_from_value("groups", self.groups.clone());
        let tags: HashMap<String, String> =
            self.tags.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect();
        context.add_variable_from_value("tags", tags);
    }
}

//! What a key says about its calls beside the models that they may ask: by which routes, with which tools, and whose they are.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use shipway_guardrails::lists_tool;

use super::{Label, LabelKind};
use crate::error::GatewayError;

/// The longest name of a tool.
const LONGEST_TOOL: usize = 256;
const MOST_TOOLS: usize = 1_000;
const MOST_TAGS: usize = 32;
/// Tags that this server itself gives begin so.
pub(crate) const OURS: &str = "shipway.";
/// Of a tool that a refusal names.
const MOST_SHOWN: usize = 80;

/// What calls of a key may be, and whose they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyTerms {
    /// The routes that it may ask; empty: every one.
    pub routes: Vec<KeyRoute>,
    /// The tools that its calls may offer, by their names, `*` at the end for any rest; none: every one; an empty list: no tool.
    pub tools: Option<Vec<String>>,
    /// Whose its calls are, whatever they say; none: whose they say.
    pub user: Option<String>,
    /// Tags of its calls, before those that they say themselves.
    pub tags: BTreeMap<String, String>,
}

/// What clients ask for, whatever its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRoute {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's completions.
    Completions,
    /// OpenAI's responses, and what is asked about them.
    Responses,
    /// Embeddings, by whatever API.
    Embeddings,
    /// Anthropic's messages.
    Messages,
    /// Google's contents.
    Gemini,
    /// OpenAI's images.
    Images,
    /// OpenAI's sound.
    Audio,
    /// OpenAI's moderations.
    Moderations,
    /// Files and batches.
    Files,
    /// Connections over which both sides speak.
    Realtime,
}

impl KeyRoute {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Moderations => "moderations",
            Self::Files => "files",
            Self::Realtime => "realtime",
        }
    }
}

/// Why a key may not do what it was shown for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// It may ask other routes only.
    Route(KeyRoute),
    /// It may offer other tools only.
    Tool(String),
    /// It may offer some tools only, and in this nobody sees which are offered.
    Unseen(String),
}

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(route) => write!(formatter, "may not ask {}", route.word()),
            Self::Tool(tool) => {
                let shown: String = tool.chars().take(MOST_SHOWN).collect();
                write!(formatter, "may not offer the tool {shown}")
            }
            Self::Unseen(what) => {
                write!(formatter, "may offer some tools only, and those of {what} are not seen here")
            }
        }
    }
}

impl Denied {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Route(_) => "gateway.route_not_allowed",
            Self::Tool(_) | Self::Unseen(_) => "gateway.tool_not_allowed",
        }
    }

    pub(crate) const fn hint(&self) -> &'static str {
        match self {
            Self::Route(_) => "ask for a key with this route: `shipway llm keys create NAME --route …`",
            Self::Tool(_) => {
                "leave the tool out, or ask for a key with it: `shipway llm keys create NAME --tool …`"
            }
            Self::Unseen(_) => "ask for a key whose tools are not bound",
        }
    }
}

impl KeyTerms {
    /// Refuses what can mean nothing.
    pub(crate) fn check(&self) -> Result<(), GatewayError> {
        let tools = self.tools.iter().flatten();
        if tools.clone().count() > MOST_TOOLS {
            return Err(GatewayError::invalid("tools", format!("there are more than {MOST_TOOLS}")));
        }
        let is_name = |tool: &String| {
            !tool.is_empty()
                && tool.len() <= LONGEST_TOOL
                && tool.chars().all(|letter| letter.is_ascii_graphic())
        };
        if let Some(bad) = tools.clone().find(|tool| !is_name(tool)) {
            return Err(GatewayError::invalid("tools", format!("{bad:?} is no name of a tool")));
        }
        if self.tags.len() > MOST_TAGS {
            return Err(GatewayError::invalid("tags", format!("there are more than {MOST_TAGS}")));
        }
        if let Some(user) = &self.user {
            Label::check_name(LabelKind::User, user)?;
        }
        let is_ours = |name: &&String| name.contains('=') || name.starts_with(OURS);
        if let Some(name) = self.tags.keys().find(is_ours) {
            return Err(GatewayError::invalid("tags", format!("no tag of a key may be called {name:?}")));
        }
        self.tags
            .iter()
            .try_for_each(|(name, value)| Label::check_name(LabelKind::Tag, &Label::of_tag(name, value)))
    }

    /// Whether calls by this route are refused.
    pub(crate) fn refuses_route(&self, route: KeyRoute) -> Option<Denied> {
        let is_in = self.routes.is_empty() || self.routes.contains(&route);
        (!is_in).then_some(Denied::Route(route))
    }

    /// Whether a call that offers these tools is refused.
    pub(crate) fn refuses_tools(&self, offered: &[String]) -> Option<Denied> {
        let allowed = self.tools.as_ref()?;
        offered.iter().find(|tool| !lists_tool(allowed, tool)).cloned().map(Denied::Tool)
    }

    /// Whether what offers tools that nobody sees here is refused.
    pub(crate) fn refuses_unseen(&self, what: &str) -> Option<Denied> {
        self.tools.is_some().then(|| Denied::Unseen(what.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(json: &str) -> KeyTerms {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_left_out_bounds_nothing() {
        let open = terms("{}");
        assert_eq!(open, KeyTerms::default());
        assert_eq!(open.refuses_route(KeyRoute::Files), None);
        assert_eq!(open.refuses_tools(&["any".to_owned()]), None);
        assert_eq!(open.refuses_unseen("a connection"), None);
    }

    #[test]
    fn routes_and_tools_are_those_that_are_named() {
        let some = terms(r#"{"routes":["chat","files"],"tools":["weather","search_*"]}"#);
        assert_eq!(some.refuses_route(KeyRoute::Chat), None);
        assert_eq!(some.refuses_route(KeyRoute::Embeddings), Some(Denied::Route(KeyRoute::Embeddings)));
        let offered =
            |tools: &[&str]| some.refuses_tools(&tools.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(offered(&["weather", "search_web", "search_"]), None);
        assert_eq!(offered(&["weather", "shell"]), Some(Denied::Tool("shell".to_owned())));
        assert_eq!(offered(&["weathers"]), Some(Denied::Tool("weathers".to_owned())));
        assert!(some.refuses_unseen("a connection").is_some());
        let none = terms(r#"{"tools":[]}"#);
        assert_eq!((none.refuses_tools(&[]), none.refuses_tools(&["x".to_owned()]).is_some()), (None, true));
    }

    #[test]
    fn what_can_mean_nothing_is_refused_by_name() {
        for (json, field) in [
            (r#"{"tools":[""]}"#, "tools"),
            (r#"{"tools":["two words"]}"#, "tools"),
            (r#"{"user":""}"#, "user"),
            (r#"{"tags":{"":"x"}}"#, "tag"),
            (r#"{"tags":{"team":""}}"#, "tag"),
            (r#"{"tags":{"a=b":"x"}}"#, "tag"),
            (r#"{"tags":{"Team":"x"}}"#, "tag"),
            (r#"{"tags":{"shipway.judges":"x"}}"#, "tag"),
        ] {
            let refused = terms(json).check().unwrap_err();
            assert!(refused.to_string().starts_with(field), "{json}: {refused}");
        }
        assert!(
            terms(r#"{"tools":["a*"],"user":"eve@example.com","tags":{"team":"search=1"}}"#).check().is_ok()
        );
        assert!(serde_json::from_str::<KeyTerms>(r#"{"routes":["telex"]}"#).is_err());
    }
}

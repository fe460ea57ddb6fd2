//! The intermediate form: what all dialects can say of a request and of an answer, and beside it what only one of
//! them says.

use serde_json::{Map, Number, Value};

use crate::finish::Finish;
use crate::translate::policy::Loss;
use crate::usage::Usage;

#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) model: String,
    /// Instructions, from wherever they stood, in their order.
    pub(super) system: Vec<Part>,
    pub(super) turns: Vec<Turn>,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: Option<ToolChoice>,
    pub(super) parallel_tools: Option<bool>,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) temperature: Option<Number>,
    pub(super) top_p: Option<Number>,
    pub(super) top_k: Option<Number>,
    pub(super) stop: Vec<String>,
    pub(super) format: Option<Format>,
    pub(super) reasoning: Option<Reasoning>,
    pub(super) stream: bool,
    pub(super) user: Option<String>,
    /// Members that the source's dialect knows and the form does not.
    pub(super) known: Vec<Known>,
    /// Members that nobody here knows: they go on under their own name, for whoever put them there meant the provider.
    pub(super) rest: Map<String, Value>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: String,
    pub(super) value: Value,
    pub(super) loss: Loss,
    pub(super) why: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Assistant,
}

#[derive(Debug)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) parts: Vec<Part>,
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) kind: PartKind,
    /// A breakpoint of the prompt's cache behind this part, as Anthropic writes it.
    pub(super) cache: Option<Value>,
    /// Where it stood in the source, for refusals.
    pub(super) path: String,
}

impl Part {
    pub(super) fn new(kind: PartKind, path: impl Into<String>) -> Self {
        Self { kind, cache: None, path: path.into() }
    }
}

#[derive(Debug)]
pub(super) enum PartKind {
    Text(String),
    Medium(Medium),
    ToolUse {
        id: String,
        name: String,
        /// JSON, as the model wrote it; empty if it wrote nothing.
        arguments: String,
    },
    ToolResult {
        id: String,
        parts: Vec<Part>,
        is_error: bool,
    },
    /// What a model thought, and what proves it to its provider.
    Thinking {
        text: String,
        seal: Option<Seal>,
    },
    /// Thoughts that only their provider can read.
    Redacted(Seal),
    Refusal(String),
}

#[derive(Debug)]
pub(super) struct Medium {
    pub(super) kind: MediumKind,
    pub(super) source: Source,
    pub(super) name: Option<String>,
    pub(super) detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediumKind {
    Image,
    Document,
    Audio,
}

#[derive(Debug)]
pub(super) enum Source {
    Base64 {
        media_type: String,
        data: String,
    },
    Url(String),
    Text(String),
    /// A file that lies at one provider, and at no other.
    Id,
}

/// Something opaque that only the provider who made it can use, and must be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) origin: Origin,
    pub(super) data: String,
}

/// Stands before the data of redacted thoughts where a dialect has one place for both kinds.
pub(super) const REDACTED: &str = "redacted:";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Anthropic,
    Responses,
    Gemini,
    Bedrock,
}

impl Seal {
    const TAG: &str = "shipway:";

    /// As it stands in a place of `here`'s dialect: its own bare, a foreign one with the name of where it belongs.
    pub(super) fn to_text(&self, here: Origin) -> String {
        if self.origin == here {
            self.data.clone()
        } else {
            format!("{}{}:{}", Self::TAG, self.origin.name(), self.data)
        }
    }

    /// Reads what [`Self::to_text`] wrote, or what is `here`'s own.
    pub(super) fn of_text(text: &str, here: Origin) -> Self {
        let tagged = text.strip_prefix(Self::TAG).and_then(|rest| rest.split_once(':'));
        let foreign = tagged.and_then(|(name, data)| {
            let origin = Origin::ALL.into_iter().find(|origin| origin.name() == name)?;
            Some(Self { origin, data: data.to_owned() })
        });
        foreign.unwrap_or_else(|| Self { origin: here, data: text.to_owned() })
    }
}

impl Origin {
    const ALL: [Self; 4] = [Self::Anthropic, Self::Responses, Self::Gemini, Self::Bedrock];

    const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
        }
    }
}

#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) description: Option<String>,
    /// JSON schema of the arguments; an object without members if the tool has none.
    pub(super) parameters: Value,
    pub(super) strict: Option<bool>,
    pub(super) cache: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Any,
    Named(String),
}

#[derive(Debug)]
pub(super) enum Format {
    /// Some JSON object.
    Json,
    Schema {
        name: Option<String>,
        description: Option<String>,
        schema: Value,
        strict: Option<bool>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reasoning {
    Off,
    /// In words: `minimal`, `low`, `medium`, `high` and what may come.
    Effort(String),
    /// At most so many tokens.
    Budget(u64),
    /// As much as the model thinks it needs.
    Adaptive,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) parts: Vec<Part>,
    pub(super) finish: Finish,
    pub(super) stop_sequence: Option<String>,
    pub(super) usage: Option<Usage>,
    /// Members of the answer that nobody here knows.
    pub(super) rest: Map<String, Value>,
}

/// One step of a stream. At most one part is open at a time, whatever the source's stream does.
#[derive(Debug)]
pub(super) enum Step {
    Start { id: String, usage: Option<Usage> },
    Open(Opening),
    Text(String),
    Thinking(String),
    Seal(Seal),
    Arguments(String),
    Refusal(String),
    Close,
    Finish { finish: Finish, stop_sequence: Option<String> },
}

/// What a part of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Opening {
    Text,
    Refusal,
    Thinking,
    Redacted(Seal),
    ToolUse { id: String, name: String },
}

//! What becomes of that which the other dialect has no words for: refused by name, or dropped and reported. Never
//! silently.

use crate::head::BadRequest;

/// What becomes of a member that changes the answer and cannot be carried across.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lossy {
    /// The request is refused with status 400, and the refusal names the member.
    #[default]
    Refuse,
    /// The member is left out and reported. What would change the shape of the answer is refused all the same.
    Drop,
}

/// What a chat request's limit on the output is called where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_completion_tokens`, which models that reason insist on.
    #[default]
    MaxCompletionTokens,
    /// `max_tokens`, the only name that older servers know.
    MaxTokens,
}

/// Who made a model that Bedrock has. What Converse has no member for is said in the words of the model's maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Maker {
    /// Anthropic's models: Claude.
    Anthropic,
    /// Amazon's own: Nova.
    Amazon,
    /// OpenAI's open models.
    OpenAi,
    /// Somebody whose words are not known, or nobody knows who, as behind the address of an inference profile.
    #[default]
    Unknown,
}

impl Maker {
    /// By the id of a model, of a profile across regions, or an ARN that has one of them in it, such as
    /// `us.anthropic.claude-sonnet-4-5-20250929-v1:0`.
    pub fn of_bedrock(model: &str) -> Self {
        let id = model.rsplit_once('/').map_or(model, |(_, id)| id);
        let mut makers = id.split('.').filter_map(|word| match word {
            "anthropic" => Some(Self::Anthropic),
            "amazon" => Some(Self::Amazon),
            "openai" => Some(Self::OpenAi),
            _ => None,
        });
        makers.next_back().unwrap_or_default()
    }
}

/// How requests are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What becomes of what cannot be carried across.
    pub lossy: Lossy,
    /// The most tokens of an answer where the request does not say and the provider insists on it, as Anthropic does.
    pub default_max_output_tokens: u64,
    /// What chat's limit is called.
    pub output_limit: OutputLimit,
    /// Whose model Bedrock is asked for.
    pub maker: Maker,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lossy: Lossy::default(),
            default_max_output_tokens: 4_096,
            output_limit: OutputLimit::default(),
            maker: Maker::default(),
        }
    }
}

/// A member that was left out on the way, or changed its place or value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// The member, as a path in the client's request.
    pub field: String,
    /// Why, in words.
    pub why: String,
}

/// How much is lost with a member that the other dialect does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// The answer stays the same: dropped and reported.
    Harmless,
    /// The answer may be another one: by policy.
    Changes,
    /// The answer would have another shape, or what was asked for would not happen: refused.
    Shape,
}

/// Judges losses, and keeps account of them.
#[derive(Debug)]
pub(super) struct Judge {
    lossy: Lossy,
    pub(super) dropped: Vec<Dropped>,
}

impl Judge {
    pub(super) const fn new(lossy: Lossy) -> Self {
        Self { lossy, dropped: Vec::new() }
    }

    pub(super) fn loses(&mut self, loss: Loss, field: &str, why: &str) -> Result<(), BadRequest> {
        match (loss, self.lossy) {
            (Loss::Shape, _) | (Loss::Changes, Lossy::Refuse) => Err(refusal(field, why)),
            (Loss::Harmless, _) | (Loss::Changes, Lossy::Drop) => {
                self.notes(field, why);
                Ok(())
            }
        }
    }

    /// Reports a change that needs nobody's leave. Once for each member and reason.
    pub(super) fn notes(&mut self, field: &str, why: &str) {
        if !self.dropped.iter().any(|dropped| dropped.field == field && dropped.why == why) {
            self.dropped.push(Dropped { field: field.to_owned(), why: why.to_owned() });
        }
    }
}

pub(super) fn refusal(field: &str, problem: impl Into<String>) -> BadRequest {
    BadRequest::Field { field: field.to_owned(), problem: problem.into() }
}

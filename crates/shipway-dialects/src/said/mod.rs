//! What was said in a call, in one form for all dialects: the messages of OpenTelemetry's conventions for generative AI.
//!
//! For people who read a call afterwards, and for those who search. Nothing is decided by it and nothing is sent, so what
//! cannot be read is left out, and bytes of media are only counted.
//!
//! - `parts`: what a message is made of, wherever it stands
//! - `asked`: a request
//! - `answered`: a whole answer
//! - `stream`: an answer as it comes

mod answered;
mod asked;
mod parts;
mod stream;

use serde::{Deserialize, Serialize};

pub use answered::answered;
pub use asked::asked;
pub use stream::Answering;

/// What a part is taken for beside its text, where parts are counted.
const PART_BYTES: usize = 64;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Message {
    /// Who says it: `system`, `user`, `assistant`, `tool`, or what the dialect has beside these.
    pub role: String,
    /// What is said.
    pub parts: Vec<Part>,
    /// Of an answer: why it ended, in the words of its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        content: String,
    },
    /// What the model thought.
    Reasoning {
        /// As far as its provider shows it.
        content: String,
    },
    /// The model calls a tool.
    ToolCall {
        /// The id that its result refers to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// The tool.
        name: String,
        /// With what: JSON as a text.
        arguments: String,
    },
    /// What a tool answered.
    ToolCallResponse {
        /// The id of the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        /// Its answer.
        response: String,
    },
    /// An image, sound or document. Its bytes are not here.
    Media {
        /// `image`, `audio`, `document`.
        modality: String,
        /// Where it lies, if it is not in the call itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uri: Option<String>,
        /// How long it is in the call, as it stands there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes: Option<usize>,
    },
    /// Something that has no name here: its JSON.
    Other {
        /// The JSON.
        content: String,
    },
}

impl Part {
    /// The text that people read, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text { content } | Self::Reasoning { content } | Self::Other { content } => Some(content),
            Self::ToolCall { arguments, .. } => Some(arguments),
            Self::ToolCallResponse { response, .. } => Some(response),
            Self::Media { .. } => None,
        }
    }

    /// The same, to be changed.
    pub fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Text { content } | Self::Reasoning { content } | Self::Other { content } => Some(content),
            Self::ToolCall { arguments, .. } => Some(arguments),
            Self::ToolCallResponse { response, .. } => Some(response),
            Self::Media { .. } => None,
        }
    }
}

/// Cuts what is longer than `most_bytes`; whether anything was. `newest_first`: of a conversation the last messages stay, as a whole as
/// far as they fit; else the first.
pub fn cut(messages: &mut Vec<Message>, most_bytes: usize, newest_first: bool) -> bool {
    let mut left = most_bytes;
    let mut is_cut = false;
    if newest_first {
        messages.reverse();
    }
    messages.retain_mut(|message| {
        message.parts.retain_mut(|part| {
            if left == 0 {
                is_cut = true;
                return false;
            }
            left = left.saturating_sub(PART_BYTES);
            if let Some(text) = part.text_mut() {
                is_cut |= cut_text(text, left);
                left -= text.len();
            }
            true
        });
        !message.parts.is_empty()
    });
    if newest_first {
        messages.reverse();
    }
    is_cut
}

/// Cuts a text at a character.
fn cut_text(text: &mut String, most_bytes: usize) -> bool {
    if text.len() <= most_bytes {
        return false;
    }
    let end = (0..=most_bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    true
}

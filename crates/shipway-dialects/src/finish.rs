//! Why an answer ended, in one vocabulary and in that of each dialect.

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Finish {
    /// It had said what it wanted to say.
    Stop,
    /// It came upon a text that the request named as an end.
    StopSequence,
    /// It reached the most tokens that it may write.
    Length,
    /// It calls tools, and waits for their results.
    ToolUse,
    /// A filter or the model itself refused.
    Refusal,
    /// It paused a long turn, and goes on when it is sent its own words again.
    Pause,
    /// It ran out of context.
    ContextWindow,
    /// A reason that only its provider knows, in its words.
    Other(String),
}

impl Finish {
    /// The word for it, as OpenAI's chat has it; of a reason that only its provider knows, its own.
    pub fn word(&self) -> String {
        match self {
            Self::Other(reason) => reason.clone(),
            known => known.to_openai().to_owned(),
        }
    }

    /// From `finish_reason` of OpenAI.
    pub fn of_openai(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "tool_calls" | "function_call" => Self::ToolUse,
            "content_filter" => Self::Refusal,
            other => Self::Other(other.to_owned()),
        }
    }

    /// To `finish_reason` of OpenAI, whose clients know five of them: what has no counterpart is `stop`.
    pub const fn to_openai(&self) -> &'static str {
        match self {
            Self::Length | Self::ContextWindow => "length",
            Self::ToolUse => "tool_calls",
            Self::Refusal => "content_filter",
            Self::Stop | Self::StopSequence | Self::Pause | Self::Other(_) => "stop",
        }
    }

    /// From `stop_reason` of Anthropic.
    pub fn of_anthropic(reason: &str) -> Self {
        match reason {
            "end_turn" => Self::Stop,
            "stop_sequence" => Self::StopSequence,
            "max_tokens" => Self::Length,
            "tool_use" => Self::ToolUse,
            "refusal" => Self::Refusal,
            "pause_turn" => Self::Pause,
            "model_context_window_exceeded" => Self::ContextWindow,
            other => Self::Other(other.to_owned()),
        }
    }

    /// To `stop_reason` of Anthropic; what has no counterpart is `end_turn`.
    pub const fn to_anthropic(&self) -> &'static str {
        match self {
            Self::Stop | Self::Other(_) => "end_turn",
            Self::StopSequence => "stop_sequence",
            Self::Length => "max_tokens",
            Self::ToolUse => "tool_use",
            Self::Refusal => "refusal",
            Self::Pause => "pause_turn",
            Self::ContextWindow => "model_context_window_exceeded",
        }
    }

    /// From `finishReason` of Gemini. A call of a tool ends in `STOP` there: whoever has seen the call says so.
    pub fn of_gemini(reason: &str) -> Self {
        match reason {
            "STOP" => Self::Stop,
            "MAX_TOKENS" => Self::Length,
            "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" | "IMAGE_SAFETY" => {
                Self::Refusal
            }
            other => Self::Other(other.to_owned()),
        }
    }

    /// To `finishReason` of Gemini.
    pub const fn to_gemini(&self) -> &'static str {
        match self {
            Self::Stop | Self::StopSequence | Self::ToolUse | Self::Pause => "STOP",
            Self::Length | Self::ContextWindow => "MAX_TOKENS",
            Self::Refusal => "SAFETY",
            Self::Other(_) => "OTHER",
        }
    }

    /// From `stopReason` of Bedrock's Converse.
    pub fn of_bedrock(reason: &str) -> Self {
        match reason {
            "guardrail_intervened" | "content_filtered" => Self::Refusal,
            other => Self::of_anthropic(other),
        }
    }

    /// From the status and the reason of an incomplete answer of OpenAI's responses.
    pub fn of_responses(status: &str, incomplete: Option<&str>) -> Self {
        match (status, incomplete) {
            ("completed", _) => Self::Stop,
            ("incomplete", Some("max_output_tokens")) => Self::Length,
            ("incomplete", Some("content_filter")) => Self::Refusal,
            (_, reason) => Self::Other(reason.unwrap_or(status).to_owned()),
        }
    }
}

//! Looks at a stream as it passes: its frames as they are, and what they mean for the gateway.
//!
//! Nothing is parsed into a tree but a usage object and an error, once each; of every other frame the few members are
//! read that say what it is.

mod anthropic;
mod bedrock;
mod gemini;
mod media;
mod openai;
mod responses;

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::failure::ApiError;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::made::Made;
use crate::sse::{Event, FrameTooLong, Framer};
use crate::usage::Usage;

/// How many bytes of an answer are taken for one token where the provider has not counted.
const BYTES_PER_TOKEN: u64 = 4;

/// A whole frame of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame as it came, with the empty line that ends it.
    pub bytes: Bytes,
    /// What it is.
    pub sort: Sort,
    /// It carries something that the model wrote, also if it says something else as well.
    pub has_output: bool,
}

/// What a frame is; where several hold, the last of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sort {
    /// A comment or an event without meaning, which keeps the connection alive.
    KeepAlive,
    /// Something that the scanner has no name for; it is passed on like everything else.
    Other,
    /// Its data are not JSON. Clients will not be able to read it either.
    Unreadable,
    /// The answer begins; nothing is written yet.
    Start,
    /// A part of the answer.
    Content,
    /// One answer is finished, for the reason that [`Scanner::finish`] has.
    Finish,
    /// Usage and nothing else, as comes last in a stream of chat or completions that asked for it. It must be hidden
    /// from a client who did not ask.
    UsageOnly,
    /// The terminator: what comes after it has no meaning.
    End,
    /// The stream says that it failed; [`Scanner::error`] has it.
    Error,
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With its terminator; or, in a dialect that has none, with a reason to finish.
    Complete,
    /// With a reason to finish, but without the terminator that the dialect wants. The answer is whole; a client must
    /// be given [`Scanner::terminator`].
    Unterminated,
    /// Before the answer was over. A client must be told with an error in the stream, never by a clean end.
    Truncated,
    /// With an error of the provider's, in the stream.
    Failed,
}

/// Follows one stream.
#[derive(Debug)]
pub struct Scanner {
    dialect: Dialect,
    framer: Framer,
    state: State,
}

/// What is known of the stream so far.
#[derive(Debug, Default)]
struct State {
    usage: Usage,
    has_usage: bool,
    finish: Option<Finish>,
    error: Option<ApiError>,
    ended: bool,
    output_bytes: u64,
    model: Option<String>,
    response_id: Option<String>,
    made: Made,
    service_tier: Option<String>,
    sequence: u64,
}

/// What a dialect's reader says about one frame.
#[derive(Debug, Clone, Copy)]
struct Seen {
    sort: Sort,
    output_bytes: u64,
}

impl Seen {
    const fn of(sort: Sort) -> Self {
        Self { sort, output_bytes: 0 }
    }
}

impl Scanner {
    /// A scanner at the start of a stream.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, framer: Framer::new(), state: State::default() }
    }

    /// Takes the next bytes, however the network cut them, and appends the frames that are now whole. Back to back,
    /// the frames of all calls and what [`Self::end`] returns are the stream, unless it was cut off within a frame.
    pub fn feed(&mut self, chunk: &Bytes, frames: &mut Vec<Frame>) -> Result<(), FrameTooLong> {
        let Self { dialect, framer, state } = self;
        framer.feed(chunk, |bytes| frames.push(state.see(*dialect, bytes)))
    }

    /// Says that the stream is over, however it ended, and how. A last frame that lacks only the empty line counts,
    /// and is returned whole if it was one; what is returned is to be passed on only together with an ending that is
    /// not [`Ending::Truncated`].
    pub fn end(&mut self) -> (Ending, Option<Frame>) {
        let rest = self.framer.rest();
        let mut last = None;
        if !rest.is_empty() {
            let frame = self.state.see(self.dialect, rest);
            last = (frame.sort > Sort::Unreadable || frame.sort == Sort::KeepAlive).then_some(frame);
        }
        (self.ending(), last)
    }

    /// How the stream would have ended if it ended here.
    pub fn ending(&self) -> Ending {
        let state = &self.state;
        match (state.error.is_some(), state.ended, state.finish.is_some()) {
            (true, _, _) => Ending::Failed,
            (false, true, _) => Ending::Complete,
            (false, false, true)
                if matches!(self.dialect, Dialect::GeminiGenerate | Dialect::OpenAiMedia) =>
            {
                Ending::Complete
            }
            // Only the usage is missing.
            (false, false, true) if matches!(self.dialect, Dialect::BedrockConverse) => Ending::Unterminated,
            // Responses end with the event that says why; Anthropic's reason comes before the last usage is sure.
            (false, false, true) if Self::terminator(self.dialect).is_some() => Ending::Unterminated,
            (false, false, _) => Ending::Truncated,
        }
    }

    /// The frame that ends a stream of the dialect, if it is the same for every stream.
    pub const fn terminator(dialect: Dialect) -> Option<&'static str> {
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => Some("data: [DONE]\n\n"),
            Dialect::AnthropicMessages => Some("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            Dialect::OpenAiResponses
            | Dialect::OpenAiEmbeddings
            | Dialect::OpenAiMedia
            | Dialect::OpenAiRealtime
            | Dialect::GeminiGenerate
            | Dialect::BedrockConverse
            | Dialect::GeminiEmbeddings
            | Dialect::VertexPredict
            | Dialect::BedrockInvoke => None,
        }
    }

    /// The usage that the provider has stated so far. In a stream of Anthropic the input is known at the start, and
    /// the output at the end.
    pub const fn usage(&self) -> Option<Usage> {
        if self.state.has_usage { Some(self.state.usage) } else { None }
    }

    /// Why the answer ended, if it has; of several answers the last.
    pub const fn finish(&self) -> Option<&Finish> {
        self.state.finish.as_ref()
    }

    /// What the stream says went wrong.
    pub const fn error(&self) -> Option<&ApiError> {
        self.state.error.as_ref()
    }

    /// The model as the provider names it.
    pub fn model(&self) -> Option<&str> {
        self.state.model.as_deref()
    }

    /// The tier of service that the provider says it served the call at.
    pub fn service_tier(&self) -> Option<&str> {
        self.state.service_tier.as_deref()
    }

    /// How many bytes the model has written so far, as they stand in JSON.
    pub const fn output_bytes(&self) -> u64 {
        self.state.output_bytes
    }

    /// The id of the response, where the dialect is that of responses and has said it.
    pub fn response_id(&self) -> Option<&str> {
        self.state.response_id.as_deref()
    }

    /// What it made beside tokens so far.
    pub const fn made(&self) -> Made {
        self.state.made
    }

    /// The number that the next frame of a stream of responses has.
    pub const fn next_sequence(&self) -> u64 {
        self.state.sequence
    }

    /// What to charge when the stream stops here: what the provider has stated; and where it has not, an estimate of
    /// what was written, and `input_tokens` for what was read. True if anything is estimated.
    pub fn usage_or_estimate(&self, input_tokens: u64) -> (Usage, bool) {
        let written = self.state.output_bytes.div_ceil(BYTES_PER_TOKEN);
        let finished = self.ending() != Ending::Truncated;
        match (self.usage(), finished) {
            (Some(usage), true) => (usage, false),
            // Cut off: what was stated on the way may be older than what was written.
            (Some(usage), false) if usage.output >= written => (usage, true),
            (Some(usage), false) => (Usage { output: written, ..usage }, true),
            // An error instead of an answer: nothing was done.
            (None, _) if self.state.error.is_some() && written == 0 => (Usage::default(), false),
            (None, _) => (Usage { input: input_tokens, output: written, ..Usage::default() }, true),
        }
    }
}

impl State {
    fn see(&mut self, dialect: Dialect, bytes: Bytes) -> Frame {
        let seen = {
            let event = Event::read(&bytes);
            match (&event.data, self.ended) {
                (None, _) => Seen::of(Sort::KeepAlive),
                (Some(_), true) => Seen::of(Sort::Other),
                (Some(data), false) => {
                    self.see_data(dialect, event.name, data).unwrap_or(Seen::of(Sort::Unreadable))
                }
            }
        };
        self.output_bytes = self.output_bytes.saturating_add(seen.output_bytes);
        self.ended |= seen.sort == Sort::End;
        Frame { bytes, sort: seen.sort, has_output: seen.output_bytes > 0 }
    }

    fn see_data(&mut self, dialect: Dialect, event: &[u8], data: &[u8]) -> Result<Seen, NotJson> {
        match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings => {
                openai::see(self, dialect, event, data)
            }
            Dialect::OpenAiResponses => responses::see(self, data),
            Dialect::OpenAiMedia | Dialect::OpenAiRealtime => media::see(self, data),
            Dialect::AnthropicMessages => anthropic::see(self, event, data),
            Dialect::GeminiGenerate | Dialect::GeminiEmbeddings | Dialect::VertexPredict => {
                gemini::see(self, data)
            }
            Dialect::BedrockConverse | Dialect::BedrockInvoke => bedrock::see(self, event, data),
        }
    }

    fn take_usage(&mut self, dialect: Dialect, json: &[u8]) -> bool {
        let taken = self.usage.read(dialect, json);
        self.has_usage |= taken;
        taken
    }

    fn take_model(&mut self, value: &mut Reader<'_>) -> Result<(), NotJson> {
        if self.model.is_some() {
            return value.pass();
        }
        self.model = value.text_or_skip()?.map(Into::into);
        Ok(())
    }

    /// Keeps the last one that is said: what was asked for may come first, and what was served at the end.
    fn take_service_tier(&mut self, value: &mut Reader<'_>) -> Result<(), NotJson> {
        if let Some(tier) = value.text_or_skip()? {
            self.service_tier = Some(tier.into());
        }
        Ok(())
    }

    fn fail(&mut self, data: &[u8]) -> Seen {
        self.error = Some(ApiError::of_frame(data));
        Seen::of(Sort::Error)
    }
}

/// The bytes of a text without its quotes; 0 for anything else. The value is consumed.
fn text_bytes(value: &mut Reader<'_>) -> Result<u64, NotJson> {
    let kind = value.kind()?;
    let range = value.skip()?;
    Ok(if kind == Kind::Text { range.len() as u64 - 2 } else { 0 })
}

/// The bytes of all texts within a value.
fn texts_within(value: &mut Reader<'_>, depth: u8) -> Result<u64, NotJson> {
    let mut sum = 0_u64;
    match value.kind()? {
        Kind::Object if depth > 0 => {
            value.object(|_, member| {
                sum += texts_within(member, depth - 1)?;
                Ok::<_, NotJson>(())
            })?;
        }
        Kind::Array if depth > 0 => {
            value.array(|item| {
                sum += texts_within(item, depth - 1)?;
                Ok::<_, NotJson>(())
            })?;
        }
        _ => sum = text_bytes(value)?,
    }
    Ok(sum)
}

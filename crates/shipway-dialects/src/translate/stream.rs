//! Translates a stream while it comes.

use bytes::Bytes;
use serde_json::Value;

use crate::dialect::Dialect;
use crate::failure::{ApiError, Cause};
use crate::scanner::{Ending, Frame, Scanner, Sort};
use crate::sse::{Event, FrameTooLong};
use crate::translate::bedrock::stream_in::BedrockReader;
use crate::translate::chat::stream_in::ChatReader;
use crate::translate::chat::stream_out::ChatWriter;
use crate::translate::completions::stream_out::CompletionsWriter;
use crate::translate::form::Step;
use crate::translate::gemini::answer_out::GeminiWriter;
use crate::translate::gemini::stream_in::GeminiReader;
use crate::translate::messages::stream_in::MessagesReader;
use crate::translate::messages::stream_out::MessagesWriter;
use crate::translate::responses::stream_in::ResponsesReader;
use crate::translate::responses::stream_out::ResponsesWriter;
use crate::translate::{Context, Totals, Untranslatable};

/// A stream of one dialect that becomes a stream of another.
#[derive(Debug)]
pub struct Stream {
    scanner: Scanner,
    reader: StepReader,
    writer: StepWriter,
    to: Dialect,
    frames: Vec<Frame>,
    steps: Vec<Step>,
    state: Writing,
    /// What the client's stream ended with, whatever the provider's did.
    error: Option<ApiError>,
}

/// What of the client's stream has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    Nothing,
    Some,
    Ended,
}

#[derive(Debug)]
enum StepReader {
    Chat(ChatReader),
    Messages(MessagesReader),
    Gemini(GeminiReader),
    Bedrock(BedrockReader),
    Responses(ResponsesReader),
}

#[derive(Debug)]
enum StepWriter {
    Chat(ChatWriter),
    Messages(MessagesWriter),
    Responses(ResponsesWriter),
    Gemini(GeminiWriter),
    Completions(CompletionsWriter),
}

impl Stream {
    /// A translator at the start of a stream, `from` the provider's dialect `to` the client's.
    pub fn new(from: Dialect, to: Dialect) -> Result<Self, Untranslatable> {
        let unknown = Untranslatable { from, to };
        let reader = match from {
            Dialect::OpenAiChat => StepReader::Chat(ChatReader::default()),
            Dialect::AnthropicMessages => StepReader::Messages(MessagesReader::default()),
            Dialect::GeminiGenerate => StepReader::Gemini(GeminiReader::default()),
            Dialect::BedrockConverse => StepReader::Bedrock(BedrockReader::default()),
            Dialect::OpenAiResponses => StepReader::Responses(ResponsesReader::default()),
            _ => return Err(unknown),
        };
        let writer = match to {
            Dialect::OpenAiChat => StepWriter::Chat(ChatWriter::new()),
            Dialect::AnthropicMessages => StepWriter::Messages(MessagesWriter::new()),
            Dialect::OpenAiResponses => StepWriter::Responses(ResponsesWriter::default()),
            Dialect::GeminiGenerate => StepWriter::Gemini(GeminiWriter::default()),
            Dialect::OpenAiCompletions => StepWriter::Completions(CompletionsWriter::new()),
            _ => return Err(unknown),
        };
        let scanner = Scanner::new(from);
        Ok(Self {
            scanner,
            reader,
            writer,
            to,
            frames: Vec::new(),
            steps: Vec::new(),
            state: Writing::Nothing,
            error: None,
        })
    }

    /// What is known of the provider's stream: usage, finish, errors.
    pub const fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// Whether the provider's answer has begun. The client's may have no frame yet: Gemini's say calls whole.
    pub fn has_begun(&self) -> bool {
        self.state != Writing::Nothing
    }

    /// Whether the client's stream is over, honestly or with an error in it; nothing may be written behind that.
    pub fn is_over(&self) -> bool {
        self.state == Writing::Ended
    }

    /// The error that the client's stream ended with, if it did.
    pub const fn error(&self) -> Option<&ApiError> {
        self.error.as_ref()
    }

    /// Takes the next bytes, however the network cut them, and returns the frames for the client that come of them;
    /// empty while none is whole. As long as nothing has been returned, [`Scanner::error`] can still become an answer
    /// with a status.
    pub fn feed(&mut self, chunk: &Bytes, context: &Context<'_>) -> Result<Bytes, FrameTooLong> {
        let mut out = Vec::new();
        self.scanner.feed(chunk, &mut self.frames)?;
        for frame in std::mem::take(&mut self.frames) {
            self.translate(&frame, context, &mut out);
        }
        Ok(Bytes::from(out))
    }

    /// Says that the provider's stream is over, and returns what ends the client's: its terminator if the answer is
    /// whole, an error in the client's dialect if it is not. Empty if the terminator has been returned before.
    pub fn end(&mut self, context: &Context<'_>) -> (Ending, Bytes) {
        let mut out = Vec::new();
        let (ending, last) = self.scanner.end();
        if let Some(frame) = last {
            self.translate(&frame, context, &mut out);
        }
        match ending {
            Ending::Complete | Ending::Unterminated => self.finish(context, &mut out),
            Ending::Truncated => self.fail(&ApiError::truncated(), context, &mut out),
            Ending::Failed => {}
        }
        let failed = self.error.is_some() && ending != Ending::Truncated;
        let ending = if failed { Ending::Failed } else { ending };
        (ending, Bytes::from(out))
    }

    /// Ends the client's stream with an error that the gateway knows of, such as a timeout.
    pub fn abort(&mut self, error: &ApiError, context: &Context<'_>) -> Bytes {
        let mut out = Vec::new();
        self.fail(error, context, &mut out);
        Bytes::from(out)
    }

    fn translate(&mut self, frame: &Frame, context: &Context<'_>, out: &mut Vec<u8>) {
        if self.is_over() {
            return;
        }
        match frame.sort {
            Sort::KeepAlive if self.state == Writing::Some => out.extend_from_slice(keep_alive(self.to)),
            Sort::KeepAlive => {}
            Sort::Error => {
                let error = self.scanner.error().cloned().unwrap_or_else(ApiError::truncated);
                self.fail(&error, context, out);
            }
            Sort::Unreadable => {
                let error = ApiError::new(Cause::Upstream, "the provider's stream has data that are no JSON");
                self.fail(&error, context, out);
            }
            Sort::End => {
                self.read(frame, context);
                if self.scanner.finish().is_some() || !self.has_begun() {
                    return self.finish(context, out);
                }
                // Nobody knows whether an answer is whole that ends without a reason.
                let error = ApiError::new(Cause::Upstream, "the provider's stream ended without a reason");
                self.fail(&error, context, out);
            }
            _ => {
                self.read(frame, context);
                self.write_steps(context, out);
            }
        }
    }

    fn read(&mut self, frame: &Frame, context: &Context<'_>) {
        let event = Event::read(&frame.bytes);
        // Clients of Anthropic pass over data without the name of an event.
        if event.name.is_empty() && matches!(self.reader, StepReader::Messages(_)) {
            return;
        }
        let data = event.data.unwrap_or_default();
        let Ok(value) = serde_json::from_slice::<Value>(&data) else { return };
        match &mut self.reader {
            StepReader::Chat(reader) => reader.read(&value, &mut self.steps),
            StepReader::Messages(reader) => reader.read(&value, &mut self.steps),
            StepReader::Gemini(reader) => reader.read(&value, &mut self.steps),
            StepReader::Responses(reader) => reader.read(&value, &mut self.steps),
            StepReader::Bedrock(reader) => {
                reader.read(event.name, &value, context.request_id, &mut self.steps);
            }
        }
    }

    fn finish(&mut self, context: &Context<'_>, out: &mut Vec<u8>) {
        if self.is_over() {
            return;
        }
        if self.state == Writing::Nothing {
            let error = ApiError::new(Cause::Upstream, "the provider's stream has no answer in it");
            return self.fail(&error, context, out);
        }
        match &mut self.reader {
            StepReader::Chat(reader) => reader.end(&mut self.steps),
            StepReader::Messages(reader) => reader.end(&mut self.steps),
            StepReader::Gemini(reader) => reader.end(&mut self.steps),
            StepReader::Bedrock(reader) => reader.end(&mut self.steps),
            StepReader::Responses(reader) => reader.end(&mut self.steps),
        }
        self.write_steps(context, out);
        if self.is_over() {
            return;
        }
        let (usage, _) = self.scanner.usage_or_estimate(context.input_tokens);
        let totals = Totals { usage };
        match &mut self.writer {
            StepWriter::Chat(writer) => writer.end(&totals, context, out),
            StepWriter::Messages(writer) => writer.end(&totals, out),
            StepWriter::Responses(writer) => writer.end(&totals, context, out),
            StepWriter::Gemini(writer) => writer.end(&totals, context, out),
            StepWriter::Completions(writer) => writer.end(&totals, context, out),
        }
        self.state = Writing::Ended;
    }

    fn write_steps(&mut self, context: &Context<'_>, out: &mut Vec<u8>) {
        for step in std::mem::take(&mut self.steps) {
            // What comes before the beginning of an answer belongs to none.
            if self.state == Writing::Nothing && !matches!(step, Step::Start { .. }) {
                continue;
            }
            self.state = Writing::Some;
            match &mut self.writer {
                StepWriter::Chat(writer) => writer.write(step, context, out),
                StepWriter::Messages(writer) => writer.write(step, context, out),
                StepWriter::Responses(writer) => writer.write(step, context, out),
                StepWriter::Gemini(writer) => {
                    if let Err(error) = writer.write(step, context, out) {
                        return self.fail(&error, context, out);
                    }
                }
                StepWriter::Completions(writer) => {
                    if let Err(error) = writer.write(step, context, out) {
                        return self.fail(&error, context, out);
                    }
                }
            }
        }
    }

    fn fail(&mut self, error: &ApiError, context: &Context<'_>, out: &mut Vec<u8>) {
        if !self.is_over() {
            let sequence = match &self.writer {
                StepWriter::Responses(writer) => writer.sequence(),
                StepWriter::Chat(_)
                | StepWriter::Messages(_)
                | StepWriter::Gemini(_)
                | StepWriter::Completions(_) => 0,
            };
            out.extend_from_slice(&error.frame(self.to, context.request_id, sequence));
            self.state = Writing::Ended;
            self.error = Some(error.clone());
        }
    }
}

/// What keeps a connection alive without meaning anything to a client of the dialect. Gemini's takes comments for
/// errors.
const fn keep_alive(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::AnthropicMessages => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
        Dialect::GeminiGenerate => b"",
        _ => b": keep-alive\n\n",
    }
}

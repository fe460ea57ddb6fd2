//! An answer as it comes, frame by frame: what it says so far, up to a bound. Beyond that nothing is read any more.

use bytes::Bytes;
use serde_json::Value;

use super::{
    Message, PART_BYTES, Part,
    answered::{assistant, response},
    asked::gemini,
    cut_text,
    parts::{chat_call, parts, text_at},
};
use crate::{
    dialect::Dialect,
    sse::{Event, Framer},
};

/// The most answers to one request that are told apart.
const MOST_ANSWERS: usize = 128;

/// Reads along.
#[derive(Debug)]
pub struct Answering {
    dialect: Dialect,
    framer: Framer,
    answers: Vec<Message>,
    bytes: usize,
    most_bytes: usize,
    is_cut: bool,
}

/// What a piece belongs to.
enum Kind<'a> {
    Text,
    Reasoning,
    /// The arguments of the tool call that is written; with its id, if the piece says it.
    Arguments(Option<&'a str>),
}

impl Answering {
    /// At the start of a stream of which `most_bytes` are kept.
    pub fn new(dialect: Dialect, most_bytes: usize) -> Self {
        let (framer, answers) = (Framer::new(), Vec::new());
        Self { dialect, framer, answers, bytes: 0, most_bytes, is_cut: false }
    }

    /// The next bytes, however the network cut them. What is no frame is passed over.
    pub fn feed(&mut self, chunk: &Bytes) {
        if self.is_cut {
            return;
        }
        let mut framer = std::mem::take(&mut self.framer);
        let fed = framer.feed(chunk, |frame| self.read(&frame));
        self.is_cut |= fed.is_err();
        self.framer = framer;
    }

    /// What was said, and whether it was cut.
    pub fn finish(mut self) -> (Vec<Message>, bool) {
        let rest = self.framer.rest();
        self.read(&rest);
        self.answers.retain(|answer| !answer.parts.is_empty() || answer.finish_reason.is_some());
        (self.answers, self.is_cut)
    }

    fn read(&mut self, frame: &[u8]) {
        if self.is_cut {
            return;
        }
        let Some(data) = Event::read(frame).data else { return };
        let Ok(data) = serde_json::from_slice::<Value>(&data) else { return };
        match self.dialect {
            Dialect::OpenAiChat | Dialect::OpenAiCompletions => self.chat(&data),
            Dialect::AnthropicMessages => self.messages(&data),
            Dialect::OpenAiResponses => self.responses(&data),
            Dialect::GeminiGenerate => self.gemini(&data),
            Dialect::OpenAiMedia => {
                if let Some(delta) = text_at(&data, "delta") {
                    self.piece(0, &Kind::Text, delta);
                }
            }
            Dialect::OpenAiEmbeddings
            | Dialect::GeminiEmbeddings
            | Dialect::VertexPredict
            | Dialect::BedrockInvoke
            | Dialect::OpenAiRealtime
            | Dialect::BedrockConverse => {}
        }
    }

    fn answer(&mut self, index: u64) -> Option<&mut Message> {
        let index = usize::try_from(index).ok().filter(|index| *index < MOST_ANSWERS)?;
        while self.answers.len() <= index {
            self.answers.push(assistant(None, None));
        }
        self.answers.get_mut(index)
    }

    /// Counts what is about to be kept; none once there is no room.
    fn room(&mut self, wanted: usize) -> Option<usize> {
        let room = self.most_bytes.saturating_sub(self.bytes);
        self.is_cut |= wanted > room;
        let taken = wanted.min(room);
        self.bytes += taken;
        (taken > 0).then_some(taken)
    }

    /// A piece of a text goes on where the last one of its kind stopped.
    fn piece(&mut self, index: u64, kind: &Kind<'_>, piece: &str) {
        let Some(room) = self.room(piece.len()) else { return };
        let mut piece = piece.to_owned();
        cut_text(&mut piece, room);
        let Some(answer) = self.answer(index) else { return };
        let open = match kind {
            Kind::Text => match answer.parts.last_mut() {
                Some(Part::Text { content }) => Some(content),
                _ => None,
            },
            Kind::Reasoning => match answer.parts.last_mut() {
                Some(Part::Reasoning { content }) => Some(content),
                _ => None,
            },
            Kind::Arguments(wanted) => answer.parts.iter_mut().rev().find_map(|part| match part {
                Part::ToolCall { id, arguments, .. } if wanted.is_none() || id.as_deref() == *wanted => {
                    Some(arguments)
                }
                _ => None,
            }),
        };
        if let Some(open) = open {
            return open.push_str(&piece);
        }
        let part = match kind {
            Kind::Text => Part::Text { content: piece },
            Kind::Reasoning => Part::Reasoning { content: piece },
            Kind::Arguments(_) => return,
        };
        // Its bytes are counted already.
        answer.parts.push(part);
        self.bytes = self.bytes.saturating_add(PART_BYTES);
    }

    fn push(&mut self, index: u64, part: Part) {
        let bytes = PART_BYTES + part.text().map_or(0, str::len);
        if self.room(bytes) == Some(bytes)
            && let Some(answer) = self.answer(index)
        {
            answer.parts.push(part);
        }
    }

    fn finish_of(&mut self, index: u64, reason: Option<&str>) {
        if let Some((reason, answer)) = reason.zip(self.answer(index)) {
            answer.finish_reason = Some(reason.to_owned());
        }
    }

    fn chat(&mut self, data: &Value) {
        for choice in data.get("choices").and_then(Value::as_array).into_iter().flatten() {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            if let Some(text) = text_at(choice, "text") {
                self.piece(index, &Kind::Text, text);
            }
            if let Some(delta) = choice.get("delta") {
                for (name, kind) in [
                    ("reasoning_content", Kind::Reasoning),
                    ("reasoning", Kind::Reasoning),
                    ("content", Kind::Text),
                    ("refusal", Kind::Text),
                ] {
                    if let Some(piece) = text_at(delta, name) {
                        self.piece(index, &kind, piece);
                    }
                }
                for call in delta.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
                    self.chat_call(index, call);
                }
            }
            self.finish_of(index, text_at(choice, "finish_reason"));
        }
    }

    /// A call begins with its name; what follows are its arguments. Calls come one after the other.
    fn chat_call(&mut self, index: u64, call: &Value) {
        let function = call.get("function").or_else(|| call.get("custom"));
        let begins =
            function.and_then(|function| text_at(function, "name")).is_some_and(|name| !name.is_empty());
        if begins {
            return self.push(index, chat_call(call));
        }
        let arguments = function
            .and_then(|function| text_at(function, "arguments").or_else(|| text_at(function, "input")));
        if let Some(arguments) = arguments {
            let id = text_at(call, "id").filter(|id| !id.is_empty());
            self.piece(index, &Kind::Arguments(id), arguments);
        }
    }

    fn messages(&mut self, data: &Value) {
        match text_at(data, "type") {
            Some("content_block_start") => {
                let mut found = Vec::new();
                if let Some(block) = data.get("content_block") {
                    parts(block, &mut found);
                }
                for mut part in found {
                    // What it is called with comes piece by piece.
                    if let Part::ToolCall { arguments, .. } = &mut part
                        && arguments == "{}"
                    {
                        arguments.clear();
                    }
                    self.push(0, part);
                }
            }
            Some("content_block_delta") => {
                let Some(delta) = data.get("delta") else { return };
                for (name, kind) in [
                    ("text", Kind::Text),
                    ("thinking", Kind::Reasoning),
                    ("partial_json", Kind::Arguments(None)),
                ] {
                    if let Some(piece) = text_at(delta, name) {
                        self.piece(0, &kind, piece);
                    }
                }
            }
            Some("message_delta") => {
                let reason = data.get("delta").and_then(|delta| text_at(delta, "stop_reason"));
                self.finish_of(0, reason);
            }
            _ => {}
        }
    }

    /// The last event says all of it again; what came before counts where it does not come.
    fn responses(&mut self, data: &Value) {
        let Some(kind) = text_at(data, "type") else { return };
        if let Some(whole) = data
            .get("response")
            .filter(|_| matches!(kind, "response.completed" | "response.incomplete" | "response.failed"))
        {
            let whole = response(whole);
            if !whole.parts.is_empty() {
                (self.answers, self.bytes) = (Vec::new(), 0);
                let reason = whole.finish_reason;
                whole.parts.into_iter().for_each(|part| self.push(0, part));
                return self.finish_of(0, reason.as_deref());
            }
        }
        if kind == "response.output_item.added" {
            let Some(item) = data.get("item") else { return };
            if text_at(item, "type").is_some_and(|kind| kind.ends_with("_call")) {
                let mut found = Vec::new();
                parts(item, &mut found);
                found.into_iter().for_each(|part| self.push(0, part));
            }
            return;
        }
        let Some(delta) = text_at(data, "delta") else { return };
        if kind.contains("reasoning") {
            self.piece(0, &Kind::Reasoning, delta);
        } else if kind.ends_with("arguments.delta") || kind.ends_with("input.delta") {
            self.piece(0, &Kind::Arguments(None), delta);
        } else if matches!(kind, "response.output_text.delta" | "response.refusal.delta") {
            self.piece(0, &Kind::Text, delta);
        }
    }

    fn gemini(&mut self, data: &Value) {
        for candidate in data.get("candidates").and_then(Value::as_array).into_iter().flatten() {
            let index = candidate.get("index").and_then(Value::as_u64).unwrap_or(0);
            for part in candidate.get("content").map(gemini).unwrap_or_default().parts {
                match part {
                    Part::Text { content } => self.piece(index, &Kind::Text, &content),
                    Part::Reasoning { content } => self.piece(index, &Kind::Reasoning, &content),
                    part => self.push(index, part),
                }
            }
            self.finish_of(index, text_at(candidate, "finishReason"));
        }
    }
}

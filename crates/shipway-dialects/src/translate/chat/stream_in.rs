//! Reads the chunks of a stream of OpenAI's chat.
//!
//! Chunks may write to several calls at once; the steps that come out have one part open at a time. A call that
//! begins while another one is not a whole object yet waits for it.

use serde_json::Value;

use crate::finish::Finish;
use crate::json::Reader;
use crate::translate::chat::parts::call_id;
use crate::translate::form::{Opening, Origin, Seal, Step};

#[derive(Debug, Default)]
pub(in crate::translate) struct ChatReader {
    /// The answer's id, once it has begun.
    started: Option<String>,
    /// The part that is open, if it is no call.
    open: Option<Opening>,
    calls: Vec<Call>,
    /// The call that is open; those before it are closed, those behind it wait.
    at: usize,
    finish: Option<Finish>,
    refuses: bool,
}

#[derive(Debug, Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    arguments: String,
    /// How much of the arguments has gone on.
    sent: usize,
    opened: bool,
}

impl ChatReader {
    /// The steps of one chunk.
    pub(in crate::translate) fn read(&mut self, chunk: &Value, steps: &mut Vec<Step>) {
        // Filters of the prompt and usage come in chunks without choices.
        let Some(choice) = chunk.pointer("/choices/0") else { return };
        if self.started.is_none() {
            let id = chunk.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.started = Some(id.clone());
            steps.push(Step::Start { id, usage: None });
        }
        if let Some(delta) = choice.get("delta") {
            self.read_delta(delta, steps);
        }
        if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
            self.finish = Some(Finish::of_openai(reason));
        }
    }

    /// The steps that end the stream, once it is known that it is whole.
    pub(in crate::translate) fn end(&mut self, steps: &mut Vec<Step>) {
        self.close(steps);
        self.flush(steps, true);
        let finish = match self.finish.take() {
            // Some say `stop` although they call tools, and some never say.
            None | Some(Finish::Stop) if !self.calls.is_empty() => Finish::ToolUse,
            None | Some(Finish::Stop) if self.refuses => Finish::Refusal,
            None => Finish::Stop,
            Some(finish) => finish,
        };
        steps.push(Step::Finish { finish, stop_sequence: None });
    }

    fn read_delta(&mut self, delta: &Value, steps: &mut Vec<Step>) {
        let text = |name: &str| delta.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(thought) = text("reasoning_content").or_else(|| text("reasoning")) {
            self.opens(Opening::Thinking, steps);
            steps.push(Step::Thinking(thought.to_owned()));
        }
        for block in delta.get("thinking_blocks").and_then(Value::as_array).into_iter().flatten() {
            self.read_thinking_block(block, steps);
        }
        if let Some(content) = text("content") {
            self.opens(Opening::Text, steps);
            steps.push(Step::Text(content.to_owned()));
        }
        if let Some(refusal) = text("refusal") {
            self.refuses = true;
            self.opens(Opening::Refusal, steps);
            steps.push(Step::Refusal(refusal.to_owned()));
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for (position, call) in calls.into_iter().flatten().enumerate() {
            self.close(steps);
            self.read_call(call, position);
            self.flush(steps, false);
        }
    }

    fn read_thinking_block(&mut self, block: &Value, steps: &mut Vec<Step>) {
        let text = |name: &str| block.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(data) = text("data") {
            self.close(steps);
            steps.push(Step::Open(Opening::Redacted(Seal::of_text(data, Origin::Anthropic))));
            steps.push(Step::Close);
        } else if let Some(signature) = text("signature") {
            self.opens(Opening::Thinking, steps);
            steps.push(Step::Seal(Seal::of_text(signature, Origin::Anthropic)));
            self.close(steps);
        }
    }

    fn opens(&mut self, opening: Opening, steps: &mut Vec<Step>) {
        if self.open.as_ref() == Some(&opening) {
            return;
        }
        self.close(steps);
        // Text after calls ends them: nothing more is written to them.
        self.flush(steps, true);
        steps.push(Step::Open(opening.clone()));
        self.open = Some(opening);
    }

    fn close(&mut self, steps: &mut Vec<Step>) {
        if self.open.take().is_some() {
            steps.push(Step::Close);
        }
    }

    /// Takes a fragment of a call to where it belongs. Some servers leave the index out, and send calls whole.
    fn read_call(&mut self, fragment: &Value, position: usize) {
        let text = |pointer: &str| fragment.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let id = text("/id");
        let index = fragment.get("index").and_then(Value::as_u64);
        let known = match index {
            Some(index) => self.calls.iter().position(|call| call.index == index),
            // A name begins a call, unless the last one still waits for its own.
            None if id.is_empty() => {
                let begins = !text("/function/name").is_empty();
                self.calls.len().checked_sub(1).filter(|last| !begins || self.calls[*last].name.is_empty())
            }
            None => self.calls.iter().position(|call| call.id == id),
        };
        let place = known.unwrap_or_else(|| {
            let index = index.unwrap_or((self.calls.len() + position) as u64);
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        let Some(call) = self.calls.get_mut(place) else { return };
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if !call.opened {
            call.name.push_str(text("/function/name"));
        }
        call.arguments.push_str(text("/function/arguments"));
    }

    /// Sends on what may go on: the open call's fragments, and the next call once that one is whole, or all of them.
    fn flush(&mut self, steps: &mut Vec<Step>, all: bool) {
        let count = self.calls.len();
        while let Some(call) = self.calls.get_mut(self.at) {
            if !call.opened {
                if call.name.is_empty() && !all {
                    return;
                }
                call.opened = true;
                if call.id.is_empty() {
                    call.id = call_id(self.started.as_deref().unwrap_or_default(), self.at);
                }
                steps.push(Step::Open(Opening::ToolUse { id: call.id.clone(), name: call.name.clone() }));
            }
            if call.sent < call.arguments.len() {
                steps.push(Step::Arguments(call.arguments[call.sent..].to_owned()));
                call.sent = call.arguments.len();
            }
            let next_waits = self.at + 1 < count;
            if !(all || next_waits && is_whole(&call.arguments)) {
                return;
            }
            steps.push(Step::Close);
            self.at += 1;
        }
    }
}

/// Whether arguments are a whole object. No arguments are not whole: some servers begin all calls before they write
/// to any.
fn is_whole(arguments: &str) -> bool {
    if !arguments.trim_start().starts_with('{') {
        return false;
    }
    let mut reader = Reader::new(arguments.as_bytes());
    reader.skip().is_ok() && reader.finish().is_ok()
}

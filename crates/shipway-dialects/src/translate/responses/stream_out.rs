//! Writes the events of a stream of OpenAI's responses: each numbered, each item begun, written and done.

use serde_json::{Value, json};

use crate::finish::Finish;
use crate::translate::form::{Opening, Seal, Step};
use crate::translate::messages::stream_out::event;
use crate::translate::responses::answer::{
    call, item_id, message, reasoning, response, response_id, text_part,
};
use crate::translate::{Context, Totals};

#[derive(Debug, Default)]
pub(in crate::translate) struct ResponsesWriter {
    id: String,
    sequence: u64,
    output: Vec<Value>,
    open: Option<Item>,
    finish: Option<Finish>,
}

/// The item that is being written.
#[derive(Debug)]
struct Item {
    opening: Opening,
    id: String,
    written: String,
    seal: Option<Seal>,
}

impl ResponsesWriter {
    /// The number of the next event.
    pub(in crate::translate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(in crate::translate) fn write(&mut self, step: Step, context: &Context<'_>, out: &mut Vec<u8>) {
        match step {
            Step::Start { id, .. } => {
                self.id = response_id(&id);
                let begun = response(&self.id, context, &[], None, None);
                self.event(out, "response.created", json!({"response": begun}));
                self.event(out, "response.in_progress", json!({"response": begun}));
            }
            Step::Open(opening) => self.opens(opening, out),
            Step::Text(text) => self.delta(out, "response.output_text.delta", &text),
            Step::Refusal(text) => self.delta(out, "response.refusal.delta", &text),
            Step::Thinking(text) => self.delta(out, "response.reasoning_summary_text.delta", &text),
            Step::Arguments(text) => self.delta(out, "response.function_call_arguments.delta", &text),
            Step::Seal(seal) => {
                if let Some(item) = &mut self.open {
                    item.seal = Some(seal);
                }
            }
            Step::Close => self.closes(out),
            Step::Finish { finish, .. } => self.finish = Some(finish),
        }
    }

    /// The event that ends the stream, with the whole answer in it.
    pub(in crate::translate) fn end(&mut self, totals: &Totals, context: &Context<'_>, out: &mut Vec<u8>) {
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        let whole = response(&self.id, context, &self.output, Some(&finish), Some(&totals.usage));
        let name = match whole["status"].as_str() {
            Some("incomplete") => "response.incomplete",
            _ => "response.completed",
        };
        self.event(out, name, json!({"response": whole}));
    }

    fn opens(&mut self, opening: Opening, out: &mut Vec<u8>) {
        let prefix = match opening {
            Opening::Text | Opening::Refusal => "msg",
            Opening::Thinking | Opening::Redacted(_) => "rs",
            Opening::ToolUse { .. } => "fc",
        };
        let id = item_id(prefix, &self.id, self.output.len());
        let begun = match &opening {
            Opening::Text | Opening::Refusal => {
                json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []})
            }
            Opening::Thinking | Opening::Redacted(_) => reasoning(&id, "", None, false),
            Opening::ToolUse { id: call_id, name } => call(&id, call_id, name, "", "in_progress"),
        };
        let index = self.output.len();
        self.event(out, "response.output_item.added", json!({"output_index": index, "item": begun}));
        let item = Item { opening, id, written: String::new(), seal: None };
        // A thought may have no words, only what proves it: its part begins with the first word.
        if item.opening != Opening::Thinking {
            self.part(out, &item, "added", "");
        }
        self.open = Some(item);
    }

    fn closes(&mut self, out: &mut Vec<u8>) {
        let Some(mut item) = self.open.take() else { return };
        if matches!(item.opening, Opening::ToolUse { .. }) && item.written.trim().is_empty() {
            "{}".clone_into(&mut item.written);
        }
        let text = item.written.as_str();
        let (name, said) = match item.opening {
            Opening::Text => {
                ("response.output_text.done", json!({"content_index": 0, "text": text, "logprobs": []}))
            }
            Opening::Refusal => ("response.refusal.done", json!({"content_index": 0, "refusal": text})),
            Opening::Thinking => {
                ("response.reasoning_summary_text.done", json!({"summary_index": 0, "text": text}))
            }
            Opening::ToolUse { ref name, .. } => {
                ("response.function_call_arguments.done", json!({"name": name, "arguments": text}))
            }
            Opening::Redacted(_) => ("", Value::Null),
        };
        let wordless = text.is_empty() && item.opening == Opening::Thinking;
        if !name.is_empty() && !wordless {
            self.item_event(out, name, &item.id, said);
            self.part(out, &item, "done", text);
        }
        let whole = match &item.opening {
            Opening::Text => message(&item.id, &text_part(text), "completed"),
            Opening::Refusal => message(&item.id, &json!({"type": "refusal", "refusal": text}), "completed"),
            Opening::Thinking => reasoning(&item.id, text, item.seal.as_ref(), false),
            Opening::Redacted(seal) => reasoning(&item.id, "", Some(seal), true),
            Opening::ToolUse { id, name } => call(&item.id, id, name, text, "completed"),
        };
        let index = self.output.len();
        self.event(out, "response.output_item.done", json!({"output_index": index, "item": whole}));
        self.output.push(whole);
    }

    /// A part of an item begins or is done; calls have none.
    fn part(&mut self, out: &mut Vec<u8>, item: &Item, what: &str, text: &str) {
        let (kind, place, part) = match item.opening {
            Opening::Text => ("content_part", "content_index", text_part(text)),
            Opening::Refusal => {
                ("content_part", "content_index", json!({"type": "refusal", "refusal": text}))
            }
            Opening::Thinking => {
                ("reasoning_summary_part", "summary_index", json!({"type": "summary_text", "text": text}))
            }
            Opening::Redacted(_) | Opening::ToolUse { .. } => return,
        };
        self.item_event(out, &format!("response.{kind}.{what}"), &item.id, json!({place: 0, "part": part}));
    }

    fn delta(&mut self, out: &mut Vec<u8>, name: &str, text: &str) {
        let Some(mut item) = self.open.take() else { return };
        if item.opening == Opening::Thinking && item.written.is_empty() {
            self.part(out, &item, "added", "");
        }
        item.written.push_str(text);
        let said = match item.opening {
            Opening::Text => json!({"content_index": 0, "delta": text, "logprobs": []}),
            Opening::Refusal => json!({"content_index": 0, "delta": text}),
            Opening::Thinking => json!({"summary_index": 0, "delta": text}),
            Opening::ToolUse { .. } | Opening::Redacted(_) => json!({"delta": text}),
        };
        self.item_event(out, name, &item.id, said);
        self.open = Some(item);
    }

    fn item_event(&mut self, out: &mut Vec<u8>, name: &str, item_id: &str, mut said: Value) {
        said["item_id"] = item_id.into();
        said["output_index"] = self.output.len().into();
        self.event(out, name, said);
    }

    fn event(&mut self, out: &mut Vec<u8>, name: &str, mut said: Value) {
        said["type"] = name.into();
        said["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        event(out, name, &said);
    }
}

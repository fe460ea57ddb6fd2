//! Writes the events of a stream of Anthropic's messages.

use serde_json::{Value, json};

use crate::finish::Finish;
use crate::translate::form::{Opening, Origin, Step};
use crate::translate::messages::answer::usage_of;
use crate::translate::{Context, Totals};
use crate::usage::Usage;

#[derive(Debug)]
pub(in crate::translate) struct MessagesWriter {
    index: u64,
    finish: Option<(Finish, Option<String>)>,
}

impl MessagesWriter {
    pub(in crate::translate) const fn new() -> Self {
        Self { index: 0, finish: None }
    }

    pub(in crate::translate) fn write(&mut self, step: Step, context: &Context<'_>, out: &mut Vec<u8>) {
        match step {
            Step::Start { id, usage, .. } => {
                // Most providers count at the end only; clients show what the start says.
                let estimate = Usage { input: context.input_tokens, output: 1, ..Usage::default() };
                let message = json!({
                    "id": id, "type": "message", "role": "assistant", "model": context.model, "content": [],
                    "stop_reason": null, "stop_sequence": null, "usage": usage_of(&usage.unwrap_or(estimate)),
                });
                event(out, "message_start", &json!({"type": "message_start", "message": message}));
            }
            Step::Open(opening) => {
                let block = match opening {
                    Opening::Text | Opening::Refusal => json!({"type": "text", "text": ""}),
                    Opening::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
                    Opening::Redacted(seal) => {
                        json!({"type": "redacted_thinking", "data": seal.to_text(Origin::Anthropic)})
                    }
                    Opening::ToolUse { id, name } => {
                        json!({"type": "tool_use", "id": id, "name": name, "input": {}})
                    }
                };
                let data =
                    json!({"type": "content_block_start", "index": self.index, "content_block": block});
                event(out, "content_block_start", &data);
            }
            Step::Text(text) | Step::Refusal(text) => {
                self.delta(out, &json!({"type": "text_delta", "text": text}))
            }
            Step::Thinking(text) => self.delta(out, &json!({"type": "thinking_delta", "thinking": text})),
            Step::Seal(seal) => {
                let signature = seal.to_text(Origin::Anthropic);
                self.delta(out, &json!({"type": "signature_delta", "signature": signature}));
            }
            Step::Arguments(json) => {
                self.delta(out, &json!({"type": "input_json_delta", "partial_json": json}))
            }
            Step::Close => {
                event(out, "content_block_stop", &json!({"type": "content_block_stop", "index": self.index}));
                self.index += 1;
            }
            Step::Finish { finish, stop_sequence } => self.finish = Some((finish, stop_sequence)),
        }
    }

    /// The reason to stop with the whole usage, and the terminator.
    pub(in crate::translate) fn end(&mut self, totals: &Totals, out: &mut Vec<u8>) {
        let (finish, sequence) = self.finish.take().unwrap_or((Finish::Stop, None));
        let delta = json!({"stop_reason": finish.to_anthropic(), "stop_sequence": sequence});
        let usage = usage_of(&totals.usage);
        event(out, "message_delta", &json!({"type": "message_delta", "delta": delta, "usage": usage}));
        event(out, "message_stop", &json!({"type": "message_stop"}));
    }

    fn delta(&self, out: &mut Vec<u8>, delta: &Value) {
        let data = json!({"type": "content_block_delta", "index": self.index, "delta": delta});
        event(out, "content_block_delta", &data);
    }
}

/// A frame with the name of its event, without which clients pass it over.
pub(in crate::translate) fn event(out: &mut Vec<u8>, name: &str, data: &Value) {
    out.extend_from_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
}

//! Writes the chunks of a stream of OpenAI's chat.

use serde_json::{Value, json};

use crate::finish::Finish;
use crate::translate::chat::messages_out::{redacted_block, thinking_block};
use crate::translate::chunks::Chunks;
use crate::translate::form::{Opening, Step};
use crate::translate::{Context, Totals};

#[derive(Debug)]
pub(in crate::translate) struct ChatWriter {
    chunks: Chunks,
    calls: u64,
    open: Option<Opening>,
    wrote_arguments: bool,
    /// The thoughts of the open part, so that they come whole with their signature, ready to be given back.
    thought: String,
    finish: Option<Finish>,
}

impl ChatWriter {
    pub(in crate::translate) const fn new() -> Self {
        Self {
            chunks: Chunks::of("chat.completion.chunk"),
            calls: 0,
            open: None,
            wrote_arguments: false,
            thought: String::new(),
            finish: None,
        }
    }

    pub(in crate::translate) fn write(&mut self, step: Step, context: &Context<'_>, out: &mut Vec<u8>) {
        let delta = match step {
            Step::Start { id, .. } => {
                self.chunks.begin(id);
                json!({"role": "assistant", "content": "", "refusal": null})
            }
            Step::Open(opening) => {
                let delta = self.opens(&opening);
                self.open = Some(opening);
                match delta {
                    Some(delta) => delta,
                    None => return,
                }
            }
            Step::Text(text) => json!({"content": text}),
            Step::Refusal(text) => json!({"refusal": text}),
            Step::Thinking(text) => {
                self.thought.push_str(&text);
                json!({"reasoning_content": text})
            }
            Step::Seal(seal) => {
                json!({"thinking_blocks": [thinking_block(&std::mem::take(&mut self.thought), &seal)]})
            }
            Step::Arguments(fragment) => {
                self.wrote_arguments = true;
                self.arguments(&fragment)
            }
            Step::Close => {
                let call = matches!(self.open.take(), Some(Opening::ToolUse { .. }));
                let empty = call && !self.wrote_arguments;
                let delta = empty.then(|| self.arguments("{}"));
                self.calls += u64::from(call);
                match delta {
                    Some(delta) => delta,
                    None => return,
                }
            }
            Step::Finish { finish, .. } => {
                self.finish = Some(finish);
                return;
            }
        };
        self.chunks.write(&choice(&delta, None), context, out);
    }

    /// The reason to finish, the usage if it was asked for, and the terminator.
    pub(in crate::translate) fn end(&mut self, totals: &Totals, context: &Context<'_>, out: &mut Vec<u8>) {
        let reason = self.finish.as_ref().map_or("stop", Finish::to_openai);
        self.chunks.end(&choice(&json!({}), Some(reason)), totals, context, out);
    }

    fn opens(&mut self, opening: &Opening) -> Option<Value> {
        match opening {
            Opening::ToolUse { id, name } => {
                self.wrote_arguments = false;
                let function = json!({"name": name, "arguments": ""});
                Some(
                    json!({"tool_calls": [{"index": self.calls, "id": id, "type": "function", "function": function}]}),
                )
            }
            Opening::Redacted(seal) => Some(json!({"thinking_blocks": [redacted_block(seal)]})),
            Opening::Text | Opening::Refusal | Opening::Thinking => {
                self.thought.clear();
                None
            }
        }
    }

    fn arguments(&self, fragment: &str) -> Value {
        json!({"tool_calls": [{"index": self.calls, "function": {"arguments": fragment}}]})
    }
}

fn choice(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}])
}

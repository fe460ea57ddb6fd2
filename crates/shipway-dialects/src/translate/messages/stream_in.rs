//! Reads the events of a stream of Anthropic's messages.

use serde_json::Value;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::translate::form::{Opening, Origin, Seal, Step};
use crate::usage::Usage;

#[derive(Debug, Default)]
pub(in crate::translate) struct MessagesReader {
    /// A block that nobody here knows is open: it is passed over.
    strange: bool,
    finish: Option<(Finish, Option<String>)>,
}

impl MessagesReader {
    /// The steps of one event.
    pub(in crate::translate) fn read(&mut self, event: &Value, steps: &mut Vec<Step>) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match text("/type") {
            "message_start" => {
                let mut usage = Usage::default();
                let stated = event
                    .pointer("/message/usage")
                    .is_some_and(|value| usage.take(Dialect::AnthropicMessages, value));
                steps
                    .push(Step::Start { id: text("/message/id").to_owned(), usage: stated.then_some(usage) });
            }
            "content_block_start" => self.opens(event, steps),
            "content_block_delta" if !self.strange => match text("/delta/type") {
                "text_delta" => steps.push(Step::Text(text("/delta/text").to_owned())),
                "thinking_delta" => steps.push(Step::Thinking(text("/delta/thinking").to_owned())),
                "signature_delta" => {
                    steps.push(Step::Seal(Seal::of_text(text("/delta/signature"), Origin::Anthropic)));
                }
                "input_json_delta" if !text("/delta/partial_json").is_empty() => {
                    steps.push(Step::Arguments(text("/delta/partial_json").to_owned()));
                }
                _ => {}
            },
            "content_block_stop" if !std::mem::take(&mut self.strange) => steps.push(Step::Close),
            "message_delta" => {
                if let Some(reason) = event.pointer("/delta/stop_reason").and_then(Value::as_str) {
                    let sequence = event.pointer("/delta/stop_sequence").and_then(Value::as_str);
                    self.finish = Some((Finish::of_anthropic(reason), sequence.map(str::to_owned)));
                }
            }
            _ => {}
        }
    }

    /// The steps that end the stream, once it is known that it is whole.
    pub(in crate::translate) fn end(&mut self, steps: &mut Vec<Step>) {
        let (finish, stop_sequence) = self.finish.take().unwrap_or((Finish::Stop, None));
        steps.push(Step::Finish { finish, stop_sequence });
    }

    fn opens(&mut self, event: &Value, steps: &mut Vec<Step>) {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let opening = match text("/content_block/type") {
            "text" => Opening::Text,
            "thinking" => Opening::Thinking,
            "redacted_thinking" => {
                Opening::Redacted(Seal::of_text(text("/content_block/data"), Origin::Anthropic))
            }
            "tool_use" => Opening::ToolUse {
                id: text("/content_block/id").to_owned(),
                name: text("/content_block/name").to_owned(),
            },
            _ => {
                self.strange = true;
                return;
            }
        };
        steps.push(Step::Open(opening));
        // A block may begin with something in it.
        match event.get("content_block") {
            Some(block) if block.get("text").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) => {
                steps.push(Step::Text(text("/content_block/text").to_owned()));
            }
            Some(block)
                if block.get("thinking").and_then(Value::as_str).is_some_and(|text| !text.is_empty()) =>
            {
                steps.push(Step::Thinking(text("/content_block/thinking").to_owned()));
            }
            Some(block) => {
                let input = block.get("input").and_then(Value::as_object).filter(|input| !input.is_empty());
                steps.extend(input.map(|input| Step::Arguments(Value::Object(input.clone()).to_string())));
            }
            None => {}
        }
    }
}

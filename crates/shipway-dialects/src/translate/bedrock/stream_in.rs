//! Reads the events of ConverseStream. Blocks of texts and thoughts begin with their first piece, calls with an event of their own.

use serde_json::Value;

use crate::finish::Finish;
use crate::translate::form::{Opening, Origin, Seal, Step};

#[derive(Debug, Default)]
pub(in crate::translate) struct BedrockReader {
    open: Option<Opening>,
    finish: Option<Finish>,
}

impl BedrockReader {
    /// The steps of one event. Converse gives an answer no id: `id` stands for it.
    pub(in crate::translate) fn read(
        &mut self,
        name: &[u8],
        event: &Value,
        id: Option<&str>,
        steps: &mut Vec<Step>,
    ) {
        match name {
            b"messageStart" => {
                steps.push(Step::Start { id: id.unwrap_or_default().to_owned(), usage: None });
            }
            b"contentBlockStart" => {
                if let Some(call) = event.pointer("/start/toolUse") {
                    let text = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default();
                    let (id, name) = (text("toolUseId").to_owned(), text("name").to_owned());
                    self.opens(Opening::ToolUse { id, name }, steps);
                }
            }
            b"contentBlockDelta" => {
                if let Some(delta) = event.get("delta") {
                    self.continues(delta, steps);
                }
            }
            b"contentBlockStop" => self.close(steps),
            b"messageStop" => {
                self.finish = event.get("stopReason").and_then(Value::as_str).map(Finish::of_bedrock);
            }
            _ => {}
        }
    }

    /// The steps that end the stream, once it is known that it is whole.
    pub(in crate::translate) fn end(&mut self, steps: &mut Vec<Step>) {
        self.close(steps);
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        steps.push(Step::Finish { finish, stop_sequence: None });
    }

    fn continues(&mut self, delta: &Value, steps: &mut Vec<Step>) {
        let text = |pointer: &str| {
            delta.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        if let Some(words) = text("/text") {
            self.opens(Opening::Text, steps);
            steps.push(Step::Text(words));
        }
        if let Some(words) = text("/reasoningContent/text") {
            self.opens(Opening::Thinking, steps);
            steps.push(Step::Thinking(words));
        }
        if let Some(data) = text("/reasoningContent/signature") {
            self.opens(Opening::Thinking, steps);
            steps.push(Step::Seal(Seal { origin: Origin::Anthropic, data }));
        }
        if let Some(data) = text("/reasoningContent/redactedContent") {
            self.opens(Opening::Redacted(Seal { origin: Origin::Bedrock, data }), steps);
        }
        if let Some(fragment) = text("/toolUse/input")
            && matches!(self.open, Some(Opening::ToolUse { .. }))
        {
            steps.push(Step::Arguments(fragment));
        }
    }

    fn opens(&mut self, opening: Opening, steps: &mut Vec<Step>) {
        if self.open.as_ref() != Some(&opening) {
            self.close(steps);
            steps.push(Step::Open(opening.clone()));
            self.open = Some(opening);
        }
    }

    fn close(&mut self, steps: &mut Vec<Step>) {
        if self.open.take().is_some() {
            steps.push(Step::Close);
        }
    }
}

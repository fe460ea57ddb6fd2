//! Reads a stream of Gemini: each chunk is an answer of its own, with parts that continue those before.

use serde_json::Value;

use crate::finish::Finish;
use crate::translate::form::{Opening, PartKind, Step};
use crate::translate::gemini::answer_in::{finish, read_part};

#[derive(Debug, Default)]
pub(in crate::translate) struct GeminiReader {
    /// The answer's id, once it has begun.
    started: Option<String>,
    open: Option<Opening>,
    parts: usize,
    called: bool,
    blocked: bool,
    reason: Option<String>,
}

impl GeminiReader {
    /// The steps of one chunk.
    pub(in crate::translate) fn read(&mut self, chunk: &Value, steps: &mut Vec<Step>) {
        let blocked = chunk.pointer("/promptFeedback/blockReason").is_some();
        let candidate = chunk.pointer("/candidates/0");
        if candidate.is_none() && !blocked {
            return;
        }
        if self.started.is_none() {
            let id = chunk.get("responseId").and_then(Value::as_str).unwrap_or_default().to_owned();
            self.started = Some(id.clone());
            steps.push(Step::Start { id, usage: None });
        }
        self.blocked |= blocked;
        let parts =
            candidate.and_then(|candidate| candidate.pointer("/content/parts")).and_then(Value::as_array);
        for part in parts.into_iter().flatten() {
            let read = read_part(part.clone(), self.started.as_deref().unwrap_or_default(), self.parts);
            self.parts += 1;
            for part in read {
                self.step(part.kind, steps);
            }
        }
        if let Some(reason) =
            candidate.and_then(|candidate| candidate.get("finishReason")).and_then(Value::as_str)
        {
            self.reason = Some(reason.to_owned());
        }
    }

    /// The steps that end the stream, once it is known that it is whole.
    pub(in crate::translate) fn end(&mut self, steps: &mut Vec<Step>) {
        self.close(steps);
        let finish = if self.blocked { Finish::Refusal } else { finish(self.reason.as_deref(), self.called) };
        steps.push(Step::Finish { finish, stop_sequence: None });
    }

    fn step(&mut self, kind: PartKind, steps: &mut Vec<Step>) {
        match kind {
            PartKind::Text(text) => {
                self.opens(Opening::Text, steps);
                steps.push(Step::Text(text));
            }
            // A proof is a part of its own, behind the thoughts in words.
            PartKind::Thinking { seal: Some(seal), .. } => {
                self.close(steps);
                steps.extend([Step::Open(Opening::Thinking), Step::Seal(seal), Step::Close]);
            }
            PartKind::Thinking { text, seal: None } => {
                self.opens(Opening::Thinking, steps);
                steps.push(Step::Thinking(text));
            }
            PartKind::ToolUse { id, name, arguments } => {
                self.called = true;
                self.close(steps);
                steps.extend([
                    Step::Open(Opening::ToolUse { id, name }),
                    Step::Arguments(arguments),
                    Step::Close,
                ]);
            }
            _ => {}
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

//! Reads the events of a stream of OpenAI's responses. Its items come one after the other.

use serde_json::Value;

use crate::finish::Finish;
use crate::translate::form::{Opening, Step};
use crate::translate::responses::answer_in::{Sealed, sealed};

#[derive(Debug, Default)]
pub(in crate::translate) struct ResponsesReader {
    has_begun: bool,
    open: Option<Opening>,
    /// What of the open item has been written, so that one which comes whole is not left out.
    has_written: bool,
    calls: bool,
    refuses: bool,
    finish: Option<Finish>,
}

impl ResponsesReader {
    /// The steps of one event.
    pub(in crate::translate) fn read(&mut self, event: &Value, steps: &mut Vec<Step>) {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "response.created" | "response.in_progress" => self.begins(event, steps),
            "response.output_item.added" => self.item_begins(event, steps),
            "response.output_text.delta" => {
                self.opens(Opening::Text, steps);
                self.writes(Step::Text(text("delta").to_owned()), steps);
            }
            "response.refusal.delta" => {
                self.refuses = true;
                self.opens(Opening::Refusal, steps);
                self.writes(Step::Refusal(text("delta").to_owned()), steps);
            }
            "response.reasoning_summary_part.added"
                if self.has_written && self.open == Some(Opening::Thinking) =>
            {
                steps.push(Step::Thinking("\n\n".to_owned()));
            }
            "response.reasoning_summary_text.delta" => {
                self.opens(Opening::Thinking, steps);
                self.writes(Step::Thinking(text("delta").to_owned()), steps);
            }
            "response.function_call_arguments.delta" => {
                self.writes(Step::Arguments(text("delta").to_owned()), steps);
            }
            "response.output_item.done" => self.item_ends(event, steps),
            "response.completed" => self.ends(event, "completed"),
            "response.incomplete" => self.ends(event, "incomplete"),
            _ => {}
        }
    }

    /// The steps that end the stream, once it is known that it is whole.
    pub(in crate::translate) fn end(&mut self, steps: &mut Vec<Step>) {
        self.close(steps);
        let finish = match self.finish.take() {
            None | Some(Finish::Stop) if self.calls => Finish::ToolUse,
            None | Some(Finish::Stop) if self.refuses => Finish::Refusal,
            None => Finish::Stop,
            Some(finish) => finish,
        };
        steps.push(Step::Finish { finish, stop_sequence: None });
    }

    fn begins(&mut self, event: &Value, steps: &mut Vec<Step>) {
        if !std::mem::replace(&mut self.has_begun, true) {
            let id = event.pointer("/response/id").and_then(Value::as_str).unwrap_or_default().to_owned();
            steps.push(Step::Start { id, usage: None });
        }
    }

    fn ends(&mut self, event: &Value, status: &str) {
        let reason = event.pointer("/response/incomplete_details/reason").and_then(Value::as_str);
        self.finish = Some(Finish::of_responses(status, reason));
    }

    fn item_begins(&mut self, event: &Value, steps: &mut Vec<Step>) {
        self.close(steps);
        let of_item = |name: &str| {
            event.pointer(&format!("/item/{name}")).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        if of_item("type") == "function_call" {
            self.calls = true;
            self.opens(Opening::ToolUse { id: of_item("call_id"), name: of_item("name") }, steps);
        }
    }

    /// An item is done; what proves a thought comes only now.
    fn item_ends(&mut self, event: &Value, steps: &mut Vec<Step>) {
        let item = |name: &str| event.pointer(&format!("/item/{name}")).and_then(Value::as_str);
        match item("type") {
            Some("reasoning") => match item("encrypted_content").map(|text| sealed(text.to_owned())) {
                Some(Sealed::Thought(seal)) => {
                    self.opens(Opening::Thinking, steps);
                    steps.push(Step::Seal(seal));
                }
                Some(Sealed::Redacted(seal)) => self.opens(Opening::Redacted(seal), steps),
                None => {}
            },
            // Some send the arguments whole.
            Some("function_call") if !self.has_written => {
                if let Some(arguments) = item("arguments").filter(|arguments| !arguments.is_empty()) {
                    self.writes(Step::Arguments(arguments.to_owned()), steps);
                }
            }
            _ => {}
        }
        self.close(steps);
    }

    fn writes(&mut self, step: Step, steps: &mut Vec<Step>) {
        self.has_written = true;
        steps.push(step);
    }

    fn opens(&mut self, opening: Opening, steps: &mut Vec<Step>) {
        if self.open.as_ref() != Some(&opening) {
            self.close(steps);
            self.has_written = false;
            steps.push(Step::Open(opening.clone()));
            self.open = Some(opening);
        }
    }

    fn close(&mut self, steps: &mut Vec<Step>) {
        if self.open.take().is_some() {
            steps.push(Step::Close);
        }
        self.has_written = false;
    }
}

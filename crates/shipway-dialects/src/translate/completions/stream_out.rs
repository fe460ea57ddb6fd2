//! Writes the chunks of a stream of OpenAI's completions.

use serde_json::{Value, json};

use crate::failure::{ApiError, Cause};
use crate::finish::Finish;
use crate::translate::chat::answer::usage_of;
use crate::translate::completions::answer::choice;
use crate::translate::form::{Opening, Step};
use crate::translate::{Context, Totals};

#[derive(Debug, Default)]
pub(in crate::translate) struct CompletionsWriter {
    id: String,
    finish: Option<Finish>,
}

impl CompletionsWriter {
    /// Fails where the answer has something that a completion has no place for.
    pub(in crate::translate) fn write(
        &mut self,
        step: Step,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        match step {
            Step::Start { id, .. } => self.id = id,
            Step::Text(text) | Step::Refusal(text) => {
                self.chunk(&json!([choice(&text, None)]), None, context, out);
            }
            Step::Open(Opening::ToolUse { .. }) => {
                let message = "the provider's answer has a part that a completion has no place for";
                return Err(ApiError::new(Cause::Upstream, message));
            }
            Step::Finish { finish, .. } => self.finish = Some(finish),
            // Thoughts have no place here.
            Step::Open(_) | Step::Thinking(_) | Step::Seal(_) | Step::Arguments(_) | Step::Close => {}
        }
        Ok(())
    }

    /// The reason to finish, the usage if it was asked for, and the terminator.
    pub(in crate::translate) fn end(&mut self, totals: &Totals, context: &Context<'_>, out: &mut Vec<u8>) {
        let reason = self.finish.as_ref().map_or("stop", Finish::to_openai);
        self.chunk(&json!([choice("", Some(reason))]), None, context, out);
        if context.stream_usage {
            self.chunk(&json!([]), Some(usage_of(&totals.usage)), context, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>, context: &Context<'_>, out: &mut Vec<u8>) {
        let mut chunk = json!({
            "id": self.id, "object": "text_completion", "created": context.created, "model": context.model,
            "choices": choices,
        });
        if context.stream_usage {
            chunk["usage"] = usage.unwrap_or_default();
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(chunk.to_string().as_bytes());
        out.extend_from_slice(b"\n\n");
    }
}

//! Writes the chunks of a stream of OpenAI's completions.

use serde_json::json;

use crate::failure::{ApiError, Cause};
use crate::finish::Finish;
use crate::translate::chunks::Chunks;
use crate::translate::completions::answer::choice;
use crate::translate::form::{Opening, Step};
use crate::translate::{Context, Totals};

#[derive(Debug)]
pub(in crate::translate) struct CompletionsWriter {
    chunks: Chunks,
    finish: Option<Finish>,
}

impl CompletionsWriter {
    pub(in crate::translate) const fn new() -> Self {
        Self { chunks: Chunks::of("text_completion"), finish: None }
    }

    /// Fails where the answer has something that a completion has no place for.
    pub(in crate::translate) fn write(
        &mut self,
        step: Step,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        match step {
            Step::Start { id, .. } => self.chunks.begin(id),
            Step::Text(text) | Step::Refusal(text) => {
                self.chunks.write(&json!([choice(&text, None)]), context, out);
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
        self.chunks.end(&json!([choice("", Some(reason))]), totals, context, out);
    }
}

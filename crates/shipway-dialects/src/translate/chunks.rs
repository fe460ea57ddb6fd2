//! Frames the chunks of OpenAI's streams that have choices: chat's and those of completions.

use serde_json::{Value, json};

use crate::translate::chat::answer::usage_of;
use crate::translate::{Context, Totals};

/// What all chunks of one stream say.
#[derive(Debug)]
pub(in crate::translate) struct Chunks {
    object: &'static str,
    id: String,
}

impl Chunks {
    /// Of an API that calls its chunks so.
    pub(in crate::translate) const fn of(object: &'static str) -> Self {
        Self { object, id: String::new() }
    }

    /// The stream has an id.
    pub(in crate::translate) fn begin(&mut self, id: String) {
        self.id = id;
    }

    /// One chunk, without usage.
    pub(in crate::translate) fn write(&self, choices: &Value, context: &Context<'_>, out: &mut Vec<u8>) {
        self.chunk(choices, None, context, out);
    }

    /// The last choices, the usage if it was asked for, and the terminator.
    pub(in crate::translate) fn end(
        &self,
        choices: &Value,
        totals: &Totals,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) {
        self.write(choices, context, out);
        if context.stream_usage {
            self.chunk(&json!([]), Some(usage_of(&totals.usage)), context, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn chunk(&self, choices: &Value, usage: Option<Value>, context: &Context<'_>, out: &mut Vec<u8>) {
        let mut chunk = json!({
            "id": self.id, "object": self.object, "created": context.created, "model": context.model,
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

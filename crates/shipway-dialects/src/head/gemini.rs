//! Heads of Gemini's requests. Members may be written in camel case or, as protocol buffers' JSON allows, with
//! underscores.

use std::ops::Range;

use crate::head::openai::count;
use crate::head::{BadRequest, Head};
use crate::json::{NotJson, Reader};

pub(super) fn read(reader: &mut Reader<'_>, head: &mut Head) -> Result<Range<usize>, BadRequest> {
    head.stream_usage = true;
    let range = reader.object(|name, value| match name {
        "contents" | "systemInstruction" | "system_instruction" => head.read_content(value),
        "tools" => {
            let start = *value;
            head.read_input(value)?;
            head.tools |= { start }.filled_or_skip()?;
            Ok(())
        }
        "generationConfig" | "generation_config" => {
            value.object_or_skip(|name, option| config(head, name, option)).map(drop)
        }
        _ => value.pass(),
    })?;
    Ok(range)
}

fn config(head: &mut Head, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "maxOutputTokens" | "max_output_tokens" => count(&mut head.max_output_tokens, value),
        "candidateCount" | "candidate_count" => {
            head.choices = value.count_or_skip()?.unwrap_or(1);
            Ok(())
        }
        "responseMimeType" | "response_mime_type" => {
            head.structured_output |= value.text_or_skip()?.is_some_and(|kind| kind != "text/plain");
            Ok(())
        }
        "responseSchema" | "response_schema" | "responseJsonSchema" | "response_json_schema" => {
            head.structured_output |= value.filled_or_skip()?;
            Ok(())
        }
        "thinkingConfig" | "thinking_config" => {
            head.reasoning = value.filled_or_skip()?;
            Ok(())
        }
        _ => value.pass(),
    }
}

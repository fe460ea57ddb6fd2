//! Heads of Gemini's requests. Members may be written in camel case or, as protocol buffers' JSON allows, with
//! underscores.

use std::ops::Range;

use crate::head::openai::count;
use crate::head::{BadRequest, Head};
use crate::json::{Kind, NotJson, Reader};

pub(super) fn read(reader: &mut Reader<'_>, head: &mut Head) -> Result<Range<usize>, BadRequest> {
    head.stream_usage = true;
    let range = reader.object(|name, value| match name {
        // What is counted may stand within.
        "generateContentRequest" | "generate_content_request" => {
            value.object_or_skip(|name, member| within(head, name, member)).map(drop)
        }
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

/// A request within another one names its model.
fn within(head: &mut Head, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "contents" | "systemInstruction" | "system_instruction" => head.read_content(value),
        "tools" => head.read_input(value),
        "model" => model(head, value),
        _ => value.pass(),
    }
}

/// Notes where a name of the model stands that the path says as well.
fn model(head: &mut Head, value: &mut Reader<'_>) -> Result<(), NotJson> {
    let is_text = value.kind()? == Kind::Text;
    let range = value.skip()?;
    if is_text {
        head.places.models.push(range);
    }
    Ok(())
}

/// Of embeddings: one content, or several requests of one each.
pub(super) fn read_embeddings(reader: &mut Reader<'_>, head: &mut Head) -> Result<Range<usize>, BadRequest> {
    let range = reader.object(|name, value| match name {
        "requests" => {
            let one = |request: &mut Reader<'_>, head: &mut Head| {
                request.object_or_skip(|name, member| embedded(head, name, member)).map(drop)
            };
            value.array_or_skip(|request| one(request, head)).map(drop)
        }
        _ => embedded(head, name, value),
    })?;
    Ok(range)
}

fn embedded(head: &mut Head, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "content" => head.read_content(value),
        "model" => model(head, value),
        _ => value.pass(),
    }
}

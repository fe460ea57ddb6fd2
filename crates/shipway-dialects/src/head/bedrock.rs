//! Heads of Bedrock's Converse, which only this gateway writes.

use std::ops::Range;

use crate::head::openai::count;
use crate::head::{BadRequest, Head};
use crate::json::Reader;

pub(super) fn read(reader: &mut Reader<'_>, head: &mut Head) -> Result<Range<usize>, BadRequest> {
    head.stream_usage = true;
    let range = reader.object(|name, value| match name {
        "messages" | "system" => head.read_content(value),
        "toolConfig" => {
            head.tools = true;
            head.read_input(value)
        }
        "inferenceConfig" => value
            .object_or_skip(|name, option| match name {
                "maxTokens" => count(&mut head.max_output_tokens, option),
                _ => option.pass(),
            })
            .map(drop),
        "outputConfig" => {
            head.structured_output = true;
            value.pass()
        }
        _ => value.pass(),
    })?;
    Ok(range)
}

//! Heads of Anthropic's messages.

use std::ops::Range;

use crate::head::openai::count;
use crate::head::{BadRequest, Head};
use crate::json::{NotJson, Reader};

pub(super) fn read(reader: &mut Reader<'_>, head: &mut Head) -> Result<Range<usize>, BadRequest> {
    head.stream_usage = true;
    let range = reader.object(|name, value| match name {
        "provider" => head.read_preferences(value),
        _ => member(head, name, value).map_err(BadRequest::from),
    })?;
    Ok(range)
}

fn member(head: &mut Head, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "model" => head.read_model(value),
        "stream" => {
            head.stream = value.flag_or_skip()?.unwrap_or(false);
            Ok(())
        }
        "max_tokens" => count(&mut head.max_output_tokens, value),
        "messages" | "system" => head.read_content(value),
        "tools" => {
            let start = *value;
            head.read_input(value)?;
            head.tools |= { start }.filled_or_skip()?;
            Ok(())
        }
        "thinking" => {
            head.reasoning = text_within(value, "type")?.is_some_and(|kind| kind != "disabled");
            Ok(())
        }
        "output_format" => {
            head.structured_output |= value.filled_or_skip()?;
            Ok(())
        }
        "output_config" => {
            let mut structured = false;
            value.object_or_skip(|name, option| {
                let filled = option.filled_or_skip()?;
                structured |= name == "format" && filled;
                Ok::<_, NotJson>(())
            })?;
            head.structured_output |= structured;
            Ok(())
        }
        "service_tier" => {
            head.service_tier = value.text_or_skip()?.map(Into::into);
            Ok(())
        }
        "metadata" => {
            head.user = text_within(value, "user_id")?;
            Ok(())
        }
        _ => value.pass(),
    }
}

fn text_within(value: &mut Reader<'_>, wanted: &str) -> Result<Option<String>, NotJson> {
    let mut found = None;
    value.object_or_skip(|name, member| {
        if name == wanted {
            found = member.text_or_skip()?.map(Into::into);
            return Ok(());
        }
        member.pass()
    })?;
    Ok(found)
}

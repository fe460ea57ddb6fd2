//! Frames of Anthropic's messages: named events, from `message_start` to `message_stop`.

use std::ops::Range;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::scanner::{Seen, Sort, State, texts_within};
use crate::usage::service_tier_of;

/// What an event has, whichever it is.
#[derive(Default)]
struct Parts {
    kind: String,
    finish: Option<Finish>,
    usages: Vec<Range<usize>>,
    delta_bytes: u64,
    block_bytes: u64,
}

pub(super) fn see(state: &mut State, event: &[u8], data: &[u8]) -> Result<Seen, NotJson> {
    // Clients pass over data without the name of an event, and so does the scanner.
    if event.is_empty() {
        return Ok(Seen::of(Sort::Other));
    }
    let mut parts = Parts::default();
    let mut reader = Reader::new(data);
    reader.object(|name, value| member(state, &mut parts, name, value))?;
    reader.finish()?;
    if event == b"error" || parts.kind == "error" {
        return Ok(state.fail(data));
    }
    for range in parts.usages {
        if let Some(tier) = service_tier_of(&data[range.clone()])? {
            state.service_tier = Some(tier);
        }
        state.take_usage(Dialect::AnthropicMessages, &data[range]);
    }
    Ok(match parts.kind.as_str() {
        "message_start" => Seen::of(Sort::Start),
        "content_block_delta" => Seen { sort: Sort::Content, output_bytes: parts.delta_bytes },
        "content_block_start" => Seen { sort: Sort::Content, output_bytes: parts.block_bytes },
        "content_block_stop" => Seen::of(Sort::Content),
        "message_delta" => {
            let finished = parts.finish.is_some();
            state.finish = parts.finish.or(state.finish.take());
            Seen::of(if finished { Sort::Finish } else { Sort::Other })
        }
        "message_stop" => Seen::of(Sort::End),
        "ping" => Seen::of(Sort::KeepAlive),
        _ => Seen::of(Sort::Other),
    })
}

fn member(state: &mut State, parts: &mut Parts, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "type" => parts.kind = value.text_or_skip()?.map(Into::into).unwrap_or_default(),
        "usage" => usage(parts, value)?,
        "message" => {
            value.object_or_skip(|name, member| match name {
                "usage" => usage(parts, member),
                "model" => state.take_model(member),
                _ => member.pass(),
            })?;
        }
        "delta" => {
            let mut bytes = 0;
            value.object_or_skip(|name, member| {
                match name {
                    "type" | "stop_sequence" => member.pass()?,
                    "stop_reason" => {
                        parts.finish = member.text_or_skip()?.map(|reason| Finish::of_anthropic(&reason));
                    }
                    // A signature is opaque: it was not written by the model, and is not counted as output.
                    "signature" => member.pass()?,
                    _ => bytes += texts_within(member, 4)?,
                }
                Ok::<_, NotJson>(())
            })?;
            parts.delta_bytes = bytes;
        }
        "content_block" => {
            let mut bytes = 0;
            value.object_or_skip(|name, member| {
                match name {
                    "name" | "text" | "thinking" => bytes += texts_within(member, 1)?,
                    _ => member.pass()?,
                }
                Ok::<_, NotJson>(())
            })?;
            parts.block_bytes = bytes;
        }
        _ => value.pass()?,
    }
    Ok(())
}

fn usage(parts: &mut Parts, value: &mut Reader<'_>) -> Result<(), NotJson> {
    let kind = value.kind()?;
    let range = value.skip()?;
    if kind == Kind::Object {
        parts.usages.push(range);
    }
    Ok(())
}

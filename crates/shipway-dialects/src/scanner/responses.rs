//! Frames of responses: numbered events; the last of them has the whole answer in it.

use std::ops::Range;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::scanner::{Seen, Sort, State, text_bytes};

#[derive(Default)]
struct Parts {
    kind: String,
    delta_bytes: u64,
    usage: Option<Range<usize>>,
    incomplete: Option<String>,
    calls: bool,
    failed: bool,
}

pub(super) fn see(state: &mut State, data: &[u8]) -> Result<Seen, NotJson> {
    // OpenAI sends none here; some who follow it do, after the event that ends the stream.
    if data.starts_with(b"[DONE]") {
        return Ok(Seen::of(Sort::Other));
    }
    let mut parts = Parts::default();
    let mut reader = Reader::new(data);
    reader.object(|name, value| {
        match name {
            "type" => parts.kind = value.text_or_skip()?.map(Into::into).unwrap_or_default(),
            "delta" => parts.delta_bytes = text_bytes(value)?,
            "sequence_number" => {
                if let Some(number) = value.count_or_skip()? {
                    state.sequence = number.saturating_add(1);
                }
            }
            "error" => parts.failed = value.filled_or_skip()?,
            "response" => {
                value.object_or_skip(|name, member| response(state, &mut parts, name, member))?;
            }
            _ => value.pass()?,
        }
        Ok::<_, NotJson>(())
    })?;
    reader.finish()?;
    if let Some(range) = parts.usage {
        state.take_usage(Dialect::OpenAiResponses, &data[range]);
    }
    Ok(match parts.kind.as_str() {
        "response.completed" => {
            state.finish = Some(if parts.calls { Finish::ToolUse } else { Finish::Stop });
            Seen::of(Sort::End)
        }
        "response.incomplete" => {
            state.finish = Some(Finish::of_responses("incomplete", parts.incomplete.as_deref()));
            Seen::of(Sort::End)
        }
        "response.failed" | "error" => state.fail(data),
        _ if parts.failed => state.fail(data),
        "response.created" | "response.in_progress" | "response.queued" => Seen::of(Sort::Start),
        kind if kind.ends_with(".delta") => Seen { sort: Sort::Content, output_bytes: parts.delta_bytes },
        kind if kind.starts_with("response.") => Seen::of(Sort::Content),
        _ => Seen::of(Sort::Other),
    })
}

fn response(state: &mut State, parts: &mut Parts, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "usage" => {
            let kind = value.kind()?;
            let range = value.skip()?;
            parts.usage = (kind == Kind::Object).then_some(range);
        }
        "model" => state.take_model(value)?,
        "id" if state.response_id.is_none() => state.response_id = value.text_or_skip()?.map(Into::into),
        "service_tier" => state.take_service_tier(value)?,
        "incomplete_details" => {
            value.object_or_skip(|name, member| {
                if name == "reason" {
                    parts.incomplete = member.text_or_skip()?.map(Into::into);
                    return Ok(());
                }
                member.pass()
            })?;
        }
        "output" => {
            value.array_or_skip(|item| {
                item.object_or_skip(|name, member| {
                    if name == "type" {
                        let kind = member.text_or_skip()?;
                        parts.calls |=
                            kind.is_some_and(|kind| matches!(&*kind, "function_call" | "custom_tool_call"));
                        return Ok(());
                    }
                    member.pass()
                })
                .map(drop)
            })?;
        }
        _ => value.pass()?,
    }
    Ok(())
}

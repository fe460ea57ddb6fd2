//! Frames of Gemini: each is an answer of its own, with the usage so far; there is no terminator.

use std::ops::Range;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::scanner::{Seen, Sort, State, texts_within};

#[derive(Default)]
struct Parts {
    usage: Option<Range<usize>>,
    finish: Option<Finish>,
    output_bytes: u64,
    candidates: bool,
    failed: bool,
}

pub(super) fn see(state: &mut State, data: &[u8]) -> Result<Seen, NotJson> {
    let mut parts = Parts::default();
    let mut reader = Reader::new(data);
    reader.object(|name, value| {
        match name {
            "candidates" => {
                value.array_or_skip(|candidate| {
                    parts.candidates = true;
                    candidate
                        .object_or_skip(|name, member| candidate_member(&mut parts, name, member))
                        .map(drop)
                })?;
            }
            "usageMetadata" => {
                let kind = value.kind()?;
                let range = value.skip()?;
                parts.usage = (kind == Kind::Object).then_some(range);
            }
            "promptFeedback" => {
                value.object_or_skip(|name, member| {
                    let blocked = name == "blockReason" && member.kind()? == Kind::Text;
                    if blocked {
                        parts.finish = Some(Finish::Refusal);
                    }
                    member.pass()
                })?;
            }
            "modelVersion" => state.take_model(value)?,
            "error" => parts.failed = value.filled_or_skip()?,
            _ => value.pass()?,
        }
        Ok::<_, NotJson>(())
    })?;
    reader.finish()?;
    if parts.failed {
        return Ok(state.fail(data));
    }
    if let Some(range) = parts.usage {
        state.take_usage(Dialect::GeminiGenerate, &data[range]);
    }
    let sort = match (parts.finish.is_some(), parts.candidates) {
        (true, _) => Sort::Finish,
        (false, true) => Sort::Content,
        (false, false) => Sort::Other,
    };
    state.finish = parts.finish.or(state.finish.take());
    Ok(Seen { sort, output_bytes: parts.output_bytes })
}

fn candidate_member(parts: &mut Parts, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "finishReason" => parts.finish = value.text_or_skip()?.map(|reason| Finish::of_gemini(&reason)),
        "content" => {
            value.object_or_skip(|name, member| {
                if name == "parts" {
                    member.array_or_skip(|part| {
                        part.object_or_skip(|name, member| {
                            match name {
                                "text" | "functionCall" => parts.output_bytes += texts_within(member, 16)?,
                                _ => member.pass()?,
                            }
                            Ok::<_, NotJson>(())
                        })
                        .map(drop)
                    })?;
                    return Ok(());
                }
                member.pass()
            })?;
        }
        _ => value.pass()?,
    }
    Ok(())
}

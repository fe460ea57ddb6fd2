//! Frames of chat and completions: chunks, then `[DONE]`.

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::scanner::{Seen, Sort, State, text_bytes, texts_within};

/// What a chunk has.
#[derive(Default)]
struct Chunk {
    choices: Option<u64>,
    finish: Option<Finish>,
    output_bytes: u64,
    failed: bool,
    usage: Option<std::ops::Range<usize>>,
}

pub(super) fn see(state: &mut State, dialect: Dialect, event: &[u8], data: &[u8]) -> Result<Seen, NotJson> {
    if data.starts_with(b"[DONE]") {
        return Ok(Seen::of(Sort::End));
    }
    let mut chunk = Chunk::default();
    let mut reader = Reader::new(data);
    reader.object(|name, value| match name {
        "choices" => {
            let mut count = 0;
            value.array_or_skip(|choice| {
                count += 1;
                choice.object_or_skip(|name, value| choice_member(&mut chunk, name, value)).map(drop)
            })?;
            chunk.choices = Some(count);
            Ok(())
        }
        "usage" => {
            let kind = value.kind()?;
            let range = value.skip()?;
            chunk.usage = (kind == Kind::Object).then_some(range);
            Ok(())
        }
        "error" => {
            chunk.failed = value.filled_or_skip()?;
            Ok(())
        }
        "model" => state.take_model(value),
        "service_tier" => state.take_service_tier(value),
        _ => value.pass(),
    })?;
    reader.finish()?;
    if chunk.failed || event == b"error" {
        return Ok(state.fail(data));
    }
    let has_usage = chunk.usage.is_some_and(|range| state.take_usage(dialect, &data[range]));
    let sort = match (&chunk.finish, chunk.choices) {
        (Some(_), _) => Sort::Finish,
        (None, Some(0)) if has_usage => Sort::UsageOnly,
        // Filters of the prompt come in a chunk without choices.
        (None, Some(0) | None) => Sort::Other,
        (None, Some(_)) if chunk.output_bytes > 0 => Sort::Content,
        (None, Some(_)) => Sort::Start,
    };
    if chunk.finish.is_some() {
        state.finish = chunk.finish;
    }
    Ok(Seen { sort, output_bytes: chunk.output_bytes })
}

fn choice_member(chunk: &mut Chunk, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "delta" => {
            value.object_or_skip(|name, part| {
                match name {
                    "role" => part.pass()?,
                    "content" | "refusal" | "reasoning_content" | "reasoning" => {
                        chunk.output_bytes += text_bytes(part)?;
                    }
                    // Names and arguments of calls, sound: whatever else there is was written too.
                    _ => chunk.output_bytes += texts_within(part, 6)?,
                }
                Ok::<_, NotJson>(())
            })?;
        }
        "text" => chunk.output_bytes += text_bytes(value)?,
        "finish_reason" => {
            if let Some(reason) = value.text_or_skip()? {
                chunk.finish = Some(Finish::of_openai(&reason));
            }
        }
        _ => value.pass()?,
    }
    Ok(())
}

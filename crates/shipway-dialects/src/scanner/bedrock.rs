//! Frames of Bedrock's ConverseStream: the binary messages as events, each under the name of its type and with its payload as data.
//! `messageStop` has the reason, `metadata` comes behind it with the usage.

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::scanner::{Seen, Sort, State, texts_within};

pub(super) fn see(state: &mut State, event: &[u8], data: &[u8]) -> Result<Seen, NotJson> {
    match event {
        b"messageStart" => readable(data).map(|()| Seen::of(Sort::Start)),
        b"contentBlockStart" | b"contentBlockDelta" => content(data),
        b"contentBlockStop" => readable(data).map(|()| Seen::of(Sort::Content)),
        b"messageStop" => stop(state, data),
        b"metadata" => metadata(state, data),
        name if name.ends_with(b"Exception") || name == b"error" => Ok(state.fail(data)),
        _ => readable(data).map(|()| Seen::of(Sort::Other)),
    }
}

fn readable(data: &[u8]) -> Result<(), NotJson> {
    let mut reader = Reader::new(data);
    reader.object(|_, value| value.pass())?;
    reader.finish()
}

fn content(data: &[u8]) -> Result<Seen, NotJson> {
    let mut output_bytes = 0;
    let mut reader = Reader::new(data);
    reader.object(|name, value| {
        if name != "delta" && name != "start" {
            return value.pass();
        }
        value.object_or_skip(|name, member| match name {
            "reasoningContent" => member
                .object_or_skip(|name, thought| {
                    // A signature is opaque: it was not written by the model, and is not counted as output.
                    output_bytes +=
                        if name == "text" { texts_within(thought, 1)? } else { skipped(thought)? };
                    Ok::<_, NotJson>(())
                })
                .map(drop),
            "toolUse" => member
                .object_or_skip(|name, call| {
                    output_bytes += if name == "toolUseId" { skipped(call)? } else { texts_within(call, 1)? };
                    Ok::<_, NotJson>(())
                })
                .map(drop),
            "text" => {
                output_bytes += texts_within(member, 1)?;
                Ok(())
            }
            _ => member.pass(),
        })?;
        Ok::<_, NotJson>(())
    })?;
    reader.finish()?;
    Ok(Seen { sort: Sort::Content, output_bytes })
}

fn skipped(value: &mut Reader<'_>) -> Result<u64, NotJson> {
    value.pass().map(|()| 0)
}

fn stop(state: &mut State, data: &[u8]) -> Result<Seen, NotJson> {
    let mut finish = None;
    let mut reader = Reader::new(data);
    reader.object(|name, value| {
        if name == "stopReason" {
            finish = value.text_or_skip()?.map(|reason| Finish::of_bedrock(&reason));
            return Ok(());
        }
        value.pass()
    })?;
    reader.finish()?;
    let sort = if finish.is_some() { Sort::Finish } else { Sort::Other };
    state.finish = finish.or(state.finish.take());
    Ok(Seen::of(sort))
}

fn metadata(state: &mut State, data: &[u8]) -> Result<Seen, NotJson> {
    let mut usage = None;
    let mut reader = Reader::new(data);
    reader.object(|name, value| match name {
        "usage" => {
            let kind = value.kind()?;
            let range = value.skip()?;
            usage = (kind == Kind::Object).then_some(range);
            Ok(())
        }
        "serviceTier" => value
            .object_or_skip(
                |name, member| {
                    if name == "type" { state.take_service_tier(member) } else { member.pass() }
                },
            )
            .map(drop),
        _ => value.pass(),
    })?;
    reader.finish()?;
    if let Some(range) = usage {
        state.take_usage(Dialect::BedrockConverse, &data[range]);
    }
    Ok(Seen::of(Sort::End))
}

//! Frames of images that are painted, sound that is spoken and sound that is written down: each says its type. Of several images each is
//! completed by itself, so nothing but the end of the stream says that no further one comes.

use std::ops::Range;

use crate::dialect::Dialect;
use crate::finish::Finish;
use crate::json::{Kind, NotJson, Reader};
use crate::made::seconds_of_usage;
use crate::scanner::{Seen, Sort, State, text_bytes};

#[derive(Default)]
struct Parts {
    kind: String,
    delta_bytes: u64,
    usage: Option<Range<usize>>,
    failed: bool,
}

pub(super) fn see(state: &mut State, data: &[u8]) -> Result<Seen, NotJson> {
    if data.starts_with(b"[DONE]") {
        return Ok(Seen::of(Sort::End));
    }
    let mut parts = Parts::default();
    let mut reader = Reader::new(data);
    reader.object(|name, value| {
        match name {
            "type" => parts.kind = value.text_or_skip()?.map(Into::into).unwrap_or_default(),
            "delta" => parts.delta_bytes = text_bytes(value)?,
            "error" => parts.failed = value.filled_or_skip()?,
            "usage" => {
                let kind = value.kind()?;
                let range = value.skip()?;
                parts.usage = (kind == Kind::Object).then_some(range);
            }
            _ => value.pass()?,
        }
        Ok::<_, NotJson>(())
    })?;
    reader.finish()?;
    if parts.failed || parts.kind == "error" {
        return Ok(state.fail(data));
    }
    if let Some(range) = parts.usage {
        state.made.milliseconds += seconds_of_usage(data.get(range.clone()));
        state.take_usage(Dialect::OpenAiMedia, &data[range]);
    }
    let is_image = parts.kind.starts_with("image_");
    Ok(match parts.kind.rsplit('.').next() {
        Some("completed" | "done") => {
            state.finish = Some(Finish::Stop);
            state.made.images += u64::from(is_image);
            Seen::of(Sort::Finish)
        }
        Some("delta") => {
            Seen { sort: Sort::Content, output_bytes: if is_image { 0 } else { parts.delta_bytes } }
        }
        _ => Seen::of(Sort::Other),
    })
}

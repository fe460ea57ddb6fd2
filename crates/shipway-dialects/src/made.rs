//! What an answer made beside tokens: images, and sound that was listened to.

use serde_json::Value;

use crate::json::{Kind, NotJson, Reader};

/// What an answer made, or listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Made {
    /// Images.
    pub images: u64,
    /// Sound, in thousandths of a second.
    pub milliseconds: u64,
}

impl Made {
    /// What a whole answer about images or sounds made; nothing where it does not say, or is no JSON.
    pub fn of_answer(body: &[u8]) -> Self {
        let mut made = Self::default();
        let read = Reader::new(body).object(|name, value| {
            match name {
                "data" => made.images = images(value)?,
                // Of a transcription; the longer form says it beside the usage, as a number or a text.
                "duration" => {
                    let range = value.skip()?;
                    made.milliseconds = made.milliseconds.max(milliseconds(body.get(range)));
                }
                "usage" => {
                    let range = value.skip()?;
                    made.milliseconds = made.milliseconds.max(seconds_of_usage(body.get(range)));
                }
                _ => value.pass()?,
            }
            Ok::<_, NotJson>(())
        });
        read.map_or_else(|_| Self::default(), |_| made)
    }
}

/// Only what is an image is charged: a list of anything else has none.
fn images(list: &mut Reader<'_>) -> Result<u64, NotJson> {
    let mut images = 0;
    list.array_or_skip(|item| {
        let mut is_image = false;
        item.object_or_skip(|name, value| {
            let is_named = matches!(name, "b64_json" | "url");
            is_image |= is_named && value.kind()? == Kind::Text;
            value.pass()
        })?;
        images += u64::from(is_image);
        Ok::<_, NotJson>(())
    })?;
    Ok(images)
}

pub(crate) fn seconds_of_usage(usage: Option<&[u8]>) -> u64 {
    let usage = usage.and_then(|usage| serde_json::from_slice::<Value>(usage).ok()).unwrap_or_default();
    milliseconds_of(&usage["seconds"])
}

fn milliseconds(json: Option<&[u8]>) -> u64 {
    json.and_then(|json| serde_json::from_slice::<Value>(json).ok())
        .map_or(0, |value| milliseconds_of(&value))
}

/// Rounded up: what is charged covers what was used.
fn milliseconds_of(seconds: &Value) -> u64 {
    let seconds = seconds.as_f64().or_else(|| seconds.as_str()?.parse().ok()).unwrap_or(0.0);
    if seconds.is_finite() && seconds > 0.0 { (seconds * 1_000.0).ceil() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_counted_and_nothing_else_is_one() {
        let of = |body: &str| Made::of_answer(body.as_bytes());
        assert_eq!(of(r#"{"created":1,"data":[{"b64_json":"aa"},{"url":"http://a"}]}"#).images, 2);
        assert_eq!(of(r#"{"data":[{"embedding":[1.0]},7,null,{"url":null}]}"#).images, 0);
        for none in ["", "[]", r#"{"data":7}"#, r#"{"data":[{"url":"a"}]"#] {
            assert_eq!(of(none), Made::default(), "{none}");
        }
    }

    #[test]
    fn sound_is_measured_in_milliseconds_and_rounded_up() {
        let of = |body: &str| Made::of_answer(body.as_bytes()).milliseconds;
        assert_eq!(of(r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#), 9_000);
        assert_eq!(of(r#"{"text":"hi","duration":"1.2344"}"#), 1_235);
        assert_eq!(of(r#"{"text":"hi","duration":2.5,"usage":{"type":"duration","seconds":3}}"#), 3_000);
        assert_eq!(of(r#"{"text":"hi","duration":-1}"#), 0);
        assert_eq!(of(r#"{"text":"hi","usage":{"type":"tokens","input_tokens":4}}"#), 0);
    }
}

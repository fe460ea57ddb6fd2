//! Images, sound and moderations: small answers of the right form.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::CREATED;
use crate::{
    ask::{Refused, text},
    script::Script,
    wire::Answer,
};

/// A dot of one colour.
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// What sound that is spoken begins with.
const MP3: &[u8] = b"ID3\x04\x00\x00\x00\x00\x00\x00";
/// How many bytes of a file are a second of sound.
const BYTES_PER_SECOND: u64 = 16_000;
const TOKENS_PER_IMAGE: u64 = 272;

fn model(body: &Value) -> Result<&str, Refused> {
    text(body, "model").ok_or_else(|| Refused::invalid("you must provide a model parameter"))
}

/// As a number, also where a form says it as a text.
fn count(body: &Value, name: &str) -> Option<u64> {
    let value = body.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Images with usage; by address (`response_format: url`) without, as older models have it.
pub(crate) fn images(body: &Value, script: &Script) -> Result<Value, Refused> {
    model(body)?;
    if body.get("prompt").is_none() && body.get("image").is_none() {
        return Err(Refused::at("prompt", "Missing required parameter: 'prompt'."));
    }
    let many = count(body, "n").unwrap_or(1).clamp(1, 10);
    let by_address = text(body, "response_format") == Some("url");
    let image = |number| match by_address {
        true => json!({"url": format!("https://images.invalid/{number}.png")}),
        false => json!({"b64_json": PNG}),
    };
    let mut answer = json!({"created": CREATED, "data": (0..many).map(image).collect::<Vec<_>>()});
    if !by_address {
        let input = script.usage.input.unwrap_or(10);
        let output = script.usage.output.unwrap_or(TOKENS_PER_IMAGE * many);
        answer["usage"] = json!({
            "input_tokens": input,
            "output_tokens": output,
            "total_tokens": input + output,
            "input_tokens_details": {"text_tokens": input, "image_tokens": 0},
        });
    }
    Ok(answer)
}

/// Sound: as many bytes as the text has, behind the beginning of an MP3.
pub(crate) fn speech(body: &Value) -> Result<Answer, Refused> {
    model(body)?;
    let said =
        text(body, "input").ok_or_else(|| Refused::at("input", "Missing required parameter: 'input'."))?;
    let sound = [MP3, said.as_bytes()].concat();
    Ok(Answer::whole(200, "audio/mpeg", Bytes::from(sound)))
}

/// What was heard: as many words as seconds.
pub(crate) fn heard(body: &Value) -> Result<Answer, Refused> {
    model(body)?;
    let bytes =
        count(body, "file").ok_or_else(|| Refused::at("file", "Missing required parameter: 'file'."))?;
    let seconds = bytes.div_ceil(BYTES_PER_SECOND);
    let text_heard = vec!["ahoy"; usize::try_from(seconds).unwrap_or(0).min(100)].join(" ");
    Ok(match text(body, "response_format") {
        Some("text" | "srt" | "vtt") => {
            Answer::whole(200, "text/plain; charset=utf-8", Bytes::from(format!("{text_heard}\n")))
        }
        Some("verbose_json") => Answer::json(
            200,
            &json!({"task": "transcribe", "language": "english", "duration": seconds, "text": text_heard, "segments": []}),
        ),
        _ => {
            Answer::json(200, &json!({"text": text_heard, "usage": {"type": "duration", "seconds": seconds}}))
        }
    })
}

/// Flags what says that it shall be flagged.
pub(crate) fn moderation(body: &Value) -> Result<Value, Refused> {
    let inputs = match body.get("input") {
        Some(Value::Array(many)) => many.clone(),
        Some(one) => vec![one.clone()],
        None => return Err(Refused::at("input", "Missing required parameter: 'input'.")),
    };
    let result = |input: &Value| {
        let flagged = input.to_string().contains("flag me");
        json!({"flagged": flagged, "categories": {"violence": flagged}, "category_scores": {"violence": if flagged { 0.9 } else { 0.01 }}})
    };
    Ok(json!({
        "id": "modr-mock",
        "model": model(body)?,
        "results": inputs.iter().map(result).collect::<Vec<_>>(),
    }))
}

/// The fields of a form, with their headers. None where it is no form.
fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let boundary =
        content_type.strip_prefix("multipart/form-data")?.split_once("boundary=")?.1.trim_matches('"');
    let delimiter = format!("--{boundary}");
    let (mut parts, mut rest) = (Vec::new(), body);
    while let Some(at) = memchr::memmem::find(rest, delimiter.as_bytes()) {
        let part = &rest[at + delimiter.len()..];
        let end = memchr::memmem::find(part, delimiter.as_bytes()).unwrap_or(part.len());
        parts.push(&part[..end]);
        rest = part;
    }
    Some(parts)
}

/// A form as JSON: texts as they are, of files the number of their bytes. None where it is no form.
pub(crate) fn form(content_type: &str, body: &[u8]) -> Option<Value> {
    Some(Value::Object(parts(content_type, body)?.into_iter().filter_map(field).collect()))
}

/// The name and the bytes of the first file of a form.
pub(crate) fn file_of(content_type: &str, body: &[u8]) -> Option<(String, Bytes)> {
    parts(content_type, body)?.into_iter().find_map(|part| {
        let at = memchr::memmem::find(part, b"\r\n\r\n")?;
        let headers = String::from_utf8_lossy(&part[..at]).into_owned();
        let name = headers.split("filename=\"").nth(1)?.split('"').next()?.to_owned();
        Some((name, Bytes::copy_from_slice(part[at + 4..].strip_suffix(b"\r\n")?)))
    })
}

fn field(part: &[u8]) -> Option<(String, Value)> {
    let at = memchr::memmem::find(part, b"\r\n\r\n")?;
    let headers = String::from_utf8_lossy(&part[..at]).into_owned();
    let value = part[at + 4..].strip_suffix(b"\r\n")?;
    let name = headers.split("; name=\"").nth(1)?.split('"').next()?.trim_end_matches("[]").to_owned();
    let value = match headers.contains("filename=") {
        true => Value::from(value.len()),
        false => Value::from(String::from_utf8_lossy(value).into_owned()),
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_json() {
        let body = b"--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\0\xff\r\n--b--\r\n";
        assert_eq!(form("multipart/form-data; boundary=b", body), Some(json!({"model": "m", "file": 2})));
        assert_eq!(form("application/json", body), None);
    }
}

//! Anthropic's messages as Vertex takes them: the path says the model, the body which version is spoken.

use bytes::Bytes;

use crate::head::without_member;
use crate::json::{NotJson, Reader};

/// What Vertex wants to be told; the header of Anthropic's own API says nothing there.
const VERSION: &str = r#""anthropic_version":"vertex-2023-10-16""#;

/// The body without its model, unless it `keeps_model` as where tokens are counted, and with the version if it has none. Every other
/// byte stays. What is no JSON object is left as it is, for the provider to refuse.
pub fn for_vertex(body: &Bytes, keeps_model: bool) -> Bytes {
    let mut body = body.clone();
    // One that comes twice is taken out twice.
    while let Ok((has_version, model)) = look(&body) {
        match model.filter(|_| !keeps_model) {
            Some(member) => body = without_member(&body, member),
            None if has_version => return body,
            None => return with_version(&body),
        }
    }
    body
}

/// Whether the version is there, and where a model is.
fn look(body: &[u8]) -> Result<(bool, Option<std::ops::Range<usize>>), NotJson> {
    let (mut has_version, mut model) = (false, None);
    let mut reader = Reader::new(body);
    reader.object(|name, value| {
        let name_at = value.name_position();
        let is_model = name == "model";
        has_version |= name == "anthropic_version";
        let range = value.skip()?;
        if is_model {
            model = Some(name_at..range.end);
        }
        Ok::<_, NotJson>(())
    })?;
    Ok((has_version, model))
}

fn with_version(body: &[u8]) -> Bytes {
    let open = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
    let is_empty = body[open..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let mut out = Vec::with_capacity(body.len() + VERSION.len() + 1);
    out.extend_from_slice(&body[..open]);
    out.extend_from_slice(VERSION.as_bytes());
    out.extend_from_slice(if is_empty { b"" } else { b"," });
    out.extend_from_slice(&body[open..]);
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &'static str, keeps_model: bool) -> String {
        String::from_utf8(for_vertex(&Bytes::from_static(body.as_bytes()), keeps_model).to_vec()).unwrap()
    }

    #[test]
    fn the_model_goes_and_the_version_comes_and_nothing_else_changes() {
        assert_eq!(
            said(r#"{"model": "claude-x", "max_tokens": 1e1, "messages": [{"model": 1}]}"#, false),
            r#"{"anthropic_version":"vertex-2023-10-16", "max_tokens": 1e1, "messages": [{"model": 1}]}"#
        );
        assert_eq!(
            said(r#"{ "a":1 , "model":"m" }"#, false),
            r#"{"anthropic_version":"vertex-2023-10-16", "a":1  }"#
        );
        assert_eq!(said(r#"{"model":"m"}"#, false), r#"{"anthropic_version":"vertex-2023-10-16"}"#);
        assert_eq!(
            said(r#"{"\u006dodel":"m","model":"n","anthropic_version":"mine"}"#, false),
            r#"{"anthropic_version":"mine"}"#
        );
        assert_eq!(
            said(r#"{"model":"m"}"#, true),
            r#"{"anthropic_version":"vertex-2023-10-16","model":"m"}"#
        );
        assert_eq!(said("[1]", false), "[1]");
    }
}

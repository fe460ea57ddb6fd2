//! The canonical form of a request: two bodies with one form ask for the same answer.

use crate::dialect::Dialect;
use crate::json::{Kind, NotJson, Reader};

/// Writes `body` without white space, members sorted by name, and without what decides nothing about what is answered:
/// the model, which is another one where the request goes; whether the answer is streamed, and with its usage; for whom
/// it is asked, where the dialect does not say it back. Of a member that comes twice the last one counts, as it does for
/// providers. Numbers and texts stay as they are written: `1` and `1.0` are two forms.
pub fn canonical(dialect: Dialect, body: &[u8]) -> Result<Vec<u8>, NotJson> {
    let mut reader = Reader::new(body);
    let mut out = Vec::with_capacity(body.len());
    object(&mut reader, &mut out, &|name| is_left_out(dialect, name))?;
    reader.finish()?;
    Ok(out)
}

fn is_left_out(dialect: Dialect, name: &str) -> bool {
    match (dialect, name) {
        (_, "model") => dialect != Dialect::GeminiGenerate,
        (_, "stream") => true,
        // Their answers have these in them.
        (Dialect::OpenAiResponses, _) => false,
        (Dialect::AnthropicMessages, "metadata") => true,
        (
            Dialect::OpenAiChat | Dialect::OpenAiCompletions | Dialect::OpenAiEmbeddings,
            "user" | "safety_identifier" | "prompt_cache_key" | "prompt_cache_retention",
        ) => true,
        _ => false,
    }
}

fn object(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    is_left_out: &dyn Fn(&str) -> bool,
) -> Result<(), NotJson> {
    let mut members: Vec<(String, Vec<u8>)> = Vec::new();
    reader.object(|name, value| {
        let mut text = Vec::new();
        match name {
            name if is_left_out(name) => return value.pass(),
            "stream_options" if value.kind()? == Kind::Object => {
                object(value, &mut text, &|option| option == "include_usage")?;
                if text == b"{}" {
                    return Ok(());
                }
            }
            _ => any(value, &mut text)?,
        }
        members.push((name.to_owned(), text));
        Ok::<_, NotJson>(())
    })?;
    // Stable, so the last of those of one name is the last one written.
    members.sort_by(|left, right| left.0.cmp(&right.0));
    out.push(b'{');
    let mut is_first = true;
    for (place, (name, text)) in members.iter().enumerate() {
        if members.get(place + 1).is_some_and(|(next, _)| next == name) {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        out.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
        out.push(b':');
        out.extend_from_slice(text);
    }
    out.push(b'}');
    Ok(())
}

fn any(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    match reader.kind()? {
        Kind::Object => object(reader, out, &|_| false),
        Kind::Array => {
            out.push(b'[');
            let start = out.len();
            reader.array(|item| {
                if out.len() > start {
                    out.push(b',');
                }
                any(item, out)
            })?;
            out.push(b']');
            Ok(())
        }
        _ => {
            let range = reader.skip()?;
            out.extend_from_slice(reader.slice(range));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(dialect: Dialect, body: &str) -> String {
        String::from_utf8(canonical(dialect, body.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn order_white_space_streaming_and_the_names_of_the_model_change_nothing() {
        let one = r#"{"model":"a","messages":[{"role":"user","content":"h\u0069 1"}],"n":1}"#;
        let two = r#"{ "n": 1, "stream": true, "stream_options": {"include_usage": true}, "user": "u",
            "messages": [ { "content": "h\u0069 1", "role": "user" } ], "model": "b" }"#;
        assert_eq!(form(Dialect::OpenAiChat, one), form(Dialect::OpenAiChat, two));
        assert_eq!(
            form(Dialect::OpenAiChat, one),
            r#"{"messages":[{"content":"h\u0069 1","role":"user"}],"n":1}"#
        );
    }

    #[test]
    fn what_decides_the_answer_is_in_the_form() {
        let base = r#"{"model":"a","messages":[],"temperature":0.5}"#;
        for other in [
            r#"{"model":"a","messages":[],"temperature":0.50}"#,
            r#"{"model":"a","messages":[null],"temperature":0.5}"#,
            r#"{"model":"a","messages":[],"temperature":0.5,"metadata":{}}"#,
            r#"{"model":"a","messages":[],"temperature":0.5,"stream_options":{"include_obfuscation":false}}"#,
        ] {
            assert_ne!(form(Dialect::OpenAiChat, base), form(Dialect::OpenAiChat, other), "{other}");
        }
        // A stream of responses says its metadata back.
        let said = r#"{"model":"a","input":"x","user":"u"}"#;
        assert!(form(Dialect::OpenAiResponses, said).contains("user"));
        // In Gemini's body a model is no name of one.
        assert!(form(Dialect::GeminiGenerate, r#"{"model":"m"}"#).contains("model"));
    }

    #[test]
    fn of_a_member_that_comes_twice_the_last_counts_however_it_is_written() {
        let twice = r#"{"n":1,"m":0,"\u006e":2}"#;
        assert_eq!(form(Dialect::OpenAiChat, twice), r#"{"m":0,"n":2}"#);
        assert!(canonical(Dialect::OpenAiChat, b"[]").is_err());
        assert!(canonical(Dialect::OpenAiChat, b"{}x").is_err());
    }
}

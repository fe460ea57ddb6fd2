//! Changes in a request what must change on its way, and no other byte.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::dialect::Dialect;
use crate::head::{Head, StreamOptions};

/// What is to be different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes<'a> {
    /// The name that the model has where the request goes.
    pub model: Option<&'a str>,
    /// Usage shall come at the end of a stream, also if the client did not ask for it. Only chat and completions of
    /// OpenAI have to be asked.
    pub stream_usage: bool,
}

/// One replacement: these bytes of the body become this text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    range: Range<usize>,
    text: Cow<'static, str>,
}

/// The body with `changes`; `head` must have been read from this very body. Everything else stays, byte for byte, in
/// its order. Without a change the body itself comes back, uncopied; with one it is copied once.
pub fn rewrite(dialect: Dialect, body: Bytes, head: &Head, changes: &Changes<'_>) -> Bytes {
    let mut edits = Vec::new();
    if let Some(model) = changes.model.filter(|model| *model != head.model || head.places.models.len() > 1) {
        let text = if head.is_form { model.to_owned() } else { serde_json::Value::from(model).to_string() };
        edits.extend(
            head.places.models.iter().map(|range| Edit { range: range.clone(), text: text.clone().into() }),
        );
    }
    let must_ask = matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions);
    if must_ask && changes.stream_usage && head.stream && !head.stream_usage {
        edits.extend(usage_edit(head, &body));
    }
    if edits.is_empty() {
        return body;
    }
    edits.sort_by_key(|edit| edit.range.start);
    let mut out = Vec::with_capacity(body.len() + edits.iter().map(|edit| edit.text.len()).sum::<usize>());
    let mut at = 0;
    for edit in &edits {
        out.extend_from_slice(body.get(at..edit.range.start).unwrap_or_default());
        out.extend_from_slice(edit.text.as_bytes());
        at = edit.range.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    Bytes::from(out)
}

fn usage_edit(head: &Head, body: &Bytes) -> Option<Edit> {
    const ASKED: &str = r#""include_usage":true"#;
    match &head.places.stream_options {
        Some(StreamOptions::Object(_, Some(flag))) => Some(Edit { range: flag.clone(), text: "true".into() }),
        Some(StreamOptions::Object(options, None)) => {
            let inside = options.start + 1..options.end - 1;
            let empty = body.get(inside.clone()).unwrap_or_default().iter().all(u8::is_ascii_whitespace);
            let text = if empty { ASKED.into() } else { format!("{ASKED},").into() };
            Some(Edit { range: inside.start..inside.start, text })
        }
        Some(StreamOptions::Null(null)) => {
            Some(Edit { range: null.clone(), text: format!("{{{ASKED}}}").into() })
        }
        Some(StreamOptions::Strange) => None,
        // The body has a model, so there is a member to stand behind.
        None => Some(Edit {
            range: head.places.closes..head.places.closes,
            text: format!(r#","stream_options":{{{ASKED}}}"#).into(),
        }),
    }
}

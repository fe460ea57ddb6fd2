//! Server-sent events: what is said in a stream, and its bytes as a script frames them.

use bytes::Bytes;
use serde_json::Value;

use crate::script::{Fault, Script};

/// What a frame is for, as far as a fault may leave it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Content,
    Finish,
    End,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: Option<&'static str>,
    pub(crate) data: Data,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    Json(Value),
    /// What is no JSON: `[DONE]`.
    Word(&'static str),
}

impl Event {
    pub(crate) fn unnamed(data: Value) -> Self {
        Self { name: None, data: Data::Json(data), kind: Kind::Content }
    }

    /// An event whose name is the `type` in its data.
    pub(crate) fn named(name: &'static str, data: Value) -> Self {
        Self { name: Some(name), data: Data::Json(data), kind: Kind::Content }
    }

    pub(crate) const fn done() -> Self {
        Self { name: None, data: Data::Word("[DONE]"), kind: Kind::End }
    }

    pub(crate) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }
}

/// The frames of a stream; `error` is what the provider says when it breaks in the middle.
pub(crate) fn frames(events: Vec<Event>, script: &Script, error: impl FnOnce() -> Event) -> Vec<Bytes> {
    faulty(events, script, error).iter().map(|event| frame(event, script)).collect()
}

/// The events without those that a fault leaves out, and with those that it puts in.
pub(super) fn faulty(events: Vec<Event>, script: &Script, error: impl FnOnce() -> Event) -> Vec<Event> {
    let mut events = events;
    match script.fault {
        Some(Fault::NoTerminator) => events.retain(|event| event.kind != Kind::End),
        Some(Fault::NoFinish) => events.retain(|event| event.kind != Kind::Finish),
        Some(Fault::ErrorFrame(at)) => {
            events.truncate(at);
            events.push(error());
        }
        Some(Fault::Empty) => events.clear(),
        _ => {}
    }
    events
}

fn frame(event: &Event, script: &Script) -> Bytes {
    let framing = &script.framing;
    let end = if framing.crlf { "\r\n" } else { "\n" };
    let mut text = String::with_capacity(256);
    if framing.comments {
        text.push_str(": keep-alive");
        text.push_str(end);
        text.push_str(end);
    }
    if let Some(name) = event.name {
        text.push_str("event: ");
        text.push_str(name);
        text.push_str(end);
    }
    let data = match &event.data {
        Data::Word(word) => (*word).to_owned(),
        // JSON may be broken into lines between its words.
        Data::Json(value) if framing.multiline => format!("{value:#}"),
        Data::Json(value) => value.to_string(),
    };
    for line in data.lines() {
        text.push_str("data: ");
        text.push_str(line);
        text.push_str(end);
    }
    text.push_str(end);
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(script: &str) -> String {
        let events = vec![
            Event::named("start", json!({"a": "é"})),
            Event::unnamed(json!({"b": 1})).of_kind(Kind::Finish),
            Event::done(),
        ];
        let frames = frames(events, &Script::parse(script).unwrap(), || Event::unnamed(json!({"error": 1})));
        String::from_utf8(frames.concat()).unwrap()
    }

    #[test]
    fn frames_are_worded_as_the_script_says() {
        assert_eq!(text(""), "event: start\ndata: {\"a\":\"é\"}\n\ndata: {\"b\":1}\n\ndata: [DONE]\n\n");
        assert_eq!(text("crlf").replace("\r\n", "\n"), text(""));
        assert!(text("comments").starts_with(": keep-alive\n\nevent: start\n"));
        assert!(text("multiline").contains("event: start\ndata: {\ndata:   \"a\": \"é\"\ndata: }\n\n"));
    }

    #[test]
    fn faults_leave_out_what_they_name() {
        assert!(text("fault=no_terminator").ends_with("{\"b\":1}\n\n"));
        assert!(!text("fault=no_finish").contains("\"b\""));
        assert_eq!(text("fault=error_frame:0"), "data: {\"error\":1}\n\n");
        assert!(text("fault=error_frame:1").starts_with("event: start"));
        assert_eq!(text("fault=empty"), "");
    }
}

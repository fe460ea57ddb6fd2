//! Responses: the stream. Every event is named, and numbered.

use serde_json::{Value, json};

use super::responses::{Item, begun, items, part, shown, shows_summary, whole};
use crate::{
    ask::Ask,
    dialects::sse::{Data, Event, Kind},
    reply::{Call, Finish, Reply},
    script::Script,
};

/// Fragments of arguments have so many characters.
const FRAGMENT: usize = 12;

/// The stream; it ends with the whole response, and nothing after it.
pub(crate) fn events(ask: &Ask, body: &Value, reply: &Reply, script: &Script) -> Vec<Event> {
    let started = begun(ask, body, "in_progress");
    let mut events = vec![
        event("response.created", json!({"response": started})),
        event("response.in_progress", json!({"response": started})),
    ];
    for (index, item) in items(reply).iter().enumerate() {
        let id = item.id(ask, index);
        let done = shown(item, &id, reply, body);
        events.push(event(
            "response.output_item.added",
            json!({"output_index": index, "item": opened(item, &done)}),
        ));
        events.extend(match item {
            Item::Reasoning(pieces) => reasoning_events(&id, index, pieces, body),
            Item::Message(pieces) => message_events(&id, index, pieces, reply),
            Item::Call(call) => call_events(&id, index, call),
        });
        events.push(event("response.output_item.done", json!({"output_index": index, "item": done})));
    }
    let name = if matches!(reply.finish, Finish::Length | Finish::Filter) {
        "response.incomplete"
    } else {
        "response.completed"
    };
    events.push(event(name, json!({"response": whole(ask, body, reply, script)})).of_kind(Kind::End));
    for (number, event) in events.iter_mut().enumerate() {
        if let Data::Json(data) = &mut event.data {
            data["sequence_number"] = json!(number);
        }
    }
    events
}

fn event(name: &'static str, rest: Value) -> Event {
    let mut data = json!({"type": name});
    if let (Value::Object(data), Value::Object(rest)) = (&mut data, rest) {
        data.extend(rest);
    }
    Event::named(name, data)
}

/// An item as it is before anything of it was put out.
fn opened(item: &Item<'_>, done: &Value) -> Value {
    let mut opened = done.clone();
    match item {
        Item::Reasoning(_) => opened["summary"] = json!([]),
        Item::Message(_) => {
            opened["status"] = json!("in_progress");
            opened["content"] = json!([]);
        }
        Item::Call(_) => {
            opened["status"] = json!("in_progress");
            opened["arguments"] = json!("");
        }
    }
    opened
}

fn reasoning_events(id: &str, index: usize, pieces: &[String], body: &Value) -> Vec<Event> {
    if !shows_summary(body) {
        return Vec::new();
    }
    let with = |rest: Value| {
        let mut data = json!({"item_id": id, "output_index": index, "summary_index": 0});
        if let (Value::Object(data), Value::Object(rest)) = (&mut data, rest) {
            data.extend(rest);
        }
        data
    };
    let part = |said: &str| json!({"part": {"type": "summary_text", "text": said}});
    let whole = pieces.concat();
    let mut events = vec![event("response.reasoning_summary_part.added", with(part("")))];
    events.extend(
        pieces
            .iter()
            .map(|piece| event("response.reasoning_summary_text.delta", with(json!({"delta": piece})))),
    );
    events.push(event("response.reasoning_summary_text.done", with(json!({"text": whole}))));
    events.push(event("response.reasoning_summary_part.done", with(part(&whole))));
    events
}

fn message_events(id: &str, index: usize, pieces: &[String], reply: &Reply) -> Vec<Event> {
    let refuses = reply.finish == Finish::Refusal;
    let with = |rest: Value| {
        let mut data = json!({"item_id": id, "output_index": index, "content_index": 0});
        if let (Value::Object(data), Value::Object(rest)) = (&mut data, rest) {
            data.extend(rest);
        }
        data
    };
    let whole = pieces.concat();
    let mut events = vec![event("response.content_part.added", with(json!({"part": part(reply, "")})))];
    if refuses {
        events.extend(
            pieces.iter().map(|piece| event("response.refusal.delta", with(json!({"delta": piece})))),
        );
        events.push(event("response.refusal.done", with(json!({"refusal": whole}))));
    } else {
        events.extend(
            pieces.iter().map(|piece| {
                event("response.output_text.delta", with(json!({"delta": piece, "logprobs": []})))
            }),
        );
        events.push(event("response.output_text.done", with(json!({"text": whole, "logprobs": []}))));
    }
    events.push(event("response.content_part.done", with(json!({"part": part(reply, &whole)}))));
    events
}

fn call_events(id: &str, index: usize, call: &Call) -> Vec<Event> {
    let arguments = call.arguments_text();
    let letters: Vec<char> = arguments.chars().collect();
    let mut events: Vec<_> = letters
        .chunks(FRAGMENT)
        .map(|piece| {
            let delta: String = piece.iter().collect();
            event(
                "response.function_call_arguments.delta",
                json!({"item_id": id, "output_index": index, "delta": delta}),
            )
        })
        .collect();
    let done = json!({"item_id": id, "output_index": index, "name": call.name, "arguments": arguments});
    events.push(event("response.function_call_arguments.done", done));
    events
}

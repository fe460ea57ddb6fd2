//! The events of a response, in the names of the newer and of the older API.

use base64::Engine as _;
use serde_json::{Value, json};

use crate::{
    ask::Ask,
    reply::{Reply, Usage},
    script::{Script, UsageShape},
};

/// Of each piece of sound: 50 ms of 16 bits at 24 kHz.
const PIECE_BYTES: usize = 2_400;

/// How a response is said.
pub(super) struct Spoken<'a> {
    pub(super) id: &'a str,
    pub(super) speaks: bool,
    pub(super) is_beta: bool,
    /// It does not belong to the conversation.
    pub(super) is_beside: bool,
    pub(super) model: &'a str,
}

impl Spoken<'_> {
    fn name(&self, newer: &'static str, older: &'static str) -> &'static str {
        if self.is_beta { older } else { newer }
    }

    fn response(&self, status: &str, output: &Value, usage: &Value) -> Value {
        let conversation = (!self.is_beside).then_some("conv_1");
        json!({
            "object": "realtime.response", "id": self.id, "status": status, "status_details": null, "output": output,
            "conversation_id": conversation, "model": self.model, "usage": usage, "metadata": null,
        })
    }
}

type Event = (&'static str, Value);

/// All events of a response.
pub(super) fn events(spoken: &Spoken<'_>, ask: &Ask, reply: &Reply, script: &Script) -> Vec<Event> {
    let created = spoken.response("in_progress", &json!([]), &Value::Null);
    let mut events: Vec<Event> = vec![("response.created", json!({"response": created}))];
    let mut output = Vec::new();
    if reply.calls.is_empty() {
        message(spoken, ask, reply, &mut events, &mut output);
    }
    calls(spoken, ask, reply, &mut events, &mut output);
    let usage = match script.usage.shape {
        UsageShape::Never => Value::Null,
        _ => usage(&reply.usage, spoken.speaks && reply.calls.is_empty()),
    };
    let status = if script.speech.length { "incomplete" } else { "completed" };
    let done = spoken.response(status, &Value::from(output), &usage);
    events.push(("response.done", json!({"response": done})));
    events
}

fn message(spoken: &Spoken<'_>, ask: &Ask, reply: &Reply, events: &mut Vec<Event>, output: &mut Vec<Value>) {
    let id = format!("item_{}", ask.id("message", 0));
    let whole = reply.whole_text();
    let part = match (spoken.speaks, spoken.is_beta) {
        (true, false) => json!({"type": "output_audio", "transcript": whole}),
        (true, true) => json!({"type": "audio", "transcript": whole}),
        (false, false) => json!({"type": "output_text", "text": whole}),
        (false, true) => json!({"type": "text", "text": whole}),
    };
    let item = |status: &str, content: Value| json!({"id": id, "object": "realtime.item", "type": "message", "role": "assistant", "status": status, "content": content});
    let of = |more: Value| {
        let mut all = json!({"response_id": spoken.id, "item_id": id, "output_index": 0, "content_index": 0});
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        all
    };
    let began = item("in_progress", json!([]));
    events.push((
        "response.output_item.added",
        json!({"response_id": spoken.id, "output_index": 0, "item": began}),
    ));
    events.push(("response.content_part.added", of(json!({"part": part}))));
    for (number, piece) in reply.text.iter().enumerate() {
        if spoken.speaks {
            let sound = vec![u8::try_from(number % 251).unwrap_or_default(); PIECE_BYTES];
            let sound = base64::engine::general_purpose::STANDARD.encode(sound);
            events.push((
                spoken.name("response.output_audio.delta", "response.audio.delta"),
                of(json!({"delta": sound})),
            ));
            let said =
                spoken.name("response.output_audio_transcript.delta", "response.audio_transcript.delta");
            events.push((said, of(json!({"delta": piece}))));
        } else {
            events.push((
                spoken.name("response.output_text.delta", "response.text.delta"),
                of(json!({"delta": piece})),
            ));
        }
    }
    if spoken.speaks {
        events.push((spoken.name("response.output_audio.done", "response.audio.done"), of(json!({}))));
        let said = spoken.name("response.output_audio_transcript.done", "response.audio_transcript.done");
        events.push((said, of(json!({"transcript": whole}))));
    } else {
        events.push((
            spoken.name("response.output_text.done", "response.text.done"),
            of(json!({"text": whole})),
        ));
    }
    events.push(("response.content_part.done", of(json!({"part": part}))));
    let done = item("completed", json!([part]));
    events.push((
        "response.output_item.done",
        json!({"response_id": spoken.id, "output_index": 0, "item": done}),
    ));
    output.push(done);
}

fn calls(spoken: &Spoken<'_>, ask: &Ask, reply: &Reply, events: &mut Vec<Event>, output: &mut Vec<Value>) {
    for (index, call) in reply.calls.iter().enumerate() {
        let id = format!("item_{}", ask.id("call", index));
        let arguments = call.arguments_text();
        let item = |status: &str, arguments: &str| {
            json!({
                "id": id, "object": "realtime.item", "type": "function_call", "status": status,
                "name": call.name, "call_id": call.id, "arguments": arguments,
            })
        };
        let of = json!({"response_id": spoken.id, "item_id": id, "output_index": index, "call_id": call.id});
        let with = |name: &str, value: &str| {
            let mut all = of.clone();
            all[name] = json!(value);
            all
        };
        let began = item("in_progress", "");
        events.push((
            "response.output_item.added",
            json!({"response_id": spoken.id, "output_index": index, "item": began}),
        ));
        events.push(("response.function_call_arguments.delta", with("delta", &arguments)));
        let mut done = with("arguments", &arguments);
        done["name"] = json!(call.name);
        events.push(("response.function_call_arguments.done", done));
        let done = item("completed", &arguments);
        events.push((
            "response.output_item.done",
            json!({"response_id": spoken.id, "output_index": index, "item": done}),
        ));
        output.push(done);
    }
}

/// Tokens as the API tells them. Of what is spoken three quarters are sound.
pub(super) fn usage(usage: &Usage, speaks: bool) -> Value {
    let sound = if speaks { usage.output - usage.output / 4 } else { 0 };
    let cached_sound = usage.cached.min(usage.audio) / 2;
    json!({
        "total_tokens": usage.total(), "input_tokens": usage.input, "output_tokens": usage.output,
        "input_token_details": {
            "text_tokens": usage.input.saturating_sub(usage.audio), "audio_tokens": usage.audio, "image_tokens": 0,
            "cached_tokens": usage.cached,
            "cached_tokens_details": {
                "text_tokens": usage.cached - cached_sound, "audio_tokens": cached_sound, "image_tokens": 0,
            },
        },
        "output_token_details": {"text_tokens": usage.output - sound, "audio_tokens": sound},
    })
}

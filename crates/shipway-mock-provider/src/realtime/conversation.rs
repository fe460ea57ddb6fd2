//! What was said over a connection, and what is answered to each event of the client.

use base64::Engine as _;
use serde_json::{Value, json};

use super::words::{self, Spoken};
use crate::{
    ask::{Ask, Tool, list, text},
    choose::model_and_script,
    reply::Reply,
    script::Script,
};

/// 16 bits at 24 kHz.
const BYTES_PER_SECOND: usize = 48_000;
/// Tokens of a second of sound.
const TOKENS_PER_SECOND: usize = 10;

/// What an event of the client leads to.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) answers: Vec<Value>,
    /// A response begins, with what was asked for it.
    pub(super) response: Option<Value>,
    /// The response that runs ends.
    pub(super) stops: bool,
}

/// A conversation.
pub(super) struct Conversation {
    model: String,
    is_beta: bool,
    number: u64,
    session: Value,
    items: Vec<Value>,
    /// Sound that is not committed yet, and whether somebody speaks in it.
    sound: (Vec<u8>, bool),
    events: u64,
    responses: u64,
    /// The response that runs: its id.
    runs: Option<String>,
}

impl Conversation {
    pub(super) fn new(model: &str, is_beta: bool, number: u64) -> Self {
        let model = model_and_script(model).0.to_owned();
        let sound = json!({"type": "audio/pcm", "rate": 24_000});
        let session = json!({
            "type": "realtime", "object": "realtime.session", "id": format!("sess_{number:08}"), "model": model,
            "output_modalities": ["text"], "instructions": "", "tools": [], "tool_choice": "auto",
            "max_output_tokens": "inf",
            "audio": {
                "input": {"format": sound, "transcription": null, "turn_detection": null},
                "output": {"format": sound, "voice": "alloy"},
            },
        });
        Self {
            model,
            is_beta,
            number,
            session,
            items: Vec::new(),
            sound: (Vec::new(), false),
            events: 0,
            responses: 0,
            runs: None,
        }
    }

    fn event(&mut self, kind: &str, more: Value) -> Value {
        self.events += 1;
        let mut event =
            json!({"type": kind, "event_id": format!("event_{:08}_{:06}", self.number, self.events)});
        if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
            event.extend(more);
        }
        event
    }

    pub(super) fn session(&mut self, kind: &str) -> Value {
        let session = self.session.clone();
        self.event(kind, json!({"session": session}))
    }

    pub(super) fn error(&mut self, message: &str, of: Option<&str>) -> Value {
        let error = json!({
            "type": "invalid_request_error", "code": "invalid_event", "message": message, "param": null,
            "event_id": of,
        });
        self.event("error", json!({"error": error}))
    }

    /// The newer form of the API has what the older one has beside each other under `audio`.
    fn setting(&self, new: &str, old: &str) -> Value {
        let found = self.session.get(old).or_else(|| self.session.pointer(new));
        found.cloned().unwrap_or_default()
    }

    /// Takes an event of the client.
    pub(super) fn hear(&mut self, event: &Value, is_speaking: bool) -> Heard {
        let own_id = text(event, "event_id");
        let mut heard = Heard::default();
        match text(event, "type").unwrap_or_default() {
            "session.update" => {
                merge(&mut self.session, &event["session"]);
                heard.answers.push(self.session("session.updated"));
            }
            "conversation.item.create" => heard.answers = self.add(event["item"].clone()),
            "input_audio_buffer.append" => {
                let sound = base64::engine::general_purpose::STANDARD
                    .decode(text(event, "audio").unwrap_or_default());
                match sound {
                    Ok(sound) => self.listen(&sound, &mut heard),
                    Err(_) => heard.answers.push(self.error("Invalid base64 audio.", own_id)),
                }
            }
            "input_audio_buffer.commit" if self.sound.0.is_empty() => {
                heard.answers.push(self.error("The input audio buffer is empty.", own_id));
            }
            "input_audio_buffer.commit" => heard.answers = self.commit(),
            "input_audio_buffer.clear" => {
                self.sound = (Vec::new(), false);
                heard.answers.push(self.event("input_audio_buffer.cleared", json!({})));
            }
            "response.create" if is_speaking => {
                heard
                    .answers
                    .push(self.error("Conversation already has an active response in progress.", own_id));
            }
            "response.create" => heard.response = Some(event["response"].clone()),
            "response.cancel" if !is_speaking => {
                heard.answers.push(self.error("Cancellation failed: no active response found", own_id));
            }
            "response.cancel" => heard.stops = true,
            other => {
                let message = format!("Invalid value: '{other}'.");
                heard.answers.push(self.error(&message, own_id));
            }
        }
        heard
    }

    fn add(&mut self, mut item: Value) -> Vec<Value> {
        let id = format!("item_{:08}_{:04}", self.number, self.items.len());
        if let Some(item) = item.as_object_mut() {
            item.entry("id").or_insert(Value::from(id));
            item.insert("object".to_owned(), json!("realtime.item"));
            item.entry("status").or_insert(json!("completed"));
        }
        self.items.push(item.clone());
        let names: &[&str] = match self.is_beta {
            true => &["conversation.item.created"],
            false => &["conversation.item.added", "conversation.item.done"],
        };
        names.iter().map(|name| self.event(name, json!({"previous_item_id": null, "item": item}))).collect()
    }

    /// Hears sound. Where the session has the provider listen for turns, silence after speech ends one: then it answers by itself.
    fn listen(&mut self, sound: &[u8], heard: &mut Heard) {
        self.sound.0.extend_from_slice(sound);
        let turns = self.setting("/audio/input/turn_detection", "turn_detection");
        if turns.is_null() {
            return;
        }
        let is_speech = sound.iter().any(|byte| *byte != 0);
        match (is_speech, self.sound.1) {
            (true, false) => {
                self.sound.1 = true;
                heard.stops = true;
                heard
                    .answers
                    .push(self.event("input_audio_buffer.speech_started", json!({"audio_start_ms": 0})));
            }
            (false, true) => {
                heard
                    .answers
                    .push(self.event("input_audio_buffer.speech_stopped", json!({"audio_end_ms": 0})));
                heard.answers.extend(self.commit());
                if turns["create_response"] != false {
                    heard.response = Some(Value::Null);
                }
            }
            _ => {}
        }
    }

    fn commit(&mut self) -> Vec<Value> {
        let (sound, _) = std::mem::take(&mut self.sound);
        let words = vec!["ahoy"; (sound.len() / BYTES_PER_SECOND).max(1)].join(" ");
        let item = json!({
            "type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": words}],
        });
        let mut answers = self.add(item);
        let id = self.items.last().map(|item| item["id"].clone()).unwrap_or_default();
        answers.insert(
            0,
            self.event("input_audio_buffer.committed", json!({"item_id": id, "previous_item_id": null})),
        );
        let transcription = self.setting("/audio/input/transcription", "input_audio_transcription");
        if let Some(model) = text(&transcription, "model") {
            let seconds = sound.len().div_ceil(BYTES_PER_SECOND);
            let tokens = seconds * TOKENS_PER_SECOND;
            let usage = match model.starts_with("whisper") {
                true => json!({"type": "duration", "seconds": seconds}),
                false => json!({
                    "type": "tokens", "total_tokens": tokens + 2, "input_tokens": tokens, "output_tokens": 2,
                    "input_token_details": {"text_tokens": 0, "audio_tokens": tokens},
                }),
            };
            let more = json!({"item_id": id, "content_index": 0, "transcript": words, "usage": usage});
            answers.push(self.event("conversation.item.input_audio_transcription.completed", more));
        }
        answers
    }

    /// What the user said last, and what a response is asked with.
    pub(super) fn said(&self, asked: &Value) -> String {
        // What is spoken has no text.
        let of_user = self.items.iter().rev().filter(|item| item["role"] == "user");
        let texts = |item| list(item, "content").iter().filter_map(|part| text(part, "text"));
        let said =
            of_user.map(|item| texts(item).collect::<Vec<_>>().join(" ")).find(|said| !said.is_empty());
        format!("{} {}", said.unwrap_or_default(), text(asked, "instructions").unwrap_or_default())
    }

    /// The events of a response, as the script says.
    pub(super) fn respond(&mut self, asked: &Value, script: &Script) -> Vec<Value> {
        self.responses += 1;
        let whole = Value::from(self.items.clone()).to_string();
        let either =
            |name: &str| asked.get(name).or_else(|| self.session.get(name)).cloned().unwrap_or_default();
        let tools = either("tools");
        let ask = Ask {
            messages: self.items.len(),
            said: self.said(asked).trim().to_owned(),
            tools: tools.as_array().into_iter().flatten().map(tool).collect(),
            parallel: true,
            choices: 1,
            has_results: self.items.last().is_some_and(|item| item["type"] == "function_call_output"),
            checksum: crc32fast::hash(format!("{whole}{}{}", self.number, self.responses).as_bytes()),
            body_bytes: whole.len(),
            ..Ask::default()
        };
        let modalities = match asked.get("output_modalities").or_else(|| asked.get("modalities")) {
            Some(asked) => asked.clone(),
            None => self.session.get("modalities").unwrap_or(&self.session["output_modalities"]).clone(),
        };
        let speaks = modalities.as_array().is_some_and(|all| all.iter().any(|one| one == "audio"));
        let is_beside = asked["conversation"] == "none";
        let id = format!("resp_{}", ask.id("response", 0));
        self.runs = Some(id.clone());
        let reply = Reply::new(&ask, script, 0);
        let spoken = Spoken { id: &id, speaks, is_beta: self.is_beta, is_beside, model: &self.model };
        let events = words::events(&spoken, &ask, &reply, script);
        events.into_iter().map(|(kind, more)| self.event(kind, more)).collect()
    }

    /// Notes what a response says as it is sent.
    pub(super) fn says(&mut self, event: &Value) {
        match text(event, "type").unwrap_or_default() {
            "response.output_item.done" => self.items.push(event["item"].clone()),
            "response.done" => self.runs = None,
            _ => {}
        }
    }

    /// The end of the response that runs and is cancelled.
    pub(super) fn cancelled(&mut self) -> Value {
        let id = self.runs.take().unwrap_or_default();
        let usage = words::usage(&crate::reply::Usage { input: 10, output: 2, ..Default::default() }, false);
        let response = json!({
            "id": id, "object": "realtime.response", "status": "cancelled", "conversation_id": "conv_1",
            "status_details": {"type": "cancelled", "reason": "client_cancelled"}, "output": [], "usage": usage,
        });
        self.event("response.done", json!({"response": response}))
    }
}

fn tool(tool: &Value) -> Tool {
    Tool { name: text(tool, "name").unwrap_or_default().to_owned(), schema: tool["parameters"].clone() }
}

/// Objects are merged, everything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

//! OpenAI's realtime API: what a gateway needs of the events that pass through a connection.
//!
//! Events are walked over and never made into a tree as a whole: a second of sound is tens of kilobytes of base64. What is no event, or
//! is one that says nothing about money, is [`ServerEvent::Other`] or [`ClientEvent::Other`].

use std::ops::Range;

use serde_json::Value;

use crate::json::{NotJson, Reader};
use crate::usage::{Usage, count};

/// Of text, in bytes.
const BYTES_PER_TOKEN: u64 = 4;
/// What an image is taken for, in tokens.
const TOKENS_PER_IMAGE: u64 = 1_000;
/// Sound that is heard has a token for a tenth of a second.
const HEARD_TOKENS_PER_SECOND: u64 = 10;
/// Sound that is spoken has one for a twentieth.
const SPOKEN_TOKENS_PER_SECOND: u64 = 20;

/// How sound comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SoundFormat {
    /// 16 bits at 24 kHz, which is what there is unless something else is asked for.
    #[default]
    Pcm,
    /// 8 bits at 8 kHz.
    G711,
}

impl SoundFormat {
    /// Bytes of base64 for a second.
    const fn base64_per_second(self) -> u64 {
        match self {
            Self::Pcm => 64_000,
            Self::G711 => 10_667,
        }
    }

    fn read(format: Option<&Value>) -> Self {
        let name = format.and_then(|format| format.as_str().or_else(|| format.get("type")?.as_str()));
        match name {
            Some("g711_ulaw" | "g711_alaw" | "audio/pcmu" | "audio/pcma") => Self::G711,
            _ => Self::Pcm,
        }
    }
}

/// How much was said in one event, before anybody counts tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spoken {
    /// Bytes of text.
    pub text: u64,
    /// Bytes of sound, in base64.
    pub sound: u64,
    /// Images.
    pub images: u64,
}

impl Spoken {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            text: self.text.saturating_add(other.text),
            sound: self.sound.saturating_add(other.sound),
            images: self.images.saturating_add(other.images),
        }
    }

    /// About how many tokens that is as input, and how many of them are sound.
    pub const fn as_input(self, format: SoundFormat) -> (u64, u64) {
        let sound = self.sound.saturating_mul(HEARD_TOKENS_PER_SECOND).div_ceil(format.base64_per_second());
        let images = self.images.saturating_mul(TOKENS_PER_IMAGE);
        (self.text.div_ceil(BYTES_PER_TOKEN).saturating_add(images).saturating_add(sound), sound)
    }

    /// About how many tokens that is as output, and how many of them are sound.
    pub const fn as_output(self, format: SoundFormat) -> (u64, u64) {
        let sound = self.sound.saturating_mul(SPOKEN_TOKENS_PER_SECOND).div_ceil(format.base64_per_second());
        (self.text.div_ceil(BYTES_PER_TOKEN).saturating_add(sound), sound)
    }
}

/// How a response ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseEnd {
    /// Its id.
    pub id: String,
    /// It failed, in these words.
    pub failure: Option<String>,
    /// What it used, where that is said.
    pub usage: Option<Usage>,
    /// It belongs to the conversation: what comes next reads it too.
    pub is_in_conversation: bool,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// How the session is set up.
    Session {
        /// How sound comes, and how it goes.
        formats: (SoundFormat, SoundFormat),
        /// The model that writes down what is heard.
        transcription_model: Option<String>,
    },
    /// A response begins.
    Created {
        /// Its id.
        id: String,
    },
    /// A part of a response.
    Output {
        /// The id of the response.
        id: String,
        /// How much it is.
        spoken: Spoken,
    },
    /// A response is over.
    Done(ResponseEnd),
    /// What was heard was written down, by a model of its own.
    Transcribed {
        /// The tokens that took, where they are said.
        usage: Option<Usage>,
        /// The sound that it was, where that is said, in thousandths of a second.
        milliseconds: u64,
    },
    /// An event of the client was refused, or something broke.
    Error {
        /// Why.
        message: String,
    },
    /// Anything else.
    Other,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// A response is asked for.
    Create {
        /// The id of the event.
        id: Option<String>,
        /// What it says beside.
        spoken: Spoken,
    },
    /// Something that responses will read.
    Input {
        /// How much it is.
        spoken: Spoken,
    },
    /// Anything else.
    Other,
}

/// The members of an event that are looked at, by where they stand.
#[derive(Default)]
struct Members {
    kind: String,
    event_id: Option<String>,
    response_id: Option<String>,
    delta: usize,
    audio: usize,
    /// `session`, `response`, `item`, `usage` or `error`; an event has one of them.
    subject: Option<Range<usize>>,
}

impl Members {
    fn read(event: &[u8]) -> Option<Self> {
        let mut members = Self::default();
        let text = |value: &mut Reader<'_>| Ok::<_, NotJson>(value.text_or_skip()?.map(Into::into));
        Reader::new(event)
            .object(|name, value| {
                match name {
                    "type" => members.kind = text(value)?.unwrap_or_default(),
                    "event_id" => members.event_id = text(value)?,
                    "response_id" => members.response_id = text(value)?,
                    "delta" => members.delta = value.skip()?.len().saturating_sub(2),
                    "audio" => members.audio = value.skip()?.len().saturating_sub(2),
                    "session" | "response" | "item" | "usage" | "error" => {
                        members.subject = Some(value.skip()?)
                    }
                    _ => value.pass()?,
                }
                Ok::<_, NotJson>(())
            })
            .ok()?;
        Some(members)
    }

    fn subject(&self, event: &[u8]) -> Value {
        let range = self.subject.clone().unwrap_or_default();
        event.get(range).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
    }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

impl ServerEvent {
    /// Reads one.
    pub fn read(event: &[u8]) -> Self {
        let Some(members) = Members::read(event) else { return Self::Other };
        let id = || members.response_id.clone().unwrap_or_default();
        match members.kind.as_str() {
            "session.created" | "session.updated" => session(&members.subject(event)),
            "response.created" => {
                let response = members.subject(event);
                let id = response["id"].as_str().unwrap_or_default().to_owned();
                Self::Created { id }
            }
            "response.done" => Self::Done(done(&members.subject(event))),
            "response.output_audio.delta" | "response.audio.delta" => Self::Output {
                id: id(),
                spoken: Spoken { sound: length(members.delta), ..Spoken::default() },
            },
            "response.output_text.delta"
            | "response.text.delta"
            | "response.output_audio_transcript.delta"
            | "response.audio_transcript.delta"
            | "response.function_call_arguments.delta" => {
                Self::Output { id: id(), spoken: Spoken { text: length(members.delta), ..Spoken::default() } }
            }
            "conversation.item.input_audio_transcription.completed" => transcribed(&members.subject(event)),
            "error" => {
                let message = members.subject(event)["message"].as_str().unwrap_or("an error").to_owned();
                Self::Error { message }
            }
            _ => Self::Other,
        }
    }
}

/// The newer form has everything about sound under `audio`, the older one beside each other.
fn session(session: &Value) -> ServerEvent {
    let either = |new: &str, old: &str| session.pointer(new).or_else(|| session.get(old));
    let heard = SoundFormat::read(either("/audio/input/format", "input_audio_format"));
    let spoken = SoundFormat::read(either("/audio/output/format", "output_audio_format"));
    let transcription = either("/audio/input/transcription", "input_audio_transcription");
    let transcription_model = transcription.and_then(|asked| asked["model"].as_str()).map(str::to_owned);
    ServerEvent::Session { formats: (heard, spoken), transcription_model }
}

fn done(response: &Value) -> ResponseEnd {
    let failure = (response["status"] == "failed").then(|| {
        let message = response.pointer("/status_details/error/message").and_then(Value::as_str);
        message.unwrap_or("the response failed").to_owned()
    });
    ResponseEnd {
        id: response["id"].as_str().unwrap_or_default().to_owned(),
        failure,
        usage: usage(&response["usage"]),
        // One that stands beside the conversation says so with a null.
        is_in_conversation: response.get("conversation_id").is_none_or(|id| !id.is_null()),
    }
}

fn transcribed(stated: &Value) -> ServerEvent {
    let seconds = stated["seconds"].as_f64().filter(|seconds| (0.0..1e9).contains(seconds));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the filter bounds it on both sides"
    )]
    let milliseconds = (seconds.unwrap_or(0.0) * 1e3).ceil() as u64;
    ServerEvent::Transcribed { usage: usage(stated), milliseconds }
}

/// Tokens by their modality; those that came out of a cache are within the others.
fn usage(stated: &Value) -> Option<Usage> {
    let input = count(stated, "/input_tokens")?;
    let output = count(stated, "/output_tokens").unwrap_or(0);
    let read = |pointer: &str| count(stated, pointer);
    let of_input = |name: &str| read(&format!("/input_token_details/{name}"));
    let of_cache = |name: &str| read(&format!("/input_token_details/cached_tokens_details/{name}_tokens"));
    let cached = of_input("cached_tokens").unwrap_or(0).min(input);
    let sound = of_input("audio_tokens").unwrap_or(0);
    let images = of_input("image_tokens").unwrap_or(0);
    // Where only their sum is said, they are taken for text as far as there was text.
    let text = of_input("text_tokens").unwrap_or_else(|| input.saturating_sub(sound).saturating_sub(images));
    let cached_sound = of_cache("audio").unwrap_or_else(|| cached.saturating_sub(text).min(sound));
    let cached_images = of_cache("image").unwrap_or(0);
    let usage = Usage {
        input: input - cached,
        cache_read: cached,
        output,
        reasoning: read("/output_token_details/reasoning_tokens").unwrap_or(0).min(output),
        input_audio: sound.saturating_sub(cached_sound),
        input_image: images.saturating_sub(cached_images),
        output_audio: read("/output_token_details/audio_tokens").unwrap_or(0),
        output_image: read("/output_token_details/image_tokens").unwrap_or(0),
        ..Usage::default()
    };
    Some(usage.consistent())
}

impl ClientEvent {
    /// Reads one.
    pub fn read(event: &[u8]) -> Self {
        let Some(members) = Members::read(event) else { return Self::Other };
        match members.kind.as_str() {
            "response.create" => {
                let text = members.subject.as_ref().map_or(0, ExactSizeIterator::len);
                Self::Create {
                    id: members.event_id,
                    spoken: Spoken { text: length(text), ..Spoken::default() },
                }
            }
            "input_audio_buffer.append" => {
                Self::Input { spoken: Spoken { sound: length(members.audio), ..Spoken::default() } }
            }
            "conversation.item.create" => Self::Input { spoken: item(&members.subject(event)) },
            "session.update" => {
                let text = members.subject.as_ref().map_or(0, ExactSizeIterator::len);
                Self::Input { spoken: Spoken { text: length(text), ..Spoken::default() } }
            }
            _ => Self::Other,
        }
    }
}

/// What an item of a conversation has: sound and images are not as long as their bytes.
fn item(item: &Value) -> Spoken {
    let bytes = |value: &Value, name: &str| length(value[name].as_str().map_or(0, str::len));
    let mut spoken =
        Spoken { text: bytes(item, "output").saturating_add(bytes(item, "arguments")), ..Spoken::default() };
    for part in item["content"].as_array().into_iter().flatten() {
        spoken = spoken.and(Spoken {
            text: bytes(part, "text").saturating_add(bytes(part, "transcript")),
            sound: bytes(part, "audio"),
            images: u64::from(part["image_url"].is_string()),
        });
    }
    spoken
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn server(event: Value) -> ServerEvent {
        ServerEvent::read(event.to_string().as_bytes())
    }

    fn client(event: Value) -> ClientEvent {
        ClientEvent::read(event.to_string().as_bytes())
    }

    fn used(usage: Value) -> Usage {
        match server(json!({"type": "response.done", "response": {"id": "r", "usage": usage}})) {
            ServerEvent::Done(ResponseEnd { usage: Some(usage), .. }) => usage,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_token_has_one_price_also_where_the_cache_has_sound() {
        let usage = used(json!({
            "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 64,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4, "image_tokens": 0},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        }));
        let wanted = Usage {
            input: 68,
            cache_read: 64,
            input_audio: 9,
            output: 121,
            output_audio: 91,
            ..Usage::default()
        };
        assert_eq!(usage, wanted);
    }

    #[test]
    fn a_cache_that_does_not_say_what_it_holds_holds_text_first() {
        let details = json!({"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 14});
        let usage = used(json!({"input_tokens": 30, "output_tokens": 0, "input_token_details": details}));
        assert_eq!((usage.input, usage.cache_read, usage.input_audio), (16, 14, 16));
    }

    #[test]
    fn parts_that_are_larger_than_the_whole_are_cut_to_it() {
        let details = json!({"audio_tokens": 900, "cached_tokens": 500});
        let usage = used(json!({"input_tokens": 30, "output_tokens": 1, "input_token_details": details}));
        assert_eq!((usage.total_input(), usage.cache_read, usage.input_audio), (30, 30, 0));
    }

    #[test]
    fn responses_begin_speak_and_end() {
        let created =
            json!({"type": "response.created", "event_id": "e", "response": {"id": "resp_1", "output": []}});
        assert_eq!(server(created), ServerEvent::Created { id: "resp_1".to_owned() });
        for (kind, text, sound) in [
            ("response.output_audio.delta", 0, 8),
            ("response.audio.delta", 0, 8),
            ("response.output_audio_transcript.delta", 8, 0),
            ("response.function_call_arguments.delta", 8, 0),
        ] {
            let event = json!({"delta": "AAAAAAAA", "response_id": "resp_1", "type": kind});
            let spoken = Spoken { text, sound, images: 0 };
            assert_eq!(server(event), ServerEvent::Output { id: "resp_1".to_owned(), spoken });
        }
        let failed = json!({
            "type": "response.done",
            "response": {
                "id": "resp_1", "conversation_id": null, "status": "failed", "usage": null,
                "status_details": {"type": "failed", "error": {"message": "out of service"}},
            },
        });
        let end = ResponseEnd {
            id: "resp_1".to_owned(),
            failure: Some("out of service".to_owned()),
            usage: None,
            is_in_conversation: false,
        };
        assert_eq!(server(failed), ServerEvent::Done(end));
    }

    #[test]
    fn what_is_written_down_is_told_in_tokens_or_seconds() {
        let of = |usage: Value| {
            server(json!({
                "type": "conversation.item.input_audio_transcription.completed", "transcript": "hi", "usage": usage,
            }))
        };
        let details = json!({"text_tokens": 0, "audio_tokens": 14});
        let tokens =
            json!({"type": "tokens", "input_tokens": 14, "output_tokens": 5, "input_token_details": details});
        let usage = Usage { input: 14, input_audio: 14, output: 5, ..Usage::default() };
        assert_eq!(of(tokens), ServerEvent::Transcribed { usage: Some(usage), milliseconds: 0 });
        let seconds = json!({"type": "duration", "seconds": 1.5});
        assert_eq!(of(seconds), ServerEvent::Transcribed { usage: None, milliseconds: 1_500 });
    }

    #[test]
    fn a_session_is_told_in_the_newer_and_in_the_older_form() {
        let newer = json!({"type": "session.updated", "session": {"audio": {
            "input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1"}},
            "output": {"format": {"type": "audio/pcm", "rate": 24000}},
        }}});
        let older = json!({"type": "session.created", "session": {
            "input_audio_format": "g711_ulaw", "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1"},
        }});
        for event in [newer, older] {
            let session = ServerEvent::Session {
                formats: (SoundFormat::G711, SoundFormat::Pcm),
                transcription_model: Some("whisper-1".to_owned()),
            };
            assert_eq!(server(event), session);
        }
    }

    #[test]
    fn clients_ask_and_add() {
        let sound = json!({"type": "input_audio_buffer.append", "audio": "A".repeat(64_000)});
        let ClientEvent::Input { spoken } = client(sound) else { panic!("no input") };
        assert_eq!(spoken.as_input(SoundFormat::Pcm), (10, 10));
        assert_eq!(spoken.as_input(SoundFormat::G711), (60, 60));
        assert_eq!(spoken.as_output(SoundFormat::Pcm), (20, 20));
        let item = json!({"type": "conversation.item.create", "item": {"type": "message", "content": [
            {"type": "input_text", "text": "12345678"},
            {"type": "input_image", "image_url": format!("data:image/png;base64,{}", "A".repeat(100_000))},
        ]}});
        let ClientEvent::Input { spoken } = client(item) else { panic!("no input") };
        assert_eq!(spoken.as_input(SoundFormat::Pcm), (1_002, 0));
        let create = json!({"type": "response.create", "event_id": "mine"});
        assert_eq!(
            client(create),
            ClientEvent::Create { id: Some("mine".to_owned()), spoken: Spoken::default() }
        );
    }

    #[test]
    fn what_is_no_event_is_nothing() {
        let deep = "[".repeat(100_000);
        for text in
            ["", "null", "{", "[]", "\"response.done\"", "{\"type\":5}", &format!("{{\"type\":{deep}")]
        {
            assert_eq!(ServerEvent::read(text.as_bytes()), ServerEvent::Other);
            assert_eq!(ClientEvent::read(text.as_bytes()), ClientEvent::Other);
        }
        let odd = json!({"type": "response.done", "response": "gone", "delta": 5});
        assert!(matches!(server(odd), ServerEvent::Done(ResponseEnd { usage: None, .. })));
    }
}

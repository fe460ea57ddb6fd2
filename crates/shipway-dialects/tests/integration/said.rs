//! What requests and answers say, in one form for all dialects, whole and as streams however they are cut.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use shipway_dialects::{
    Dialect,
    said::{Answering, Message, answered, asked, cut},
};

fn of(messages: Option<Vec<Message>>) -> Value {
    serde_json::to_value(messages.unwrap()).unwrap()
}

fn text(role: &str, content: &str) -> Value {
    json!({ "role": role, "parts": [{ "type": "text", "content": content }] })
}

fn streamed(dialect: Dialect, frames: &str, cut_at: usize) -> (Value, bool) {
    let mut answering = Answering::new(dialect, 4_096);
    for chunk in frames.as_bytes().chunks(cut_at) {
        answering.feed(&Bytes::copy_from_slice(chunk));
    }
    let (messages, is_cut) = answering.finish();
    (serde_json::to_value(messages).unwrap(), is_cut)
}

fn events(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

#[test]
fn requests_of_every_dialect_say_the_same() {
    let call =
        json!({ "type": "tool_call", "id": "c1", "name": "find", "arguments": "{\"city\":\"Paris\"}" });
    let result = json!({ "role": "tool", "parts": [{ "type": "tool_call_response", "id": "c1", "response": "found" }] });
    let chat = json!({ "messages": [
        { "role": "system", "content": "be kind" },
        { "role": "user", "content": [
            { "type": "text", "text": "look" },
            { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,AAAA" } },
        ] },
        { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "find", "arguments": "{\"city\":\"Paris\"}" } }] },
        { "role": "tool", "tool_call_id": "c1", "content": "found" },
    ] });
    assert_eq!(
        of(asked(Dialect::OpenAiChat, chat.to_string().as_bytes())),
        json!([
            text("system", "be kind"),
            { "role": "user", "parts": [
                { "type": "text", "content": "look" },
                { "type": "media", "modality": "image", "uri": "https://example.com/a.png" },
                { "type": "media", "modality": "image", "bytes": 26 },
            ] },
            { "role": "assistant", "parts": [call] },
            result,
        ])
    );
    let messages = json!({ "system": [{ "type": "text", "text": "be kind" }], "messages": [
        { "role": "user", "content": "look" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "x" },
            { "type": "tool_use", "id": "c1", "name": "find", "input": { "city": "Paris" } },
        ] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": [{ "type": "text", "text": "found" }] }] },
    ] });
    assert_eq!(
        of(asked(Dialect::AnthropicMessages, messages.to_string().as_bytes())),
        json!([
            text("system", "be kind"),
            text("user", "look"),
            { "role": "assistant", "parts": [{ "type": "reasoning", "content": "hm" }, call] },
            { "role": "user", "parts": result["parts"] },
        ])
    );
    let responses = json!({ "instructions": "be kind", "input": [
        { "role": "user", "content": [{ "type": "input_text", "text": "look" }] },
        { "type": "function_call", "call_id": "c1", "name": "find", "arguments": "{\"city\":\"Paris\"}" },
        { "type": "function_call_output", "call_id": "c1", "output": "found" },
    ] });
    assert_eq!(
        of(asked(Dialect::OpenAiResponses, responses.to_string().as_bytes())),
        json!([text("system", "be kind"), text("user", "look"), { "role": "assistant", "parts": [call] }, result])
    );
    let gemini = json!({ "systemInstruction": { "parts": [{ "text": "be kind" }] }, "contents": [
        { "role": "user", "parts": [{ "text": "look" }, { "inlineData": { "mimeType": "image/png", "data": "AAAA" } }] },
        { "role": "model", "parts": [{ "functionCall": { "id": "c1", "name": "find", "args": { "city": "Paris" } } }] },
    ] });
    assert_eq!(
        of(asked(Dialect::GeminiGenerate, gemini.to_string().as_bytes())),
        json!([
            text("system", "be kind"),
            { "role": "user", "parts": [
                { "type": "text", "content": "look" }, { "type": "media", "modality": "image", "bytes": 4 },
            ] },
            { "role": "assistant", "parts": [call] },
        ])
    );
}

#[test]
fn requests_without_messages_say_what_is_asked() {
    for (dialect, body) in [
        (Dialect::OpenAiCompletions, json!({ "prompt": "look" })),
        (Dialect::OpenAiEmbeddings, json!({ "input": ["look"] })),
        (Dialect::OpenAiMedia, json!({ "prompt": "look" })),
        (Dialect::OpenAiResponses, json!({ "input": "look" })),
    ] {
        assert_eq!(
            of(asked(dialect, body.to_string().as_bytes())),
            json!([text("user", "look")]),
            "{dialect}"
        );
    }
    assert_eq!(asked(Dialect::OpenAiMedia, b"--form"), None);
}

const CUTS: [usize; 4] = [1, 7, 64, 4_096];

#[test]
fn an_answer_says_the_same_whole_and_streamed() {
    let said = |reason: &str| {
        json!([{ "role": "assistant", "parts": [
            { "type": "text", "content": "hello" },
            { "type": "tool_call", "id": "c1", "name": "find", "arguments": "{\"a\":1}" },
        ], "finish_reason": reason }])
    };
    let whole = json!({ "choices": [{ "index": 0, "finish_reason": "tool_calls", "message": { "role": "assistant", "content": "hello",
        "tool_calls": [{ "id": "c1", "function": { "name": "find", "arguments": "{\"a\":1}" } }] } }] });
    assert_eq!(of(answered(Dialect::OpenAiChat, whole.to_string().as_bytes())), said("tool_calls"));
    let delta = |delta: Value, reason: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let chat = events(&[
        delta(json!({ "role": "assistant", "content": "hel" }), Value::Null),
        delta(json!({ "content": "lo" }), Value::Null),
        delta(
            json!({ "tool_calls": [{ "index": 0, "id": "c1", "function": { "name": "find", "arguments": "" } }] }),
            Value::Null,
        ),
        delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": "{\"a\"" } }] }), Value::Null),
        delta(json!({ "tool_calls": [{ "index": 0, "function": { "arguments": ":1}" } }] }), Value::Null),
        delta(json!({}), json!("tool_calls")),
    ]) + "data: [DONE]\n\n";
    let whole = json!({ "stop_reason": "tool_use", "content": [
        { "type": "text", "text": "hello" }, { "type": "tool_use", "id": "c1", "name": "find", "input": { "a": 1 } },
    ] });
    assert_eq!(of(answered(Dialect::AnthropicMessages, whole.to_string().as_bytes())), said("tool_use"));
    let messages = events(&[
        json!({ "type": "message_start", "message": { "content": [] } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "hello" } }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": "c1", "name": "find", "input": {} } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "{\"a\":" } }),
        json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": "1}" } }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } }),
    ]);
    let output = json!([
        { "type": "message", "content": [{ "type": "output_text", "text": "hello" }] },
        { "type": "function_call", "call_id": "c1", "name": "find", "arguments": "{\"a\":1}" },
    ]);
    let whole = json!({ "status": "completed", "output": output });
    assert_eq!(of(answered(Dialect::OpenAiResponses, whole.to_string().as_bytes())), said("completed"));
    let begun = [
        json!({ "type": "response.output_text.delta", "delta": "hello" }),
        json!({ "type": "response.output_item.added", "item": { "type": "function_call", "call_id": "c1", "name": "find", "arguments": "" } }),
        json!({ "type": "response.function_call_arguments.delta", "delta": "{\"a\":1}" }),
    ];
    let responses = events(&begun) + &events(&[json!({ "type": "response.completed", "response": whole })]);
    let candidate = |parts: Value, reason: Value| json!({ "candidates": [{ "content": { "parts": parts }, "finishReason": reason }] });
    let called = json!({ "functionCall": { "id": "c1", "name": "find", "args": { "a": 1 } } });
    let whole = candidate(json!([{ "text": "hello" }, called]), json!("STOP"));
    assert_eq!(of(answered(Dialect::GeminiGenerate, whole.to_string().as_bytes())), said("STOP"));
    let gemini = events(&[
        candidate(json!([{ "text": "hel" }]), Value::Null),
        candidate(json!([{ "text": "lo" }]), Value::Null),
        candidate(json!([called]), json!("STOP")),
    ]);
    for cut_at in CUTS {
        for (dialect, frames, reason) in [
            (Dialect::OpenAiChat, &chat, "tool_calls"),
            (Dialect::AnthropicMessages, &messages, "tool_use"),
            (Dialect::OpenAiResponses, &responses, "completed"),
            (Dialect::GeminiGenerate, &gemini, "STOP"),
        ] {
            assert_eq!(streamed(dialect, frames, cut_at), (said(reason), false), "{dialect} by {cut_at}");
        }
        // A stream that broke says what had come.
        let (broken, _) = streamed(Dialect::OpenAiResponses, &events(&begun), cut_at);
        assert_eq!(broken[0]["parts"], said("")[0]["parts"]);
    }
}

#[test]
fn a_long_stream_is_cut_and_nothing_of_it_is_read_any_more() {
    let piece = json!({ "choices": [{ "index": 0, "delta": { "content": "x".repeat(1_000) } }] });
    let (said, is_cut) = streamed(Dialect::OpenAiChat, &events(&vec![piece; 10]), 4_096);
    assert!(is_cut);
    // A part takes some of it.
    assert_eq!(said[0]["parts"][0]["content"], "x".repeat(4_032));
}

#[test]
fn several_answers_are_told_apart() {
    let piece =
        |index: u64, text: &str| json!({ "choices": [{ "index": index, "delta": { "content": text } }] });
    let (said, _) = streamed(
        Dialect::OpenAiChat,
        &events(&[piece(0, "a"), piece(1, "b"), piece(0, "c"), piece(4_000_000_000, "far")]),
        64,
    );
    assert_eq!(said, json!([text("assistant", "ac"), text("assistant", "b")]));
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_it_fail(body in "\\PC{0,200}", dialect in 0..Dialect::ALL.len(), cut_at in 1..50_usize) {
        let dialect = Dialect::ALL[dialect];
        let _ = (asked(dialect, body.as_bytes()), answered(dialect, body.as_bytes()));
        let _ = streamed(dialect, &format!("data: {body}\n\n"), cut_at);
    }

    #[test]
    fn what_is_cut_is_within_its_bound(texts in proptest::collection::vec("\\PC{0,40}", 0..8), most in 0..400_usize, newest in any::<bool>()) {
        let message = |text: &String| json!({ "role": "user", "parts": [{ "type": "text", "content": text }] });
        let mut messages: Vec<Message> =
            serde_json::from_value(Value::Array(texts.iter().map(message).collect())).unwrap();
        let before = messages.clone();
        let is_cut = cut(&mut messages, most, newest);
        let bytes = |messages: &[Message]| -> usize {
            messages.iter().flat_map(|message| &message.parts).filter_map(|part| part.text()).map(str::len).sum()
        };
        prop_assert!(bytes(&messages) <= most);
        prop_assert_eq!(is_cut, messages != before);
    }
}

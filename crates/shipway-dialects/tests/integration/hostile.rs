//! What no translator may do, whatever comes in: panic, or end a client's stream neither honestly nor with an error.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use shipway_dialects::translate::{Context, Options, Stream, answer, can_translate, request};
use shipway_dialects::{Dialect, Ending};

fn pairs() -> Vec<(Dialect, Dialect)> {
    let all = Dialect::ALL.into_iter().flat_map(|from| Dialect::ALL.map(|to| (from, to)));
    all.filter(|(from, to)| can_translate(*from, *to)).collect()
}

/// Values in the words that dialects use, so that readers come far.
fn words() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "text",
        "user",
        "assistant",
        "tool",
        "function",
        "tool_use",
        "tool_result",
        "thinking",
        "image",
        "auto",
        "{}",
        "",
        "stop",
        "reasoning",
        "message",
        "function_call",
        "function_call_output",
        "input_text",
        "model",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "type",
        "role",
        "content",
        "text",
        "tool_calls",
        "id",
        "name",
        "function",
        "arguments",
        "input",
        "source",
        "data",
        "url",
        "messages",
        "tools",
        "delta",
        "choices",
        "index",
        "message",
        "usage",
        "parts",
        "contents",
        "functionCall",
        "output",
        "summary",
        "response",
        "item",
        "model",
        "candidates",
        "thinking_blocks",
        "system",
        "thinking",
    ]);
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn no_request_and_no_answer_makes_a_translator_panic(messages in words(), more in words()) {
        let body = json!({"model": "m", "max_tokens": 5, "messages": [messages], "input": [messages], "contents": [messages], "tools": [more], "choices": [more], "content": [more], "output": [more], "candidates": [more]});
        for (from, to) in pairs() {
            let _ = request(from, to, Some(("m", true)), body.to_string().as_bytes(), &Options::default());
            let _ = answer(to, from, body.to_string().as_bytes(), &Context::default());
        }
    }

    #[test]
    fn a_stream_of_anything_ends_in_a_terminator_or_an_error(data in prop::collection::vec(words(), 0..6), name in prop::sample::select(vec!["message_start", "content_block_start", "content_block_delta", "message_delta"]), done in any::<bool>()) {
        for (client, provider) in pairs() {
            let mut stream = Stream::new(provider, client).unwrap();
            let context = Context { model: "m", ..Context::default() };
            let mut out = Vec::new();
            for value in &data {
                let mut value = value.clone();
                if let Value::Object(members) = &mut value {
                    members.insert("type".to_owned(), name.into());
                }
                let frame = format!("event: {name}\ndata: {value}\n\n");
                out.extend_from_slice(&stream.feed(&Bytes::from(frame), &context).unwrap());
            }
            if done {
                out.extend_from_slice(&stream.feed(&Bytes::from_static(b"data: [DONE]\n\n"), &context).unwrap());
            }
            let (ending, last) = stream.end(&context);
            out.extend_from_slice(&last);
            let text = String::from_utf8(out).unwrap();
            let clean = match client {
                Dialect::OpenAiChat => text.contains("data: [DONE]\n"),
                Dialect::AnthropicMessages => text.contains("event: message_stop\n"),
                Dialect::GeminiGenerate => text.contains("\"finishReason\""),
                _ => text.contains("event: response.completed\n") || text.contains("event: response.incomplete\n"),
            };
            let error = text.contains("event: error\n") || text.contains("data: {\"error\"");
            prop_assert!(clean != error, "{client} from {provider}, {ending:?}: {text}");
            prop_assert!(ending != Ending::Truncated || !clean);
        }
    }
}

//! Where texts stand: in which members, and whatever the bytes.

use bytes::Bytes;
use proptest::prelude::*;
use shipway_dialects::{
    Changes, Dialect, Ends, Head, answer_texts, canonical, decode_text, encode_text, frame_texts,
    request_texts, rewrite, splice,
};

/// A text, and what it is a piece of.
type Said = (String, Option<(u64, String)>);

/// The texts of a frame, the calls, and what ends.
fn frame(dialect: Dialect, data: &str) -> (Vec<Said>, Vec<String>, Ends) {
    let texts = frame_texts(dialect, data.as_bytes());
    let places = texts.places.into_iter();
    let said = places.map(|place| (decode_text(&data.as_bytes()[place.range]), place.run)).collect();
    (said, texts.tools, texts.ends)
}

fn piece(text: &str, answer: u64, part: &str) -> Said {
    (text.to_owned(), Some((answer, part.to_owned())))
}

#[test]
fn pieces_of_one_text_have_one_name_in_every_dialect() {
    let chat =
        r#"{"choices":[{"delta":{"role":"assistant","content":"a"},"index":1,"finish_reason":"stop"}]}"#;
    assert_eq!(frame(Dialect::OpenAiChat, chat), (vec![piece("a", 1, "content")], vec![], Ends::Of(vec![1])));
    let call = r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{"},"index":2,"id":"x"}]}}]}"#;
    assert_eq!(
        frame(Dialect::OpenAiChat, call),
        (vec![piece("{", 0, "call 2")], vec!["f".to_owned()], Ends::Nothing)
    );
    let delta = r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"b"},"index":3}"#;
    assert_eq!(
        frame(Dialect::AnthropicMessages, delta),
        (vec![piece("b", 0, "3 text")], vec![], Ends::Nothing)
    );
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{"name":"c"}}}"#;
    assert_eq!(
        frame(Dialect::AnthropicMessages, start),
        (vec![("c".to_owned(), None)], vec!["f".to_owned()], Ends::All)
    );
    let delta = r#"{"type":"response.output_text.delta","delta":"d","content_index":1,"output_index":2,"item_id":"i"}"#;
    assert_eq!(
        frame(Dialect::OpenAiResponses, delta),
        (vec![piece("d", 0, "response.output_text.delta 2 1")], vec![], Ends::Nothing)
    );
    let done = r#"{"type":"response.completed","response":{"id":"r","output":[{"type":"message","content":[{"type":"output_text","text":"e"}]}],"instructions":"mine"}}"#;
    assert_eq!(frame(Dialect::OpenAiResponses, done), (vec![("e".to_owned(), None)], vec![], Ends::All));
    let gemini = r#"{"candidates":[{"content":{"parts":[{"text":"g","thought":true},{"text":"h"},{"functionCall":{"name":"f","args":{"x":"i"}}}]}}]}"#;
    assert_eq!(
        frame(Dialect::GeminiGenerate, gemini),
        (
            vec![piece("g", 0, "thought"), piece("h", 0, "text"), ("i".to_owned(), None)],
            vec!["f".to_owned()],
            Ends::Of(vec![0])
        )
    );
    assert_eq!(frame(Dialect::OpenAiChat, "[DONE]"), (vec![], vec![], Ends::All));
}

#[test]
fn tools_go_by_their_names_and_those_of_a_provider_by_their_types() {
    let names = |dialect, tools: &str| {
        let body = format!(r#"{{"model":"m","tools":{tools}}}"#);
        request_texts(dialect, body.as_bytes()).unwrap().tools
    };
    assert_eq!(
        names(
            Dialect::OpenAiChat,
            r#"[{"type":"function","function":{"name":"a"}},{"type":"custom","custom":{"name":"b"}}]"#
        ),
        ["a", "b"]
    );
    assert_eq!(
        names(Dialect::OpenAiResponses, r#"[{"type":"function","name":"a"},{"type":"web_search"}]"#),
        ["a", "web_search"]
    );
    assert_eq!(names(Dialect::AnthropicMessages, r#"[{"name":"a","input_schema":{"name":"no"}}]"#), ["a"]);
    assert_eq!(
        names(
            Dialect::GeminiGenerate,
            r#"[{"functionDeclarations":[{"name":"a"},{"name":"b"}]},{"googleSearch":{}}]"#
        ),
        ["a", "b", "googleSearch"]
    );
}

proptest! {
    #[test]
    fn nothing_stops_the_walk(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for dialect in Dialect::ALL {
            let _ = (request_texts(dialect, &bytes), answer_texts(dialect, &bytes), canonical(dialect, &bytes));
            let _ = frame_texts(dialect, &bytes);
        }
        decode_text(&bytes);
    }

    /// A text comes back as it was, and what is put into its place is read there; no other byte changes.
    #[test]
    fn a_text_is_replaced_at_its_place(said in "\\PC{0,20}", other in "\\PC{0,20}", more in "[a-z]{0,8}") {
        let body = format!(r#"{{ "model":"m", "messages":[{{"role":"user","content":{}, "x":"{more}"}}] }}"#, encode_text(&said));
        let texts = request_texts(Dialect::OpenAiChat, body.as_bytes()).unwrap();
        prop_assert_eq!(texts.texts.len(), 2);
        let place = texts.texts[0].range.clone();
        prop_assert_eq!(decode_text(&body.as_bytes()[place.clone()]), said.clone());
        let changed = splice(&Bytes::from(body.clone()), vec![(place, encode_text(&other))]);
        let expected = format!(r#"{{ "model":"m", "messages":[{{"role":"user","content":{}, "x":"{more}"}}] }}"#, encode_text(&other));
        prop_assert_eq!(changed, Bytes::from(expected));
    }

    /// A form of a form is the form, and it is JSON that says the same.
    #[test]
    fn the_canonical_form_is_stable(name in "[a-z]{1,6}", number in any::<i64>(), text in "\\PC{0,12}") {
        let body = serde_json::json!({ "z": { &name: number, "b": [text.clone(), null] }, "a": text }).to_string();
        let form = canonical(Dialect::OpenAiChat, body.as_bytes()).unwrap();
        prop_assert_eq!(canonical(Dialect::OpenAiChat, &form).unwrap(), form.clone());
        let (left, right): (serde_json::Value, serde_json::Value) =
            (serde_json::from_slice(&form).unwrap(), serde_json::from_str(&body).unwrap());
        prop_assert_eq!(left, right);
    }
}

#[test]
fn what_google_embeds_and_counts_is_looked_at_and_its_models_are_replaced() {
    let said = |dialect, body: &str| {
        let texts = request_texts(dialect, body.as_bytes()).unwrap().texts;
        texts.into_iter().map(|place| decode_text(&body.as_bytes()[place.range])).collect::<Vec<_>>()
    };
    let batch = r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"},{"model":"models/m","content":{"parts":[{"text":"b"}]},"title":"c"}]}"#;
    assert_eq!(said(Dialect::GeminiEmbeddings, batch), ["a", "b", "c"]);
    let within = r#"{"generateContentRequest":{"model":"models/m","contents":[{"role":"user","parts":[{"text":"d"}]}]}}"#;
    assert_eq!(said(Dialect::GeminiGenerate, within), ["d"]);
    for (dialect, body) in [(Dialect::GeminiEmbeddings, batch), (Dialect::GeminiGenerate, within)] {
        let head = Head::read(dialect, body.as_bytes()).unwrap();
        let changes = Changes { model: Some("models/up"), stream_usage: true };
        let sent = rewrite(dialect, Bytes::from_static(body.as_bytes()), &head, &changes);
        assert_eq!(sent, body.replace("models/m", "models/up"));
    }
}

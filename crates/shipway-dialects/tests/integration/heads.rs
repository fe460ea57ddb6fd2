//! What is read of a request in one walk, and what changes in it on its way.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use shipway_dialects::{BadRequest, Changes, Dialect, Head, SortBy, rewrite, take_preferences};

fn read(dialect: Dialect, body: &str) -> Head {
    Head::read(dialect, body.as_bytes()).unwrap()
}

fn rewritten(dialect: Dialect, body: &str, changes: Changes<'_>) -> String {
    let head = read(dialect, body);
    String::from_utf8(rewrite(dialect, Bytes::from(body.to_owned()), &head, &changes).to_vec()).unwrap()
}

#[test]
fn a_chat_request_says_what_it_wants() {
    let head = read(
        Dialect::OpenAiChat,
        r#"{"model":"gpt-x","messages":[{"role":"user","content":"hello"}],"stream":true,"n":3,
            "max_tokens":10,"max_completion_tokens":20,"user":"u-1","tools":[{"type":"function"}],
            "stream_options":{"include_usage":true},"response_format":{"type":"json_schema"},"reasoning_effort":"low"}"#,
    );

    assert_eq!((head.model.as_str(), head.stream, head.choices), ("gpt-x", true, 3));
    assert_eq!(head.max_output_tokens, Some(20), "the newer name counts");
    assert_eq!(head.user.as_deref(), Some("u-1"));
    assert!(head.stream_usage && head.tools && head.structured_output && head.reasoning);
    assert_eq!(head.media, 0);
}

#[test]
fn each_prompt_of_a_completion_is_a_choice() {
    let of = |prompt: &str| {
        read(Dialect::OpenAiCompletions, &format!(r#"{{"model":"m","prompt":{prompt},"n":2,"best_of":5}}"#))
            .choices
    };

    assert_eq!(of(r#""one""#), 5);
    assert_eq!(of(r#"["one","two"]"#), 10);
    assert_eq!(of("[1,2,3]"), 5, "a list of tokens is one prompt");
    assert_eq!(of("[[1],[2,3]]"), 10);
}

#[test]
fn messages_of_anthropic_and_responses_have_their_own_names() {
    let head = read(
        Dialect::AnthropicMessages,
        r#"{"model":"claude-x","max_tokens":64,"metadata":{"user_id":"u-2"},"thinking":{"type":"enabled","budget_tokens":32},
            "messages":[],"system":"s","tools":[]}"#,
    );
    assert_eq!((head.max_output_tokens, head.user.as_deref()), (Some(64), Some("u-2")));
    assert!(head.reasoning && !head.tools && head.stream_usage);

    let head = read(
        Dialect::OpenAiResponses,
        r#"{"model":"gpt-x","input":"hi","max_output_tokens":7.0,"previous_response_id":"resp_1",
            "text":{"format":{"type":"json_object"}},"reasoning":{"effort":"high"},"stream":false}"#,
    );
    assert_eq!((head.max_output_tokens, head.previous_response.as_deref()), (Some(7), Some("resp_1")));
    assert!(head.structured_output && head.reasoning && !head.stream);
}

#[test]
fn gemini_says_its_model_in_the_path() {
    let head = read(
        Dialect::GeminiGenerate,
        r#"{"contents":[{"parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}],
            "generationConfig":{"maxOutputTokens":9,"candidateCount":2,"responseMimeType":"application/json"}}"#,
    );

    assert_eq!((head.max_output_tokens, head.choices, head.media), (Some(9), 2, 1));
    assert!(head.structured_output);
    assert_eq!(shipway_dialects::gemini_call("models-x:streamGenerateContent"), Some(("models-x", true)));
    assert_eq!(shipway_dialects::gemini_call("models-x:countTokens"), None);
}

#[test]
fn the_bytes_of_an_image_are_no_text() {
    let body = |data: &str| {
        json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [
            {"source": {"data": data, "media_type": "image/png", "type": "base64"}, "type": "image"},
            {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": data}}]},
        ]}]})
        .to_string()
    };
    let (small, large) = (body("AAAA"), body(&"A".repeat(100_000)));

    let (small, large) = (read(Dialect::AnthropicMessages, &small), read(Dialect::AnthropicMessages, &large));

    assert_eq!((small.media, large.media), (2, 2));
    assert_eq!(small.input_bytes, large.input_bytes);
    assert!(large.estimated_input_tokens() < 3_000);
}

#[test]
fn the_last_of_two_members_counts_and_an_escaped_name_hides_nothing() {
    let body = r#"{"model":"cheap","messages":[],"mod\u0065l":"dear"}"#;

    assert_eq!(read(Dialect::OpenAiChat, body).model, "dear");
    assert_eq!(
        rewritten(Dialect::OpenAiChat, body, Changes { model: Some("dear"), stream_usage: false }),
        r#"{"model":"dear","messages":[],"mod\u0065l":"dear"}"#,
        "whichever a provider takes, it is the one that was judged"
    );
}

#[test]
fn a_model_is_replaced_and_nothing_else() {
    let body = "{ \"messages\" : [ {\"content\":\"\\\"model\\\":\"} ],\r\n\"model\":\t\"a\" , \"x\":1.50e+00, \"x\":null }";

    assert_eq!(
        rewritten(Dialect::OpenAiChat, body, Changes { model: Some("b\"c"), stream_usage: true }),
        body.replace("\"a\"", r#""b\"c""#)
    );
}

#[test]
fn a_request_without_a_change_is_not_copied() {
    let body = Bytes::from_static(br#"{"model":"a","messages":[]}"#);
    let head = Head::read(Dialect::OpenAiChat, &body).unwrap();

    let same =
        rewrite(Dialect::OpenAiChat, body.clone(), &head, &Changes { model: Some("a"), stream_usage: true });

    assert_eq!(same.as_ptr(), body.as_ptr());
}

#[test]
fn usage_is_asked_for_wherever_the_options_stand() {
    let ask = |body: &str| rewritten(Dialect::OpenAiChat, body, Changes { model: None, stream_usage: true });

    assert_eq!(
        ask(r#"{"model":"m","stream":true}"#),
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        ask(r#"{"stream_options":{},"model":"m","stream":true}"#),
        r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#
    );
    assert_eq!(
        ask(r#"{"stream_options":{"x":1},"model":"m","stream":true}"#),
        r#"{"stream_options":{"include_usage":true,"x":1},"model":"m","stream":true}"#
    );
    assert_eq!(
        ask(r#"{"stream_options":{"include_usage":false},"model":"m","stream":true}"#),
        r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#
    );
    assert_eq!(
        ask(r#"{"stream_options":null,"model":"m","stream":true}"#),
        r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#
    );
    for untouched in [
        r#"{"model":"m","stream":false}"#,
        r#"{"stream_options":{"include_usage":true},"model":"m","stream":true}"#,
        r#"{"stream_options":"strange","model":"m","stream":true}"#,
    ] {
        assert_eq!(ask(untouched), untouched);
    }
    let anthropic = r#"{"model":"m","stream":true,"max_tokens":1}"#;
    assert_eq!(
        rewritten(Dialect::AnthropicMessages, anthropic, Changes { model: None, stream_usage: true }),
        anthropic
    );
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    let refuse = |body: &str| Head::read(Dialect::OpenAiChat, body.as_bytes()).unwrap_err();

    assert_eq!(refuse("[]"), BadRequest::NotAnObject);
    assert_eq!(refuse(r#"{"messages":[]}"#), BadRequest::NoModel);
    assert_eq!(refuse(r#"{"model":null}"#), BadRequest::NoModel);
    assert_eq!(refuse("").to_string(), "the request's body cannot be read: the JSON ends early");
    assert_eq!(
        refuse(r#"{"model":"a",}"#).to_string(),
        "the request's body cannot be read: not JSON at byte 13"
    );
    assert_eq!(
        refuse(r#"{"model":"a"} {}"#).to_string(),
        "the request's body cannot be read: not JSON at byte 14"
    );
    let deep = format!(r#"{{"model":"a","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    assert!(refuse(&deep).to_string().contains("nests deeper"));
}

/// Any JSON value, a few levels deep.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        for dialect in Dialect::ALL {
            let _ = Head::read(dialect, &body);
        }
    }

    #[test]
    fn what_looks_like_json_is_json_or_refused(body in r#"[\[\]{}",:0-9a-z\\ .eE+-]{0,60}"#) {
        let body = format!(r#"{{"model":"m","x":{body}}}"#);
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        let read = Head::read(Dialect::OpenAiChat, body.as_bytes());
        // A known escape is the one thing that is not asked for in texts that are walked over.
        prop_assert!(is_json == read.is_ok() || body.contains('\\'), "{}", body);
    }

    #[test]
    fn rewriting_changes_nothing_but_what_it_must(extra in values(), options in values(), stream in any::<bool>(), pretty in any::<bool>(), model in ".{1,20}") {
        let request = json!({"a": extra, "model": "before", "stream": stream, "stream_options": options, "z": [extra]});
        let body = if pretty { serde_json::to_string_pretty(&request).unwrap() } else { request.to_string() };

        let after = rewritten(Dialect::OpenAiChat, &body, Changes { model: Some(&model), stream_usage: true });

        let mut wanted = request;
        wanted["model"] = model.into();
        if stream && (options.is_object() || options.is_null()) {
            wanted["stream_options"]["include_usage"] = true.into();
        }
        prop_assert_eq!(serde_json::from_str::<Value>(&after).unwrap(), wanted);
    }
}

#[test]
fn what_a_client_wishes_of_providers_is_taken_out_and_no_other_byte() {
    let chat = Dialect::OpenAiChat;
    let take = |text: &str| {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let head = Head::read(chat, &body).unwrap();
        take_preferences(chat, body, head).unwrap()
    };
    for (with, without) in [
        (r#"{"provider":{"only":["a"]},"model":"m" , "x":1.50}"#, r#"{"model":"m" , "x":1.50}"#),
        (r#"{"model":"m" , "provider" : {"only":["a"]} , "x":1.50}"#, r#"{"model":"m" ,  "x":1.50}"#),
        (r#"{"model":"m", "prov\u0069der":{"only":["a"]} }"#, r#"{"model":"m" }"#),
    ] {
        let (body, head) = take(with);
        assert_eq!(body, without);
        assert_eq!(head.model, "m");
        assert_eq!(head.preferences.unwrap().only, ["a"]);
    }
    // What is no object is not for the gateway.
    let (body, head) = take(r#"{"provider":"x","model":"m"}"#);
    assert_eq!((body.len(), head.preferences), (28, None));
    let (_, head) = take(
        r#"{"model":"m","provider":{"order":["a","b"],"allow_fallbacks":false,"sort":"price","max_price":{"prompt":1.5,"completion":"2"}}}"#,
    );
    let wishes = head.preferences.unwrap();
    assert_eq!((wishes.order.len(), wishes.allow_fallbacks, wishes.sort), (2, false, Some(SortBy::Price)));
    assert_eq!(wishes.max_price.completion.unwrap().to_string(), "2.000000000");
}

#[test]
fn a_wish_that_is_not_known_is_refused_and_not_silently_left_out() {
    for (provider, words) in [
        (r#"{"data_collection":"deny"}"#, "data_collection"),
        (r#"{"sort":"beauty"}"#, "beauty"),
        (r#"{"only":"a"}"#, "sequence"),
        (r#"{"only":["a"]},"provider":{"only":["b"]}"#, "twice"),
    ] {
        let body = format!(r#"{{"model":"m","provider":{provider}}}"#);
        let error = Head::read(Dialect::OpenAiChat, body.as_bytes()).unwrap_err();
        assert_eq!(error.field(), Some("provider"));
        assert!(error.to_string().contains(words), "{error}");
        let error = Head::read(Dialect::AnthropicMessages, body.as_bytes()).unwrap_err();
        assert_eq!(error.field(), Some("provider"));
    }
}

//! What is found, and what stands in its place afterwards, in every API.

use super::*;

const PNG: &[u8] = &[0x89, b'P', b'N', b'G', 1];

/// What its server calls so.
fn brought_as(said: Option<&str>, data: &'static [u8]) -> Brought {
    let place = Elsewhere { path: String::new(), url: String::new(), is_image: false, media_type: None };
    Brought::at(&place, said.map(str::to_owned), Bytes::from_static(data))
}

fn png() -> Brought {
    brought_as(Some(ANYTHING), PNG)
}

fn found(dialect: Dialect, request: &Value) -> Vec<(String, String, bool)> {
    let found = elsewhere(dialect, request.to_string().as_bytes()).unwrap();
    found.into_iter().map(|one| (one.path, one.url, one.is_image)).collect()
}

fn brought(dialect: Dialect, request: &Value, with: &[Brought]) -> Value {
    let bytes = bring(dialect, request.to_string().as_bytes(), with).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn chat_has_images_and_files_by_address() {
    let request = json!({"model": "m", "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "https://no.example/image.png"},
            {"type": "image_url", "image_url": {"url": "https://a.example/x.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "file", "file": {"file_url": "HTTPS://a.example/d/report.pdf?key=1"}},
            {"type": "file", "file": {"file_id": "f-1"}},
        ]},
    ]});
    assert_eq!(
        found(Dialect::OpenAiChat, &request),
        [
            ("messages[1].content[1]".to_owned(), "https://a.example/x.png".to_owned(), true),
            ("messages[1].content[3]".to_owned(), "HTTPS://a.example/d/report.pdf?key=1".to_owned(), false),
        ]
    );
    let pdf = brought_as(None, b"%PDF-1");
    let written = brought(Dialect::OpenAiChat, &request, &[png(), pdf]);
    let parts = &written["messages"][1]["content"];
    assert_eq!(parts[1]["image_url"], json!({"url": "data:image/png;base64,iVBORwE=", "detail": "low"}));
    assert_eq!(parts[2], request["messages"][1]["content"][2]);
    assert_eq!(
        parts[3]["file"],
        json!({"file_data": "data:application/pdf;base64,JVBERi0x", "filename": "report.pdf"})
    );
    assert_eq!(found(Dialect::OpenAiChat, &written), []);
}

#[test]
fn responses_have_them_in_messages_and_in_what_tools_gave() {
    let request = json!({"input": [
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://a.example/x"}]},
        {"type": "function_call_output", "call_id": "c", "output": [
            {"type": "input_file", "file_url": "https://a.example/", "filename": "own.pdf"},
        ]},
        {"type": "function_call_output", "call_id": "d", "output": "https://a.example/text"},
    ]});
    let paths: Vec<String> = found(Dialect::OpenAiResponses, &request).into_iter().map(|one| one.0).collect();
    assert_eq!(paths, ["input[0].content[0]", "input[1].output[0]"]);
    let written = brought(Dialect::OpenAiResponses, &request, &[png(), png()]);
    assert_eq!(written["input"][0]["content"][0]["image_url"], "data:image/png;base64,iVBORwE=");
    let file = &written["input"][1]["output"][0];
    assert_eq!((&file["filename"], file.get("file_url")), (&json!("own.pdf"), None));
    assert_eq!(found(Dialect::OpenAiResponses, &json!({"input": "https://a.example/x"})), []);
}

#[test]
fn messages_have_them_as_sources_also_in_the_results_of_tools() {
    let source = json!({"type": "url", "url": "https://a.example/x"});
    let request = json!({"messages": [{"role": "user", "content": [
        {"type": "image", "source": source},
        {"type": "document", "source": source, "title": "t"},
        {"type": "tool_result", "tool_use_id": "u", "content": [{"type": "image", "source": source}]},
        {"type": "image", "source": {"type": "file", "file_id": "f"}},
    ]}]});
    let paths: Vec<String> =
        found(Dialect::AnthropicMessages, &request).into_iter().map(|one| one.0).collect();
    let expected = ["messages[0].content[0]", "messages[0].content[1]", "messages[0].content[2].content[0]"];
    assert_eq!(paths, expected);
    let text = brought_as(Some("text/plain"), b"words");
    let written = brought(Dialect::AnthropicMessages, &request, &[png(), text, png()]);
    let parts = &written["messages"][0]["content"];
    let image = json!({"type": "base64", "media_type": "image/png", "data": "iVBORwE="});
    assert_eq!(parts[0]["source"], image);
    assert_eq!(
        parts[1],
        json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "t"})
    );
    assert_eq!(parts[2]["content"][0]["source"], image);
}

#[test]
fn gemini_has_them_under_both_names_and_some_mean_something_to_google() {
    let request = json!({"contents": [{"parts": [
        {"fileData": {"fileUri": "https://a.example/x", "mimeType": "image/png"}},
        {"file_data": {"file_uri": "https://a.example/y"}},
        {"fileData": {"fileUri": "gs://bucket/x"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1"}},
    ]}]});
    let paths: Vec<String> = found(Dialect::GeminiGenerate, &request).into_iter().map(|one| one.0).collect();
    assert_eq!(paths, ["contents[0].parts[0]", "contents[0].parts[1]"]);
    let written = brought(Dialect::GeminiGenerate, &request, &[png(), png()]);
    let data = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORwE="}});
    assert_eq!(written["contents"][0]["parts"][0], data);
    assert_eq!(written["contents"][0]["parts"][1], data);
    let alone = json!({"contents": {"parts": [{"fileData": {"fileUri": "https://a.example/x"}}]}});
    assert_eq!(found(Dialect::GeminiGenerate, &alone)[0].0, "contents.parts[0]");
}

#[test]
fn what_is_no_image_stands_in_no_place_of_one() {
    let request = json!({"messages": [{"content": [
        {"type": "image_url", "image_url": {"url": "https://a.example/x"}},
    ]}]});
    let page = brought_as(Some("text/html"), b"<html>");
    let refused = bring(Dialect::OpenAiChat, request.to_string().as_bytes(), &[page]).unwrap_err();
    assert_eq!(refused.field(), Some("messages[0].content[0]"));
    assert!(refused.to_string().contains("text/html, no image"), "{refused}");
}

#[test]
fn what_is_no_request_has_nothing_elsewhere() {
    for strange in
        ["7", "[]", r#"{"messages":7}"#, r#"{"messages":[7,{"content":7},{"content":[7,{"type":7}]}]}"#]
    {
        assert_eq!(elsewhere(Dialect::OpenAiChat, strange.as_bytes()), Ok(Vec::new()), "{strange}");
    }
    assert!(elsewhere(Dialect::OpenAiChat, b"{").is_err());
}

#[test]
fn a_part_is_what_its_type_says_whatever_else_stands_in_it() {
    let request = json!({"messages": [{"content": [
        {"type": "file", "image_url": "x", "file": {"file_url": "https://a.example/a.pdf"}},
        {"type": "image_url", "image_url": "https://a.example/x"},
    ]}]});
    assert_eq!(found(Dialect::OpenAiChat, &request).len(), 1);
    let written = brought(Dialect::OpenAiChat, &request, &[brought_as(None, b"%PDF-1")]);
    assert_eq!(written["messages"][0]["content"][0]["file"]["filename"], "a.pdf");
    let request = json!({"input": [{"content": [
        {"type": "input_file", "image_url": "x", "file_url": " https://a.example/a.pdf\n"},
    ]}]});
    let written = brought(Dialect::OpenAiResponses, &request, &[png()]);
    assert_eq!(written["input"][0]["content"][0].get("file_url"), None);
}

#[test]
fn the_first_bytes_go_before_what_is_said_and_what_is_said_is_two_words() {
    let place = Elsewhere {
        path: String::new(),
        url: String::new(),
        is_image: false,
        media_type: Some("text/csv".to_owned()),
    };
    let at = |said: &str, data: &'static [u8]| {
        Brought::at(&place, Some(said.to_owned()), Bytes::from_static(data)).media_type
    };
    assert_eq!(at("text/html", PNG), "image/png");
    assert_eq!(at("audio/mpeg", b"x"), "audio/mpeg");
    assert_eq!(at(ANYTHING, b"x"), "text/csv");
    for strange in ["text", "text/", "a/b,c", "a/b\"", "a/b/c", ""] {
        assert_eq!(at(strange, b"x"), "text/csv", "{strange}");
    }
}

#[test]
fn what_a_server_might_fetch_still_is_found_whatever_it_is_called() {
    let left = |part: Value| {
        let request = json!({"messages": [{"content": [{"type": "text", "text": "http://a"}, part]}]});
        address_left(Dialect::OpenAiChat, request.to_string().as_bytes()).unwrap()
    };
    for part in [
        json!({"type": "video_url", "video_url": {"url": "http://10.0.0.1/v"}}),
        json!({"image_url": "http://10.0.0.1/x"}),
        json!({"type": "image_url", "image_url": {"url": " http://10.0.0.1/"}}),
        json!({"type": "audio_url", "audio_url": {"url": "file:/etc/passwd"}}),
        json!({"type": "image_url", "image_url": {"url": "s3://bucket/x"}}),
    ] {
        assert_eq!(left(part.clone()).as_deref(), Some("messages[0].content[1]"), "{part}");
    }
    assert_eq!(left(json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA//"}})), None);
    assert_eq!(left(json!({"type": "input_audio", "input_audio": {"data": "AA//", "format": "wav"}})), None);
}

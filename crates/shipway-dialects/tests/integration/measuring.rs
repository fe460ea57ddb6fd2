//! How long it takes, for people: `cargo test --release -p shipway-dialects -- --ignored --nocapture measuring`.

use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use shipway_dialects::translate::{Context, Options, Stream, request};
use shipway_dialects::{Changes, Dialect, Head, Scanner, rewrite};

const ROUNDS: u32 = 200;

#[expect(clippy::print_stdout, reason = "what is measured is for people to read")]
fn each(name: &str, mut work: impl FnMut()) {
    work();
    let start = Instant::now();
    for _ in 0..ROUNDS {
        work();
    }
    println!("{name}: {:?}", start.elapsed() / ROUNDS);
}

fn prompt(bytes: usize) -> Bytes {
    let line = "The quick brown fox jumps over the \"lazy\" dog, and then it rests a while.\n";
    let text = line.repeat(bytes / line.len() / 10 + 1);
    let turns: Vec<_> = (0..10).map(|_| json!({"role": "user", "content": text})).collect();
    Bytes::from(json!({"model": "m", "max_tokens": 9, "messages": turns, "stream": true}).to_string())
}

#[test]
#[ignore = "prints times, for people"]
fn heads_streams_and_translation() {
    for kilobytes in [1, 50, 400] {
        let body = prompt(kilobytes * 1024);
        let head = Head::read(Dialect::OpenAiChat, &body).unwrap();
        each(&format!("head of {kilobytes} KB"), || {
            Head::read(Dialect::OpenAiChat, &body).unwrap();
        });
        each(&format!("rewriting {kilobytes} KB"), || {
            let changes = Changes { model: Some("another"), stream_usage: true };
            rewrite(Dialect::OpenAiChat, body.clone(), &head, &changes);
        });
        each(&format!("translating {kilobytes} KB"), || {
            let way = (Dialect::OpenAiChat, Dialect::AnthropicMessages);
            request(way.0, way.1, None, &body, &Options::default()).unwrap();
        });
    }
    let chunk = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"gpt-x","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}"#;
    let stream = Bytes::from(format!("{chunk}\n\n").repeat(2_000));
    each("scanning 2,000 frames", || {
        Scanner::new(Dialect::OpenAiChat).feed(&stream, &mut Vec::new()).unwrap();
    });
    each("translating 2,000 frames", || {
        let mut translator = Stream::new(Dialect::OpenAiChat, Dialect::AnthropicMessages).unwrap();
        translator.feed(&stream, &Context::default()).unwrap();
    });
}

//! Images, sound and moderations: what passes through, and what it costs.

use axum::body::Body;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use shipway_dialects::{Nanos, Price, Rates};
use shipway_gateway::{CreateKey, DeploymentSpec, Outcome};

use crate::world::{Answer, End, Reply, World, deployment, model};

/// 40 cents for ten images, a cent for ten seconds; a dollar for a million tokens.
fn price() -> Price {
    let rates = Rates { input: Nanos(1_000_000_000), output: Nanos(1_000_000_000), ..Rates::default() };
    Price {
        per_million_tokens: rates,
        per_image: Nanos(40_000_000),
        per_second: Nanos(1_000_000),
        ..Price::default()
    }
}

async fn world() -> (World, String) {
    let world = World::new().await;
    let deployments =
        ["one", "two"].map(|name| DeploymentSpec { price: Some(price()), ..deployment(name, "openai") });
    world.install(vec![model("media", deployments.to_vec())]);
    let key = world.key(CreateKey::default()).await;
    (world, key)
}

impl World {
    async fn json(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.ask(path, &[("authorization", &format!("Bearer {key}"))], body).await
    }

    async fn form(&self, path: &str, key: &str, fields: &[(&str, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let file = if *name == "file" { "; filename=\"a.wav\"" } else { "" };
            body.extend_from_slice(
                format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
            );
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b--\r\n");
        let request = http::Request::builder().method(Method::POST).uri(path);
        let request = request.header("authorization", format!("Bearer {key}"));
        let request = request.header("content-type", "multipart/form-data; boundary=b");
        self.raw(request.body(Body::from(body)).unwrap()).await
    }
}

fn sound(chunks: &[&'static [u8]], end: End) -> Reply {
    let headers = vec![("content-type", "audio/mpeg".to_owned())];
    Reply {
        status: 200,
        headers,
        chunks: chunks.iter().map(|chunk| Bytes::from_static(chunk)).collect(),
        end,
    }
}

#[tokio::test]
async fn images_are_charged_each_or_by_their_tokens() {
    let (world, key) = world().await;
    let made = json!({ "created": 1, "data": [{ "b64_json": "aaaa" }, { "url": "https://a.example/1" }] });
    world.provider.answers("up-one", Reply::json(200, &made));
    let asked = json!({ "model": "media-latest", "prompt": "a ship", "n": 2, "size": "1024x1024" });
    let answer = world.json("/v1/images/generations", &key, &asked).await;
    assert_eq!((answer.status, answer.json()), (200, made));
    let seen = world.provider.seen().pop().unwrap();
    assert_eq!(seen.path, "/v1/images/generations");
    assert_eq!(seen.body, asked.to_string().replace("media-latest", "up-one"));
    let call = world.settled(1).await.pop().unwrap();
    assert_eq!((call.cost_nanos, call.is_estimated), (80_000_000, false));
    // Reserved were both images, and tokens that might have been charged instead.
    assert!(call.reserved_nanos >= 80_000_000);

    let usage = json!({ "input_tokens": 10, "output_tokens": 90, "total_tokens": 100 });
    let mut made = json!({ "created": 1, "data": [{ "b64_json": "aaaa" }] });
    made["usage"] = usage;
    world.provider.answers("up-one", Reply::json(200, &made));
    world.json("/v1/images/generations", &key, &asked).await;
    world.json("/v1/images/generations", &key, &asked).await;
    assert_eq!(world.settled(3).await[2].cost_nanos, 100 * 1_000 + 40_000_000);
}

#[tokio::test]
async fn an_image_that_is_streamed_is_whole_when_it_is_completed() {
    let (world, key) = world().await;
    let partial = "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"aa\"}\n\n";
    let done = "event: image_generation.completed\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"aaaa\",\"usage\":{\"input_tokens\":10,\"output_tokens\":90}}\n\n";
    let asked = json!({ "model": "media", "prompt": "a ship", "stream": true });
    world.provider.answers("up-one", Reply::events(&[partial, done], End::Clean));
    assert_eq!(world.json("/v1/images/generations", &key, &asked).await.text(), format!("{partial}{done}"));
    world.provider.answers("up-one", Reply::events(&[partial], End::Clean));
    world.json("/v1/images/generations", &key, &asked).await;
    let cut = world.json("/v1/images/generations", &key, &asked).await;
    assert!(cut.text().starts_with(partial) && cut.text().contains("\"error\""), "{}", cut.text());
    let calls = world.settled(3).await;
    assert_eq!((calls[0].outcome, calls[0].cost_nanos), (Outcome::Answered, 100 * 1_000 + 40_000_000));
    assert_eq!(calls[2].outcome, Outcome::Broken);
}

#[tokio::test]
async fn a_form_passes_through_with_another_model_and_is_charged_by_the_second() {
    let (world, key) = world().await;
    let heard = json!({ "text": "ahoy", "usage": { "type": "duration", "seconds": 12 } });
    world.provider.answers("form up-one", Reply::json(200, &heard));
    let fields: &[(&str, &[u8])] =
        &[("file", b"RIFF\x00\xff\r\n--c\r\n"), ("model", b"media"), ("language", b"en")];
    let answer = world.form("/v1/audio/transcriptions", &key, fields).await;
    assert_eq!((answer.status, answer.json()), (200, heard));
    let seen = world.provider.seen().pop().unwrap();
    assert_eq!(seen.path, "/v1/audio/transcriptions");
    assert_eq!(seen.headers["content-type"], "multipart/form-data; boundary=b");
    let text = String::from_utf8_lossy(&seen.body).into_owned();
    assert!(text.contains("name=\"model\"\r\n\r\nup-one\r\n") && text.contains("RIFF\0"), "{text}");
    assert_eq!(world.settled(1).await[0].cost_nanos, 12_000_000);
    // Another form of answer says nothing of what was heard, so its length is estimated.
    let mut plain = sound(&[b"ahoy\n"], End::Clean);
    plain.headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
    world.provider.answers("form up-one", plain);
    let long = vec![0; 32_000];
    let fields: &[(&str, &[u8])] = &[("file", &long), ("model", b"media"), ("response_format", b"text")];
    world.form("/v1/audio/transcriptions", &key, fields).await;
    let answer = world.form("/v1/audio/transcriptions", &key, fields).await;
    assert_eq!((answer.text(), answer.header("content-type")), ("ahoy\n", Some("text/plain; charset=utf-8")));
    let call = world.settled(3).await.pop().unwrap();
    assert_eq!((call.is_estimated, call.outcome), (true, Outcome::Answered));
    assert!((2_000_000..2_100_000).contains(&call.cost_nanos), "{}", call.cost_nanos);
    assert!(call.reserved_nanos > call.cost_nanos);
}

#[tokio::test]
async fn a_form_that_cannot_be_read_or_names_no_model_is_refused_before_anybody_is_asked() {
    let (world, key) = world().await;
    let refused = world.form("/v1/images/edits", &key, &[("prompt", b"x")]).await;
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("model")));
    assert_eq!(world.form("/v1/images/edits", &key, &[("model", b"none")]).await.status, 404);
    // A form is for what takes forms.
    assert_eq!(world.form("/v1/chat/completions", &key, &[("model", b"media")]).await.status, 400);
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn sound_passes_as_it_comes_and_breaks_as_it_breaks() {
    let (world, key) = world().await;
    let asked = json!({ "model": "media", "input": "ahoy there, all hands on deck", "voice": "alloy" });
    world.provider.answers("up-one", sound(&[b"ID3\x00", b"\xff\xfb"], End::Clean));
    let answer = world.json("/v1/audio/speech", &key, &asked).await;
    assert_eq!(
        (&answer.body[..], answer.header("content-type")),
        (&b"ID3\x00\xff\xfb"[..], Some("audio/mpeg"))
    );
    let call = world.settled(1).await.pop().unwrap();
    assert_eq!((call.is_estimated, call.cost_nanos > 0, call.response_bytes), (true, true, 6));

    world.provider.answers("up-one", sound(&[b"ID3\x00"], End::Hang));
    world.json("/v1/audio/speech", &key, &asked).await;
    let running =
        world.send("/v1/audio/speech", &[("authorization", &format!("Bearer {key}"))], &asked).await;
    drop(running);
    world.provider.is_cancelled().await;
    assert_eq!(world.settled(3).await[2].outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn moderations_cost_what_their_price_says_and_errors_are_the_providers() {
    let (world, key) = world().await;
    let judged = json!({ "id": "modr-1", "model": "up-one", "results": [{ "flagged": false }] });
    world.provider.answers("up-one", Reply::json(200, &judged));
    let asked = json!({ "model": "media", "input": "ahoy" });
    assert_eq!(world.json("/v1/moderations", &key, &asked).await.json(), judged);
    let refusal = json!({ "error": { "message": "too long", "type": "invalid_request_error" } });
    world.provider.answers("up-one", Reply::json(400, &refusal));
    world.json("/v1/moderations", &key, &asked).await;
    let refused = world.json("/v1/moderations", &key, &asked).await;
    assert_eq!((refused.status, refused.json()), (400, refusal));
}

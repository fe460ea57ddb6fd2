//! Answers that a provider packs, although it is asked not to, and what is no answer.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::world::{COST, End, Reply, World, completion, question};

const FRAMES: [&str; 3] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
];

fn streamed() -> Value {
    let mut body = question("chat");
    body["stream"] = json!(true);
    body
}

#[tokio::test]
async fn what_is_no_answer_or_packed_otherwise_leads_to_the_next_deployment() {
    let answer = completion().to_string();
    let packed = gzip(&[&answer]).concat();
    let is_cut = &packed[..packed.len() - 4];
    let cases =
        [("identity", "<html>".as_bytes()), ("br", &packed), ("gzip", answer.as_bytes()), ("gzip", is_cut)];
    for (encoding, body) in cases {
        let world = World::new().await;
        let mut reply = Reply::json(200, &json!({}));
        reply.headers.push(("content-encoding", encoding.to_owned()));
        reply.chunks = vec![Bytes::copy_from_slice(body)];
        world.provider.answers("up-one", reply);
        world.provider.answers("up-two", Reply::json(200, &completion()));
        let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("two")), "{encoding}");
        // What the first was sent is charged as well: it may have worked on it.
        for call in world.settled(1).await {
            assert!(call.cost_nanos > COST && call.is_estimated, "{call:?}");
        }
    }
}

#[tokio::test]
async fn what_a_provider_packs_unasked_is_unpacked_however_it_is_cut() {
    let world = World::new().await;
    let long = json!({ "id": "c", "choices": [], "filler": "0".repeat(300_000) }).to_string();
    for size in [1, 7, 100_000] {
        for plain in [completion().to_string(), long.clone()] {
            let mut reply = Reply::json(200, &json!({}));
            reply.headers.push(("content-encoding", "gzip".to_owned()));
            reply.chunks = pieces(&gzip(&[&plain]).concat(), size);
            world.provider.answers_only("up-one", reply);
            let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
            assert_eq!((got.status, got.header("content-encoding")), (200, None));
            assert!(got.text() == plain && got.header("x-shipway-deployment") == Some("one"), "in {size}");
        }
        let mut reply = Reply::events(&[], End::Clean);
        reply.headers.push(("content-encoding", "gzip".to_owned()));
        reply.chunks = pieces(&gzip(&FRAMES).concat(), size);
        world.provider.answers_only("up-one", reply);
        let got = world.ask("/v1/chat/completions", &[], &streamed()).await;
        assert_eq!(
            (got.text(), got.header("content-encoding")),
            (FRAMES.concat().as_str(), None),
            "in {size}"
        );
    }
}

#[tokio::test]
async fn a_packed_stream_that_breaks_says_so_after_what_had_come() {
    let world = World::new().await;
    let mut reply = Reply::events(&[], End::Clean);
    reply.headers.push(("content-encoding", "gzip".to_owned()));
    reply.chunks = vec![gzip(&FRAMES)[0].clone().into()];
    world.provider.answers_only("up-one", reply);
    let got = world.ask("/v1/chat/completions", &[], &streamed()).await;
    let rest = got.text().strip_prefix(FRAMES[0]).map(str::to_owned);
    assert!(
        rest.is_some_and(|rest| rest.contains("\"error\"") && !rest.contains("[DONE]")),
        "{}",
        got.text()
    );
}

/// Packed parts, each flushed when it is said.
fn gzip(parts: &[&str]) -> Vec<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    let mut packed: Vec<Vec<u8>> = parts
        .iter()
        .map(|part| {
            packer.write_all(part.as_bytes()).unwrap();
            packer.flush().unwrap();
            std::mem::take(packer.get_mut())
        })
        .collect();
    packed.push(packer.finish().unwrap());
    packed
}

fn pieces(packed: &[u8], size: usize) -> Vec<Bytes> {
    packed.chunks(size).map(Bytes::copy_from_slice).collect()
}

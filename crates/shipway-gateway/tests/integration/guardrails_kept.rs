//! Guardrails on answers that are kept, and on answers that are translated: both as their callers get them.

use std::time::Duration;

use serde_json::json;
use shipway_gateway::{
    CacheScope, CacheSpec,
    GuardrailAction::{Block, Redact},
    GuardrailOn::{Both, Input, Output},
    ModelSpec,
};

use crate::{
    guardrails::{DONE, KEY, MAIL, SECRET, answers, ask, guardrail, install, says, sent, streamed, written},
    world::{End, Reply, World},
};

#[tokio::test]
async fn a_cached_answer_is_looked_at_every_time_and_what_is_put_back_is_the_callers_own() {
    let world = World::new().await;
    let cached = |model: &mut ModelSpec| {
        model.cache = Some(CacheSpec {
            time: Duration::from_secs(60),
            scope: CacheScope::Key,
            together: false,
            similar: None,
        });
    };
    install(&world, vec![guardrail("people", Input, Redact, MAIL)], cached);
    world.provider.answers("up-one", answers("hello <EMAIL_1>, AKIAIOSFODNN7EXAMPLE"));
    for (mail, word) in [("ada@x.org", "miss"), ("bob@y.org", "hit")] {
        let answer = ask(&world, &says(&format!("I am {mail}"))).await;
        assert_eq!(answer.header("x-shipway-cache"), Some(word));
        let said = answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
        assert_eq!(said, format!("hello {mail}, {KEY}"));
    }
    // A guardrail that is new looks at what was kept before.
    install(
        &world,
        vec![guardrail("people", Input, Redact, MAIL), guardrail("keys", Output, Block, SECRET)],
        cached,
    );
    let refused = ask(&world, &says("I am eve@z.org")).await;
    assert_eq!((refused.status, refused.header("x-shipway-cost")), (400, Some("0.000000000")));
    assert_eq!(world.provider.seen().len(), 1);
}

#[tokio::test]
async fn what_is_translated_is_looked_at_and_kept_as_its_caller_gets_it() {
    let world = World::new().await;
    install(&world, vec![guardrail("people", Both, Redact, MAIL)], |model| {
        model.cache = Some(CacheSpec {
            time: Duration::from_secs(60),
            scope: CacheScope::Key,
            together: false,
            similar: None,
        });
    });
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
    let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let piece = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let end = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let (first, second) = (piece("Dear <EMA"), piece("IL_1>, ask bob@y.org."));
    world.provider.answers("up-claude", Reply::events(&[start, block, &first, &second, end], End::Clean));
    for (mail, word) in [("ada@x.org", "miss"), ("eve@z.org", "hit")] {
        let mut body = streamed(&format!("I am {mail}"));
        body["model"] = json!("claude");
        let answer = ask(&world, &body).await;
        assert_eq!((answer.status, answer.header("x-shipway-cache")), (200, Some(word)), "{}", answer.text());
        assert_eq!(written(&answer), format!("Dear {mail}, ask <EMAIL_2>."));
        assert!(answer.text().ends_with(DONE));
    }
    assert!(!sent(&world).contains("ada@") && world.provider.seen().len() == 1);
}

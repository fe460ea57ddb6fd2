//! Embeddings across APIs: what is asked, what comes back, what it costs, and what happens when one of several requests fails.

use serde_json::{Value, json};
use shipway_dialects::translate::Lossy;
use shipway_gateway::Outcome;

use crate::world::{Answer, End, Reply, World, deployment_of, model};

fn texts(input: Value) -> Value {
    json!({ "model": "m", "input": input })
}

fn vectors(got: &Answer) -> Vec<Value> {
    let json = got.json();
    json["data"].as_array().unwrap().iter().map(|item| item["embedding"].clone()).collect()
}

fn refusal(got: &Answer) -> (u16, Option<&str>, Value) {
    (got.status, got.header("x-shipway-error"), got.json()["error"]["param"].clone())
}

const TITAN: &str = "amazon.titan-embed-text-v2:0";

fn titan(number: u32, tokens: u32) -> Reply {
    Reply::json(200, &json!({ "embedding": [number], "inputTextTokenCount": tokens }))
}

#[tokio::test]
async fn gemini_embeds_for_a_client_of_openai_and_what_it_does_not_count_is_estimated() {
    let world = World::of(vec![deployment_of("gemini", "up")]).await;
    let embeddings = json!([{ "values": [1, 0.5] }, { "values": [2, -0.25] }]);
    world.provider.answers("up", Reply::json(200, &json!({ "embeddings": embeddings })));
    let counted = json!({ "embeddings": embeddings, "usageMetadata": { "promptTokenCount": 9 } });
    world.provider.answers("up", Reply::json(200, &counted));

    let body = texts(json!(["hello there", "world"]));
    let got = world.call("/v1/embeddings", &body).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(vectors(&got), [json!([1.0, 0.5]), json!([2.0, -0.25])]);
    assert_eq!(got.json()["model"], "m");
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/models/up:batchEmbedContents");
    assert_eq!(seen.json()["requests"][0]["model"], "models/up");
    let again = world.call("/v1/embeddings", &body).await;
    assert_eq!(again.json()["usage"], json!({ "prompt_tokens": 9, "total_tokens": 9 }));

    let calls = world.settled(2).await;
    let estimated = got.json()["usage"]["prompt_tokens"].as_i64().unwrap();
    assert!(estimated > 0);
    assert_eq!((calls[0].cost_nanos, calls[0].is_estimated), (estimated * 2_000, true));
    assert_eq!((calls[1].cost_nanos, calls[1].is_estimated), (9 * 2_000, false));
    assert_eq!(calls[0].attempts[0].translated_to.as_deref(), Some("gemini_embeddings"));
    assert_eq!(calls[0].tokens.output, 0);
}

#[tokio::test]
async fn vertex_is_asked_by_what_its_model_takes() {
    let place = "/v1/v1/projects//locations//publishers/google/models/";
    let world = World::of(vec![deployment_of("vertex", "text-embedding-005")]).await;
    let predicted =
        |number: u32| json!({ "embeddings": { "values": [number], "statistics": { "token_count": 3 } } });
    let both = json!({ "predictions": [predicted(1), predicted(2)] });
    world.provider.answers_only("text-embedding-005", Reply::json(200, &both));
    let got = world.call("/v1/embeddings", &texts(json!(["a", "b"]))).await;
    assert_eq!(vectors(&got), [json!([1.0]), json!([2.0])]);
    assert_eq!(world.provider.seen()[0].path, format!("{place}text-embedding-005:predict"));
    assert_eq!(world.settled(1).await[0].cost_nanos, 6 * 2_000);

    let world = World::of(vec![deployment_of("vertex", "gemini-embedding-001")]).await;
    let one = json!({ "predictions": [predicted(7)] });
    world.provider.answers_only("gemini-embedding-001", Reply::json(200, &one));
    let got = world.call("/v1/embeddings", &texts(json!(["a", "b", "c"]))).await;
    assert_eq!(vectors(&got).len(), 3);
    assert_eq!(got.json()["usage"]["prompt_tokens"], 9);
    assert_eq!(world.provider.seen().len(), 3);

    // Clients of Gemini too: Vertex has its models, and other words for their embeddings.
    let content = json!({ "content": { "parts": [{ "text": "a" }] }, "taskType": "RETRIEVAL_QUERY" });
    let got = world.call("/v1beta/models/m:embedContent", &content).await;
    assert_eq!(got.json()["embedding"]["values"], json!([7.0]), "{}", got.text());
    assert_eq!(world.provider.seen()[3].json()["instances"][0]["task_type"], "RETRIEVAL_QUERY");
}

#[tokio::test]
async fn titan_is_asked_once_for_each_text_and_charged_for_all_of_them() {
    let world = World::of(vec![deployment_of("bedrock", TITAN)]).await;
    world.provider.answers_only("invoke", titan(1, 5));
    let input: Vec<String> = (0..20).map(|index| format!("text {index}")).collect();
    let body = json!({ "model": "m", "input": input, "dimensions": 256, "encoding_format": "base64" });

    let got = world.call("/v1/embeddings", &body).await;

    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(vectors(&got), vec![json!("AACAPw=="); 20]);
    assert_eq!(got.json()["usage"]["total_tokens"], 100);
    assert_eq!(got.header("x-shipway-cost"), Some("0.000200000"));
    let seen = world.provider.seen();
    assert_eq!(seen[0].path, "/v1/model/amazon.titan-embed-text-v2%3A0/invoke");
    let mut asked: Vec<String> =
        seen.iter().map(|one| one.json()["inputText"].as_str().unwrap().to_owned()).collect();
    asked.sort();
    let mut wanted = input;
    wanted.sort();
    assert_eq!(asked, wanted);
    assert!(seen.iter().all(|one| one.json()["dimensions"] == 256));
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.tokens.input, call.is_estimated), (100 * 2_000, 100, false));
    assert_eq!(call.attempts.len(), 1);
}

#[tokio::test]
async fn one_text_that_fails_fails_all_and_what_was_used_is_charged() {
    let world = World::of(vec![deployment_of("bedrock", TITAN), deployment_of("openai", "up")]).await;
    world.provider.answers("invoke", titan(1, 5));
    let busy = json!({ "message": "slow down" });
    let throttled = Reply {
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("x-amzn-errortype", "ThrottlingException".to_owned()),
        ],
        ..Reply::json(429, &busy)
    };
    world.provider.answers("invoke", throttled);
    let whole = json!({ "object": "list", "data": [{ "index": 0, "embedding": [9] }, { "index": 1, "embedding": [8] }], "model": "up", "usage": { "prompt_tokens": 4, "total_tokens": 4 } });
    world.provider.answers_only("up", Reply::json(200, &whole));

    let got = world.call("/v1/embeddings", &texts(json!(["a", "b"]))).await;

    // The other deployment answers all of it.
    assert_eq!(vectors(&got), [json!([9]), json!([8])]);
    let call = &world.settled(1).await[0];
    assert_eq!(call.attempts[0].result, "rate_limit");
    assert_eq!(call.cost_nanos, 5 * 2_000 + 4 * 2_000);
    assert_eq!(call.tokens.input, 4);
}

#[tokio::test]
async fn what_a_request_used_that_broke_is_estimated_and_nothing_is_answered() {
    let world = World::of(vec![deployment_of("bedrock", TITAN)]).await;
    let broken = Reply { end: End::Cut, ..titan(1, 5) };
    world.provider.answers("invoke", titan(1, 5));
    world.provider.answers("invoke", broken);

    let got = world.call("/v1/embeddings", &texts(json!(["a", "b"]))).await;

    assert_eq!(got.status, 502, "{}", got.text());
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.is_estimated), (Outcome::Failed, true));
    assert!(call.cost_nanos > 0);
}

#[tokio::test]
async fn cohere_is_asked_for_all_texts_at_once_and_its_tokens_stand_in_a_header() {
    let world = World::of(vec![deployment_of("bedrock", "cohere.embed-multilingual-v3")]).await;
    let mut reply = Reply::json(200, &json!({ "embeddings": { "float": [[1], [2]] } }));
    reply.headers.push(("x-amzn-bedrock-input-token-count", "11".to_owned()));
    world.provider.answers_only("invoke", reply);

    let got = world.call("/v1/embeddings", &texts(json!(["a", "b"]))).await;

    assert_eq!(vectors(&got), [json!([1.0]), json!([2.0])]);
    assert_eq!(got.header("x-shipway-dropped"), Some("input_type"));
    assert_eq!(world.provider.seen()[0].json()["input_type"], "search_document");
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.is_estimated), (11 * 2_000, false));
    let shape = json!({ "model": "m", "input": "a", "dimensions": 8 });
    let refused = world.call("/v1/embeddings", &shape).await;
    assert_eq!(refusal(&refused), (400, Some("gateway.not_translatable"), json!("dimensions")));
}

#[tokio::test]
async fn contents_of_google_pass_to_gemini_and_are_translated_for_openai() {
    let world = World::of(vec![deployment_of("gemini", "up")]).await;
    let said = r#"{ "embeddings": [{"values": [1.50]}], "usageMetadata": {"promptTokenCount": 2} }"#;
    let reply = Reply { chunks: vec![said.into()], ..Reply::json(200, &json!({})) };
    world.provider.answers_only("up", reply);
    let content = json!({ "parts": [{ "text": "hello" }] });
    let batch =
        json!({ "requests": [{ "model": "models/m", "content": content, "outputDimensionality": 1 }] });
    let got = world.call("/v1beta/models/m:batchEmbedContents", &batch).await;
    // Bytes pass; of what is asked only the name of the model is another one.
    assert_eq!(got.text(), said);
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/models/up:batchEmbedContents");
    assert_eq!(seen.json()["requests"][0]["model"], "models/up");
    let call = &world.settled(1).await[0];
    assert_eq!(
        (call.cost_nanos, call.is_estimated, call.api.as_str()),
        (2 * 2_000, false, "gemini_embeddings")
    );

    let world = World::of(vec![deployment_of("openai", "up")]).await;
    let list = json!({ "object": "list", "data": [{ "index": 0, "embedding": [1, 2] }], "usage": { "prompt_tokens": 3, "total_tokens": 3 } });
    world.provider.answers_only("up", Reply::json(200, &list));
    let got = world.call("/v1beta/models/m:batchEmbedContents", &batch).await;
    assert_eq!(got.json()["embeddings"], json!([{ "values": [1.0, 2.0] }]));
    assert_eq!(
        world.provider.seen()[0].json(),
        json!({ "model": "up", "input": ["hello"], "dimensions": 1, "encoding_format": "float" })
    );
    let task = json!({ "content": content, "taskType": "CLUSTERING" });
    let refused = world.call("/v1beta/models/m:embedContent", &task).await;
    assert_eq!((refused.status, refused.header("x-shipway-error")), (400, Some("gateway.not_translatable")));
    let mut lossy = model("m", vec![deployment_of("openai", "up")]);
    lossy.lossy = Lossy::Drop;
    world.install(vec![lossy]);
    let got = world.call("/v1beta/models/m:embedContent", &task).await;
    assert_eq!(got.json()["embedding"]["values"], json!([1.0, 2.0]));
    assert_eq!(got.header("x-shipway-dropped"), Some("content.taskType"));
}

#[tokio::test]
async fn what_cannot_be_said_goes_to_the_next_deployment_or_is_refused_by_name() {
    let world = World::of(vec![deployment_of("gemini", "up"), deployment_of("openai", "other")]).await;
    let list = json!({ "object": "list", "data": [{ "index": 0, "embedding": [1] }], "usage": { "prompt_tokens": 3, "total_tokens": 3 } });
    world.provider.answers_only("other", Reply::json(200, &list));
    // Tokens, and more texts than Gemini takes.
    for input in [json!([1, 2, 3]), json!(vec!["a"; 101])] {
        let got = world.call("/v1/embeddings", &texts(input)).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("openai")));
    }
    let alone = World::of(vec![deployment_of("gemini", "up")]).await;
    for input in [json!([1, 2, 3]), json!(vec!["a"; 101]), json!([]), json!(5)] {
        let refused = alone.call("/v1/embeddings", &texts(input)).await;
        assert_eq!(refusal(&refused), (400, Some("gateway.not_translatable"), json!("input")));
    }
    assert!(alone.provider.seen().is_empty());
    // Nobody knows how these are asked.
    let strange = World::of(vec![
        deployment_of("bedrock", "amazon.nova-pro-v1:0"),
        deployment_of("anthropic", "claude"),
    ])
    .await;
    let refused = strange.call("/v1/embeddings", &texts(json!("a"))).await;
    assert_eq!(refusal(&refused).1, Some("gateway.no_such_api"));
}

#[tokio::test]
async fn an_answer_with_a_vector_missing_leads_to_the_next_deployment_and_is_charged() {
    let world = World::of(vec![deployment_of("gemini", "up"), deployment_of("openai", "other")]).await;
    let short = json!({ "embeddings": [{ "values": [1] }], "usageMetadata": { "promptTokenCount": 6 } });
    world.provider.answers_only("up", Reply::json(200, &short));
    let list = json!({ "object": "list", "data": [{ "index": 0, "embedding": [1] }, { "index": 1, "embedding": [2] }], "usage": { "prompt_tokens": 3, "total_tokens": 3 } });
    world.provider.answers_only("other", Reply::json(200, &list));
    let got = world.call("/v1/embeddings", &texts(json!(["a", "b"]))).await;
    assert_eq!(got.header("x-shipway-deployment"), Some("openai"));
    assert_eq!(world.settled(1).await[0].cost_nanos, 6 * 2_000 + 3 * 2_000);
}

//! What requests and answers must not hold: refused, replaced and put back, told, counted; whole and streamed.

use http::Method;
use serde_json::{Value, json};
use shipway_gateway::{
    CreateKey, GuardrailAction, GuardrailOn, GuardrailSpec, Limits, ModelSpec, Outcome, Side,
};

use crate::world::{Answer, COST, End, Reply, World, completion, deployment, model, question};

use GuardrailAction::{Annotate, Block, Redact, Shadow};
use GuardrailOn::{Both, Input, Output};

pub(crate) const MAIL: &str = r#"{"personal":["email"]}"#;
const CARD: &str = r#"{"personal":["credit_card"]}"#;
pub(crate) const SECRET: &str = r#"{"secrets":["api_key"]}"#;
pub(crate) const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

pub(crate) fn guardrail(name: &str, on: GuardrailOn, action: GuardrailAction, find: &str) -> GuardrailSpec {
    GuardrailSpec { name: name.to_owned(), on, action, detector: serde_json::from_str(find).unwrap() }
}

/// `chat` and `claude`, each with these guardrails.
async fn world(guardrails: Vec<GuardrailSpec>) -> World {
    let world = World::new().await;
    install(&world, guardrails, |_| {});
    world
}

pub(crate) fn install(world: &World, guardrails: Vec<GuardrailSpec>, change: impl Fn(&mut ModelSpec)) {
    let names: Vec<String> = guardrails.iter().map(|guardrail| guardrail.name.clone()).collect();
    let models =
        [("chat", "one", "openai"), ("claude", "claude", "anthropic")].map(|(name, deployed, provider)| {
            let mut model = model(name, vec![deployment(deployed, provider)]);
            model.guardrails.clone_from(&names);
            change(&mut model);
            model
        });
    world.install_guarded(models.into(), guardrails);
}

pub(crate) fn says(text: &str) -> Value {
    let mut body = question("chat");
    body["messages"][0]["content"] = json!(text);
    body
}

pub(crate) fn streamed(text: &str) -> Value {
    let mut body = says(text);
    body["stream"] = json!(true);
    body
}

pub(crate) fn answers(text: &str) -> Reply {
    let mut body = completion();
    body["choices"][0]["message"]["content"] = json!(text);
    Reply::json(200, &body)
}

fn chunk(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(
        "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":null}}]}}\n\n"
    )
}

const STOP: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

pub(crate) fn stream_of(pieces: &[&str], end: End) -> Reply {
    let mut chunks: Vec<String> = pieces.iter().map(|piece| chunk(piece)).collect();
    if end == End::Clean {
        chunks.extend([STOP, USAGE, DONE].map(str::to_owned));
    }
    Reply::events(&chunks.iter().map(String::as_str).collect::<Vec<_>>(), end)
}

pub(crate) async fn ask(world: &World, body: &Value) -> Answer {
    world.ask("/v1/chat/completions", &[], body).await
}

pub(crate) fn sent(world: &World) -> String {
    String::from_utf8(world.provider.seen().last().unwrap().body.to_vec()).unwrap()
}

/// All text of a stream of chat.
pub(crate) fn written(answer: &Answer) -> String {
    let data =
        answer.text().lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let texts = data.map(|data| serde_json::from_str::<Value>(data).unwrap());
    texts.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_request_with_a_secret_is_refused_sent_nowhere_and_costs_nothing() {
    let world = world(vec![guardrail("keys", Both, Block, SECRET)]).await;
    let refused = ask(&world, &says(&format!("use {KEY}"))).await;
    let error = &refused.json()["error"];
    assert_eq!((refused.status, error["code"].as_str()), (400, Some("guardrail.keys")));
    assert_eq!(error["type"], "invalid_request_error");
    assert_eq!(error["message"], "guardrail keys refuses the request: it has api_key in it");
    assert_eq!(refused.header("x-shipway-guardrails"), Some("keys=blocked"));
    assert_eq!(
        (refused.header("x-shipway-error"), refused.header("x-shipway-cost")),
        (Some("gateway.blocked"), Some("0.000000000"))
    );
    assert!(!refused.text().contains(KEY) && world.provider.seen().is_empty());
    let mut body = says(&format!("use {KEY}"));
    body["model"] = json!("claude");
    let refused = world.ask("/v1/messages", &[], &body).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["type"].as_str()),
        (400, Some("invalid_request_error"))
    );
    for call in world.settled(2).await {
        assert_eq!(
            (call.outcome, call.status, call.cost_nanos, call.reserved_nanos),
            (Outcome::Blocked, Some(400), 0, 0)
        );
        let verdict = &call.guardrails[0];
        assert_eq!(
            (verdict.guardrail.as_str(), verdict.on, verdict.verdict.as_str()),
            ("keys", Side::Input, "blocked")
        );
        assert_eq!((verdict.findings, verdict.labels.as_slice()), (1, ["api_key".to_owned()].as_slice()));
        assert!(!serde_json::to_string(&call).unwrap().contains(KEY));
    }
}

#[tokio::test]
async fn what_is_redacted_does_not_leave_and_comes_back_and_no_other_byte_changes() {
    let world = world(vec![guardrail("people", Input, Redact, MAIL)]).await;
    world
        .provider
        .answers("up-one", answers("Dear <EMAIL_1>, I wrote to <EMAIL_2> too; <EMAIL_3> is nobody."));
    let raw = r#"{ "model":"chat", "messages": [{"role":"user","content":"from ada@x.org\u0021 to bob@y.org, \u00e9 ada@x.org"}], "max_tokens" : 5 }"#;
    let request = http::Request::post("/v1/chat/completions").header("content-type", "application/json");
    let answer = world.raw(request.body(raw.into()).unwrap()).await;
    assert_eq!(
        sent(&world),
        r#"{ "model":"up-one", "messages": [{"role":"user","content":"from <EMAIL_1>! to <EMAIL_2>, \u00e9 <EMAIL_1>"}], "max_tokens" : 5 }"#.replace("\\u00e9", "\u{e9}")
    );
    let said = answer.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(said, "Dear ada@x.org, I wrote to bob@y.org too; <EMAIL_3> is nobody.");
    assert_eq!(answer.header("x-shipway-guardrails"), Some("people=redacted"));
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos, call.guardrails[0].findings), (Outcome::Answered, COST, 3));
    assert!(!serde_json::to_string(call).unwrap().contains("ada@"));
    // What looks like a placeholder already is left alone.
    let world = self::world(vec![guardrail("people", Input, Redact, MAIL)]).await;
    world.provider.answers("up-one", answers("<EMAIL_1> <EMAIL_2>"));
    let answer = ask(&world, &says("<EMAIL_1> is ada@x.org")).await;
    assert!(sent(&world).contains("<EMAIL_1> is <EMAIL_2>"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "<EMAIL_1> ada@x.org");
}

#[tokio::test]
async fn a_request_and_an_answer_in_which_nothing_is_found_stay_byte_for_byte() {
    let world =
        world(vec![guardrail("people", Both, Redact, MAIL), guardrail("keys", Both, Block, SECRET)]).await;
    world.provider.answers("up-one", answers("nothing \u{e9} here"));
    let raw =
        r#"{ "model":"up-one" , "messages":[{"content":"h\u0069 there","role":"user"}],"max_tokens":5}"#;
    let request = http::Request::post("/v1/chat/completions").header("content-type", "application/json");
    let answer = world.raw(request.body(raw.replace("up-one", "chat").into()).unwrap()).await;
    assert_eq!(sent(&world), raw);
    assert_eq!(answer.header("x-shipway-guardrails"), Some("passed"));
    let whole = stream_of(&["no", "thing ", "he", "re"], End::Clean);
    let world = self::world(vec![guardrail("people", Both, Redact, MAIL)]).await;
    let expected: Vec<u8> =
        whole.chunks.iter().filter(|chunk| **chunk != USAGE.as_bytes()).flatten().copied().collect();
    world.provider.answers("up-one", whole);
    assert_eq!(ask(&world, &streamed("hello")).await.body, expected);
    assert_eq!(world.settled(1).await[0].guardrails, []);
}

#[tokio::test]
async fn a_placeholder_that_a_stream_cuts_anywhere_is_put_back() {
    let text = "Dear <EMAIL_1>, hello <EMAIL_1>!";
    for cut in 1..text.len() {
        let world = world(vec![guardrail("people", Input, Redact, MAIL)]).await;
        world.provider.answers("up-one", stream_of(&[&text[..cut], "", &text[cut..]], End::Clean));
        let answer = ask(&world, &streamed("from ada@x.org")).await;
        assert_eq!(written(&answer), "Dear ada@x.org, hello ada@x.org!", "{cut}");
        assert!(answer.text().ends_with(DONE));
    }
}

#[tokio::test]
async fn an_answer_is_redacted_wherever_its_stream_cuts_it_and_its_own_findings_are_not_put_back() {
    let text = "ask bob@y.org or <EMAIL_1> now";
    for cut in 1..text.len() {
        let world = world(vec![guardrail("people", Both, Redact, MAIL)]).await;
        world.provider.answers("up-one", stream_of(&[&text[..cut], &text[cut..]], End::Clean));
        let answer = ask(&world, &streamed("from ada@x.org")).await;
        assert_eq!(written(&answer), "ask <EMAIL_2> or ada@x.org now", "{cut}");
        let call = &world.settled(1).await[0];
        let facts: Vec<_> =
            call.guardrails.iter().map(|fact| (fact.on, fact.findings, fact.verdict.as_str())).collect();
        assert_eq!(facts, [(Side::Input, 1, "redacted"), (Side::Output, 1, "redacted")]);
    }
}

#[tokio::test]
async fn a_violation_ends_the_stream_with_an_error_leaves_the_provider_and_is_charged() {
    for cut in 1..KEY.len() {
        let world = world(vec![guardrail("keys", Output, Block, SECRET)]).await;
        world.provider.answers(
            "up-one",
            stream_of(&["the key is ", &KEY[..cut], &KEY[cut..], ". and more"], End::Hang),
        );
        let answer = ask(&world, &streamed("hello")).await;
        assert_eq!((answer.status, written(&answer).as_str()), (200, "the key is "));
        let last = answer.text().trim_end().rsplit("data: ").next().unwrap();
        let error = &serde_json::from_str::<Value>(last).unwrap()["error"];
        assert_eq!(error["code"], "guardrail.keys");
        assert!(!answer.text().contains(&KEY[..4]) && !answer.text().contains("[DONE]"));
        world.provider.is_cancelled().await;
        let call = &world.settled(1).await[0];
        assert_eq!((call.outcome, call.is_estimated), (Outcome::Blocked, true));
        assert!(call.cost_nanos > 0 && call.guardrails[0].on == Side::Output);
    }
}

#[tokio::test]
async fn a_whole_answer_that_is_refused_is_charged_and_not_shown() {
    let world = world(vec![guardrail("keys", Output, Block, SECRET)]).await;
    world.provider.answers("up-one", answers(&format!("it is {KEY}")));
    let refused = ask(&world, &says(&format!("an input of {KEY} is none of its business"))).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("guardrail.keys")));
    assert_eq!(refused.json()["error"]["message"], "guardrail keys refuses the answer: it has api_key in it");
    assert!(!refused.text().contains(KEY));
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos), (Outcome::Blocked, COST));
}

#[tokio::test]
async fn annotations_are_told_and_shadows_only_counted() {
    let world =
        world(vec![guardrail("people", Both, Annotate, MAIL), guardrail("cards", Both, Shadow, CARD)]).await;
    world.provider.answers("up-one", answers("4111 1111 1111 1111"));
    let answer = ask(&world, &says("I am ada@x.org")).await;
    assert_eq!(answer.header("x-shipway-guardrails"), Some("people=annotated"));
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "4111 1111 1111 1111");
    assert!(sent(&world).contains("ada@x.org"));
    let call = &world.settled(1).await[0];
    let facts: Vec<_> = call
        .guardrails
        .iter()
        .map(|fact| (fact.guardrail.as_str(), fact.on, fact.verdict.as_str()))
        .collect();
    assert_eq!(facts, [("people", Side::Input, "annotated"), ("cards", Side::Output, "shadowed")]);
    let listed = world.native(Method::GET, "/api/v1/llm/guardrails", None).await.json();
    let cards = &listed["guardrails"][0];
    assert_eq!((cards["name"].as_str(), cards["models"].as_array().map(Vec::len)), (Some("cards"), Some(2)));
    assert_eq!((&cards["input"]["looked"], &cards["input"]["found"]), (&json!(1), &json!(0)));
    assert_eq!(
        (&cards["output"]["looked"], &cards["output"]["found"], &cards["output"]["findings"]),
        (&json!(1), &json!(1), &json!(1))
    );
    // What was counted stays when definitions change.
    install(&world, vec![guardrail("cards", Both, Block, CARD)], |_| {});
    let listed = world.native(Method::GET, "/api/v1/llm/guardrails", None).await.json();
    assert_eq!(listed["guardrails"][0]["output"]["found"], 1);
}

#[tokio::test]
async fn texts_of_every_kind_of_request_are_looked_at() {
    let world = world(vec![guardrail("people", Input, Redact, MAIL)]).await;
    let mail = "ada@x.org";
    let call = json!({ "id": "t", "type": "function", "function": { "name": "send", "arguments": format!("{{\"to\":\"{mail}\"}}") } });
    let messages = json!([
        { "role": "system", "content": mail },
        { "role": "assistant", "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "t", "content": [{ "type": "text", "text": mail }] },
        { "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "data:image/png;base64,ada@x.org" } }, { "type": "new", "said": mail }] },
    ]);
    let blocks = json!([
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "send", "input": { "name": mail, "deep": [{ "x": mail }] } }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": mail }] },
    ]);
    let items = json!([
        { "role": "user", "content": [{ "type": "input_text", "text": mail }] },
        { "type": "function_call", "call_id": "t", "name": "send", "arguments": format!("{{\"to\":\"{mail}\"}}") },
        { "type": "function_call_output", "call_id": "t", "output": mail },
    ]);
    for (path, body, count) in [
        ("/v1/chat/completions", json!({ "model": "chat", "messages": messages }), 4),
        ("/v1/completions", json!({ "model": "chat", "prompt": ["x", mail] }), 1),
        ("/v1/responses", json!({ "model": "chat", "instructions": mail, "input": items }), 4),
        ("/v1/responses", json!({ "model": "chat", "input": mail }), 1),
        ("/v1/embeddings", json!({ "model": "chat", "input": [mail, "x"] }), 1),
        (
            "/v1/messages",
            json!({ "model": "claude", "max_tokens": 5, "system": [{ "type": "text", "text": mail }], "messages": blocks }),
            4,
        ),
        (
            "/v1/messages/count_tokens",
            json!({ "model": "claude", "messages": [{ "role": "user", "content": mail }] }),
            1,
        ),
    ] {
        let upstream = if body["model"] == "chat" { "up-one" } else { "up-claude" };
        world.provider.answers(upstream, Reply::json(200, &json!({ "input_tokens": 1 })));
        let answer = world.ask(path, &[], &body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let sent = sent(&world);
        assert_eq!(sent.matches("<EMAIL_1>").count(), count, "{path}: {sent}");
        assert_eq!(
            sent.matches(mail).count(),
            usize::from(path.ends_with("chat/completions")),
            "{path}: {sent}"
        );
    }
}

#[tokio::test]
async fn values_are_put_back_into_arguments_as_json() {
    let quoted = r#"{"patterns":{"quoted":"NAME.*END"}}"#;
    let world = world(vec![guardrail("names", Input, Redact, quoted)]).await;
    let value = "NAME \"a\nb\" END";
    let said = says(&value.replace('\n', " "));
    let value = value.replace('\n', " ");
    let mut body = completion();
    body["choices"][0]["message"] = json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "t", "type": "function", "function": { "name": "send", "arguments": "{\"to\":\"<QUOTED_1>\"}" } },
    ]});
    world.provider.answers("up-one", Reply::json(200, &body));
    let answer = ask(&world, &said).await.json();
    let arguments = answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(serde_json::from_str::<Value>(&arguments).unwrap()["to"], value.as_str());
    // In Anthropic's streams the arguments come as pieces of JSON.
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n";
    let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"send\",\"input\":{}}}\n\n";
    let piece = |text: &str| {
        let text = serde_json::to_string(text).unwrap();
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{text}}}}}\n\n"
        )
    };
    let end = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let (first, second) = (piece("{\"to\":\"<QUO"), piece("TED_1>\"}"));
    world.provider.answers("up-claude", Reply::events(&[start, block, &first, &second, end], End::Clean));
    let mut body = streamed(&value);
    body["model"] = json!("claude");
    let answer = world.ask("/v1/messages", &[], &body).await;
    let data = answer.text().lines().filter_map(|line| line.strip_prefix("data: "));
    let json: String = data
        .filter_map(|data| {
            serde_json::from_str::<Value>(data).unwrap()["delta"]["partial_json"].as_str().map(str::to_owned)
        })
        .collect();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["to"], value.as_str());
}

#[tokio::test]
async fn tools_sizes_and_what_nobody_sees() {
    let world = world(vec![
        guardrail("tools", Both, Block, r#"{"tools":{"allow":["weather"]}}"#),
        guardrail("size", Input, Block, r#"{"size":{"messages":2}}"#),
        guardrail("unseen", Input, Redact, r#"{"unicode":["tags","zero_width"]}"#),
    ])
    .await;
    world.provider.answers("up-one", answers("fine"));
    let tool = |name: &str| json!([{ "type": "function", "function": { "name": name, "parameters": {} } }]);
    let mut body = says("pass\u{200B}word\u{E0041}\u{E0042}");
    body["tools"] = tool("weather");
    assert_eq!(ask(&world, &body).await.status, 200);
    assert!(sent(&world).contains("\"password\""));
    body["tools"] = tool("delete_all");
    let refused = ask(&world, &body).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("guardrail.tools")));
    let message = json!({ "role": "user", "content": "x" });
    let refused = ask(&world, &json!({ "model": "chat", "messages": [message, message, message] })).await;
    assert_eq!(
        refused.json()["error"]["message"],
        "guardrail size refuses the request: it has too many messages in it"
    );
    // A call of a tool in an answer, whole and streamed.
    let mut called = completion();
    called["choices"][0]["message"] = json!({ "role": "assistant", "tool_calls": tool("delete_all") });
    world.provider.answers("up-one", Reply::json(200, &called));
    world.provider.answers("up-one", Reply::json(200, &called));
    assert_eq!(ask(&world, &says("x")).await.status, 200);
    assert_eq!(ask(&world, &says("x")).await.json()["error"]["code"], "guardrail.tools");
    let call = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"delete_all\",\"arguments\":\"{}\"}}]},\"finish_reason\":null}]}\n\n";
    let stream = Reply::events(&[call, STOP, USAGE, DONE], End::Clean);
    world.provider.answers("up-one", stream.clone());
    world.provider.answers("up-one", stream);
    ask(&world, &says("x")).await;
    let answer = ask(&world, &streamed("x")).await;
    assert!(answer.text().contains("guardrail.tools") && !answer.text().contains("delete_all"));
}

#[tokio::test]
async fn nothing_that_is_written_strangely_hides_a_secret() {
    let world = world(vec![guardrail("keys", Input, Block, SECRET)]).await;
    world.provider.answers("up-one", answers("hi"));
    let head = r#"{"model":"chat","messages":[{"role":"user","#;
    for rest in [
        format!(r#""content":"{KEY}","content":"x"}}]}}"#),
        r#""cont\u0065nt":"AKIA\u0049OSFODNN7EXAMPLE"}]}"#.to_owned(),
        format!(r#""type":"\ud800","content":"{KEY} \ud800"}}]}}"#),
        format!(
            r#""content":[{{"type":"document","source":{{"type":"text","data":"{KEY} in a text"}}}}]}}]}}"#
        ),
        format!(r#""content":"x"}}],"messages":[{{"role":"user","content":"{KEY}"}}]}}"#),
        // What cannot be read does not go on.
        format!(r#""\ud800":"x","content":"{KEY}"}}]}}"#),
    ] {
        let request = http::Request::post("/v1/chat/completions").header("content-type", "application/json");
        let answer = world.raw(request.body(format!("{head}{rest}").into()).unwrap()).await;
        assert_eq!(answer.status, 400, "{rest}");
    }
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn a_refused_call_counts_as_a_request() {
    let world = world(vec![guardrail("keys", Input, Block, SECRET)]).await;
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let key = world.key(CreateKey { limits, ..CreateKey::default() }).await;
    let statuses = [world.chat(&key, &says(KEY)).await.status, world.chat(&key, &says(KEY)).await.status];
    assert_eq!(statuses, [400, 429]);
}

#[tokio::test]
async fn a_broken_stream_gives_what_was_held_and_then_says_that_it_broke() {
    let world = world(vec![guardrail("people", Both, Redact, MAIL)]).await;
    world.provider.answers("up-one", stream_of(&["hello ada"], End::Cut));
    let answer = ask(&world, &streamed("hello")).await;
    assert_eq!(written(&answer), "hello ada");
    assert!(answer.text().contains("upstream_error"));
}

#[tokio::test]
async fn a_text_is_tried_without_being_said_back() {
    let world =
        world(vec![guardrail("people", Both, Redact, MAIL), guardrail("keys", Both, Block, SECRET)]).await;
    let text = format!("first line\nm\u{e9}l ada@x.org and {KEY}");
    let tried = world.native(Method::POST, "/api/v1/llm/guardrails/try", Some(json!({ "text": text }))).await;
    let answer = tried.json();
    assert_eq!(answer["text"], "first line\nm\u{e9}l <EMAIL_1> and <API_KEY_1>");
    let found = &answer["findings"][0];
    assert_eq!((&found["guardrail"], &found["label"]), (&json!("people"), &json!("email")));
    assert_eq!((&found["line"], &found["column"], &found["bytes"]), (&json!(2), &json!(5), &json!(9)));
    assert!(!tried.text().contains(KEY) && !tried.text().contains("ada@"));
    let one = json!({ "text": text, "guardrails": ["keys"] });
    let answer = world.native(Method::POST, "/api/v1/llm/guardrails/try", Some(one)).await.json();
    assert_eq!(answer["findings"].as_array().map(Vec::len), Some(1));
    let unknown = json!({ "text": "", "guardrails": ["nobody"] });
    let refused = world.native(Method::POST, "/api/v1/llm/guardrails/try", Some(unknown)).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (404, Some("gateway.not_found")));
    let listed = world.native(Method::GET, "/api/v1/llm/guardrails", None).await.json();
    assert_eq!(listed["guardrails"][0]["input"]["looked"], 0);
}

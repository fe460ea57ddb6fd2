//! What is kept of what is asked and answered: by policy, beside the call, never in the ledger.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use shipway_core::{Sampling, Timestamp};
use shipway_gateway::{
    CallContent, CallRow, CarryError, ContentKeep, ContentSpec, Found, GatewayError, GuardrailAction,
    GuardrailOn, GuardrailSpec, ModelSpec, Outcome, Question, TraceStore,
};
use shipway_guardrails::Detector;

use crate::world::{End, Reply, World, completion, deployment, model, question};

/// A store in memory, which refuses as often as it is told to.
#[derive(Default)]
struct Kept {
    rows: Mutex<Vec<CallContent>>,
    refusals: Mutex<u32>,
    asked: Mutex<Vec<Question>>,
}

#[async_trait]
impl TraceStore for Kept {
    async fn put(&self, contents: &[CallContent]) -> Result<(), CarryError> {
        let mut refusals = self.refusals.lock().unwrap();
        if *refusals > 0 {
            *refusals -= 1;
            return Err(Box::new(GatewayError::LedgerBehind));
        }
        self.rows.lock().unwrap().extend_from_slice(contents);
        Ok(())
    }

    async fn tidy(&self, _before: Option<Timestamp>, _now: Timestamp) -> Result<u64, CarryError> {
        Ok(0)
    }

    async fn find(&self, question: &Question) -> Result<Found, CarryError> {
        self.asked.lock().unwrap().push(question.clone());
        let row = CallRow::from_iter([("call".to_owned(), json!("c"))]);
        Ok(Found { calls: vec![row], next: Some("n".to_owned()), searched_since: None })
    }

    async fn call(&self, call: &str) -> Result<Option<CallRow>, CarryError> {
        let rows = self.rows.lock().unwrap();
        let known = rows.iter().any(|row| row.call == call);
        Ok(known.then(|| CallRow::from_iter([("call".to_owned(), json!(call))])))
    }

    async fn content(&self, call: &str) -> Result<Option<CallContent>, CarryError> {
        Ok(self.rows.lock().unwrap().iter().find(|row| row.call == call).cloned())
    }
}

impl Kept {
    async fn rows(&self, count: usize) -> Vec<CallContent> {
        let all_there = async {
            loop {
                let rows = self.rows.lock().unwrap().clone();
                if rows.len() >= count {
                    return rows;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), all_there).await.unwrap()
    }
}

fn keeping(keep: ContentKeep) -> ModelSpec {
    let content = ContentSpec { keep, share: Sampling::All, most_bytes: 4_096 };
    ModelSpec { content: Some(content), ..model("chat", vec![deployment("one", "openai")]) }
}

fn emails() -> GuardrailSpec {
    GuardrailSpec {
        name: "emails".to_owned(),
        on: GuardrailOn::Both,
        action: GuardrailAction::Redact,
        detector: serde_json::from_value::<Detector>(json!({ "personal": ["email"] })).unwrap(),
    }
}

async fn world(models: Vec<ModelSpec>, guardrails: Vec<GuardrailSpec>) -> (World, Arc<Kept>) {
    let world = World::new().await;
    world.install_guarded(models, guardrails);
    let kept = Arc::new(Kept::default());
    world.gateway.keep_traces_in(Arc::clone(&kept) as Arc<dyn TraceStore>);
    (world, kept)
}

fn parsed(text: &Option<String>) -> Value {
    text.as_ref().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

fn said(role: &str, text: &str) -> Value {
    json!([{ "role": role, "parts": [{ "type": "text", "content": text }] }])
}

#[tokio::test]
async fn nothing_is_kept_unless_the_model_says_so() {
    let (world, kept) = world(
        vec![model("chat", vec![deployment("one", "openai")]), {
            let mut other = keeping(ContentKeep::Full);
            (other.name, other.called) = ("kept".to_owned(), Vec::new());
            other
        }],
        Vec::new(),
    )
    .await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    assert_eq!(world.ask("/v1/chat/completions", &[], &question("chat")).await.status, 200);
    assert_eq!(world.ask("/v1/chat/completions", &[], &question("kept")).await.status, 200);
    let rows = kept.rows(1).await;
    assert_eq!((rows.len(), rows[0].model.as_str(), rows[0].keep.as_str()), (1, "kept", "full"));
    assert_eq!(parsed(&rows[0].asked), said("user", "hello"));
    let mut answered = said("assistant", "hi");
    answered[0]["finish_reason"] = json!("stop");
    assert_eq!(parsed(&rows[0].answered), answered);
    assert_eq!((rows[0].words.as_str(), rows[0].is_cut), (" hello \n hi ", false));
    let facts = world.settled(2).await;
    let by = |name: &str| facts.iter().find(|fact| fact.model == name).unwrap();
    assert_eq!((by("chat").content.as_deref(), by("kept").content.as_deref()), (None, Some("full")));
    assert_eq!(by("kept").call, rows[0].call);
    let entry = serde_json::to_string(by("kept")).unwrap();
    assert!(!entry.contains("hello"), "words are in no entry of the ledger: {entry}");
}

#[tokio::test]
async fn a_stream_is_kept_as_it_passes_and_also_where_its_caller_leaves() {
    let (world, kept) = world(vec![keeping(ContentKeep::Full)], Vec::new()).await;
    let piece = |text: &str| {
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
    };
    let end =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    // Wherever the network cuts it.
    let (first, second) = (piece("hel"), piece("lo"));
    let (cut, rest) = second.split_at(20);
    world.provider.answers("up-one", Reply::events(&[&format!("{first}{cut}"), rest, end], End::Clean));
    let mut streamed = question("chat");
    streamed["stream"] = json!(true);
    assert_eq!(world.ask("/v1/chat/completions", &[], &streamed).await.status, 200);
    let mut expected = said("assistant", "hello");
    expected[0]["finish_reason"] = json!("stop");
    assert_eq!(parsed(&kept.rows(1).await[0].answered), expected);
    // The caller leaves after the first piece.
    world.provider.answers_only("up-one", Reply::events(&[&first], End::Hang));
    let mut body = world.send("/v1/chat/completions", &[], &streamed).await.into_body().into_data_stream();
    assert!(futures::StreamExt::next(&mut body).await.is_some());
    drop(body);
    assert_eq!(parsed(&kept.rows(2).await[1].answered), said("assistant", "hel"));
    assert_eq!(world.settled(2).await[1].outcome, Outcome::Abandoned);
}

#[tokio::test]
async fn what_is_redacted_has_nothing_that_a_guardrail_finds() {
    let mut spec = keeping(ContentKeep::Redacted);
    spec.guardrails = vec!["emails".to_owned()];
    let (world, kept) = world(vec![spec], vec![emails()]).await;
    let mut answer = completion();
    answer["choices"][0]["message"]["content"] = json!("write to bob@example.com");
    world.provider.answers("up-one", Reply::json(200, &answer));
    let mut asked = question("chat");
    asked["messages"][0]["content"] = json!("I am ann@example.com");
    let told = world.ask("/v1/chat/completions", &[], &asked).await;
    assert_eq!(told.status, 200);
    let rows = kept.rows(1).await;
    let row = &rows[0];
    let all = format!("{:?}{:?}{}", row.asked, row.answered, row.words);
    assert!(!all.contains("ann") && !all.contains("bob"), "{all}");
    assert!(row.words.contains(" i am ") && row.words.contains(" write to "), "{}", row.words);
    assert_eq!(row.keep, "redacted");
}

#[tokio::test]
async fn what_is_full_is_what_the_caller_wrote_and_got_also_where_a_guardrail_took_it_out_on_the_way() {
    let mut spec = keeping(ContentKeep::Full);
    spec.guardrails = vec!["emails".to_owned()];
    let (world, kept) = world(vec![spec], vec![emails()]).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let mut asked = question("chat");
    asked["messages"][0]["content"] = json!("I am ann@example.com");
    assert_eq!(world.ask("/v1/chat/completions", &[], &asked).await.status, 200);
    assert_eq!(parsed(&kept.rows(1).await[0].asked), said("user", "I am ann@example.com"));
    assert!(!world.provider.seen()[0].json().to_string().contains("ann@example.com"));
}

#[tokio::test]
async fn a_call_that_is_refused_has_what_was_asked() {
    let mut spec = keeping(ContentKeep::Full);
    spec.guardrails = vec!["emails".to_owned()];
    let blocking = GuardrailSpec { action: GuardrailAction::Block, ..emails() };
    let (world, kept) = world(vec![spec], vec![blocking]).await;
    let mut asked = question("chat");
    asked["messages"][0]["content"] = json!("I am ann@example.com");
    assert_eq!(world.ask("/v1/chat/completions", &[], &asked).await.status, 400);
    let rows = kept.rows(1).await;
    assert_eq!((parsed(&rows[0].asked), &rows[0].answered), (said("user", "I am ann@example.com"), &None));
}

#[tokio::test]
async fn what_is_longer_is_cut_and_says_so() {
    let mut spec = keeping(ContentKeep::Full);
    spec.content = Some(ContentSpec { most_bytes: 256, ..spec.content.unwrap() });
    let (world, kept) = world(vec![spec], Vec::new()).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let mut asked = question("chat");
    asked["messages"] = json!([
        { "role": "system", "content": "s".repeat(300) },
        { "role": "user", "content": "u".repeat(100) },
    ]);
    assert_eq!(world.ask("/v1/chat/completions", &[], &asked).await.status, 200);
    let row = kept.rows(1).await.remove(0);
    assert!(row.is_cut);
    let messages = parsed(&row.asked);
    assert_eq!(messages[1]["parts"][0]["content"], "u".repeat(100), "the last message goes first");
    assert_eq!(messages[0]["parts"][0]["content"], "s".repeat(28));
}

#[tokio::test]
async fn calls_go_on_where_there_is_no_room_for_their_words_and_the_record_says_so() {
    let (world, kept) = world(vec![keeping(ContentKeep::Full)], Vec::new()).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let mut asked = question("chat");
    // More than all words together may have.
    asked["messages"][0]["content"] = json!("x".repeat(9 << 20));
    assert_eq!(world.ask("/v1/chat/completions", &[], &asked).await.status, 200);
    assert_eq!(world.ask("/v1/chat/completions", &[], &question("chat")).await.status, 200);
    let facts = world.settled(2).await;
    assert_eq!((facts[0].content.as_deref(), facts[1].content.as_deref()), (Some("shed"), Some("full")));
    let rows = kept.rows(1).await;
    assert_eq!((rows.len(), rows[0].call.as_str()), (1, facts[1].call.as_str()));
}

#[tokio::test]
async fn a_store_that_refuses_is_asked_again() {
    let (world, kept) = world(vec![keeping(ContentKeep::Full)], Vec::new()).await;
    *kept.refusals.lock().unwrap() = 1;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    assert_eq!(world.ask("/v1/chat/completions", &[], &question("chat")).await.status, 200);
    assert_eq!(kept.rows(1).await.len(), 1);
}

#[tokio::test]
async fn a_share_keeps_whole_sessions() {
    let mut spec = keeping(ContentKeep::Full);
    let share = Sampling::PerMillion(500_000);
    spec.content = Some(ContentSpec { share, ..spec.content.unwrap() });
    let (world, _kept) = world(vec![spec], Vec::new()).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    for session in ["a", "b", "c", "d"] {
        for _ in 0..2 {
            let headers = [("x-shipway-session", session)];
            assert_eq!(world.ask("/v1/chat/completions", &headers, &question("chat")).await.status, 200);
        }
    }
    for fact in world.settled(8).await {
        let session = fact.labels.session.unwrap();
        assert_eq!(fact.content.is_some(), share.keeps(session.as_bytes()), "{session}");
    }
}

#[tokio::test]
async fn what_callers_say_of_a_call_is_in_its_record_and_goes_to_no_provider() {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let mut asked = question("chat");
    asked["metadata"] = json!({ "team": "from body", "ticket": "7", "number": 5 });
    let headers = [
        ("x-shipway-session", "s1"),
        ("x-shipway-tag-team", "from header"),
        ("x-shipway-prompt", "greeting@3"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    assert_eq!(world.ask("/v1/chat/completions", &headers, &asked).await.status, 200);
    let labels = world.settled(1).await.remove(0).labels;
    assert_eq!((labels.session.as_deref(), labels.prompt.as_deref()), (Some("s1"), Some("greeting@3")));
    assert_eq!(labels.trace.as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    let tags: Vec<(&str, &str)> =
        labels.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("team", "from header"), ("ticket", "7")]);
    let seen = world.provider.seen();
    assert!(seen[0].headers.keys().all(|name| !name.as_str().starts_with("x-shipway")));
}

#[tokio::test]
async fn calls_are_found_shown_and_read_over_http() {
    let (world, kept) = world(vec![keeping(ContentKeep::Full)], Vec::new()).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let answer = world.ask("/v1/chat/completions", &[], &question("chat")).await;
    let call = answer.header("x-shipway-call").unwrap().to_owned();
    kept.rows(1).await;
    let search = |body: Value| world.native(Method::POST, "/api/v1/llm/traces/search", Some(body));
    let found = search(json!({ "model": "chat", "text": "Hello", "limit": 3 })).await;
    assert_eq!((found.status, &found.json()["next"]), (200, &json!("n")));
    assert_eq!(found.json()["traces"], json!([{ "call": "c" }]));
    let asked = kept.asked.lock().unwrap().remove(0);
    assert_eq!((asked.phrases, asked.limit), (vec![" hello ".to_owned()], 3));
    for wrong in [json!({ "modell": "chat" }), json!({ "text": "?" }), json!({ "outcome": "fine" })] {
        assert_eq!(search(wrong.clone()).await.status, 400, "{wrong}");
    }
    let shown = world.native(Method::GET, &format!("/api/v1/llm/traces/{call}"), None).await;
    assert_eq!((shown.status, &shown.json()["call"]), (200, &json!(call)));
    let content = world.native(Method::GET, &format!("/api/v1/llm/traces/{call}/content"), None).await;
    assert_eq!((content.status, content.header("cache-control")), (200, Some("no-store")));
    assert_eq!(content.json()["asked"], said("user", "hello"));
    for unknown in ["0".repeat(32), "no-id".to_owned()] {
        for tail in ["", "/content"] {
            let path = format!("/api/v1/llm/traces/{unknown}{tail}");
            assert_eq!(world.native(Method::GET, &path, None).await.status, 404, "{path}");
        }
    }
}

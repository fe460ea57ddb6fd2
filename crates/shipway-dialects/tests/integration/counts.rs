//! Counting across APIs: what is sent of a request, and that a count is the provider's or none.

use serde_json::{Value, json};
use shipway_dialects::Dialect;
use shipway_dialects::translate::{Counted, Maker, Options, can_count, count_answer, count_request};

const MESSAGES: Dialect = Dialect::AnthropicMessages;
const RESPONSES: Dialect = Dialect::OpenAiResponses;
const GENERATE: Dialect = Dialect::GeminiGenerate;
const CONVERSE: Dialect = Dialect::BedrockConverse;

fn counted(from: Dialect, dialect: Dialect, within: Option<&str>, body: &Value) -> (Value, Vec<String>) {
    let options = Options {
        maker: Maker::of_bedrock("anthropic.claude-x"),
        lossy: Default::default(),
        ..Options::default()
    };
    let body = body.to_string();
    let asked =
        count_request(from, Counted { dialect, within }, Some(("m", false)), body.as_bytes(), &options)
            .unwrap();
    let dropped = asked.dropped.into_iter().map(|one| one.field).collect();
    (serde_json::from_slice(&asked.body).unwrap(), dropped)
}

fn messages() -> Value {
    json!({
        "model": "m",
        "system": "be brief",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    })
}

#[test]
fn what_counts_of_messages_goes_to_every_api_that_counts() {
    let (openai, dropped) = counted(MESSAGES, RESPONSES, None, &messages());
    assert_eq!(
        openai,
        json!({
            "model": "m", "instructions": "be brief", "input": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false}],
        })
    );
    assert_eq!(dropped, [""; 0]);
    let (vertex, _) = counted(MESSAGES, GENERATE, None, &messages());
    assert_eq!(vertex["contents"], json!([{"role": "user", "parts": [{"text": "hi"}]}]));
    assert!(
        vertex["systemInstruction"].is_object() && vertex["tools"].is_array() && vertex["model"].is_null()
    );
    // Gemini's own API counts the contents alone, unless what would be asked stands within.
    let (gemini, _) = counted(MESSAGES, GENERATE, Some("gemini-x"), &messages());
    assert_eq!(gemini["generateContentRequest"]["model"], "models/gemini-x");
    assert_eq!(gemini["generateContentRequest"]["contents"], vertex["contents"]);
    assert_eq!(gemini.as_object().unwrap().len(), 1);
    let (bedrock, _) = counted(MESSAGES, CONVERSE, None, &messages());
    let names: Vec<&String> = bedrock["input"]["converse"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["messages", "system", "toolConfig"]);
}

#[test]
fn what_changes_answers_alone_is_left_out_and_what_changes_the_count_is_not() {
    let asked = json!({
        "generateContentRequest": {
            "model": "models/m",
            "contents": [{"parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "generationConfig": {"temperature": 0.1, "seed": 7, "maxOutputTokens": 5, "stopSequences": ["x"]},
        },
    });
    let (anthropic, dropped) = counted(GENERATE, MESSAGES, None, &asked);
    assert_eq!(
        anthropic,
        json!({
            "model": "m", "system": [{"type": "text", "text": "be brief"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        })
    );
    assert_eq!(dropped, ["generationConfig.seed"]);
    let response = json!({"model": "m", "input": "hi", "personality": "friendly", "truncation": "auto"});
    let (anthropic, dropped) = counted(RESPONSES, MESSAGES, None, &response);
    assert!(anthropic.get("max_tokens").is_none() && anthropic.get("personality").is_none());
    assert_eq!(dropped, ["personality", "truncation"]);
}

#[test]
fn what_lies_at_one_provider_cannot_be_counted_by_another() {
    let body = json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"}).to_string();
    let to = Counted { dialect: MESSAGES, within: None };
    let refused = count_request(RESPONSES, to, None, body.as_bytes(), &Options::default()).unwrap_err();
    assert_eq!(refused.field(), Some("previous_response_id"));
    let refused = count_request(RESPONSES, to, None, b"[1]", &Options::default()).unwrap_err();
    assert_eq!(refused.field(), None);
    assert!(!can_count(MESSAGES, Dialect::OpenAiChat) && !can_count(Dialect::OpenAiEmbeddings, MESSAGES));
}

#[test]
fn a_count_is_told_in_the_words_of_the_client_or_is_a_failure() {
    let said = [
        (MESSAGES, json!({"input_tokens": 12})),
        (RESPONSES, json!({"object": "response.input_tokens", "input_tokens": 12})),
        (GENERATE, json!({"totalTokens": 12})),
    ];
    for (from, answer) in [(CONVERSE, json!({"inputTokens": 12}))].iter().chain(&said) {
        for (to, told) in &said {
            let got = count_answer(*from, *to, answer.to_string().as_bytes()).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&got).unwrap(), *told);
        }
        for broken in ["{}", "<html>", r#"{"error":{"message":"no"}}"#, r#"{"input_tokens":"12"}"#] {
            count_answer(*from, MESSAGES, broken.as_bytes()).unwrap_err();
        }
    }
}

#[test]
fn bedrock_counts_for_models_of_anthropic_whichever_region_answers() {
    let counted = Maker::counted_by_bedrock;
    assert_eq!(counted("us.anthropic.claude-x-v1:0"), Some("anthropic.claude-x-v1:0"));
    assert_eq!(counted("anthropic.claude-x-v1:0"), Some("anthropic.claude-x-v1:0"));
    let arn = "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-x-v1:0";
    assert_eq!(counted(arn), Some("anthropic.claude-x-v1:0"));
    assert_eq!(counted("amazon.nova-pro-v1:0"), None);
    assert_eq!(counted("arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc"), None);
}

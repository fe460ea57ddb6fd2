//! What a model said and thought comes back to its provider as it was, whatever dialect the client speaks: the client
//! gives back the answer it got, with the result of a tool, and the provider sees its own words.

use serde_json::{Value, json};
use shipway_dialects::Dialect;
use shipway_dialects::translate::{Context, Options, answer, can_translate, request};

/// The next request of a client that has `answer` before it, with a result for each call.
fn next_turn(client: Dialect, answer: &Value) -> Value {
    match client {
        Dialect::OpenAiChat => {
            let message = &answer["choices"][0]["message"];
            let mut messages = vec![json!({"role": "user", "content": "Weather?"}), message.clone()];
            for call in message["tool_calls"].as_array().unwrap() {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "rain"}));
            }
            json!({"model": "m", "max_tokens": 9, "messages": messages})
        }
        Dialect::OpenAiResponses => {
            let mut input = vec![json!({"role": "user", "content": "Weather?"})];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            for call in
                answer["output"].as_array().unwrap().iter().filter(|item| item["type"] == "function_call")
            {
                input.push(
                    json!({"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}),
                );
            }
            json!({"model": "m", "max_output_tokens": 9, "input": input})
        }
        Dialect::AnthropicMessages => {
            let calls =
                answer["content"].as_array().unwrap().iter().filter(|block| block["type"] == "tool_use");
            let results: Vec<Value> = calls
                .map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "rain"}))
                .collect();
            json!({"model": "m", "max_tokens": 9, "messages": [
                {"role": "user", "content": "Weather?"},
                {"role": "assistant", "content": answer["content"]},
                {"role": "user", "content": results},
            ]})
        }
        _ => {
            let content = &answer["candidates"][0]["content"];
            let calls =
                content["parts"].as_array().unwrap().iter().filter_map(|part| part.get("functionCall"));
            let results: Vec<Value> = calls
                .map(|call| json!({"functionResponse": {"name": call["name"], "response": {"output": "rain"}}}))
                .collect();
            json!({"generationConfig": {"maxOutputTokens": 9}, "contents": [
                {"role": "user", "parts": [{"text": "Weather?"}]}, content, {"role": "user", "parts": results},
            ]})
        }
    }
}

/// What the provider is sent after its own `said` went through every client that can reach it.
fn comes_back(provider: Dialect, said: &Value) -> Vec<(Dialect, Value)> {
    // A completion has no calls.
    let clients = Dialect::ALL.into_iter().filter(|client| *client != Dialect::OpenAiCompletions);
    let clients = clients.filter(|client| can_translate(*client, provider));
    let turn = |client: Dialect| {
        let context = Context { model: "m", ..Context::default() };
        let answered = answer(provider, client, said.to_string().as_bytes(), &context).unwrap();
        let next = next_turn(client, &serde_json::from_slice(&answered).unwrap());
        let call = Some(("m", false));
        let sent = request(client, provider, call, next.to_string().as_bytes(), &Options::default()).unwrap();
        (client, serde_json::from_slice(&sent.body).unwrap())
    };
    clients.map(turn).collect()
}

#[test]
fn anthropics_thoughts_and_signatures_come_back_through_every_client() {
    let content = json!([
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmF0dXJl"},
        {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]);
    let said = json!({"id": "msg_1", "content": content, "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});

    let back = comes_back(Dialect::AnthropicMessages, &said);

    assert_eq!(back.len(), 3);
    for (client, sent) in back {
        assert_eq!(sent["messages"][1]["content"], content, "{client}");
        let results = json!([
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]},
            {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "rain"}]},
        ]);
        assert_eq!(sent["messages"][2]["content"], results, "{client}");
    }
}

#[test]
fn geminis_signatures_come_back_onto_the_call_they_stood_on() {
    let parts = json!([
        {"text": "I look."},
        {"functionCall": {"id": "g1", "name": "weather", "args": {"city": "Oslo"}}, "thoughtSignature": "Z2VtaW5p"},
        {"functionCall": {"id": "g2", "name": "now", "args": {}}},
    ]);
    let said = json!({"responseId": "r", "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]});

    let back = comes_back(Dialect::GeminiGenerate, &said);

    assert_eq!(back.len(), 3);
    for (client, sent) in back {
        assert_eq!(sent["contents"][1]["parts"], parts, "{client}");
        assert_eq!(sent["contents"][2]["parts"][1]["functionResponse"]["id"], "g2", "{client}");
    }
}

#[test]
fn what_a_provider_of_chat_thought_comes_back_to_it() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}});
    let message =
        json!({"role": "assistant", "content": "I look.", "reasoning_content": "Hm", "tool_calls": [call]});
    let said =
        json!({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});

    let back = comes_back(Dialect::OpenAiChat, &said);

    assert_eq!(back.len(), 3);
    for (client, sent) in back {
        assert_eq!(sent["messages"][1], message, "{client}");
        assert_eq!(sent["messages"][2]["tool_call_id"], "call_1", "{client}");
    }
}

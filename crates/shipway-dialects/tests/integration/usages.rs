//! Tokens in one convention, whichever convention the provider has.

use serde_json::{Value, json};
use shipway_dialects::{Dialect, Usage};

fn of(dialect: Dialect, usage: Value) -> Usage {
    let name = if dialect == Dialect::GeminiGenerate { "usageMetadata" } else { "usage" };
    Usage::of_answer(dialect, json!({"id": "x", name: usage}).to_string().as_bytes()).unwrap().unwrap()
}

#[test]
fn each_token_of_the_input_is_counted_once_in_both_conventions() {
    let within = of(
        Dialect::OpenAiChat,
        json!({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
               "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}}),
    );
    let beside = of(
        Dialect::AnthropicMessages,
        json!({"input_tokens": 10, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 30, "output_tokens": 10}),
    );

    assert_eq!(within, beside);
    assert_eq!((within.input, within.total_input(), within.total()), (10, 100, 110));
}

#[test]
fn reasoning_is_part_of_the_output_however_it_is_stated() {
    let within = json!({"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 6}});
    let beside = json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 14, "completion_tokens_details": {"reasoning_tokens": 6}});
    let gemini = json!({"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": 6, "totalTokenCount": 14});

    let wanted = Usage { input: 5, output: 9, reasoning: 6, ..Usage::default() };
    assert_eq!(of(Dialect::OpenAiChat, within), wanted);
    assert_eq!(of(Dialect::OpenAiChat, beside), wanted);
    assert_eq!(of(Dialect::GeminiGenerate, gemini), wanted);
}

#[test]
fn caches_that_last_longer_are_told_apart() {
    let anthropic = of(
        Dialect::AnthropicMessages,
        json!({"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 50,
               "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}}),
    );
    let openai = of(
        Dialect::OpenAiResponses,
        json!({"input_tokens": 51, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 50,
               "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 30}}}),
    );

    assert_eq!((anthropic.cache_write, anthropic.cache_write_long), (20, 30));
    assert_eq!(openai, anthropic);
}

#[test]
fn figures_that_contradict_each_other_never_count_twice() {
    let usage = of(
        Dialect::OpenAiChat,
        json!({"prompt_tokens": 10, "completion_tokens": 2,
               "prompt_tokens_details": {"cached_tokens": 50, "audio_tokens": 70},
               "completion_tokens_details": {"reasoning_tokens": 9, "audio_tokens": 8}}),
    );

    assert_eq!((usage.total_input(), usage.cache_read, usage.input_audio), (10, 10, 0));
    assert_eq!((usage.output, usage.reasoning, usage.output_audio), (2, 2, 2));
}

#[test]
fn an_answer_without_usage_has_none() {
    assert_eq!(Usage::of_answer(Dialect::OpenAiChat, br#"{"usage":null}"#).unwrap(), None);
    assert_eq!(Usage::of_answer(Dialect::OpenAiChat, br#"{"choices":[]}"#).unwrap(), None);
    assert!(Usage::of_answer(Dialect::OpenAiChat, b"<html>").is_err());
}

#[test]
fn embeddings_have_an_input_only() {
    let usage = of(Dialect::OpenAiEmbeddings, json!({"prompt_tokens": 8, "total_tokens": 8}));

    assert_eq!(usage, Usage { input: 8, ..Usage::default() });
}

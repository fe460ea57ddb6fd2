//! `llm traces`: calls that were made, found by what is known of them and by their words, and one of them wholly.

use std::process::ExitCode;

use serde_json::{Map, Value as Json, json};
use shipway_dialects::Nanos;

use super::{Context, items, shown};
use crate::{
    arguments::LlmTraceFilter,
    client::segment,
    failure::CommandFailure,
    output::{self, member},
};

pub(super) async fn list(context: &Context, filter: &LlmTraceFilter) -> Result<ExitCode, CommandFailure> {
    let answer = context.client.post("/llm/traces/search", &question(filter)?).await?;
    shown(context, &answer, || {
        let rows = items(&answer, "traces").map(|call| {
            vec![
                output::moment_of(call, "at"),
                member(call, "caller"),
                member(call, "model"),
                member(call, "deployment"),
                member(call, "outcome"),
                member(call, "status"),
                tokens(call),
                dollars(call),
                milliseconds(&call["took_us"]),
                member(call, "session"),
                member(call, "call"),
            ]
        });
        let head = [
            "at",
            "caller",
            "model",
            "deployment",
            "outcome",
            "status",
            "tokens",
            "dollars",
            "ms",
            "session",
            "call",
        ];
        output::table(&head, rows.collect(), "no calls");
        if let Some(next) = answer["next"].as_str() {
            let so_far = match answer["searched_since"].as_str() {
                Some(since) => format!("looked back to {since} only; to look on"),
                None => "there may be more".to_owned(),
            };
            output::note(format!("{so_far}: --before {next}"));
        }
    })
}

/// The question as the API takes it: what is not given is left out.
fn question(filter: &LlmTraceFilter) -> Result<Json, CommandFailure> {
    let mut asked = Map::new();
    for (name, value) in [
        ("model", &filter.model),
        ("deployment", &filter.deployment),
        ("key", &filter.key),
        ("group", &filter.group),
        ("user", &filter.user),
        ("session", &filter.session),
        ("prompt", &filter.prompt),
        ("trace", &filter.trace),
        ("outcome", &filter.outcome),
        ("cache", &filter.cache),
        ("guardrail", &filter.guardrail),
        ("verdict", &filter.verdict),
        ("since", &filter.since),
        ("until", &filter.until),
        ("min_dollars", &filter.min_dollars),
        ("text", &filter.text),
        ("before", &filter.before),
    ] {
        if let Some(value) = value {
            asked.insert(name.to_owned(), json!(value));
        }
    }
    let mut tags = Map::new();
    for tag in &filter.tags {
        let (name, value) = tag.split_once('=').ok_or_else(|| {
            CommandFailure::new(format!("tag {tag}: there is no value")).with_hint("write --tag name=value")
        })?;
        tags.insert(name.to_owned(), json!(value));
    }
    asked.insert("tags".to_owned(), Json::Object(tags));
    asked.insert("limit".to_owned(), json!(filter.limit));
    if let Some(status) = filter.status {
        asked.insert("status".to_owned(), json!(status));
    }
    if let Some(ms) = filter.min_ms {
        asked.insert("min_ms".to_owned(), json!(ms));
    }
    Ok(Json::Object(asked))
}

/// One call wholly. Its words are shown as far as they are kept and its reader may read them.
pub(super) async fn show(context: &Context, call: &str) -> Result<ExitCode, CommandFailure> {
    let path = format!("/llm/traces/{}", segment(call));
    let facts = context.client.get(&path).await?;
    let content = match context.client.get(&format!("{path}/content")).await {
        Ok(content) => Ok(content),
        Err(refused) if refused.code.is_some() => Err(refused.message),
        Err(failure) => return Err(failure),
    };
    let both = json!({ "call": facts, "content": content.clone().ok() });
    shown(context, &both, || {
        print_facts(&facts);
        print_attempts(&facts);
        print_findings(&facts);
        match &content {
            Ok(content) => print_content(content),
            Err(message) => output::note(message),
        }
    })
}

fn print_facts(call: &Json) {
    let pairs = [
        ("call", member(call, "call")),
        ("at", member(call, "at")),
        ("caller", member(call, "caller")),
        ("key", member(call, "key")),
        ("groups", member(call, "groups")),
        ("user", member(call, "user")),
        ("session", member(call, "session")),
        ("prompt", member(call, "prompt")),
        ("tags", pairs_of(&call["tags"])),
        ("trace", member(call, "trace")),
        ("model", format!("{}, asked as {}", member(call, "model"), member(call, "asked"))),
        ("api", member(call, "api")),
        ("answered by", format!("{} ({})", member(call, "deployment"), member(call, "upstream_model"))),
        ("outcome", format!("{} {}", member(call, "outcome"), member(call, "status"))),
        ("error", member(call, "error")),
        ("tokens", tokens_in_words(call)),
        ("dollars", dollars_in_words(call)),
        ("took", format!("{} ms", milliseconds(&call["took_us"]))),
        ("first token after", format!("{} ms", milliseconds(&call["first_token_us"]))),
        ("cache", member(call, "cache")),
        ("content", member(call, "content")),
    ];
    let rows = pairs.into_iter().filter(|(_, value)| !matches!(value.as_str(), "-" | "- ms" | "- (-)"));
    output::table(&["", ""], rows.map(|(name, value)| vec![name.to_owned(), value]).collect(), "");
}

fn print_attempts(call: &Json) {
    let rows = items(call, "attempts").map(|attempt| {
        let dropped: Vec<String> = items(attempt, "dropped").map(output::cell).collect();
        vec![
            member(attempt, "deployment"),
            member(attempt, "why"),
            member(attempt, "result"),
            member(attempt, "status"),
            milliseconds(&attempt["took_us"]),
            member(attempt, "translated_to"),
            dropped.join(", "),
        ]
    });
    let head = ["attempt", "why", "result", "status", "ms", "translated to", "left out"];
    output::table(&head, rows.collect(), "no attempt");
}

fn print_findings(call: &Json) {
    let rows: Vec<Vec<String>> = items(call, "guardrails")
        .map(|found| {
            let labels: Vec<String> = items(found, "labels").map(output::cell).collect();
            vec![
                member(found, "guardrail"),
                member(found, "on"),
                member(found, "verdict"),
                member(found, "findings"),
                labels.join(", "),
            ]
        })
        .collect();
    if !rows.is_empty() {
        output::table(&["guardrail", "on", "verdict", "findings", "what"], rows, "");
    }
}

fn print_content(content: &Json) {
    for message in items(content, "asked").chain(items(content, "answered")) {
        output::line(format!("\n[{}]", member(message, "role")));
        for part in items(message, "parts") {
            output::line(part_in_words(part));
        }
    }
    if content["is_cut"] == true {
        output::note("what was longer than the model's definition keeps was cut");
    }
}

fn part_in_words(part: &Json) -> String {
    match part["type"].as_str() {
        Some("reasoning") => format!("(thinks) {}", member(part, "content")),
        Some("tool_call") => format!("(calls {}) {}", member(part, "name"), member(part, "arguments")),
        Some("tool_call_response") => format!("(result) {}", member(part, "response")),
        Some("media") => match part["uri"].as_str() {
            Some(uri) => format!("({}) {uri}", member(part, "modality")),
            None => format!("({}, {} bytes)", member(part, "modality"), member(part, "bytes")),
        },
        _ => member(part, "content"),
    }
}

fn pairs_of(tags: &Json) -> String {
    let pairs = tags.as_object().into_iter().flatten();
    let words: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", output::cell(value))).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

fn count(call: &Json, name: &str) -> u64 {
    call[name].as_u64().unwrap_or(0)
}

fn input_tokens(call: &Json) -> u64 {
    ["input_tokens", "cache_read_tokens", "cache_write_tokens"].iter().map(|name| count(call, name)).sum()
}

fn tokens(call: &Json) -> String {
    output::count(input_tokens(call) + count(call, "output_tokens"))
}

fn tokens_in_words(call: &Json) -> String {
    format!(
        "{} in ({} out of the provider's cache, {} into it), {} out ({} for reasoning){}",
        output::count(input_tokens(call)),
        count(call, "cache_read_tokens"),
        count(call, "cache_write_tokens"),
        output::count(count(call, "output_tokens")),
        count(call, "reasoning_tokens"),
        if call["is_estimated"] == true { ", estimated" } else { "" },
    )
}

fn dollars(call: &Json) -> String {
    Nanos(call["cost_nanos"].as_i64().unwrap_or(0)).to_string()
}

fn dollars_in_words(call: &Json) -> String {
    if call["is_unpriced"] == true {
        return "not known".to_owned();
    }
    format!("{} of {} reserved", dollars(call), Nanos(call["reserved_nanos"].as_i64().unwrap_or(0)))
}

fn milliseconds(us: &Json) -> String {
    us.as_i64().map_or_else(|| "-".to_owned(), |us| format!("{:.1}", us as f64 / 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_what_they_are() {
        for (part, words) in [
            (json!({ "type": "text", "content": "hi" }), "hi"),
            (json!({ "type": "tool_call", "name": "find", "arguments": "{}" }), "(calls find) {}"),
            (json!({ "type": "tool_call_response", "response": "42" }), "(result) 42"),
            (json!({ "type": "media", "modality": "image", "bytes": 7 }), "(image, 7 bytes)"),
            (json!({ "type": "reasoning", "content": "hm" }), "(thinks) hm"),
        ] {
            assert_eq!(part_in_words(&part), words);
        }
    }

    #[test]
    fn tokens_are_those_of_the_provider_with_its_cache() {
        let call = json!({ "input_tokens": 1200, "cache_read_tokens": 3, "output_tokens": 5, "took_us": 1500, "cost_nanos": 10 });
        assert_eq!((tokens(&call).as_str(), milliseconds(&call["took_us"]).as_str()), ("1,208", "1.5"));
        assert_eq!(milliseconds(&Json::Null), "-");
    }
}

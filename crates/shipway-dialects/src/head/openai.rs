//! Heads of OpenAI's requests: chat, completions, responses, embeddings.

use std::ops::Range;

use crate::dialect::Dialect;
use crate::head::{BadRequest, Head, StreamOptions};
use crate::json::{Kind, NotJson, Reader};

/// As many and as long as OpenAI takes them.
const MOST_METADATA: usize = 16;
const LONGEST_METADATA: usize = 512;

/// What the parts of a request say that only together mean something.
#[derive(Default)]
struct Parts {
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    best_of: Option<u64>,
    prompts: u64,
    asks_usage: bool,
    store: Option<bool>,
}

pub(super) fn read(
    dialect: Dialect,
    reader: &mut Reader<'_>,
    head: &mut Head,
) -> Result<Range<usize>, BadRequest> {
    let mut parts = Parts { prompts: 1, ..Parts::default() };
    let range = reader.object(|name, value| {
        if name == "provider" {
            return head.read_preferences(value);
        }
        if every(head, name, value)? {
            return Ok(());
        }
        match dialect {
            Dialect::OpenAiResponses => responses(head, &mut parts, name, value),
            Dialect::OpenAiEmbeddings => embeddings(head, name, value),
            Dialect::OpenAiMedia => media(head, &mut parts, name, value),
            _ => chat(head, &mut parts, name, value),
        }
        .map_err(BadRequest::from)
    })?;
    match dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => {
            // The newer name counts where both are there: the older one is ignored by models that reason.
            head.max_output_tokens = parts.max_completion_tokens.or(parts.max_tokens);
            let each = parts.n.unwrap_or(1).max(parts.best_of.unwrap_or(1));
            head.choices = each.saturating_mul(parts.prompts.max(1));
            head.stream_usage = parts.asks_usage;
        }
        Dialect::OpenAiMedia => {
            head.choices = parts.n.unwrap_or(1);
            head.stream_usage = true;
        }
        _ => head.stream_usage = true,
    }
    head.is_kept = dialect == Dialect::OpenAiResponses && parts.store.unwrap_or(true);
    Ok(range)
}

/// What all of them have; whether the member was one of these.
fn every(head: &mut Head, name: &str, value: &mut Reader<'_>) -> Result<bool, NotJson> {
    match name {
        "model" => head.read_model(value)?,
        "stream" => head.stream = value.flag_or_skip()?.unwrap_or(false),
        "user" => head.user = value.text_or_skip()?.map(Into::into),
        "prompt_cache_key" => head.session = value.text_or_skip()?.map(Into::into),
        "service_tier" => head.service_tier = value.text_or_skip()?.map(Into::into),
        "metadata" => head.metadata = pairs(value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Names and values; what is no text, and what is more than OpenAI takes, is left out.
fn pairs(value: &mut Reader<'_>) -> Result<Vec<(String, String)>, NotJson> {
    let mut pairs = Vec::new();
    value.object_or_skip(|name, member| {
        let text = member.text_or_skip()?;
        if let Some(text) = text.filter(|text| pairs.len() < MOST_METADATA && text.len() <= LONGEST_METADATA)
        {
            pairs.push((name.to_owned(), text.into_owned()));
        }
        Ok::<_, NotJson>(())
    })?;
    Ok(pairs)
}

/// A prompt that its provider keeps.
fn kept_prompt(value: &mut Reader<'_>) -> Result<Option<String>, NotJson> {
    let (mut id, mut version) = (None, None);
    value.object_or_skip(|name, member| {
        match name {
            "id" => id = member.text_or_skip()?,
            "version" => version = member.text_or_skip()?,
            _ => member.pass()?,
        }
        Ok::<_, NotJson>(())
    })?;
    Ok(id.map(|id| match version {
        Some(version) => format!("{id}@{version}"),
        None => id.into_owned(),
    }))
}

fn chat(head: &mut Head, parts: &mut Parts, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "messages" => head.read_content(value),
        "prompt" => prompts(head, parts, value),
        "tools" | "functions" => tools(head, value),
        "max_tokens" => count(&mut parts.max_tokens, value),
        "max_completion_tokens" => count(&mut parts.max_completion_tokens, value),
        "n" => count(&mut parts.n, value),
        "best_of" => count(&mut parts.best_of, value),
        "reasoning_effort" => {
            head.reasoning = value.text_or_skip()?.is_some_and(|effort| effort != "none");
            Ok(())
        }
        "response_format" => {
            head.structured_output = is_structured(value)?;
            Ok(())
        }
        "stream_options" => stream_options(head, parts, value),
        _ => value.pass(),
    }
}

fn stream_options(head: &mut Head, parts: &mut Parts, value: &mut Reader<'_>) -> Result<(), NotJson> {
    parts.asks_usage = false;
    head.places.stream_options = Some(match value.kind()? {
        Kind::Null => StreamOptions::Null(value.skip()?),
        Kind::Object => {
            let mut flag = None;
            let range = value.object(|name, option| {
                let start = *option;
                let range = option.skip()?;
                if name == "include_usage" {
                    parts.asks_usage = { start }.flag_or_skip()?.unwrap_or(false);
                    flag = Some(range);
                }
                Ok::<_, NotJson>(())
            })?;
            StreamOptions::Object(range, flag)
        }
        _ => {
            value.pass()?;
            StreamOptions::Strange
        }
    });
    Ok(())
}

/// A prompt is a text, a list of texts, a list of tokens, or a list of lists of tokens.
fn prompts(head: &mut Head, parts: &mut Parts, value: &mut Reader<'_>) -> Result<(), NotJson> {
    let start = *value;
    head.read_input(value)?;
    let mut texts = 0_u64;
    { start }.array_or_skip(|item| {
        if item.kind()? != Kind::Number {
            texts += 1;
        }
        item.pass()
    })?;
    parts.prompts = texts.max(1);
    Ok(())
}

fn responses(head: &mut Head, parts: &mut Parts, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "prompt" => {
            head.prompt = kept_prompt(value)?;
            Ok(())
        }
        "store" => {
            parts.store = value.flag_or_skip()?;
            Ok(())
        }
        "input" => head.read_content(value),
        "instructions" => head.read_input(value),
        "tools" => tools(head, value),
        "max_output_tokens" => count(&mut head.max_output_tokens, value),
        "previous_response_id" => {
            head.previous_response = value.text_or_skip()?.map(Into::into);
            Ok(())
        }
        "reasoning" => {
            head.reasoning = value.filled_or_skip()?;
            Ok(())
        }
        "text" => {
            let mut structured = false;
            value.object_or_skip(|name, option| {
                if name == "format" {
                    structured = is_structured(option)?;
                    return Ok(());
                }
                option.pass()
            })?;
            head.structured_output = structured;
            Ok(())
        }
        _ => value.pass(),
    }
}

fn embeddings(head: &mut Head, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    if name == "input" { head.read_input(value) } else { value.pass() }
}

fn media(head: &mut Head, parts: &mut Parts, name: &str, value: &mut Reader<'_>) -> Result<(), NotJson> {
    match name {
        "input" => head.read_content(value),
        "prompt" | "instructions" => head.read_input(value),
        "n" => count(&mut parts.n, value),
        // Of speech that is streamed as events.
        "stream_format" => {
            head.stream |= value.text_or_skip()?.is_some_and(|format| format == "sse");
            Ok(())
        }
        _ => value.pass(),
    }
}

fn tools(head: &mut Head, value: &mut Reader<'_>) -> Result<(), NotJson> {
    let start = *value;
    head.read_input(value)?;
    head.tools |= { start }.filled_or_skip()?;
    Ok(())
}

/// `{"type": "json_object"}` or `{"type": "json_schema", …}`; `{"type": "text"}` is none.
fn is_structured(value: &mut Reader<'_>) -> Result<bool, NotJson> {
    let mut structured = false;
    value.object_or_skip(|name, member| {
        if name == "type" {
            structured = member.text_or_skip()?.is_some_and(|kind| kind != "text");
            return Ok(());
        }
        member.pass()
    })?;
    Ok(structured)
}

pub(super) fn count(into: &mut Option<u64>, value: &mut Reader<'_>) -> Result<(), NotJson> {
    *into = value.count_or_skip()?;
    Ok(())
}

//! What a call used, in one convention, whichever convention its provider has.
//!
//! OpenAI and Gemini count tokens that came out of a cache within the input, Anthropic and Bedrock beside it; Gemini counts
//! thoughts beside the output, OpenAI and Anthropic within it. Here each token of the input is in exactly one of
//! `input`, `cache_read` and the `cache_write_…`, so that each has one price, and `output` has everything that was
//! written.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::{Dialect, Family};
use crate::json::{NotJson, Reader};

/// Tokens and other things that a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the input that neither came out of a cache nor were written to one.
    pub input: u64,
    /// Tokens of the input that came out of a cache.
    pub cache_read: u64,
    /// Tokens of the input that were written to a cache which keeps them for minutes (Anthropic 5, OpenAI 30), or for
    /// a time that the provider does not say.
    pub cache_write: u64,
    /// Tokens of the input that were written to a cache which keeps them for an hour or more.
    pub cache_write_long: u64,
    /// Tokens of the output, all of them.
    pub output: u64,
    /// Those of `output` that are reasoning.
    pub reasoning: u64,
    /// Those of `input` that are sound.
    pub input_audio: u64,
    /// Those of `input` that are images.
    pub input_image: u64,
    /// Those of `output` that are sound.
    pub output_audio: u64,
    /// Those of `output` that are images.
    pub output_image: u64,
    /// Searches of the web that the provider ran.
    pub searches: u64,
}

impl Usage {
    /// All tokens that the model read.
    pub const fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_long)
    }

    /// All tokens, read and written.
    pub const fn total(&self) -> u64 {
        self.total_input().saturating_add(self.output)
    }

    /// Adds what another call used.
    pub const fn add(&mut self, other: &Self) {
        self.input = self.input.saturating_add(other.input);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cache_write_long = self.cache_write_long.saturating_add(other.cache_write_long);
        self.output = self.output.saturating_add(other.output);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.input_audio = self.input_audio.saturating_add(other.input_audio);
        self.input_image = self.input_image.saturating_add(other.input_image);
        self.output_audio = self.output_audio.saturating_add(other.output_audio);
        self.output_image = self.output_image.saturating_add(other.output_image);
        self.searches = self.searches.saturating_add(other.searches);
    }

    /// The usage that a whole answer states; `None` if it states none. The answer must be JSON of `dialect`.
    pub fn of_answer(dialect: Dialect, body: &[u8]) -> Result<Option<Self>, NotJson> {
        let wanted = if dialect.family() == Family::Gemini { "usageMetadata" } else { "usage" };
        let mut found = None;
        Reader::new(body).object(|name, value| {
            let range = value.skip()?;
            if name == wanted {
                found = Some(range);
            }
            Ok::<_, NotJson>(())
        })?;
        let Some(range) = found else { return Ok(None) };
        let mut usage = Self::default();
        Ok(usage.read(dialect, body.get(range).unwrap_or_default()).then_some(usage))
    }

    /// The tier of service that a whole answer says it was served at; `None` if it says none. The answer must be JSON of `dialect`.
    pub fn service_tier_of_answer(dialect: Dialect, body: &[u8]) -> Result<Option<String>, NotJson> {
        let (within, member) = match dialect.family() {
            Family::Anthropic => ("usage", "service_tier"),
            Family::Bedrock => ("serviceTier", "type"),
            Family::OpenAi | Family::Gemini => return text_member(body, "service_tier"),
        };
        let mut found = None;
        Reader::new(body).object(|name, value| {
            let range = value.skip()?;
            if name == within {
                found = Some(range);
            }
            Ok::<_, NotJson>(())
        })?;
        found.map_or(Ok(None), |range| text_member(body.get(range).unwrap_or_default(), member))
    }

    /// Takes over what an object of usage says, JSON in the dialect's shape; what it does not say stays as it was,
    /// since the parts of a stream may say it bit by bit. False if it is null or no object.
    pub(crate) fn read(&mut self, dialect: Dialect, json: &[u8]) -> bool {
        serde_json::from_slice(json).is_ok_and(|value| self.take(dialect, &value))
    }

    /// As [`Self::read`], of JSON that is read already.
    pub(crate) fn take(&mut self, dialect: Dialect, usage: &Value) -> bool {
        if !usage.is_object() {
            return false;
        }
        match dialect.family() {
            Family::Anthropic => self.take_anthropic(usage),
            Family::Gemini => *self = of_gemini(usage),
            Family::OpenAi => *self = of_openai(usage),
            Family::Bedrock => *self = of_bedrock(usage),
        }
        true
    }

    fn take_anthropic(&mut self, usage: &Value) {
        let keep = |into: &mut u64, pointer: &str| {
            if let Some(value) = count(usage, pointer) {
                *into = value;
            }
        };
        keep(&mut self.input, "/input_tokens");
        keep(&mut self.cache_read, "/cache_read_input_tokens");
        keep(&mut self.output, "/output_tokens");
        keep(&mut self.reasoning, "/output_tokens_details/thinking_tokens");
        keep(&mut self.reasoning, "/output_tokens_details/reasoning_tokens");
        keep(&mut self.searches, "/server_tool_use/web_search_requests");
        keep(&mut self.cache_write_long, "/cache_creation/ephemeral_1h_input_tokens");
        // The sum comes in every part, its parts only in the first.
        if let Some(written) = count(usage, "/cache_creation_input_tokens") {
            self.cache_write = written.saturating_sub(self.cache_write_long);
        } else {
            keep(&mut self.cache_write, "/cache_creation/ephemeral_5m_input_tokens");
        }
    }
}

/// The member `service_tier` of an object; anything else has none.
pub(crate) fn service_tier_of(json: &[u8]) -> Result<Option<String>, NotJson> {
    text_member(json, "service_tier")
}

fn text_member(json: &[u8], member: &str) -> Result<Option<String>, NotJson> {
    let mut found = None;
    Reader::new(json).object_or_skip(|name, value| {
        if name == member {
            found = value.text_or_skip()?.map(Into::into);
            return Ok(());
        }
        value.pass()
    })?;
    Ok(found)
}

/// Chat, completions and embeddings say `prompt_tokens`, responses say `input_tokens`; else they are alike.
fn of_openai(usage: &Value) -> Usage {
    let either = |first: &str, second: &str| count(usage, first).or_else(|| count(usage, second));
    let detail = |name: &str| {
        either(&format!("/prompt_tokens_details/{name}"), &format!("/input_tokens_details/{name}"))
    };
    let out_detail = |name: &str| {
        either(&format!("/completion_tokens_details/{name}"), &format!("/output_tokens_details/{name}"))
            .unwrap_or(0)
    };
    let prompt = either("/prompt_tokens", "/input_tokens").unwrap_or(0);
    let cache_read =
        detail("cached_tokens").or_else(|| count(usage, "/prompt_cache_hit_tokens")).unwrap_or(0).min(prompt);
    let written = detail("cache_write_tokens").unwrap_or(0).min(prompt - cache_read);
    let cache_write_long = detail("cache_write_tokens_details/ttl_12h_tokens").unwrap_or(0).min(written);
    let reasoning = out_detail("reasoning_tokens");
    let mut output = either("/completion_tokens", "/output_tokens").unwrap_or(0);
    // Some count reasoning beside the output; only the total gives it away.
    let beside = prompt.saturating_add(output).saturating_add(reasoning);
    if reasoning > 0 && count(usage, "/total_tokens") == Some(beside) {
        output = output.saturating_add(reasoning);
    }
    Usage {
        input: prompt - cache_read - written,
        cache_read,
        cache_write: written - cache_write_long,
        cache_write_long,
        output,
        reasoning: reasoning.min(output),
        input_audio: detail("audio_tokens").unwrap_or(0),
        input_image: detail("image_tokens").unwrap_or(0),
        output_audio: out_detail("audio_tokens"),
        output_image: out_detail("image_tokens"),
        searches: 0,
    }
    .consistent()
}

fn of_gemini(usage: &Value) -> Usage {
    let number = |name: &str| count(usage, &format!("/{name}")).unwrap_or(0);
    let modality = |list: &str, modality: &str| {
        let of = |item: &Value| {
            (item.get("modality").and_then(Value::as_str) == Some(modality))
                .then(|| count(item, "/tokenCount"))?
        };
        usage.get(list).and_then(Value::as_array).map_or(0, |items| items.iter().filter_map(of).sum())
    };
    let prompt = number("promptTokenCount").saturating_add(number("toolUsePromptTokenCount"));
    let cache_read = number("cachedContentTokenCount").min(prompt);
    let reasoning = number("thoughtsTokenCount");
    Usage {
        input: prompt - cache_read,
        cache_read,
        output: number("candidatesTokenCount").saturating_add(reasoning),
        reasoning,
        input_audio: modality("promptTokensDetails", "AUDIO"),
        input_image: modality("promptTokensDetails", "IMAGE"),
        output_audio: modality("candidatesTokensDetails", "AUDIO"),
        output_image: modality("candidatesTokensDetails", "IMAGE"),
        ..Usage::default()
    }
    .consistent()
}

/// Bedrock's Converse counts what caches give and take beside the input, and thoughts within the output.
fn of_bedrock(usage: &Value) -> Usage {
    let number = |name: &str| count(usage, &format!("/{name}")).unwrap_or(0);
    let written = number("cacheWriteInputTokens");
    let long = |detail: &Value| {
        (detail.get("ttl").and_then(Value::as_str) == Some("1h")).then(|| count(detail, "/inputTokens"))?
    };
    let details = usage.get("cacheDetails").and_then(Value::as_array);
    let cache_write_long =
        details.map_or(0, |details| details.iter().filter_map(long).sum::<u64>()).min(written);
    Usage {
        input: number("inputTokens"),
        cache_read: number("cacheReadInputTokens"),
        cache_write: written - cache_write_long,
        cache_write_long,
        output: number("outputTokens"),
        ..Usage::default()
    }
}

impl Usage {
    /// No part is larger than its whole, so that what has a price of its own is never charged beyond what was used.
    pub(crate) fn consistent(mut self) -> Self {
        self.input_audio = self.input_audio.min(self.input);
        self.input_image = self.input_image.min(self.input - self.input_audio);
        self.output_audio = self.output_audio.min(self.output);
        self.output_image = self.output_image.min(self.output - self.output_audio);
        self
    }
}

pub(crate) fn count(value: &Value, pointer: &str) -> Option<u64> {
    // Not by `Value::pointer`, which makes two texts at every step.
    let number = pointer.split('/').skip(1).try_fold(value, |value, step| value.get(step))?;
    number.as_u64().or_else(|| number.as_f64().filter(|float| *float >= 0.0).map(|float| float as u64))
}

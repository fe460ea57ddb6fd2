//! Writes answers of Gemini, whole and in a stream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::failure::{ApiError, Cause};
use crate::finish::Finish;
use crate::translate::form::{Answer, Opening, Origin, Part, PartKind, REDACTED, Seal, Step};
use crate::translate::{Context, Totals};
use crate::usage::Usage;

pub(in crate::translate) fn write(answer: Answer, context: &Context<'_>) -> Result<Value, ApiError> {
    let mut parts = Vec::new();
    let mut signature = None;
    for part in answer.parts {
        if let Some(mut value) = part_of(part, &mut signature)? {
            if let Some(signature) = signature.take() {
                value["thoughtSignature"] = Value::String(signature);
            }
            parts.push(value);
        }
    }
    parts.extend(signature.map(|signature| json!({"text": "", "thoughtSignature": signature})));
    let usage = answer.usage.unwrap_or(Usage { input: context.input_tokens, ..Usage::default() });
    let mut body = response(&answer.id, parts, Some(&answer.finish), Some(&usage), context);
    for (name, value) in answer.rest {
        body.entry(name).or_insert(value);
    }
    Ok(Value::Object(body))
}

/// A part, unless it is Gemini's own signature: that stands on the part behind it.
fn part_of(part: Part, signature: &mut Option<String>) -> Result<Option<Value>, ApiError> {
    Ok(Some(match part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => json!({"text": text}),
        PartKind::Thinking { text, seal: Some(seal) } if seal.origin == Origin::Gemini && text.is_empty() => {
            *signature = Some(seal.data);
            return Ok(None);
        }
        PartKind::Thinking { text, seal: Some(seal) } => sealed(&text, &seal),
        PartKind::Thinking { text, seal: None } => json!({"text": text, "thought": true}),
        PartKind::Redacted(seal) => redacted(&seal),
        PartKind::ToolUse { id, name, arguments } => call(&id, &name, &arguments)?,
        PartKind::Medium(_) | PartKind::ToolResult { .. } => {
            return Err(ApiError::new(
                Cause::Upstream,
                "the provider's answer has a part that cannot be translated",
            ));
        }
    }))
}

fn sealed(text: &str, seal: &Seal) -> Value {
    let own = seal.origin == Origin::Gemini;
    let signature = if own { seal.data.clone() } else { STANDARD.encode(seal.to_text(Origin::Gemini)) };
    json!({"text": text, "thought": true, "thoughtSignature": signature})
}

fn redacted(seal: &Seal) -> Value {
    sealed("", &Seal { origin: seal.origin, data: format!("{REDACTED}{}", seal.data) })
}

fn call(id: &str, name: &str, arguments: &str) -> Result<Value, ApiError> {
    let args = crate::translate::messages::blocks_out::input(arguments, "args").map_err(|_| {
        ApiError::new(
            Cause::Upstream,
            format!("the model calls {name} with arguments that are no JSON object"),
        )
    })?;
    Ok(json!({"functionCall": {"id": id, "name": name, "args": args}}))
}

fn response(
    id: &str,
    parts: Vec<Value>,
    finish: Option<&Finish>,
    usage: Option<&Usage>,
    context: &Context<'_>,
) -> Map<String, Value> {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.to_gemini().into();
    }
    let mut body = Map::new();
    body.insert("candidates".to_owned(), json!([candidate]));
    if let Some(usage) = usage {
        body.insert("usageMetadata".to_owned(), usage_of(usage));
    }
    body.insert("modelVersion".to_owned(), context.model.into());
    body.insert("responseId".to_owned(), id.into());
    body
}

/// Usage in Gemini's shape: thoughts beside what was written.
fn usage_of(usage: &Usage) -> Value {
    json!({
        "promptTokenCount": usage.total_input(),
        "cachedContentTokenCount": usage.cache_read,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "thoughtsTokenCount": usage.reasoning,
        "totalTokenCount": usage.total(),
    })
}

/// Writes the chunks of a stream. A call goes out whole, once its arguments are.
#[derive(Debug, Default)]
pub(in crate::translate) struct GeminiWriter {
    id: String,
    open: Option<Opening>,
    arguments: String,
    signature: Option<String>,
    finish: Option<Finish>,
}

impl GeminiWriter {
    pub(in crate::translate) fn write(
        &mut self,
        step: Step,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ApiError> {
        let part = match step {
            Step::Start { id, .. } => {
                self.id = id;
                return Ok(());
            }
            Step::Open(Opening::Redacted(seal)) => redacted(&seal),
            Step::Open(opening) => {
                self.arguments.clear();
                self.open = Some(opening);
                return Ok(());
            }
            Step::Text(text) | Step::Refusal(text) => json!({"text": text}),
            Step::Thinking(text) => json!({"text": text, "thought": true}),
            Step::Seal(seal) if seal.origin == Origin::Gemini => {
                self.signature = Some(seal.data);
                return Ok(());
            }
            Step::Seal(seal) => sealed("", &seal),
            Step::Arguments(fragment) => {
                self.arguments.push_str(&fragment);
                return Ok(());
            }
            Step::Close => match self.open.take() {
                Some(Opening::ToolUse { id, name }) => call(&id, &name, &self.arguments)?,
                _ => return Ok(()),
            },
            Step::Finish { finish, .. } => {
                self.finish = Some(finish);
                return Ok(());
            }
        };
        self.chunk(part, context, out);
        Ok(())
    }

    /// The chunk that has the reason to finish and the usage; there is no terminator behind it.
    pub(in crate::translate) fn end(&mut self, totals: &Totals, context: &Context<'_>, out: &mut Vec<u8>) {
        let finish = self.finish.take().unwrap_or(Finish::Stop);
        let signature = self.signature.take();
        let parts = signature.map(|signature| json!({"text": "", "thoughtSignature": signature}));
        let last =
            response(&self.id, parts.into_iter().collect(), Some(&finish), Some(&totals.usage), context);
        data(out, last);
    }

    fn chunk(&mut self, mut part: Value, context: &Context<'_>, out: &mut Vec<u8>) {
        if let Some(signature) = self.signature.take() {
            part["thoughtSignature"] = Value::String(signature);
        }
        data(out, response(&self.id, vec![part], None, None, context));
    }
}

fn data(out: &mut Vec<u8>, body: Map<String, Value>) {
    out.extend_from_slice(format!("data: {}\n\n", Value::Object(body)).as_bytes());
}

//! The span of a call that is sampled, with the attributes of OpenTelemetry's conventions for generative AI, and one below it for each
//! attempt. A call that is not sampled has none.

use std::time::{Duration, Instant};

use shipway_dialects::Dialect;
use shipway_web::spans::{Span, SpanAttribute, SpanKind, current};

use crate::{
    ledger::{AttemptFact, CallFact, Outcome},
    model::ProviderKind,
};

const NANOS_OF_A_DOLLAR: f64 = 1e9;
const MICROS_OF_A_SECOND: f64 = 1e6;

/// The span of a call.
#[derive(Debug)]
pub(super) struct CallSpan {
    span: Span,
    operation: &'static str,
    provider: Option<&'static str>,
    finish_reasons: Vec<String>,
}

impl CallSpan {
    /// Begins it, if the request is sampled.
    pub(super) fn begin(api: Dialect, asked: &str) -> Option<Box<Self>> {
        let request = current()?;
        let operation = operation(api);
        let span = request.begins(format!("{operation} {asked}"), SpanKind::Client);
        Some(Box::new(Self { span, operation, provider: None, finish_reasons: Vec::new() }))
    }

    /// An attempt that is over, or that has begun to be answered.
    pub(super) fn attempted(&self, attempt: &AttemptFact) {
        let now = Instant::now();
        let took = Duration::from_micros(u64::try_from(attempt.took_us).unwrap_or(0));
        let mut attributes = vec![
            SpanAttribute::new("shipway.llm.deployment", attempt.deployment.clone()),
            SpanAttribute::new("shipway.llm.attempt.reason", attempt.why.clone()),
            SpanAttribute::new("shipway.llm.attempt.result", attempt.result.clone()),
        ];
        let status = attempt.status.map(|status| ("http.response.status_code", i64::from(status)));
        attributes.extend(status.map(|(key, status)| SpanAttribute::new(key, status)));
        let translated_to = attempt.translated_to.clone();
        attributes
            .extend(translated_to.map(|api| SpanAttribute::new("shipway.llm.attempt.translated_to", api)));
        let is_answered = attempt.result == "answered";
        if !is_answered {
            attributes.push(SpanAttribute::new("error.type", attempt.result.clone()));
        }
        let has_failed = !is_answered && attempt.result != "cancelled";
        let error = has_failed.then_some(attempt.result.as_str());
        self.span.asked("attempt", (now.checked_sub(took).unwrap_or(now), now), attributes, error);
    }

    /// Whose deployment answers.
    pub(super) fn answered_by(&mut self, kind: ProviderKind) {
        self.provider = Some(provider(kind));
    }

    pub(super) fn finished(&mut self, reasons: Vec<String>) {
        self.finish_reasons = reasons;
    }

    /// Says how the call went. The span goes on to whoever ends it.
    pub(super) fn over(self, fact: &CallFact) -> Span {
        self.span.set_all(self.of_the_call(fact));
        self.span.set_all(of_usage(fact));
        let error = fact.error.as_deref().unwrap_or_default();
        match fact.outcome {
            Outcome::Answered | Outcome::Abandoned | Outcome::Lost => {}
            Outcome::Failed | Outcome::Broken => self.span.fail(fact.outcome.word(), error),
            // It is the caller's own.
            Outcome::Refused | Outcome::Blocked => {
                self.span.set(SpanAttribute::new("error.type", fact.outcome.word()));
            }
        }
        self.span
    }

    fn of_the_call(&self, fact: &CallFact) -> Vec<SpanAttribute> {
        let mut attributes = vec![
            SpanAttribute::new("gen_ai.operation.name", self.operation),
            SpanAttribute::new("gen_ai.request.model", fact.asked.clone()),
            SpanAttribute::new("gen_ai.request.stream", fact.is_stream),
            SpanAttribute::new("shipway.llm.call.id", fact.call.clone()),
            SpanAttribute::new("shipway.llm.model", fact.model.clone()),
            SpanAttribute::new("shipway.llm.outcome", fact.outcome.word()),
            SpanAttribute::new(
                "shipway.llm.attempts",
                i64::try_from(fact.attempts.len()).unwrap_or(i64::MAX),
            ),
        ];
        let texts = [
            ("gen_ai.provider.name", self.provider.map(str::to_owned)),
            ("gen_ai.response.model", fact.upstream_model.clone()),
            ("gen_ai.conversation.id", fact.labels.session.clone()),
            ("gen_ai.prompt.name", fact.labels.prompt.clone()),
            ("user.id", fact.user.clone()),
            ("shipway.llm.deployment", fact.deployment.clone()),
            ("shipway.llm.cache", fact.cache.clone()),
        ];
        let said = texts.into_iter().filter_map(|(key, text)| Some(SpanAttribute::new(key, text?)));
        attributes.extend(said);
        if !self.finish_reasons.is_empty() {
            attributes
                .push(SpanAttribute::new("gen_ai.response.finish_reasons", self.finish_reasons.clone()));
        }
        if let Some(first_us) = fact.first_token_us.filter(|_| fact.is_stream) {
            let seconds = first_us as f64 / MICROS_OF_A_SECOND;
            attributes.push(SpanAttribute::new("gen_ai.response.time_to_first_chunk", seconds));
        }
        attributes
    }
}

/// Input is all of it, the provider's cache included, as the conventions have it.
fn of_usage(fact: &CallFact) -> Vec<SpanAttribute> {
    let tokens = &fact.tokens;
    let mut attributes = Vec::new();
    let input = tokens.input + tokens.cache_read + tokens.cache_write;
    if input + tokens.output > 0 {
        let counts = [
            ("gen_ai.usage.input_tokens", input),
            ("gen_ai.usage.output_tokens", tokens.output),
            ("gen_ai.usage.cache_read.input_tokens", tokens.cache_read),
            ("gen_ai.usage.cache_write.input_tokens", tokens.cache_write),
            ("gen_ai.usage.reasoning.output_tokens", tokens.reasoning),
        ];
        let counts = counts.into_iter().filter_map(|(key, count)| Some((key, i64::try_from(count).ok()?)));
        attributes.extend(counts.map(|(key, count)| SpanAttribute::new(key, count)));
    }
    if !fact.is_unpriced {
        let dollars = fact.cost_nanos as f64 / NANOS_OF_A_DOLLAR;
        attributes.push(SpanAttribute::new("gen_ai.usage.cost", dollars));
    }
    attributes
}

const fn operation(api: Dialect) -> &'static str {
    match api {
        Dialect::OpenAiChat
        | Dialect::OpenAiResponses
        | Dialect::OpenAiRealtime
        | Dialect::AnthropicMessages
        | Dialect::BedrockConverse => "chat",
        Dialect::OpenAiCompletions => "text_completion",
        Dialect::OpenAiEmbeddings
        | Dialect::GeminiEmbeddings
        | Dialect::VertexPredict
        | Dialect::BedrockInvoke => "embeddings",
        Dialect::OpenAiMedia | Dialect::GeminiGenerate => "generate_content",
    }
}

const fn provider(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::OpenAi => "openai",
        ProviderKind::Anthropic => "anthropic",
        ProviderKind::Gemini => "gcp.gemini",
        ProviderKind::Azure => "azure.ai.openai",
        ProviderKind::Bedrock => "aws.bedrock",
        ProviderKind::Vertex => "gcp.vertex_ai",
    }
}

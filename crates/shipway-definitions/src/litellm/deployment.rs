//! An entry of `model_list`.

use super::{
    Losses,
    price::{self, Price},
    provider::{Placed, Providers},
    section::{Field, Section, whole},
};
use crate::yaml::Node;

/// A model at a provider, as LiteLLM has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deployment {
    pub(super) place: String,
    pub(super) line: u64,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) price: Option<Price>,
    pub(super) max_output_tokens: Option<u64>,
    /// Those of OpenAI's APIs that it is known to have alone; empty: all of them.
    pub(super) apis: &'static [&'static str],
    /// The lowest is asked first; none: last.
    pub(super) order: Option<u64>,
    /// How often it is chosen: by the weight, or by what it may take.
    pub(super) weight: Option<f64>,
    pub(super) requests: Option<f64>,
    pub(super) tokens: Option<f64>,
    pub(super) retries: Option<u32>,
    pub(super) timeout_seconds: Option<f64>,
    pub(super) stream_timeout_seconds: Option<f64>,
}

const MOST_OUTPUT_TOKENS: u64 = 10_000_000;

/// The name that callers ask for, with its line, and what answers. What cannot be asked here is listed.
pub(super) fn read(
    path: &str,
    node: &Node,
    providers: &mut Providers,
    losses: &mut Losses,
) -> Option<((String, u64), Deployment)> {
    let mut entry = Section::of(path.to_owned(), node, losses)?;
    let called = entry.text("model_name", losses);
    let params = entry.inner("litellm_params", losses);
    let info = entry.inner("model_info", losses);
    entry.leave(losses, |_| "an entry has nothing of the kind".to_owned());
    let (Some((field, called)), Some(mut params)) = (called, params) else {
        losses.say(node.line, path, "an entry needs model_name and litellm_params");
        return None;
    };
    if !can_be_called(called) {
        let reason = "a pattern, or no name that a caller can ask for: define each model by its name";
        losses.say(field.line, field.place, reason);
        return None;
    }
    let placed = providers.of(&mut params, losses)?;
    let mut deployment = from_params(path, node.line, placed, &mut params, losses);
    params.leave(losses, reason_in_params);
    if let Some(info) = info {
        add_info(&mut deployment, info, losses);
    }
    Some(((called.to_owned(), field.line), deployment))
}

fn can_be_called(name: &str) -> bool {
    !name.contains('*') && name.len() <= 256 && name.chars().all(|character| character.is_ascii_graphic())
}

fn from_params(
    path: &str,
    line: u64,
    Placed { provider, model, apis }: Placed,
    params: &mut Section<'_>,
    losses: &mut Losses,
) -> Deployment {
    let price = price::take(params, losses);
    let mut limit = |name: &str, unit: &str| {
        let (field, number) = params.number(name, losses)?;
        let reason = format!(
            "a limit of a deployment: limits belong to keys and groups (--{unit}-per-minute); it counts as the weight where none is given"
        );
        losses.say(field.line, field.place, reason);
        Some(number)
    };
    let (requests, tokens) = (limit("rpm", "requests"), limit("tpm", "tokens"));
    let retries = params.count("num_retries", 5, losses).or_else(|| params.count("max_retries", 5, losses));
    Deployment {
        place: path.to_owned(),
        line,
        provider,
        model,
        price,
        max_output_tokens: None,
        apis,
        order: params.number("order", losses).and_then(|(_, order)| whole(order)),
        weight: params.number("weight", losses).map(|(_, weight)| weight),
        requests,
        tokens,
        retries,
        timeout_seconds: seconds(params.number("timeout", losses)),
        stream_timeout_seconds: seconds(params.number("stream_timeout", losses)),
    }
}

fn seconds(found: Option<(Field<'_>, f64)>) -> Option<f64> {
    found.map(|(_, seconds)| seconds).filter(|seconds| *seconds > 0.0)
}

fn add_info(deployment: &mut Deployment, mut info: Section<'_>, losses: &mut Losses) {
    // What stands with the parameters goes first.
    let price = price::take(&mut info, losses);
    deployment.price = deployment.price.take().or(price);
    let bound = info.number("max_output_tokens", losses);
    let older = info.number("max_tokens", losses);
    deployment.max_output_tokens = bound
        .or(older)
        .and_then(|(_, tokens)| whole(tokens))
        .filter(|tokens| (1..=MOST_OUTPUT_TOKENS).contains(tokens));
    info.leave(losses, reason_in_info);
}

fn reason_in_params(name: &str) -> String {
    match name {
        "max_parallel_requests" => {
            "a limit of a deployment: limits belong to keys and groups (--concurrency)"
        }
        "max_budget" | "budget_duration" => "budgets belong to keys and groups (--budget)",
        "drop_params" | "additional_drop_params" | "allowed_openai_params" => {
            "calls go on as they came; nothing is dropped from them"
        }
        "api_version" | "organization" | "region_name" => "a provider has nothing of the kind",
        _ if name.contains("cost") => "a price has input, cached_input, cache_write and output",
        _ if name.ends_with("_key") || name.contains("secret") || name.contains("token") => {
            "not copied, since it may be a secret"
        }
        _ => "what a deployment would add to calls: calls go on as they came",
    }
    .to_owned()
}

fn reason_in_info(name: &str) -> String {
    match name {
        "id" | "mode" | "base_model" | "db_model" => "what LiteLLM tells its deployments and prices apart by",
        "access_groups" | "team_id" => {
            "which models a key may use is said by the key (llm keys create --model)"
        }
        _ if name.contains("cost") => "a price has input, cached_input, cache_write and output",
        _ => "a deployment has nothing of the kind",
    }
    .to_owned()
}

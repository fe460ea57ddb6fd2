//! Reads a model of language. It refers to nothing that is defined here, so what is read is the definition.

mod cache;
mod content;
mod price;
mod route;

use std::{collections::BTreeSet, sync::Arc};

use shipway_core::{Length, Name};

use crate::{
    LlmApi, LlmCooldown, LlmDeployment, LlmLossy, LlmModel, LlmOutputLimit, LlmRetries, LlmRoute,
    LlmTimeouts, UnknownPrice,
    parse::reader::{Fields, Head, Reader},
    yaml::{Content, Node},
};

#[cfg(test)]
pub(crate) use cache::{FIELDS as CACHE_FIELDS, SERVED_FIELDS, SIMILAR_FIELDS};
#[cfg(test)]
pub(crate) use content::FIELDS as CONTENT_FIELDS;
#[cfg(test)]
pub(crate) use price::{FIELDS as PRICE_FIELDS, TIER_FIELDS as PRICE_TIER_FIELDS};
#[cfg(test)]
pub(crate) use route::{CONDITIONAL_FIELDS, HEDGE_FIELDS, SHARE_FIELDS, STICKY_FIELDS, WHEN_FIELDS};

pub(super) const FIELDS: &[&str] = &[
    "kind",
    "name",
    "called",
    "deployments",
    "route",
    "hedge",
    "on_context_window",
    "on_content_policy",
    "on_guardrail",
    "timeouts",
    "retries",
    "cooldown",
    "unknown_price",
    "cache",
    "guardrails",
    "content",
    "lossy",
    "description",
    "owner",
    "tags",
];
pub(crate) const DEPLOYMENT_FIELDS: &[&str] =
    &["name", "provider", "model", "price", "max_output_tokens", "output_limit", "apis", "fetch_media"];
pub(crate) const TIMEOUT_FIELDS: &[&str] = &["first_token", "idle", "total"];
pub(crate) const RETRY_FIELDS: &[&str] = &["rate_limit", "overloaded", "connection", "timeout"];
pub(crate) const COOLDOWN_FIELDS: &[&str] = &["failures", "pause"];

/// What is reserved for an answer where neither the caller nor the definition sets a bound.
const USUAL_OUTPUT_TOKENS: u64 = 16_384;
const MOST_OUTPUT_TOKENS: i128 = 10_000_000;
const MOST_NAMES: usize = 64;
const MOST_DEPLOYMENTS: usize = 64;
const MOST_RETRIES: i128 = 5;
const SECOND_US: i64 = 1_000_000;
const LONGEST_NAME: usize = 256;

/// A model as it is written; `None` where a part could not be read.
#[derive(Debug)]
pub(crate) struct LlmModelDraft {
    pub(crate) name: Name,
    pub(crate) model: Option<LlmModel>,
    /// Where it stands, and how messages call it.
    pub(crate) place: (Arc<str>, u64, String),
}

pub(super) fn read(head: Head, fields: &Fields<'_>, reader: &mut Reader<'_>) -> LlmModelDraft {
    let place = (head.path.clone(), head.line, head.thing.clone());
    let name = head.name.clone();
    let called = fields.optional("called").map(|node| read_called(node, reader)).unwrap_or_default();
    let deployments = match fields.required("deployments", reader) {
        Some(node) => read_deployments(node, reader),
        None => Vec::new(),
    };
    let known: Vec<Name> = deployments.iter().map(|deployment| deployment.name.clone()).collect();
    let route = match fields.optional("route") {
        Some(node) => route::read("route", node, &known, reader),
        None => Some(LlmRoute::Fallback(known.iter().cloned().map(LlmRoute::Deployment).collect())),
    };
    let hedge = match fields.optional("hedge") {
        Some(node) => route::read_hedge(node, &known, reader).map(Some),
        None => Some(None),
    };
    let [on_context_window, on_content_policy, on_guardrail] =
        ["on_context_window", "on_content_policy", "on_guardrail"].map(|name| match fields.optional(name) {
            Some(node) => route::read(name, node, &known, reader).map(Some),
            None => Some(None),
        });
    let timeouts = read_timeouts(fields.optional("timeouts"), reader);
    let retries = read_retries(fields.optional("retries"), reader);
    let cooldown = read_cooldown(fields.optional("cooldown"), reader);
    let unknown_price = read_unknown_price(fields.optional("unknown_price"), reader);
    let guardrails =
        fields.optional("guardrails").map(|node| read_guardrails(node, reader)).unwrap_or_default();
    let cache = fields.optional("cache").and_then(|node| cache::read(node, reader));
    let content = fields.optional("content").and_then(|node| content::read(node, reader));
    content::refuse_without_guardrails(
        content.as_ref(),
        !guardrails.is_empty(),
        fields.optional("content"),
        reader,
    );
    let lossy =
        word_or("lossy", fields.optional("lossy"), &LlmLossy::ALL.map(|one| (one.word(), one)), reader);
    if deployments.is_empty() || reader.has_refused() {
        return LlmModelDraft { name, model: None, place };
    }
    let model = || {
        Some(LlmModel {
            name: head.name,
            called,
            deployments,
            route: route?,
            hedge: hedge?,
            on_context_window: on_context_window?,
            on_content_policy: on_content_policy?,
            on_guardrail: on_guardrail?,
            timeouts: timeouts?,
            retries: retries?,
            cooldown: cooldown?,
            unknown_price: unknown_price?,
            lossy: lossy?,
            cache,
            guardrails,
            content,
            description: head.description,
            owner: head.owner,
            tags: head.tags,
        })
    };
    let model = model();
    if let Some(model) = &model {
        let line = fields.optional("route").map_or(fields.line, |node| node.line);
        refuse_the_forgotten(model, line, reader);
    }
    LlmModelDraft { name, model: model.filter(|_| !reader.has_refused()), place }
}

/// A deployment that is never tried is a mistake.
fn refuse_the_forgotten(model: &LlmModel, line: u64, reader: &mut Reader<'_>) {
    let named: BTreeSet<&Name> = model.routes().flat_map(LlmRoute::deployments).collect();
    for missing in model.deployments.iter().filter(|deployment| !named.contains(&deployment.name)) {
        let hint = Some("name it in the route, or remove it from deployments".to_owned());
        reader.refuse(line, format!("route never tries deployment {}", missing.name), hint);
    }
}

/// Names as clients write them: anything that can be seen and is no space.
fn model_name(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text(what, node)?;
    if text.value.len() <= LONGEST_NAME && text.value.chars().all(|character| character.is_ascii_graphic()) {
        return Some(text.value);
    }
    let hint = format!("use at most {LONGEST_NAME} letters, digits and signs, without spaces");
    reader.refuse(text.line, format!("{what} `{}` cannot be a name of a model", text.value), Some(hint));
    None
}

fn read_called(node: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for node in reader.list("called", node) {
        let Some(name) = model_name("a name in called", node, reader) else { continue };
        if names.contains(&name) {
            reader.refuse(node.line, format!("{name} is twice in called"), None);
        } else {
            names.push(name);
        }
    }
    if names.len() > MOST_NAMES {
        reader.refuse(node.line, format!("called has more than {MOST_NAMES} names"), None);
    }
    names
}

fn read_guardrails(node: &Node, reader: &mut Reader<'_>) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for name in reader.names("guardrails", "a guardrail", node) {
        if names.contains(&name.value) {
            reader.refuse(name.line, format!("{} is twice in guardrails", name.value), None);
        } else {
            names.push(name.value);
        }
    }
    if names.len() > MOST_NAMES {
        reader.refuse(node.line, format!("guardrails has more than {MOST_NAMES} names"), None);
    }
    names
}

fn read_deployments(node: &Node, reader: &mut Reader<'_>) -> Vec<LlmDeployment> {
    let items = reader.list("deployments", node);
    if items.len() > MOST_DEPLOYMENTS {
        reader.refuse(node.line, format!("deployments has more than {MOST_DEPLOYMENTS}"), None);
    }
    let mut names = BTreeSet::new();
    let mut deployments = Vec::new();
    for item in items {
        let Some(deployment) = read_deployment(item, reader) else { continue };
        if names.insert(deployment.name.clone()) {
            deployments.push(deployment);
        } else {
            reader.refuse(item.line, format!("deployment {} is given twice", deployment.name), None);
        }
    }
    deployments
}

fn read_deployment(node: &Node, reader: &mut Reader<'_>) -> Option<LlmDeployment> {
    let fields = Fields::of(node, DEPLOYMENT_FIELDS, " in deployments", reader)?;
    let provider = fields.required("provider", reader).and_then(|node| reader.name("provider", node));
    let model = fields.required("model", reader).and_then(|node| model_name("model", node, reader));
    let name = match fields.optional("name") {
        Some(node) => reader.name("name", node),
        None => provider.clone(),
    };
    let price = match fields.optional("price") {
        Some(node) => Some(price::read(node, reader)?),
        None => None,
    };
    let max_output_tokens = match fields.optional("max_output_tokens") {
        None => USUAL_OUTPUT_TOKENS,
        Some(node) => {
            u64::try_from(whole("max_output_tokens", node, 1..=MOST_OUTPUT_TOKENS, reader)?).ok()?
        }
    };
    let limits = LlmOutputLimit::ALL.map(|one| (one.word(), one));
    let output_limit = word_or("output_limit", fields.optional("output_limit"), &limits, reader)?;
    Some(LlmDeployment {
        name: name?.value,
        provider: provider?.value,
        model: model?,
        price,
        max_output_tokens,
        output_limit,
        apis: match fields.optional("apis") {
            Some(node) => read_apis(node, reader)?,
            None => Vec::new(),
        },
        fetch_media: match fields.optional("fetch_media") {
            Some(node) => Some(read_flag("fetch_media", node, reader)?),
            None => None,
        },
    })
}

/// The APIs that a server has: at least one, each once, whatever their order.
fn read_apis(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<LlmApi>> {
    let known = LlmApi::ALL.map(|one| (one.word(), one));
    let mut apis = Vec::new();
    let items = reader.list("apis", node);
    if items.is_empty() {
        let hint = Some("leave it out where the server has all of them".to_owned());
        reader.refuse(node.line, "apis names none".to_owned(), hint);
        return None;
    }
    for item in items {
        let api = word_of("api", item, &known, reader)?;
        if apis.contains(&api) {
            reader.refuse(item.line, format!("{} is twice in apis", api.word()), None);
            return None;
        }
        apis.push(api);
    }
    apis.sort_unstable();
    Some(apis)
}

fn read_flag(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<bool> {
    if let Content::Bool(flag) = node.content {
        return Some(flag);
    }
    reader.refuse(node.line, format!("{what} is neither true nor false"), None);
    None
}

fn whole(
    what: &str,
    node: &Node,
    within: std::ops::RangeInclusive<i128>,
    reader: &mut Reader<'_>,
) -> Option<i128> {
    match node.content {
        Content::Int(number) if within.contains(&number) => Some(number),
        _ => {
            let (from, to) = within.into_inner();
            let hint = Some(format!("write a whole number from {from} to {to}"));
            reader.refuse(node.line, format!("{what} is no such number"), hint);
            None
        }
    }
}

fn length_or(
    what: &str,
    usual_seconds: i64,
    fields: Option<&Fields<'_>>,
    reader: &mut Reader<'_>,
) -> Option<Length> {
    match fields.and_then(|fields| fields.optional(what)) {
        Some(node) => Some(reader.length(what, node)?.value),
        None => Length::from_micros(usual_seconds * SECOND_US),
    }
}

fn count_or(what: &str, usual: u32, fields: Option<&Fields<'_>>, reader: &mut Reader<'_>) -> Option<u32> {
    match fields.and_then(|fields| fields.optional(what)) {
        Some(node) => u32::try_from(whole(what, node, 0..=MOST_RETRIES, reader)?).ok(),
        None => Some(usual),
    }
}

fn part<'n>(
    node: Option<&'n Node>,
    known: &'static [&'static str],
    within: &'static str,
    reader: &mut Reader<'_>,
) -> Option<Option<Fields<'n>>> {
    match node {
        Some(node) => Some(Some(Fields::of(node, known, within, reader)?)),
        None => Some(None),
    }
}

fn read_timeouts(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<LlmTimeouts> {
    let fields = part(node, TIMEOUT_FIELDS, " in timeouts", reader)?;
    let fields = fields.as_ref();
    let first_token = length_or("first_token", 120, fields, reader);
    let idle = length_or("idle", 60, fields, reader);
    let total = length_or("total", 600, fields, reader);
    Some(LlmTimeouts { first_token: first_token?, idle: idle?, total: total? })
}

fn read_retries(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<LlmRetries> {
    let fields = part(node, RETRY_FIELDS, " in retries", reader)?;
    let fields = fields.as_ref();
    let rate_limit = count_or("rate_limit", 0, fields, reader);
    let overloaded = count_or("overloaded", 1, fields, reader);
    let connection = count_or("connection", 1, fields, reader);
    let timeout = count_or("timeout", 0, fields, reader);
    Some(LlmRetries {
        rate_limit: rate_limit?,
        overloaded: overloaded?,
        connection: connection?,
        timeout: timeout?,
    })
}

fn read_cooldown(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<LlmCooldown> {
    let fields = part(node, COOLDOWN_FIELDS, " in cooldown", reader)?;
    let fields = fields.as_ref();
    let failures = match fields.and_then(|fields| fields.optional("failures")) {
        Some(node) => u32::try_from(whole("failures", node, 1..=1_000, reader)?).ok()?,
        None => 3,
    };
    Some(LlmCooldown { failures, pause: length_or("pause", 30, fields, reader)? })
}

fn read_unknown_price(node: Option<&Node>, reader: &mut Reader<'_>) -> Option<UnknownPrice> {
    let words = [UnknownPrice::Block, UnknownPrice::Flag].map(|known| (known.word(), known));
    match node {
        Some(node) => word_of("unknown_price", node, &words, reader),
        None => Some(UnknownPrice::Block),
    }
}

/// One of a few words; without any, what is usual.
fn word_or<T: Copy + Default>(
    what: &str,
    node: Option<&Node>,
    known: &[(&'static str, T)],
    reader: &mut Reader<'_>,
) -> Option<T> {
    match node {
        Some(node) => word_of(what, node, known, reader),
        None => Some(T::default()),
    }
}

fn word_of<T: Copy>(
    what: &str,
    node: &Node,
    known: &[(&'static str, T)],
    reader: &mut Reader<'_>,
) -> Option<T> {
    let word = reader.text(what, node)?;
    let found = known.iter().find(|(name, _)| *name == word.value).map(|(_, value)| *value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let hint = Some(format!("write {}", names.join(" or ")));
        reader.refuse(word.line, format!("{what} {} does not exist", word.value), hint);
    }
    found
}

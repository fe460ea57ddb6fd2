//! Reads in which order deployments are tried.

use shipway_condition::Condition;
use shipway_core::{Name, nearest};

use super::whole;
use crate::{
    LlmHedge, LlmRoute, LlmStickiness,
    parse::reader::{Fields, Reader},
    yaml::{Content, Node},
};

const ROUTE_FIELDS: &[&str] = &["fallback", "weighted", "latency", "cost", "conditional", "sticky"];
pub(crate) const SHARE_FIELDS: &[&str] = &["to", "weight"];
pub(crate) const CONDITIONAL_FIELDS: &[&str] = &["when", "otherwise"];
pub(crate) const WHEN_FIELDS: &[&str] = &["if", "to"];
pub(crate) const STICKY_FIELDS: &[&str] = &["by", "within"];
pub(crate) const HEDGE_FIELDS: &[&str] = &["after", "to"];
const MOST_WEIGHT: i128 = 1_000_000;
const MOST_CONDITIONS: usize = 64;
const HEDGE_MS: std::ops::RangeInclusive<u32> = 10..=600_000;
const LONGEST_HEADER: usize = 64;

/// A route; `what` is the field that it stands in.
pub(super) fn read(
    what: &'static str,
    node: &Node,
    deployments: &[Name],
    reader: &mut Reader<'_>,
) -> Option<LlmRoute> {
    if let Content::Text(text) = &node.content {
        return match deployments.iter().find(|deployment| deployment.as_str() == text) {
            Some(deployment) => Some(LlmRoute::Deployment(deployment.clone())),
            None => {
                let near = nearest(text, deployments.iter().map(Name::as_str));
                let hint = near.map(|near| format!("did you mean {near}?"));
                reader.refuse(node.line, format!("{what} names {text}, which is no deployment"), hint);
                None
            }
        };
    }
    let fields = Fields::of(node, ROUTE_FIELDS, " in route", reader)?;
    let written: Vec<(&str, &Node)> =
        ROUTE_FIELDS.iter().filter_map(|field| fields.optional(field).map(|node| (*field, node))).collect();
    let [(strategy, node)] = written.as_slice() else {
        let hint = "write the name of a deployment, or one of fallback: […], weighted: [{ to: …, weight: … }], latency: […], cost: […], conditional: { when: […], otherwise: … }, sticky: { by: …, within: […] }";
        reader.refuse(fields.line, format!("{what} is not one strategy"), Some(hint.to_owned()));
        return None;
    };
    match *strategy {
        "fallback" => read_list("fallback", node, deployments, reader).map(LlmRoute::Fallback),
        "latency" => read_list("latency", node, deployments, reader).map(LlmRoute::Latency),
        "cost" => read_list("cost", node, deployments, reader).map(LlmRoute::Cost),
        "weighted" => read_weighted(node, deployments, reader),
        "conditional" => read_conditional(node, deployments, reader),
        _ => read_sticky(node, deployments, reader),
    }
}

/// All of them or nothing, so that every mistake is told at once.
fn all_of<T>(read: Vec<Option<T>>) -> Option<Vec<T>> {
    let read: Vec<T> = read.into_iter().collect::<Option<_>>()?;
    (!read.is_empty()).then_some(read)
}

fn read_list(
    what: &'static str,
    node: &Node,
    deployments: &[Name],
    reader: &mut Reader<'_>,
) -> Option<Vec<LlmRoute>> {
    let items = reader.list(what, node).iter();
    all_of(items.map(|item| read(what, item, deployments, reader)).collect())
}

fn read_weighted(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<LlmRoute> {
    let items = reader.list("weighted", node).iter();
    all_of(items.map(|item| read_share(item, deployments, reader)).collect()).map(LlmRoute::Weighted)
}

fn read_share(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<(LlmRoute, u32)> {
    let fields = Fields::of(node, SHARE_FIELDS, " in weighted", reader)?;
    let to = fields.required("to", reader).and_then(|node| read("to", node, deployments, reader));
    let weight = match fields.optional("weight") {
        Some(node) => u32::try_from(whole("weight", node, 1..=MOST_WEIGHT, reader)?).ok()?,
        None => 1,
    };
    Some((to?, weight))
}

fn read_conditional(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<LlmRoute> {
    let fields = Fields::of(node, CONDITIONAL_FIELDS, " in conditional", reader)?;
    let when = fields.required("when", reader).and_then(|node| {
        let items = reader.list("when", node);
        if items.len() > MOST_CONDITIONS {
            reader.refuse(node.line, format!("when has more than {MOST_CONDITIONS} conditions"), None);
        }
        all_of(items.iter().map(|item| read_when(item, deployments, reader)).collect())
    });
    let otherwise =
        fields.required("otherwise", reader).and_then(|node| read("otherwise", node, deployments, reader));
    Some(LlmRoute::Conditional { when: when?, otherwise: Box::new(otherwise?) })
}

fn read_when(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<(String, LlmRoute)> {
    let fields = Fields::of(node, WHEN_FIELDS, " in when", reader)?;
    let condition = fields.required("if", reader).and_then(|node| reader.text("if", node));
    let condition = condition.and_then(|text| match Condition::parse(&text.value) {
        Ok(_) => Some(text.value),
        Err(error) => {
            let message = format!("if `{}`, at character {}: {}", text.value, error.at, error.problem);
            reader.refuse(text.line, message, error.hint);
            None
        }
    });
    let to = fields.required("to", reader).and_then(|node| read("to", node, deployments, reader));
    Some((condition?, to?))
}

fn read_sticky(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<LlmRoute> {
    let fields = Fields::of(node, STICKY_FIELDS, " in sticky", reader)?;
    let by = fields.required("by", reader).and_then(|node| read_stickiness(node, reader));
    let within =
        fields.required("within", reader).and_then(|node| read_list("within", node, deployments, reader));
    Some(LlmRoute::Sticky { by: by?, within: within? })
}

fn read_stickiness(node: &Node, reader: &mut Reader<'_>) -> Option<LlmStickiness> {
    let text = reader.text("by", node)?;
    match text.value.as_str() {
        "session" => return Some(LlmStickiness::Session),
        "user" => return Some(LlmStickiness::User),
        "key" => return Some(LlmStickiness::Key),
        _ => {}
    }
    let header = text.value.to_ascii_lowercase();
    let is_name = header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if header.starts_with("x-") && is_name && header.len() <= LONGEST_HEADER {
        return Some(LlmStickiness::Header(header));
    }
    let hint = "write session, user, key, or the name of a header that starts with x-";
    reader.refuse(text.line, format!("by `{}` does not exist", text.value), Some(hint.to_owned()));
    None
}

pub(super) fn read_hedge(node: &Node, deployments: &[Name], reader: &mut Reader<'_>) -> Option<LlmHedge> {
    let fields = Fields::of(node, HEDGE_FIELDS, " in hedge", reader)?;
    let after = fields.required("after", reader).and_then(|node| read_after(node, reader));
    let to = fields.required("to", reader).and_then(|node| read("to", node, deployments, reader));
    Some(LlmHedge { after_ms: after?, to: to? })
}

/// Seconds or thousandths of them: the lengths of other fields are too coarse here.
fn read_after(node: &Node, reader: &mut Reader<'_>) -> Option<u32> {
    let text = match &node.content {
        Content::Int(number) => number.to_string(),
        _ => reader.text("after", node)?.value,
    };
    let written = text.trim();
    let (digits, factor) = match written.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (written.strip_suffix('s').unwrap_or_default(), 1_000),
    };
    let after = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    let after = after.filter(|after| HEDGE_MS.contains(after));
    if after.is_none() {
        let hint = "write a whole number and ms or s, from 10ms to 600s, such as 1500ms";
        reader.refuse(node.line, format!("after `{written}` is no such time"), Some(hint.to_owned()));
    }
    after
}

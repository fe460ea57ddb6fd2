//! Reads what a call costs: dollars, as exact integers.

use shipway_core::Timestamp;

use super::whole;
use crate::{
    LlmPrice, LlmPriceTier, LlmRates,
    parse::reader::{Fields, Reader},
    yaml::{Content, Node},
};

pub(crate) const FIELDS: &[&str] = &[
    "input",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
    "as_of",
    "tiers",
    "service_tiers",
    "per_request",
    "per_image",
    "per_second",
    "per_search",
];
pub(crate) const TIER_FIELDS: &[&str] = &[
    "above",
    "input",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "input_image",
    "output_audio",
    "output_image",
];

const NANOS_OF_A_DOLLAR: f64 = 1e9;
/// Dollars for a million tokens. Beyond it a sum could leave its integer.
const MOST_DOLLARS: f64 = 1e6;
const MOST_TIERS: usize = 16;
const MOST_TOKENS: i128 = 1_000_000_000;
const MILLIONTHS: f64 = 1e6;
const MOST_FACTOR: f64 = 1_000.0;

pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<LlmPrice> {
    let fields = Fields::of(node, FIELDS, " in price", reader)?;
    let rates = read_rates(&fields, reader);
    let as_of = match fields.optional("as_of") {
        Some(node) => read_as_of(node, reader).map(Some),
        None => Some(None),
    };
    let tiers = fields.optional("tiers").map_or(Some(Vec::new()), |node| read_tiers(node, reader));
    let service_tiers =
        fields.optional("service_tiers").map_or(Some(Vec::new()), |node| read_service_tiers(node, reader));
    let [per_request, per_image, per_second, per_search] =
        ["per_request", "per_image", "per_second", "per_search"].map(|name| optional(name, &fields, reader));
    Some(LlmPrice {
        rates: rates?,
        as_of: as_of?,
        tiers: tiers?,
        service_tiers: service_tiers?,
        per_request: per_request?,
        per_image: per_image?,
        per_second: per_second?,
        per_search: per_search?,
    })
}

fn read_rates(fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<LlmRates> {
    let input = fields.required("input", reader).and_then(|node| nanos("input", node, reader));
    let output = fields.required("output", reader).and_then(|node| nanos("output", node, reader));
    let mut part = |name: &'static str| optional(name, fields, reader);
    let [cached_input, cache_write, cache_write_1h] =
        ["cached_input", "cache_write", "cache_write_1h"].map(&mut part);
    let [reasoning, input_audio, input_image, output_audio, output_image] =
        ["reasoning", "input_audio", "input_image", "output_audio", "output_image"].map(&mut part);
    Some(LlmRates {
        input: input?,
        cached_input: cached_input?,
        cache_write: cache_write?,
        output: output?,
        cache_write_1h: cache_write_1h?,
        reasoning: reasoning?,
        input_audio: input_audio?,
        input_image: input_image?,
        output_audio: output_audio?,
        output_image: output_image?,
    })
}

fn optional(name: &'static str, fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Option<i64>> {
    match fields.optional(name) {
        Some(node) => Some(Some(nanos(name, node, reader)?)),
        None => Some(None),
    }
}

fn read_as_of(node: &Node, reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text("as_of", node)?;
    if text.value.len() == 10 && Timestamp::parse(&text.value).is_ok() {
        return Some(text.value);
    }
    let hint = Some("write the day from which the prices hold: 2026-11-01".to_owned());
    reader.refuse(text.line, format!("as_of `{}` is no day", text.value), hint);
    None
}

fn read_tiers(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<LlmPriceTier>> {
    let items = reader.list("tiers", node);
    if items.len() > MOST_TIERS {
        reader.refuse(node.line, format!("tiers has more than {MOST_TIERS}"), None);
    }
    let tiers: Vec<_> = items.iter().map(|item| read_tier(item, reader)).collect();
    let mut tiers: Vec<LlmPriceTier> = tiers.into_iter().collect::<Option<_>>()?;
    tiers.sort_by_key(|tier| tier.above);
    if let Some(pair) = tiers.windows(2).find(|pair| pair[0].above == pair[1].above) {
        reader.refuse(node.line, format!("two tiers hold above {}", pair[0].above), None);
        return None;
    }
    Some(tiers)
}

fn read_tier(node: &Node, reader: &mut Reader<'_>) -> Option<LlmPriceTier> {
    let fields = Fields::of(node, TIER_FIELDS, " in tiers", reader)?;
    let above = fields.required("above", reader);
    let above = above.and_then(|node| whole("above", node, 1..=MOST_TOKENS, reader));
    let rates = read_rates(&fields, reader);
    Some(LlmPriceTier { above: u64::try_from(above?).ok()?, rates: rates? })
}

/// What a tier of service costs, as a share of what is usual: `{ batch: 0.5, priority: 2 }`.
fn read_service_tiers(node: &Node, reader: &mut Reader<'_>) -> Option<Vec<(String, u32)>> {
    let Content::Map(map) = &node.content else {
        let hint = Some("write service_tiers: { batch: 0.5, priority: 2 }".to_owned());
        reader.refuse(node.line, format!("service_tiers is a map, got {}", node.content.word()), hint);
        return None;
    };
    let mut tiers: Vec<(String, u32)> = Vec::new();
    for (key, node) in map {
        if tiers.iter().any(|(name, _)| *name == key.text) {
            reader.refuse(key.line, format!("service tier {} is given twice", key.text), None);
        }
        let Some(factor) = reader.number(&key.text, node) else { continue };
        let scaled = factor * MILLIONTHS;
        if !(0.0..=MOST_FACTOR).contains(&factor) || (scaled - scaled.round()).abs() > 1e-3 {
            let hint = "write what its tokens cost as a share of what is usual, such as 0.5 for half";
            reader.refuse(node.line, format!("service tier {}: no share", key.text), Some(hint.to_owned()));
            continue;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rounded, and from 0 to 1e9"
        )]
        tiers.push((key.text.clone(), scaled.round() as u32));
    }
    Some(tiers)
}

/// A price that a person writes has few digits: the nearest integer of billionths is the number that was written.
fn nanos(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<i64> {
    let dollars = reader.number(what, node)?;
    let scaled = dollars * NANOS_OF_A_DOLLAR;
    let fits = (0.0..=MOST_DOLLARS).contains(&dollars) && (scaled - scaled.round()).abs() < 1e-3;
    if !fits {
        let hint = if what.starts_with("per_") {
            "write dollars, from 0 to 1000000, with at most nine digits after the point"
        } else {
            "write dollars for a million tokens, from 0 to 1000000, with at most nine digits after the point"
        };
        reader.refuse(node.line, format!("{what} is no price"), Some(hint.to_owned()));
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and within 1e15")]
    Some(scaled.round() as i64)
}

//! Reads what tokens cost: dollars for a million of them, as exact integers.

use crate::{
    LlmPrice,
    parse::reader::{Fields, Reader},
    yaml::Node,
};

pub(crate) const FIELDS: &[&str] = &["input", "cached_input", "cache_write", "output"];

const NANOS_OF_A_DOLLAR: f64 = 1e9;
/// Dollars for a million tokens. Beyond it a sum could leave its integer.
const MOST_DOLLARS: f64 = 1e6;

pub(super) fn read(node: &Node, reader: &mut Reader<'_>) -> Option<LlmPrice> {
    let fields = Fields::of(node, FIELDS, " in price", reader)?;
    let input = fields.required("input", reader).and_then(|node| nanos("input", node, reader));
    let output = fields.required("output", reader).and_then(|node| nanos("output", node, reader));
    let cached_input = optional("cached_input", &fields, reader)?;
    let cache_write = optional("cache_write", &fields, reader)?;
    Some(LlmPrice { input: input?, cached_input, cache_write, output: output? })
}

fn optional(name: &'static str, fields: &Fields<'_>, reader: &mut Reader<'_>) -> Option<Option<i64>> {
    match fields.optional(name) {
        Some(node) => Some(Some(nanos(name, node, reader)?)),
        None => Some(None),
    }
}

/// A price that a person writes has few digits: the nearest integer of billionths is the number that was written.
fn nanos(what: &str, node: &Node, reader: &mut Reader<'_>) -> Option<i64> {
    let dollars = reader.number(what, node)?;
    let scaled = dollars * NANOS_OF_A_DOLLAR;
    let fits = (0.0..=MOST_DOLLARS).contains(&dollars) && (scaled - scaled.round()).abs() < 1e-3;
    if !fits {
        let hint =
            "write dollars for a million tokens, from 0 to 1000000, with at most nine digits after the point";
        reader.refuse(node.line, format!("{what} is no price"), Some(hint.to_owned()));
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounded, and within 1e15")]
    Some(scaled.round() as i64)
}

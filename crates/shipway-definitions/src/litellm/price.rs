//! What LiteLLM's prices for a token are for a million tokens.

use super::{Losses, section::Section};

/// Dollars for a million tokens, as they are written in a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Price {
    pub(super) input: String,
    pub(super) cached_input: Option<String>,
    pub(super) cache_write: Option<String>,
    pub(super) output: String,
}

/// The price in a map, if it is there. Of one that lacks input or output, everything is listed.
pub(super) fn take(section: &mut Section<'_>, losses: &mut Losses) -> Option<Price> {
    let found = [
        "input_cost_per_token",
        "output_cost_per_token",
        "cache_read_input_token_cost",
        "cache_creation_input_token_cost",
    ]
    .map(|name| section.number(name, losses));
    let first = found.iter().flatten().next()?.0.line;
    let [input, output, cached, written] = found.map(|part| part.map(|(_, dollars)| million(dollars)));
    match (input, output) {
        (Some(input), Some(output)) => {
            Some(Price { input, cached_input: cached, cache_write: written, output })
        }
        _ => {
            let reason =
                "a price needs input_cost_per_token and output_cost_per_token: one of them is missing";
            losses.say(first, section.path(), reason);
            None
        }
    }
}

/// A price for a token is a binary fraction of a few digits: of the nine after the point of a million's none is wrong.
fn million(dollars: f64) -> String {
    let text = format!("{:.9}", dollars * 1e6);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_for_a_million_has_the_digits_of_one_for_a_token() {
        let millions = [2.5e-6, 1.5e-7, 0.0, 0.000_03, 1e-10, 7.5e-8, 0.1].map(million);
        assert_eq!(millions, ["2.5", "0.15", "0", "30", "0.0001", "0.075", "100000"]);
    }
}

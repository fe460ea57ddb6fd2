//! Regular expressions that clients write, within bounds: their size, their depth, and what they cost to run.
//!
//! The engine runs in time linear to the text, whatever the expression, so a bound on its size bounds the cost.

use regex::{Regex, RegexBuilder};

/// The most characters of one expression.
const LENGTH: usize = 1_000;
/// The most bytes that a compiled expression takes.
const COMPILED_BYTES: usize = 1 << 20;
/// How deep groups may nest.
const DEPTH: u32 = 50;

/// Compiles an expression, or says what would have been expected.
pub(crate) fn regular(text: &str) -> Result<Regex, String> {
    if text.chars().count() > LENGTH {
        return Err(format!("at most {LENGTH} characters"));
    }
    RegexBuilder::new(text)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(DEPTH)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "an expression that compiles to less".to_owned(),
            other => {
                let reason = other.to_string();
                let last = reason.lines().last().unwrap_or_default();
                format!("a regular expression without look-around and back-references ({last})")
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_bounded_in_length_size_and_depth() {
        assert!(regular("^late_(a|b)+$").is_ok());
        for bad in ["(", "a{1000}{1000}", &"a".repeat(1_001), &"(".repeat(60), "(?=x)"] {
            assert!(regular(bad).is_err(), "{bad}");
        }
    }
}

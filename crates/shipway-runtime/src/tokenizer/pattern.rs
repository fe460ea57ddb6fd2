//! Regular expressions as tokenizers use them, without looking ahead.
//!
//! The one thing that their patterns look ahead for is white space whose last character belongs to the word behind it, as the last
//! choice of all: `…|\s+(?!\S)|\s+`. It is matched as `\s+`, and what was matched is cut.

use regex::{NoExpand, Regex};

use super::{schema, shown, unsupported};
use crate::error::RuntimeError;

const LOOK_AHEAD: &str = r"\s+(?!\S)|\s+";

#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    /// Whether its last group is white space that leaves its last character to what comes behind.
    leaves_last_space: bool,
}

impl Pattern {
    pub(super) fn of(file: &schema::Pattern) -> Result<Self, RuntimeError> {
        match file {
            schema::Pattern::String(words) => Self::plain(&regex::escape(words), false),
            schema::Pattern::Regex(pattern) => Self::of_regex(pattern),
        }
    }

    pub(super) fn of_regex(pattern: &str) -> Result<Self, RuntimeError> {
        match pattern.strip_suffix(LOOK_AHEAD) {
            Some(rest) if rest.is_empty() || rest.ends_with('|') => {
                Self::plain(&format!("{rest}(?P<space>\\s+)"), true)
            }
            _ => Self::plain(pattern, false),
        }
    }

    fn plain(pattern: &str, leaves_last_space: bool) -> Result<Self, RuntimeError> {
        let regex =
            Regex::new(pattern).map_err(|_| unsupported(format!("the pattern {}", shown(pattern))))?;
        Ok(Self { regex, leaves_last_space })
    }

    /// Where it matches, from left to right.
    pub(super) fn matches(&self, text: &str) -> Vec<(usize, usize)> {
        if !self.leaves_last_space {
            return self.regex.find_iter(text).map(|found| (found.start(), found.end())).collect();
        }
        let mut matches = Vec::new();
        let mut at = 0;
        while let Some(found) = self.regex.captures_at(text, at) {
            let Some(whole) = found.get(0) else { break };
            let mut end = whole.end();
            if let Some(space) = found.name("space")
                && end < text.len()
                && let Some((last, _)) =
                    space.as_str().char_indices().next_back().filter(|(last, _)| *last > 0)
            {
                end = space.start() + last;
            }
            if end == at && whole.is_empty() {
                // Nothing was matched: go on behind the next character.
                let next = text.get(end..).and_then(|rest| rest.chars().next());
                let Some(next) = next else { break };
                at = end + next.len_utf8();
                continue;
            }
            matches.push((whole.start(), end));
            at = end;
        }
        matches
    }

    /// The text with `content` for each match.
    pub(super) fn replaced(&self, text: &str, content: &str) -> String {
        self.regex.replace_all(text, NoExpand(content)).into_owned()
    }
}

//! Findings in one text.

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::{
    alive::Alive,
    detector::{BadDetector, Detector, Hosts},
    host, personal, secret, unicode,
};

/// What a compiled pattern may take of memory.
const MOST_PATTERN_BYTES: usize = 4 << 20;

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where, in bytes of the text.
    pub range: Range<usize>,
    /// What it is, such as `email`.
    pub label: String,
}

/// What of a match is what is looked for, in the text; no more than the match, and not empty. It may look at what stands before a match,
/// and at the one character behind it.
pub(crate) type Check = fn(&str, Range<usize>) -> Option<Range<usize>>;

/// What is found without being a match of a pattern: judged by lists.
#[derive(Debug, Clone)]
enum Judge {
    Check(Check),
    Hosts(Hosts),
}

/// One kind of thing that is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    label: String,
    regex: Regex,
    judge: Judge,
}

/// A detector of texts, compiled.
#[derive(Debug, Clone)]
pub struct Finder {
    parts: Vec<Part>,
    alive: Alive,
    /// What is found is left out, and nothing stands in its place.
    removes: bool,
}

impl Finder {
    /// Compiles `detector`; one that does not read texts finds nothing in any.
    pub fn new(detector: &Detector) -> Result<Self, BadDetector> {
        let (mut parts, mut own) = (Vec::new(), Vec::new());
        let mut put = |label: &str, pattern: &str, check: Check| {
            parts.push(part(label, pattern, Judge::Check(check))?);
            Ok::<_, BadDetector>(())
        };
        match detector {
            Detector::Personal(kinds) => {
                for kind in kinds {
                    let (label, pattern, check) = personal::of(*kind);
                    put(label, pattern, check)?;
                }
            }
            Detector::Secrets(kinds) => {
                for kind in kinds {
                    let (label, pattern, check) = secret::of(*kind);
                    put(label, pattern, check)?;
                }
            }
            Detector::Unicode(kinds) => {
                for kind in kinds {
                    let (label, pattern, check) = unicode::of(*kind);
                    put(label, pattern, check)?;
                }
            }
            Detector::Patterns(patterns) => {
                for (name, pattern) in patterns {
                    let part = part(name, pattern, Judge::Check(|_, range| Some(range)))?;
                    if part.regex.is_match("") {
                        return Err(BadDetector::Empty(name.clone()));
                    }
                    own.push(part);
                }
            }
            Detector::Urls(hosts) => own.push(part("url", host::PATTERN, Judge::Hosts(hosts.clone()))?),
            Detector::Tools(_)
            | Detector::Size(_)
            | Detector::JsonSchema(_)
            | Detector::Fits(_)
            | Detector::Judge(_)
            | Detector::Classifier(_) => {}
        }
        parts.append(&mut own);
        let patterns: Vec<&str> = parts.iter().map(|part| part.regex.as_str()).collect();
        let alive = Alive::new(&patterns)
            .map_err(|reason| BadDetector::Pattern { name: detector.word().to_owned(), reason })?;
        Ok(Self { parts, alive, removes: matches!(detector, Detector::Unicode(_)) })
    }

    /// Whether what is found is to be left out instead of being replaced.
    pub const fn removes(&self) -> bool {
        self.removes
    }

    /// Everything that is found in `text`, by its place; findings do not overlap: of two that would, the one that begins first counts,
    /// or the longer one.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        self.find_from(text, 0)
    }

    /// The same behind `from`, which is a boundary of a character. What stands before it is looked at, and is no part of a finding.
    pub(crate) fn find_from(&self, text: &str, from: usize) -> Vec<Finding> {
        let mut all = Vec::new();
        let mut next: Vec<Option<Range<usize>>> =
            self.parts.iter().map(|part| part.next(text, from, from)).collect();
        loop {
            let found = next.iter().enumerate().filter_map(|(place, range)| Some((place, range.clone()?)));
            let first = found.min_by_key(|(_, range)| (range.start, std::cmp::Reverse(range.end)));
            let Some((place, range)) = first else { return all };
            let end = range.end;
            all.push(Finding { range, label: self.parts[place].label.clone() });
            for (part, known) in self.parts.iter().zip(&mut next) {
                if known.as_ref().is_some_and(|range| range.start < end) {
                    *known = part.next(text, end, from);
                }
            }
        }
    }

    pub(crate) const fn alive(&self) -> &Alive {
        &self.alive
    }
}

impl Part {
    /// The first place behind `at` that is meant.
    fn next(&self, text: &str, mut at: usize, from: usize) -> Option<Range<usize>> {
        while at <= text.len() {
            let range = self.regex.find_at(text, at)?.range();
            let start = range.start;
            let meant = if range.is_empty() { None } else { self.meant(text, range) };
            if let Some(range) = meant.filter(|range| range.start >= from && !range.is_empty()) {
                return Some(range);
            }
            // What is looked for may also begin within what was none.
            at = start + text[start..].chars().next().map_or(1, char::len_utf8);
        }
        None
    }

    /// What of a match is meant, if any of it is.
    fn meant(&self, text: &str, range: Range<usize>) -> Option<Range<usize>> {
        match &self.judge {
            Judge::Check(check) => check(text, range),
            Judge::Hosts(hosts) => host::not_allowed(hosts, text, range),
        }
    }
}

fn part(label: &str, pattern: &str, judge: Judge) -> Result<Part, BadDetector> {
    let bad = |reason| BadDetector::Pattern { name: label.to_owned(), reason };
    let regex = compiled(pattern).map_err(bad)?;
    Ok(Part { label: label.to_owned(), regex, judge })
}

/// A pattern of the linear engine, or why it is none.
pub(crate) fn compiled(pattern: &str) -> Result<Regex, String> {
    let regex = RegexBuilder::new(pattern).size_limit(MOST_PATTERN_BYTES).build();
    regex.map_err(|error| match error {
        regex::Error::Syntax(words) => last_line(&words),
        regex::Error::CompiledTooBig(_) => "it is too large when it is compiled".to_owned(),
        other => other.to_string(),
    })
}

/// The sentence below the picture of the place.
fn last_line(words: &str) -> String {
    let line = words.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

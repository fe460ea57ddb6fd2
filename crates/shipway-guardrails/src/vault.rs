//! Placeholders and what they stand for.
//!
//! A placeholder says what kind of thing it stands for, `<EMAIL_1>`, so that a model can still talk about it; the same value has the same
//! one within a call. None is taken that stands in a text already, so what is put back is what was taken out, in every text.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;

static PLACEHOLDER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("<[A-Z][A-Z0-9_]{0,40}_[0-9]{1,10}>").ok());

/// What was taken out of the texts of one call.
#[derive(Clone, Default)]
pub struct Vault {
    /// By label and value.
    placeholders: HashMap<(String, String), String>,
    /// By placeholder.
    values: HashMap<String, String>,
    /// What stands in the texts already.
    taken: BTreeSet<String>,
    next: HashMap<String, u64>,
    /// Numbers begin behind this one.
    offset: u64,
    longest: usize,
}

/// Says how much, never what.
impl std::fmt::Debug for Vault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Vault").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Vault {
    /// One whose numbers begin behind `offset`: where an earlier call may have left placeholders that are not known here, another one keeps
    /// them apart.
    pub fn behind(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Takes no placeholder that stands in `text`. To be called for every text before the first value is put in.
    pub fn avoid(&mut self, text: &str) {
        if !text.contains('<') {
            return;
        }
        if let Some(regex) = &*PLACEHOLDER {
            self.taken.extend(regex.find_iter(text).map(|found| found.as_str().to_owned()));
        }
    }

    /// The placeholder of a value, which is given back in its place.
    pub fn put(&mut self, label: &str, value: &str) -> String {
        let placeholder = self.placeholder(label, value);
        self.longest = self.longest.max(placeholder.len());
        self.values.insert(placeholder.clone(), value.to_owned());
        placeholder
    }

    /// The placeholder of a value that is not given back.
    pub fn placeholder(&mut self, label: &str, value: &str) -> String {
        let key = (label.to_owned(), value.to_owned());
        if let Some(known) = self.placeholders.get(&key) {
            return known.clone();
        }
        let word = label.to_ascii_uppercase();
        let number = self.next.entry(word.clone()).or_insert(self.offset);
        let placeholder = loop {
            *number += 1;
            let placeholder = format!("<{word}_{number}>");
            if !self.taken.contains(&placeholder) {
                break placeholder;
            }
        };
        self.placeholders.insert(key, placeholder.clone());
        placeholder
    }

    /// Whether nothing is to be given back.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The placeholders in `text`, each with where it stands and its value.
    pub fn find<'v>(&'v self, text: &str) -> Vec<(std::ops::Range<usize>, &'v str)> {
        let mut found = Vec::new();
        if self.is_empty() {
            return found;
        }
        for (start, _) in text.match_indices('<') {
            let Some(length) = text[start..].find('>').filter(|length| *length < self.longest) else {
                continue;
            };
            let range = start..start + length + 1;
            if let Some(value) = self.values.get(&text[range.clone()]) {
                found.push((range, value.as_str()));
            }
        }
        found
    }

    /// `text` with every value in its place.
    pub fn restore(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (range, value) in self.find(text) {
            out.push_str(&text[at..range.start]);
            out.push_str(value);
            at = range.end;
        }
        out.push_str(&text[at..]);
        out
    }

    /// From where on the end of `text` may be the beginning of a placeholder.
    pub(crate) fn first_alive(&self, text: &str, from: usize) -> usize {
        let Some(start) = text[from..].rfind('<').map(|place| from + place).filter(|_| !self.is_empty())
        else {
            return text.len();
        };
        let rest = &text[start..];
        let is_beginning = rest.len() < self.longest
            && self.values.keys().any(|known| known.starts_with(rest) && known != rest);
        if is_beginning { start } else { text.len() }
    }
}

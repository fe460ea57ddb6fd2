//! The filter and order language of the search endpoints: text in, checked comparisons out. Pure; `store/search.rs` and
//! `store/traces/search.rs` turn them into SQL.
//!
//! - `token`: text to tokens
//! - `vocabulary`: what a language of filters must say of itself
//! - `grammar`: tokens to comparisons and orders, in the words of a vocabulary
//! - `subject`: what may be searched of runs, models and their kin
//! - `traces`: what may be searched of traces, and which traces count in a metric
//! - `regular`: regular expressions within bounds
//! - `print`: comparisons as text that reads as the same comparisons
//! - `page`: page sizes and page tokens
//!
//! Every error names the position of what is wrong, counted in characters from 1, and what was expected there.

mod grammar;
pub(crate) mod page;
pub(crate) mod print;
pub(crate) mod regular;
pub(crate) mod subject;
mod token;
pub(crate) mod traces;
mod vocabulary;

pub(crate) use grammar::{parse_clauses, parse_filter, parse_order, parse_order_field, parse_order_of};
pub(crate) use subject::{Attribute, AttributeKind, Subject};
pub(crate) use vocabulary::{Clause, Condition};

/// A filter, an order or a page token that cannot be read; the message quotes what was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(pub(crate) String);

impl FilterError {
    /// The one form of what is wrong with a filter.
    pub(crate) fn at(position: usize, problem: &str, expected: &str) -> Self {
        Self(format!("{problem} at position {position}; expected {expected}"))
    }
}

/// What a comparison or an order looks at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Field {
    Attribute(&'static Attribute),
    Metric(String),
    Param(String),
    Tag(String),
    Dataset(DatasetField),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatasetField {
    Name,
    Digest,
    Context,
}

/// One comparison of a filter; a filter is their conjunction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) field: Field,
    pub(crate) test: Test,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Number(Relation, f64),
    Text { equal: bool, value: String },
    Like { pattern: String, case_sensitive: bool },
    Among { inside: bool, values: Vec<String> },
    Present(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// As a filter writes it.
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::NotEqual => "!=",
            other => other.sql(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) field: Field,
    pub(crate) ascending: bool,
}

/// Whether `text` fits the SQL pattern (`%` any text, `_` any one character), case-sensitively and as a whole.
pub(crate) fn like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut at, mut wanted) = (0, 0);
    let mut last_any: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(wanted) {
            Some('%') => {
                last_any = Some((wanted, at));
                wanted += 1;
            }
            Some(letter) if *letter == '_' || *letter == text[at] => {
                at += 1;
                wanted += 1;
            }
            _ => match last_any {
                Some((any, from)) => {
                    last_any = Some((any, from + 1));
                    at = from + 1;
                    wanted = any + 1;
                }
                None => return false,
            },
        }
    }
    pattern[wanted..].iter().all(|letter| *letter == '%')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of LIKE, without a thought for its cost.
    fn slow_like(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|from| slow_like(&text[from..], rest)),
            Some((wanted, rest)) => text.split_first().is_some_and(|(letter, after)| {
                (*wanted == '_' || wanted == letter) && slow_like(after, rest)
            }),
        }
    }

    proptest! {
        #[test]
        fn the_quick_match_is_the_definition(text in "[ab%_]{0,10}", pattern in "[ab%_]{0,8}") {
            let (letters, wanted) = (text.chars().collect::<Vec<_>>(), pattern.chars().collect::<Vec<_>>());
            prop_assert_eq!(like(&text, &pattern), slow_like(&letters, &wanted));
        }
    }

    #[test]
    fn patterns_match_the_whole_text_with_their_case() {
        for (text, pattern, fits) in [
            ("late_arrivals", "late%", true),
            ("late_arrivals", "%arri%", true),
            ("late_arrivals", "Late%", false),
            ("late", "l_te", true),
            ("late", "l_e", false),
            ("late", "%", true),
            ("", "%", true),
            ("", "_", false),
            ("abcabd", "%ab_", true),
            ("aaab", "%a%b", true),
            ("late", "", false),
        ] {
            assert_eq!(like(text, pattern), fits, "{text} LIKE {pattern}");
        }
    }
}

//! Comparisons as text: what is written here reads as the same comparisons.

use std::fmt::{self, Display, Formatter};

use super::{Clause, Comparison, Condition, DatasetField, Field, Test};

/// A key, each of its parts in the quotes that it does not hold. A key that was read has such quotes for every part.
pub(crate) struct Key<'a>(pub(crate) &'a str);

impl Display for Key<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('.').enumerate() {
            let quote = if part.contains('`') { '"' } else { '`' };
            let joint = if index == 0 { "" } else { "." };
            write!(formatter, "{joint}{quote}{part}{quote}")?;
        }
        Ok(())
    }
}

/// A text in the quotes that it does not hold.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') { '"' } else { '\'' };
        write!(formatter, "{quote}{}{quote}", self.0)
    }
}

impl Display for Test {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(relation, number) => write!(formatter, "{} {number}", relation.symbol()),
            Self::Text { equal, value } => {
                write!(formatter, "{} {}", if *equal { "=" } else { "!=" }, Quoted(value))
            }
            Self::Like { pattern, case_sensitive } => {
                write!(formatter, "{} {}", if *case_sensitive { "LIKE" } else { "ILIKE" }, Quoted(pattern))
            }
            Self::Among { inside, values } => {
                let values: Vec<String> = values.iter().map(|value| Quoted(value).to_string()).collect();
                write!(formatter, "{}IN ({})", if *inside { "" } else { "NOT " }, values.join(", "))
            }
            Self::Present(present) => write!(formatter, "IS {}NULL", if *present { "NOT " } else { "" }),
        }
    }
}

impl Display for Condition {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(test) => test.fmt(formatter),
            Self::Matches(expression) => write!(formatter, "RLIKE {}", Quoted(expression)),
        }
    }
}

impl<F: Display> Display for Clause<F> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.field, self.condition)
    }
}

impl Display for Field {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(attribute) => write!(formatter, "attributes.`{}`", attribute.names[0]),
            Self::Metric(key) => write!(formatter, "metrics.{}", Key(key)),
            Self::Param(key) => write!(formatter, "params.{}", Key(key)),
            Self::Tag(key) => write!(formatter, "tags.{}", Key(key)),
            Self::Dataset(DatasetField::Name) => formatter.write_str("dataset.name"),
            Self::Dataset(DatasetField::Digest) => formatter.write_str("dataset.digest"),
            Self::Dataset(DatasetField::Context) => formatter.write_str("dataset.context"),
        }
    }
}

impl Display for Comparison {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.field, self.test)
    }
}

/// A whole filter.
pub(crate) fn filter<C: Display>(clauses: &[C]) -> String {
    clauses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            grammar::{parse_clauses, parse_filter},
            subject::{EXPERIMENTS, LOGGED_MODELS, MODEL_VERSIONS, REGISTERED_MODELS, RUNS},
            traces::{METRIC_FILTER, TRACES},
        },
        *,
    };

    /// Text that is often a filter and always close to one.
    fn almost_a_filter() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            Just("metrics.a"),
            Just("params.`b c`"),
            Just("tags.\"d`e\""),
            Just("start_time"),
            Just("run_id"),
            Just("name"),
            Just("span.name"),
            Just("span.attributes.x"),
            Just("trace.text"),
            Just("feedback.ok"),
            Just("expectation.`a.b`"),
            Just("metadata.m"),
            Just("issue.id"),
            Just("prompt"),
            Just("dataset.name"),
            Just("="),
            Just("!="),
            Just(">"),
            Just("<="),
            Just("LIKE"),
            Just("ILIKE"),
            Just("RLIKE"),
            Just("IN"),
            Just("NOT"),
            Just("IS"),
            Just("NULL"),
            Just("("),
            Just(")"),
            Just(","),
            Just("AND"),
            Just("OR"),
            Just("5"),
            Just("-1e-3"),
            Just("'x'"),
            Just("\"it's\""),
            Just("('a', 'b')"),
            Just("`"),
            Just("'"),
            Just(";"),
        ];
        proptest::collection::vec(word, 0..9).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(text in prop_oneof![almost_a_filter(), "\\PC{0,60}"]) {
            for subject in [&RUNS, &EXPERIMENTS, &LOGGED_MODELS, &REGISTERED_MODELS, &MODEL_VERSIONS] {
                match parse_filter(&text, subject) {
                    Ok(read) => prop_assert_eq!(parse_filter(&filter(&read), subject), Ok(read)),
                    Err(error) => prop_assert!(error.to_string().contains(" at position "), "{}", error),
                }
            }
            match parse_clauses(&text, &TRACES) {
                Ok(read) => prop_assert_eq!(parse_clauses(&filter(&read), &TRACES), Ok(read)),
                Err(error) => prop_assert!(error.to_string().contains(" at position "), "{}", error),
            }
            let _ = parse_clauses(&text, &METRIC_FILTER);
        }

        #[test]
        fn any_key_and_any_value_survive(
            key in "[^`\"]{1,20}", value in "[^']{0,20}", other in "[^\"]{0,20}", number in -1e300..1e300,
        ) {
            let written = format!(
                "tags.`{key}` = '{value}' AND metadata.\"{key}\" LIKE \"{other}\" AND span.attributes.`{key}` \
                 IN ('{value}', \"{other}\") AND feedback.`{key}` > {number} AND timestamp <= {number}"
            );
            let read = parse_clauses(&written, &TRACES).unwrap();
            prop_assert_eq!(read.len(), 5);
            prop_assert_eq!(parse_clauses(&filter(&read), &TRACES), Ok(read));
        }
    }
}

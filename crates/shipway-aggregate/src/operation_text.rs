//! Operations as people write them: a word, and a parameter in brackets where it takes one.

use std::str::FromStr;

use shipway_core::nearest;

use crate::Operation;

/// Why a text is not an operation. The hint says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOperation {
    /// No operation has this word.
    #[error("operation {word} does not exist")]
    Unknown {
        /// The word as written.
        word: String,
    },
    /// The operation takes a parameter and none is given.
    #[error("operation {word} needs a parameter")]
    NeedsParameter {
        /// Its word.
        word: &'static str,
    },
    /// The operation takes no parameter and one is given.
    #[error("operation {word} takes no parameter")]
    TakesNoParameter {
        /// Its word.
        word: &'static str,
    },
    /// The parameter is not one that the operation takes.
    #[error("operation {word} does not take ({parameter})")]
    BadParameter {
        /// Its word.
        word: &'static str,
        /// What stands in the brackets.
        parameter: String,
    },
}

/// What stands in the brackets of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameter {
    None,
    /// A whole number from the first to the second.
    Number(u32, u32),
    /// The same, and it may be left out.
    Bound,
    Quantile,
}

const MOST_BOUND: u32 = 1_000_000;

fn parameter_of(word: &str) -> Parameter {
    match word {
        "first_k" | "last_k" | "top_k" | "bottom_k" => Parameter::Number(1, Operation::MOST),
        "histogram" => Parameter::Number(2, Operation::MOST),
        "distinct_count" => Parameter::Bound,
        "approx_quantile" => Parameter::Quantile,
        _ => Parameter::None,
    }
}

impl NotAnOperation {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { word } => nearest(word, Operation::WORDS).map_or_else(
                || format!("the operations are {}", Operation::WORDS.join(", ")),
                |nearest| format!("did you mean {nearest}?"),
            ),
            Self::TakesNoParameter { word } => format!("write {word}"),
            Self::NeedsParameter { word } | Self::BadParameter { word, .. } => match parameter_of(word) {
                Parameter::Quantile => {
                    format!("write {word}(0.95): a number between 0 and 1 with at most six digits")
                }
                Parameter::Number(least, most) => {
                    format!("write {word}(5): a whole number from {least} to {most}")
                }
                Parameter::Bound => {
                    format!("write {word} or {word}(50000): a whole number from 1 to {MOST_BOUND}")
                }
                Parameter::None => format!("write {word}"),
            },
        }
    }
}

impl FromStr for Operation {
    type Err = NotAnOperation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (written, parameter) = match text.split_once('(') {
            Some((word, rest)) => (word.trim_end(), Some(rest.strip_suffix(')').unwrap_or(rest).trim())),
            None => (text, None),
        };
        let unknown = || NotAnOperation::Unknown { word: written.to_owned() };
        let word = Self::WORDS.into_iter().find(|word| *word == written).ok_or_else(unknown)?;
        let bad = |parameter: &str| NotAnOperation::BadParameter { word, parameter: parameter.to_owned() };
        let number = |least: u32, most: u32| {
            let parameter = parameter.ok_or(NotAnOperation::NeedsParameter { word })?;
            whole(parameter).filter(|number| (least..=most).contains(number)).ok_or_else(|| bad(parameter))
        };
        if text.contains('(') && !text.ends_with(')') {
            return Err(bad(parameter.unwrap_or_default()));
        }
        let given = match parameter_of(word) {
            Parameter::None if parameter.is_some() => return Err(NotAnOperation::TakesNoParameter { word }),
            Parameter::Bound if parameter.is_none() => Self::DEFAULT_DISTINCT_BOUND,
            Parameter::None => 0,
            Parameter::Bound => number(1, MOST_BOUND)?,
            Parameter::Number(least, most) => number(least, most)?,
            Parameter::Quantile => {
                let parameter = parameter.ok_or(NotAnOperation::NeedsParameter { word })?;
                millionths(parameter).ok_or_else(|| bad(parameter))?
            }
        };
        Self::of(word, given).ok_or_else(unknown)
    }
}

impl Operation {
    fn of(word: &str, parameter: u32) -> Option<Self> {
        Some(match word {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "var" => Self::Var,
            "stddev" => Self::Stddev,
            "skew" => Self::Skew,
            "kurtosis" => Self::Kurtosis,
            "first" => Self::First,
            "last" => Self::Last,
            "first_k" => Self::FirstK { k: parameter },
            "last_k" => Self::LastK { k: parameter },
            "top_k" => Self::TopK { k: parameter },
            "bottom_k" => Self::BottomK { k: parameter },
            "distinct_count" => Self::DistinctCount { bound: parameter },
            "approx_distinct" => Self::ApproxDistinct,
            "approx_quantile" => Self::ApproxQuantile { millionths: parameter },
            "histogram" => Self::Histogram { k: parameter },
            _ => return None,
        })
    }

    /// The part of a feature's name that says what is computed: `last_k_5`, `approx_quantile_95`, `distinct_count`.
    pub fn name_part(self) -> String {
        let word = self.word();
        match self {
            Self::FirstK { k }
            | Self::LastK { k }
            | Self::TopK { k }
            | Self::BottomK { k }
            | Self::Histogram { k } => format!("{word}_{k}"),
            Self::ApproxQuantile { millionths } => {
                let digits = format!("{millionths:06}");
                format!("{word}_{:0<2}", digits.trim_end_matches('0'))
            }
            _ => word.to_owned(),
        }
    }
}

/// Plain digits only: no sign, no space.
fn whole(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// `0.95` or `.95` in millionths, exactly; never 0 or 1.
fn millionths(text: &str) -> Option<u32> {
    let (whole_part, digits) = text.split_once('.')?;
    if !matches!(whole_part, "" | "0") || digits.is_empty() || digits.len() > 6 {
        return None;
    }
    whole(&format!("{digits:0<6}")).filter(|millionths| *millionths > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_its_operation_and_is_written_back() {
        for word in Operation::WORDS {
            let text = match parameter_of(word) {
                Parameter::None | Parameter::Bound => word.to_owned(),
                Parameter::Number(..) => format!("{word}(7)"),
                Parameter::Quantile => format!("{word}(0.95)"),
            };
            let operation: Operation = text.parse().unwrap();
            assert_eq!((operation.word(), operation.to_string()), (word, text));
        }
        assert_eq!("distinct_count( 50 )".parse(), Ok(Operation::DistinctCount { bound: 50 }));
    }

    #[test]
    fn names_carry_the_parameter() {
        let name = |text: &str| text.parse::<Operation>().unwrap().name_part();
        assert_eq!(name("last_k(5)"), "last_k_5");
        assert_eq!(name("approx_quantile(0.95)"), "approx_quantile_95");
        assert_eq!(name("approx_quantile(0.5)"), "approx_quantile_50");
        assert_eq!(name("approx_quantile(0.999)"), "approx_quantile_999");
        assert_eq!(name("approx_quantile(0.05)"), "approx_quantile_05");
        assert_eq!(name("distinct_count(9)"), "distinct_count");
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_write() {
        let wrong = |text: &str| {
            let error = text.parse::<Operation>().unwrap_err();
            format!("{error}: {}", error.hint())
        };
        assert_eq!(wrong("last_kk(5)"), "operation last_kk does not exist: did you mean last_k?");
        assert_eq!(
            wrong("last_k"),
            "operation last_k needs a parameter: write last_k(5): a whole number from 1 to 1000"
        );
        assert_eq!(
            wrong("last_k(0)"),
            "operation last_k does not take (0): write last_k(5): a whole number from 1 to 1000"
        );
        assert_eq!(wrong("avg(3)"), "operation avg takes no parameter: write avg");
        for text in [
            "last_k(5",
            "last_k(-5)",
            "last_k()",
            "histogram(1)",
            "approx_quantile(0)",
            "approx_quantile(1)",
            "approx_quantile(1.0)",
            "approx_quantile(0.0)",
            "approx_quantile(95)",
            "approx_quantile(0.1234567)",
            "approx_quantile(+.5)",
            "top_k(1001)",
            "count()",
        ] {
            assert!(text.parse::<Operation>().is_err(), "{text}");
        }
    }
}

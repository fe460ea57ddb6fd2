//! What a model wants of its columns, and how a value becomes the number that the model compares.

use std::{collections::HashMap, sync::Arc};

use shipway_core::Value;

/// One column that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInput {
    /// The name it was trained with.
    pub name: String,
    /// What goes in.
    pub kind: InputKind,
}

/// What goes into a column of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A number or a truth value; null is missing.
    Number,
    /// One of the categories of the training data; null, and a category that training did not see, are missing.
    Category,
}

/// How the values of one column become numbers.
#[derive(Debug, Clone)]
pub(crate) enum Encoding {
    /// The number itself.
    Number,
    /// The position of the category in the training data.
    Categories(Categories),
}

/// The categories of one column, each with its code.
///
/// Equality is that of Python, which coded the training data: 1, 1.0 and True are one category, `"1"` is another.
#[derive(Debug, Clone)]
pub(crate) struct Categories(Arc<Codes>);

#[derive(Debug, Default)]
struct Codes {
    words: HashMap<String, f64>,
    numbers: HashMap<u64, f64>,
}

impl Categories {
    /// The categories in the order of their codes; `None` when one of them is neither text, number nor truth value.
    pub(crate) fn new(values: &[serde_json::Value]) -> Option<Self> {
        let mut categories = Codes::default();
        let mut code = 0.0;
        for value in values {
            match value {
                serde_json::Value::String(word) => {
                    categories.words.insert(word.clone(), code);
                }
                serde_json::Value::Number(number) => {
                    categories.numbers.insert(number_key(number.as_f64()?), code);
                }
                serde_json::Value::Bool(flag) => {
                    categories.numbers.insert(number_key(f64::from(u8::from(*flag))), code);
                }
                _ => return None,
            }
            code += 1.0;
        }
        Some(Self(Arc::new(categories)))
    }

    /// Categories that are text, where a whole number is the category of its digits.
    pub(crate) fn of_words(words: &[&str]) -> Self {
        let mut categories = Codes::default();
        let mut code = 0.0;
        for word in words {
            categories.words.insert((*word).to_owned(), code);
            if let Some(number) = word.parse::<i32>().ok().filter(|number| number.to_string() == *word) {
                categories.numbers.insert(number_key(f64::from(number)), code);
            }
            code += 1.0;
        }
        Self(Arc::new(categories))
    }

    fn code(&self, value: &Value) -> Option<f64> {
        let found = match value {
            Value::Text(word) => self.0.words.get(word.as_ref()),
            other => self.0.numbers.get(&number_key(as_number(other)?)),
        };
        Some(found.copied().unwrap_or(f64::NAN))
    }
}

/// Equal numbers have equal keys: -0.0 is 0.0.
fn number_key(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

/// A value as the number that a model compares; null is NaN; `None` when the value is no number.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        #[expect(
            clippy::cast_precision_loss,
            reason = "models compare floats; training rounded the integer in the same way"
        )]
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Decimal(number) => Some(number.to_float()),
        Value::Text(_) | Value::Timestamp(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// A value without a fraction; floats only as far as they count exactly.
pub(crate) fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(flag) => Some(i64::from(*flag)),
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        Value::Float(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
            Some(*number as i64)
        }
        _ => None,
    }
}

impl Encoding {
    pub(crate) fn kind(&self) -> InputKind {
        match self {
            Self::Number => InputKind::Number,
            Self::Categories(_) => InputKind::Category,
        }
    }

    /// The number that stands for `value` in this column; `None` when the value cannot stand here.
    pub(crate) fn encode(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Number => as_number(value),
            Self::Categories(_) if value.is_null() => Some(f64::NAN),
            Self::Categories(categories) => categories.code(value),
        }
    }

    /// What [`Encoding::encode`] accepts, in words.
    pub(crate) const fn expected(&self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Categories(_) => "a category (text or a number)",
        }
    }
}

/// The type of a value in words.
pub(crate) const fn word_of(value: &Value) -> &'static str {
    value.word()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shipway_core::Decimal;

    use super::*;

    fn code(categories: &[serde_json::Value], value: &Value) -> Option<f64> {
        Encoding::Categories(Categories::new(categories).unwrap()).encode(value)
    }

    #[test]
    fn equal_numbers_are_one_category_and_text_is_another() {
        let months = [json!(5), json!(1), json!(2.5)];
        assert_eq!(code(&months, &Value::Int(1)), Some(1.0));
        assert_eq!(code(&months, &Value::Float(1.0)), Some(1.0));
        assert_eq!(code(&months, &Value::Bool(true)), Some(1.0));
        assert_eq!(code(&months, &Value::Float(2.5)), Some(2.0));
        assert!(code(&months, &Value::text("1")).unwrap().is_nan());
    }

    #[test]
    fn an_unseen_category_and_null_are_missing() {
        let carriers = [json!("UA"), json!("B6")];
        assert_eq!(code(&carriers, &Value::text("B6")), Some(1.0));
        assert!(code(&carriers, &Value::text("XX")).unwrap().is_nan());
        assert!(code(&carriers, &Value::Null).unwrap().is_nan());
        assert_eq!(code(&carriers, &Value::Timestamp(shipway_core::Timestamp(0))), None);
    }

    #[test]
    fn text_is_not_a_number() {
        assert_eq!(Encoding::Number.encode(&Value::text("1")), None);
        assert_eq!(Encoding::Number.encode(&Value::Bool(true)), Some(1.0));
    }

    #[test]
    fn a_decimal_is_the_float_nearest_to_it() {
        let decimal = |unscaled, scale| Value::Decimal(Decimal::new(unscaled, scale).unwrap());
        assert_eq!(Encoding::Number.encode(&decimal(10, 2)), Some(0.1));
        assert_eq!(
            Encoding::Number.encode(&decimal(9_007_199_254_740_993, 0)),
            Some(9_007_199_254_740_992.0)
        );
        assert_eq!(
            code(&[json!(5), json!(2.5)], &decimal(250, 2)),
            Some(1.0),
            "an equal number is the same category"
        );
    }
}

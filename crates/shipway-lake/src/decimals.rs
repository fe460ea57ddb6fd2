//! Arrow decimals and whole numbers as decimals of a declared type: exactly, or not at all.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray as _, Decimal128Array},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType as ArrowType, Decimal128Type, Decimal256Type, DecimalType as _, i256},
};
use shipway_core::DecimalType;

/// The Arrow type of decimals.
pub fn decimal_type(decimal: DecimalType) -> ArrowType {
    ArrowType::Decimal128(decimal.precision(), decimal.scale().cast_signed())
}

/// The decimals that a column of type `got` holds; `None` for other types, and for more digits than there can be.
pub fn decimal_of(got: &ArrowType) -> Option<DecimalType> {
    let (precision, scale) = match got {
        ArrowType::Decimal32(precision, scale)
        | ArrowType::Decimal64(precision, scale)
        | ArrowType::Decimal128(precision, scale)
        | ArrowType::Decimal256(precision, scale) => (*precision, *scale),
        _ => return None,
    };
    DecimalType::new(precision, u8::try_from(scale).ok()?)
}

/// Whether values of `got` can be decimals at all: whole numbers and decimals of every width; each value is still checked.
pub fn may_be_decimals(got: &ArrowType) -> bool {
    got.is_integer() || got.is_decimal() || got == &ArrowType::Null
}

/// `array`, for which [`may_be_decimals`] is true, as decimals of `precision` and `scale`. Digits are added, never cut: the
/// first row that would lose one is the error, with its value as text.
pub fn exact_decimals(array: &ArrayRef, precision: u8, scale: i8) -> Result<ArrayRef, (usize, String)> {
    let target = ArrowType::Decimal128(precision, scale);
    if array.data_type() == &target {
        return Ok(Arc::clone(array));
    }
    let unfit = |row: usize| (row, format!("{} does not fit {target}", shown(array, row)));
    let given_scale = match array.data_type() {
        ArrowType::Decimal32(_, given)
        | ArrowType::Decimal64(_, given)
        | ArrowType::Decimal128(_, given)
        | ArrowType::Decimal256(_, given) => *given,
        _ => 0,
    };
    // Every number fits 256 bits as it is; the rest is arithmetic without a rule for rounding.
    let widest = ArrowType::Decimal256(Decimal256Type::MAX_PRECISION, given_scale);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let wide = cast_with_options(array, &widest, &strict).map_err(|fault| (0, fault.to_string()))?;
    let wide = wide.as_primitive::<Decimal256Type>();
    let (steps, grows) = (u32::from(scale.abs_diff(given_scale)), scale >= given_scale);
    let factor = i256::from_i128(10).checked_pow(steps);
    let fit = |number: i256| {
        let factor = factor?;
        let number = if grows {
            number.checked_mul(factor)?
        } else {
            (number.checked_rem(factor)? == i256::ZERO).then(|| number.checked_div(factor))??
        };
        let number = number.to_i128()?;
        Decimal128Type::is_valid_decimal_precision(number, precision).then_some(number)
    };
    let numbers = wide.iter().enumerate().map(|(row, number)| match number {
        None => Ok(None),
        Some(number) => fit(number).map(Some).ok_or_else(|| unfit(row)),
    });
    let numbers: Vec<Option<i128>> = numbers.collect::<Result<_, _>>()?;
    let decimals = Decimal128Array::from(numbers).with_precision_and_scale(precision, scale);
    decimals.map(|decimals| Arc::new(decimals) as ArrayRef).map_err(|fault| (0, fault.to_string()))
}

fn shown(array: &ArrayRef, row: usize) -> String {
    let text = arrow::util::display::array_value_to_string(array, row).unwrap_or_default();
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal256Array, Int64Array, UInt64Array};

    use super::*;

    fn decimals(numbers: &[Option<i128>], precision: u8, scale: i8) -> ArrayRef {
        Arc::new(Decimal128Array::from(numbers.to_vec()).with_precision_and_scale(precision, scale).unwrap())
    }

    #[test]
    fn narrower_decimals_and_whole_numbers_widen_exactly() {
        let wider = exact_decimals(&decimals(&[Some(-125), None], 5, 2), 10, 4).unwrap();
        assert_eq!(&wider, &decimals(&[Some(-12_500), None], 10, 4));
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, 7]));
        let widened = exact_decimals(&whole, 38, 2).unwrap();
        assert_eq!(&widened, &decimals(&[Some(i128::from(i64::MIN) * 100), Some(700)], 38, 2));
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
        assert_eq!(
            &exact_decimals(&unsigned, 20, 0).unwrap(),
            &decimals(&[Some(i128::from(u64::MAX))], 20, 0)
        );
        let wide: ArrayRef = Arc::new(
            Decimal256Array::from(vec![i256::from_i128(5)]).with_precision_and_scale(76, 1).unwrap(),
        );
        assert_eq!(&exact_decimals(&wide, 3, 1).unwrap(), &decimals(&[Some(5)], 3, 1));
        let thousands = decimals(&[Some(3)], 5, -3);
        assert_eq!(&exact_decimals(&thousands, 6, 1).unwrap(), &decimals(&[Some(30_000)], 6, 1));
    }

    #[test]
    fn a_digit_that_would_be_lost_names_its_row_and_zeros_are_no_digits() {
        let cents = decimals(&[Some(150), Some(155)], 5, 2);
        assert_eq!(exact_decimals(&cents, 5, 1), Err((1, "1.55 does not fit Decimal128(5, 1)".to_owned())));
        assert_eq!(&exact_decimals(&cents.slice(0, 1), 5, 1).unwrap(), &decimals(&[Some(15)], 5, 1));
        let large = decimals(&[Some(999), Some(1_000)], 4, 0);
        assert_eq!(exact_decimals(&large, 3, 0), Err((1, "1000 does not fit Decimal128(3, 0)".to_owned())));
        let whole: ArrayRef = Arc::new(Int64Array::from(vec![10]));
        assert!(exact_decimals(&whole, 2, 1).is_err());
    }
}

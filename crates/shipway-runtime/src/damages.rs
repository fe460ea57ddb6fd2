//! Ways to damage the bytes of a model, and what a model that still loads must stand.

use proptest::prelude::*;

use crate::{Model, OutputKind};

/// One way to damage a text.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    Cut(prop::sample::Index),
    Replace(prop::sample::Index, u8),
    Delete(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Number(prop::sample::Index, &'static str),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    let numbers = [
        "-1",
        "0",
        "99999999999999999999",
        "18446744073709551615",
        "4294967295",
        "-2147483648",
        "nan",
        "1e999",
        "2",
    ];
    prop_oneof![
        1 => place().prop_map(Damage::Cut),
        3 => (place(), any::<u8>()).prop_map(|(place, byte)| Damage::Replace(place, byte)),
        2 => (place(), 1..200_usize).prop_map(|(place, length)| Damage::Delete(place, length)),
        2 => (place(), 1..200_usize).prop_map(|(place, length)| Damage::Repeat(place, length)),
        6 => (place(), prop::sample::select(numbers.to_vec())).prop_map(|(place, text)| Damage::Number(place, text)),
    ]
}

pub(crate) fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Cut(place) => bytes.truncate(place.index(bytes.len())),
        Damage::Replace(place, byte) => {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        Damage::Delete(place, length) => {
            let start = place.index(bytes.len());
            bytes.drain(start..(start + length).min(bytes.len()));
        }
        Damage::Repeat(place, length) => {
            let start = place.index(bytes.len());
            let part = bytes[start..(start + length).min(bytes.len())].to_vec();
            bytes.splice(start..start, part);
        }
        Damage::Number(place, text) => {
            let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'-' || *byte == b'.';
            let start = place.index(bytes.len());
            let Some(start) = bytes[start..].iter().position(is_digit).map(|offset| start + offset) else {
                return;
            };
            let end = bytes[start..]
                .iter()
                .position(|byte| !is_digit(byte))
                .map_or(bytes.len(), |offset| start + offset);
            bytes.splice(start..end, text.bytes());
        }
    }
}

/// Asks for every kind of output: each must be answered or refused, with numbers of the right count.
pub(crate) fn answers_all(model: &Model) {
    let numbers = [0.0, f64::NAN, 1e300, -1.5, f64::INFINITY, f64::NEG_INFINITY, 3.0];
    for rows in [1, 5, 70] {
        let count = rows * model.inputs().len();
        let data: Vec<f64> = (0..count).map(|place| numbers[place % numbers.len()]).collect();
        for kind in [
            OutputKind::Value,
            OutputKind::Raw,
            OutputKind::Class,
            OutputKind::LeafIndex,
            OutputKind::Contributions,
        ] {
            if let (Ok(width), Ok(answers)) = (model.output_width(kind), model.output(kind, &data, rows)) {
                assert_eq!(answers.len(), rows * width);
            }
        }
    }
}

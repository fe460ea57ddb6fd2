//! The data of a tensor as JSON: read flat or nested, written flat.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;
use half::{bf16, f16};
use serde::{
    Serialize, Serializer,
    de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor},
};
use shipway_core::Value;
use shipway_runtime::tensor::{Datatype, Elements};

/// What JSON can be one element of.
pub(crate) trait Element: Sized {
    fn of_null() -> Option<Self> {
        None
    }

    fn of_bool(_: bool) -> Option<Self> {
        None
    }

    fn of_signed(_: i64) -> Option<Self> {
        None
    }

    fn of_unsigned(_: u64) -> Option<Self> {
        None
    }

    fn of_float(_: f64) -> Option<Self> {
        None
    }

    fn of_text(_: &str) -> Option<Self> {
        None
    }
}

macro_rules! whole_numbers {
    ($($type:ty),*) => {$(
        impl Element for $type {
            fn of_signed(number: i64) -> Option<Self> {
                Self::try_from(number).ok()
            }

            fn of_unsigned(number: u64) -> Option<Self> {
                Self::try_from(number).ok()
            }
        }
    )*};
}

whole_numbers!(i8, i16, i32, i64, u8, u16, u32, u64);

/// The words for floats that JSON has no numbers for.
fn float_of_word(word: &str) -> Option<f64> {
    match word {
        "NaN" | "nan" => Some(f64::NAN),
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

macro_rules! floats {
    ($($type:ty: $narrow:expr),*) => {$(
        #[expect(clippy::allow_attributes, reason = "one of the four narrows nothing")]
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the tensor has this precision")]
        impl Element for $type {
            fn of_null() -> Option<Self> {
                Some($narrow(f64::NAN))
            }

            fn of_signed(number: i64) -> Option<Self> {
                Some($narrow(number as f64))
            }

            fn of_unsigned(number: u64) -> Option<Self> {
                Some($narrow(number as f64))
            }

            fn of_float(number: f64) -> Option<Self> {
                Some($narrow(number))
            }

            fn of_text(word: &str) -> Option<Self> {
                float_of_word(word).map($narrow)
            }
        }
    )*};
}

floats!(f16: f16::from_f64, bf16: bf16::from_f64, f32: |number: f64| number as f32, f64: |number: f64| number);

impl Element for bool {
    fn of_bool(flag: bool) -> Option<Self> {
        Some(flag)
    }

    fn of_signed(number: i64) -> Option<Self> {
        matches!(number, 0 | 1).then_some(number == 1)
    }

    fn of_unsigned(number: u64) -> Option<Self> {
        matches!(number, 0 | 1).then_some(number == 1)
    }
}

impl Element for Bytes {
    fn of_text(text: &str) -> Option<Self> {
        Some(Self::copy_from_slice(text.as_bytes()))
    }
}

/// Any scalar; null is a missing value.
impl Element for Value {
    fn of_null() -> Option<Self> {
        Some(Self::Null)
    }

    fn of_bool(flag: bool) -> Option<Self> {
        Some(Self::Bool(flag))
    }

    fn of_signed(number: i64) -> Option<Self> {
        Some(Self::Int(number))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "beyond the whole numbers that there are: the nearest float"
    )]
    fn of_unsigned(number: u64) -> Option<Self> {
        Some(i64::try_from(number).map_or_else(|_| Self::float(number as f64), Self::Int))
    }

    fn of_float(number: f64) -> Option<Self> {
        Some(Self::float(number))
    }

    fn of_text(text: &str) -> Option<Self> {
        Some(Self::text(text))
    }
}

/// Appends the elements of nested arrays, row by row.
struct Nested<'into, T> {
    into: &'into mut Vec<T>,
    depth: usize,
    most: usize,
    word: &'static str,
}

impl<'de, T: Element> DeserializeSeed<'de> for Nested<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<T: Element> Nested<'_, T> {
    fn push<E: Error>(self, element: Option<T>, shown: impl fmt::Display) -> Result<(), E> {
        let Some(element) = element else {
            let shown: String = shown.to_string().chars().take(40).collect();
            return Err(E::custom(format_args!("{shown} is no {}", self.word)));
        };
        if self.into.len() >= self.most {
            return Err(E::custom(format_args!(
                "there are more than the {} elements of the shape",
                self.most
            )));
        }
        self.into.push(element);
        Ok(())
    }
}

impl<'de, T: Element> Visitor<'de> for Nested<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} elements in arrays", self.word)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err(A::Error::custom("data is nested deeper than its shape"));
        };
        loop {
            let next = Nested { into: &mut *self.into, depth, most: self.most, word: self.word };
            if elements.next_element_seed(next)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.push(T::of_null(), "null")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.push(T::of_bool(flag), flag)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.push(T::of_signed(number), number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.push(T::of_unsigned(number), number)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.push(T::of_float(number), number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.push(T::of_text(text), format_args!("\"{text}\""))
    }
}

/// The elements of a shape, each read as `T`; in words what is wrong with them.
pub(crate) fn read<T: Element>(
    shape: &[usize],
    json: &[u8],
    word: &'static str,
    _: PhantomData<T>,
) -> Result<Vec<T>, String> {
    let expected = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let most = expected.ok_or_else(|| format!("the shape {shape:?} has too many elements"))?;
    // An element takes two characters at least, so no more is set aside than was sent.
    let mut elements = Vec::with_capacity(most.min(json.len() / 2 + 1));
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Nested { into: &mut elements, depth: shape.len(), most, word }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| {
            let words = error.to_string();
            words.rsplit_once(" at line ").map_or(words.clone(), |(reason, _)| reason.to_owned())
        })?;
    if elements.len() == most {
        Ok(elements)
    } else {
        Err(format!("data has {} elements, the shape {shape:?} has {most}", elements.len()))
    }
}

/// The elements of a tensor of this type and shape.
pub(crate) fn from_json(datatype: Datatype, shape: &[usize], json: &[u8]) -> Result<Elements, String> {
    let word = datatype.word();
    Ok(match datatype {
        Datatype::Bool => Elements::Bool(read(shape, json, word, PhantomData)?),
        Datatype::Int8 => Elements::Int8(read(shape, json, word, PhantomData)?),
        Datatype::Int16 => Elements::Int16(read(shape, json, word, PhantomData)?),
        Datatype::Int32 => Elements::Int32(read(shape, json, word, PhantomData)?),
        Datatype::Int64 => Elements::Int64(read(shape, json, word, PhantomData)?),
        Datatype::Uint8 => Elements::Uint8(read(shape, json, word, PhantomData)?),
        Datatype::Uint16 => Elements::Uint16(read(shape, json, word, PhantomData)?),
        Datatype::Uint32 => Elements::Uint32(read(shape, json, word, PhantomData)?),
        Datatype::Uint64 => Elements::Uint64(read(shape, json, word, PhantomData)?),
        Datatype::Fp16 => Elements::Fp16(read(shape, json, word, PhantomData)?),
        Datatype::Bf16 => Elements::Bf16(read(shape, json, word, PhantomData)?),
        Datatype::Fp32 => Elements::Fp32(read(shape, json, word, PhantomData)?),
        Datatype::Fp64 => Elements::Fp64(read(shape, json, word, PhantomData)?),
        Datatype::Bytes => Elements::Bytes(read(shape, json, word, PhantomData)?),
    })
}

/// Elements as a flat JSON array. Floats that JSON has no numbers for are the words `NaN`, `Infinity` and `-Infinity`.
pub(crate) struct Flat<'elements>(pub(crate) &'elements Elements);

/// A float as JSON; `T` keeps its own precision.
struct Float<T>(T, f64);

impl<T: Serialize> Serialize for Float<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            number if number.is_finite() => self.0.serialize(serializer),
            number if number.is_nan() => serializer.serialize_str("NaN"),
            number if number > 0.0 => serializer.serialize_str("Infinity"),
            _ => serializer.serialize_str("-Infinity"),
        }
    }
}

impl Serialize for Flat<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Elements::Bool(elements) => elements.serialize(serializer),
            Elements::Int8(elements) => elements.serialize(serializer),
            Elements::Int16(elements) => elements.serialize(serializer),
            Elements::Int32(elements) => elements.serialize(serializer),
            Elements::Int64(elements) => elements.serialize(serializer),
            Elements::Uint8(elements) => elements.serialize(serializer),
            Elements::Uint16(elements) => elements.serialize(serializer),
            Elements::Uint32(elements) => elements.serialize(serializer),
            Elements::Uint64(elements) => elements.serialize(serializer),
            Elements::Fp16(elements) => {
                serializer.collect_seq(elements.iter().map(|number| Float(number.to_f32(), number.to_f64())))
            }
            Elements::Bf16(elements) => {
                serializer.collect_seq(elements.iter().map(|number| Float(number.to_f32(), number.to_f64())))
            }
            Elements::Fp32(elements) => {
                serializer.collect_seq(elements.iter().map(|number| Float(*number, f64::from(*number))))
            }
            Elements::Fp64(elements) => {
                serializer.collect_seq(elements.iter().map(|number| Float(*number, *number)))
            }
            Elements::Bytes(elements) => {
                let text = |string: &Bytes| {
                    std::str::from_utf8(string).map(str::to_owned).map_err(|_| {
                        serde::ser::Error::custom("a string that is not UTF-8 goes as binary data only")
                    })
                };
                let texts = elements.iter().map(text).collect::<Result<Vec<String>, S::Error>>()?;
                texts.serialize(serializer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(datatype: Datatype, shape: &[usize], json: &str) -> Result<String, String> {
        let elements = from_json(datatype, shape, json.as_bytes())?;
        Ok(serde_json::to_string(&Flat(&elements)).unwrap())
    }

    #[test]
    fn data_is_read_flat_or_nested_and_written_flat() {
        for json in ["[1, 2, 3, 4]", "[[1, 2], [3, 4]]", "[[1], [2, 3, 4]]"] {
            assert_eq!(read_back(Datatype::Int16, &[2, 2], json).unwrap(), "[1,2,3,4]");
        }
        assert_eq!(read_back(Datatype::Fp32, &[2], "[0.1, 3]").unwrap(), "[0.1,3.0]");
        assert_eq!(read_back(Datatype::Fp16, &[2], "[0.5, \"-Infinity\"]").unwrap(), "[0.5,\"-Infinity\"]");
        assert_eq!(read_back(Datatype::Bf16, &[1], "[2]").unwrap(), "[2.0]");
        assert_eq!(read_back(Datatype::Fp64, &[2], "[null, 1e300]").unwrap(), "[\"NaN\",1e+300]");
        assert_eq!(read_back(Datatype::Bool, &[3], "[true, 0, 1]").unwrap(), "[true,false,true]");
        assert_eq!(read_back(Datatype::Bytes, &[2], "[\"a\", \"ä\\n\"]").unwrap(), "[\"a\",\"ä\\n\"]");
        assert_eq!(
            read_back(Datatype::Uint64, &[1], "[18446744073709551615]").unwrap(),
            "[18446744073709551615]"
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (datatype, shape, json, expected) in [
            (Datatype::Int8, vec![1], "[300]", "300 is no INT8"),
            (Datatype::Int32, vec![1], "[1.5]", "1.5 is no INT32"),
            (Datatype::Int32, vec![1], "[null]", "null is no INT32"),
            (Datatype::Fp32, vec![1], "[\"1\"]", "\"1\" is no FP32"),
            (Datatype::Bytes, vec![1], "[1]", "1 is no BYTES"),
            (Datatype::Fp64, vec![2], "[1]", "data has 1 elements, the shape [2] has 2"),
            (Datatype::Fp64, vec![1], "[1, 2]", "there are more than the 1 elements of the shape"),
            (Datatype::Fp64, vec![1], "[[1]]", "data is nested deeper than its shape"),
            (Datatype::Fp64, vec![1], "{}", "invalid type: map, expected FP64 elements in arrays"),
            (
                Datatype::Fp64,
                vec![usize::MAX, 2],
                "[]",
                "the shape [18446744073709551615, 2] has too many elements",
            ),
        ] {
            assert_eq!(from_json(datatype, &shape, json.as_bytes()).unwrap_err(), expected);
        }
        let deep = "[".repeat(100_000);
        assert!(from_json(Datatype::Fp64, &[1, 1], deep.as_bytes()).is_err());
        assert!(from_json(Datatype::Fp64, &[1], b"[1e999]").is_err());
    }
}

//! Tensors as bytes: little-endian numbers, one byte for a truth value, strings behind their length in four bytes.

use bytes::Bytes;
use half::{bf16, f16};

use super::{Datatype, Elements};

/// Why bytes are no elements of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongBytes {
    /// There are more or fewer bytes than the elements take.
    #[error("expected {expected} bytes for {elements} elements of {datatype}, got {got}")]
    Size {
        /// Bytes that the elements take.
        expected: usize,
        /// How many elements the shape has.
        elements: usize,
        /// Their type.
        datatype: Datatype,
        /// Bytes that came.
        got: usize,
    },
    /// A string is longer than what is left, or there are more or fewer strings than the shape says.
    #[error("expected {elements} strings, each behind its length in 4 bytes; element {place} {reason}")]
    Strings {
        /// How many the shape has.
        elements: usize,
        /// Which one is wrong, from 0.
        place: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A truth value that is neither 0 nor 1.
    #[error("element {place} is {got}; a BOOL is 0 or 1")]
    NoTruthValue {
        /// Which one, from 0.
        place: usize,
        /// What stands there.
        got: u8,
    },
}

/// The numbers in `bytes`, whose length was checked.
fn numbers<const SIZE: usize, T>(bytes: &[u8], read: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks::<SIZE>().0.iter().map(|chunk| read(*chunk)).collect()
}

impl Elements {
    /// Reads `count` elements. Strings share the memory of `bytes`. Nothing is allocated beyond the size of `bytes`.
    pub fn from_raw(datatype: Datatype, count: usize, bytes: &Bytes) -> Result<Self, WrongBytes> {
        if let Some(size) = datatype.size() {
            let expected = count.checked_mul(size);
            if expected != Some(bytes.len()) {
                let expected = expected.unwrap_or(usize::MAX);
                return Err(WrongBytes::Size { expected, elements: count, datatype, got: bytes.len() });
            }
        }
        Ok(match datatype {
            Datatype::Bool => Self::Bool(truth_values(bytes)?),
            Datatype::Int8 => Self::Int8(numbers(bytes, i8::from_le_bytes)),
            Datatype::Int16 => Self::Int16(numbers(bytes, i16::from_le_bytes)),
            Datatype::Int32 => Self::Int32(numbers(bytes, i32::from_le_bytes)),
            Datatype::Int64 => Self::Int64(numbers(bytes, i64::from_le_bytes)),
            Datatype::Uint8 => Self::Uint8(bytes.to_vec()),
            Datatype::Uint16 => Self::Uint16(numbers(bytes, u16::from_le_bytes)),
            Datatype::Uint32 => Self::Uint32(numbers(bytes, u32::from_le_bytes)),
            Datatype::Uint64 => Self::Uint64(numbers(bytes, u64::from_le_bytes)),
            Datatype::Fp16 => Self::Fp16(numbers(bytes, f16::from_le_bytes)),
            Datatype::Bf16 => Self::Bf16(numbers(bytes, bf16::from_le_bytes)),
            Datatype::Fp32 => Self::Fp32(numbers(bytes, f32::from_le_bytes)),
            Datatype::Fp64 => Self::Fp64(numbers(bytes, f64::from_le_bytes)),
            Datatype::Bytes => Self::Bytes(strings(count, bytes)?),
        })
    }

    /// The elements as bytes; [`Elements::from_raw`] reads them back.
    pub fn to_raw(&self) -> Vec<u8> {
        fn all<const SIZE: usize, T: Copy>(elements: &[T], write: impl Fn(T) -> [u8; SIZE]) -> Vec<u8> {
            elements.iter().flat_map(|element| write(*element)).collect()
        }
        match self {
            Self::Bool(elements) => elements.iter().map(|flag| u8::from(*flag)).collect(),
            Self::Int8(elements) => all(elements, i8::to_le_bytes),
            Self::Int16(elements) => all(elements, i16::to_le_bytes),
            Self::Int32(elements) => all(elements, i32::to_le_bytes),
            Self::Int64(elements) => all(elements, i64::to_le_bytes),
            Self::Uint8(elements) => elements.clone(),
            Self::Uint16(elements) => all(elements, u16::to_le_bytes),
            Self::Uint32(elements) => all(elements, u32::to_le_bytes),
            Self::Uint64(elements) => all(elements, u64::to_le_bytes),
            Self::Fp16(elements) => all(elements, f16::to_le_bytes),
            Self::Bf16(elements) => all(elements, bf16::to_le_bytes),
            Self::Fp32(elements) => all(elements, f32::to_le_bytes),
            Self::Fp64(elements) => all(elements, f64::to_le_bytes),
            Self::Bytes(elements) => {
                let mut bytes = Vec::with_capacity(elements.iter().map(|string| string.len() + 4).sum());
                for string in elements {
                    bytes.extend(u32::try_from(string.len()).unwrap_or(u32::MAX).to_le_bytes());
                    bytes.extend_from_slice(string);
                }
                bytes
            }
        }
    }
}

fn truth_values(bytes: &[u8]) -> Result<Vec<bool>, WrongBytes> {
    let flag = |(place, byte): (usize, &u8)| match byte {
        0 => Ok(false),
        1 => Ok(true),
        got => Err(WrongBytes::NoTruthValue { place, got: *got }),
    };
    bytes.iter().enumerate().map(flag).collect()
}

fn strings(count: usize, bytes: &Bytes) -> Result<Vec<Bytes>, WrongBytes> {
    let wrong = |place, reason| WrongBytes::Strings { elements: count, place, reason };
    // Each string takes four bytes at least, so a count beyond that is wrong before anything is allocated for it.
    let mut strings = Vec::with_capacity(count.min(bytes.len() / 4));
    let mut rest = bytes.clone();
    for place in 0..count {
        let length = rest.first_chunk::<4>().map(|length| u32::from_le_bytes(*length));
        let length = length.ok_or_else(|| wrong(place, "has no length"))?;
        let length = usize::try_from(length).map_err(|_| wrong(place, "is too long"))?;
        if rest.len() - 4 < length {
            return Err(wrong(place, "is longer than what is left"));
        }
        let mut string = rest.split_to(4 + length);
        strings.push(string.split_off(4));
    }
    if rest.is_empty() { Ok(strings) } else { Err(wrong(count, "was not expected")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_type_comes_back_as_it_went() {
        let strings = vec![Bytes::from_static(b"a"), Bytes::new(), Bytes::from_static(b"\xff\x00z")];
        for elements in [
            Elements::Bool(vec![true, false]),
            Elements::Int8(vec![-1, 2]),
            Elements::Int16(vec![-300]),
            Elements::Int32(vec![1 << 30]),
            Elements::Int64(vec![i64::MIN, 7]),
            Elements::Uint8(vec![0, 255]),
            Elements::Uint16(vec![65_535]),
            Elements::Uint32(vec![u32::MAX]),
            Elements::Uint64(vec![u64::MAX]),
            Elements::Fp16(vec![f16::from_f32(1.5)]),
            Elements::Bf16(vec![bf16::from_f32(-2.0)]),
            Elements::Fp32(vec![0.1, f32::INFINITY]),
            Elements::Fp64(vec![-0.0, 1e300]),
            Elements::Bytes(strings),
        ] {
            let raw = Bytes::from(elements.to_raw());
            let again = Elements::from_raw(elements.datatype(), elements.len(), &raw).unwrap();
            assert_eq!(again, elements);
            if let Some(size) = elements.datatype().size() {
                assert_eq!(raw.len(), size * elements.len());
                let short = raw.slice(..raw.len() - 1);
                assert!(Elements::from_raw(elements.datatype(), elements.len(), &short).is_err());
            }
        }
    }

    #[test]
    fn wrong_bytes_say_what_was_expected() {
        let refusal = |datatype, count, bytes: &'static [u8]| {
            Elements::from_raw(datatype, count, &Bytes::from_static(bytes)).unwrap_err().to_string()
        };
        assert_eq!(refusal(Datatype::Fp32, 2, b"1234567"), "expected 8 bytes for 2 elements of FP32, got 7");
        assert_eq!(refusal(Datatype::Bool, 2, &[1, 2]), "element 1 is 2; a BOOL is 0 or 1");
        assert!(
            refusal(Datatype::Bytes, 1, &[255, 255, 255, 255, 1]).contains("is longer than what is left")
        );
        assert!(refusal(Datatype::Bytes, 2, &[0, 0, 0, 0, 1]).contains("element 1 has no length"));
        assert!(refusal(Datatype::Bytes, 0, &[0, 0, 0, 0]).contains("was not expected"));
        assert!(refusal(Datatype::Int64, usize::MAX, &[]).contains("got 0"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_elements_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
            count in 0_usize..10,
            place in 0..Datatype::ALL.len(),
        ) {
            let datatype = Datatype::ALL[place];
            if let Ok(elements) = Elements::from_raw(datatype, count, &Bytes::from(bytes.clone())) {
                prop_assert_eq!(elements.len(), count);
                prop_assert_eq!(elements.to_raw(), bytes);
            }
        }
    }
}

//! The elements of a tensor, typed.

use bytes::Bytes;
use half::{bf16, f16};

use super::Datatype;

/// Elements of one type.
#[derive(Debug, Clone, PartialEq)]
pub enum Elements {
    /// True or false.
    Bool(Vec<bool>),
    /// Whole numbers of 8 bits.
    Int8(Vec<i8>),
    /// Whole numbers of 16 bits.
    Int16(Vec<i16>),
    /// Whole numbers of 32 bits.
    Int32(Vec<i32>),
    /// Whole numbers of 64 bits.
    Int64(Vec<i64>),
    /// Whole numbers of 8 bits without a sign.
    Uint8(Vec<u8>),
    /// Whole numbers of 16 bits without a sign.
    Uint16(Vec<u16>),
    /// Whole numbers of 32 bits without a sign.
    Uint32(Vec<u32>),
    /// Whole numbers of 64 bits without a sign.
    Uint64(Vec<u64>),
    /// Half precision.
    Fp16(Vec<f16>),
    /// The upper half of single precision.
    Bf16(Vec<bf16>),
    /// Single precision.
    Fp32(Vec<f32>),
    /// Double precision.
    Fp64(Vec<f64>),
    /// Strings of bytes.
    Bytes(Vec<Bytes>),
}

/// Runs an expression with `$elements` bound to the vector inside, whatever its type.
macro_rules! of_any_type {
    ($value:expr, $elements:ident => $body:expr) => {
        match $value {
            $crate::tensor::Elements::Bool($elements) => $body,
            $crate::tensor::Elements::Int8($elements) => $body,
            $crate::tensor::Elements::Int16($elements) => $body,
            $crate::tensor::Elements::Int32($elements) => $body,
            $crate::tensor::Elements::Int64($elements) => $body,
            $crate::tensor::Elements::Uint8($elements) => $body,
            $crate::tensor::Elements::Uint16($elements) => $body,
            $crate::tensor::Elements::Uint32($elements) => $body,
            $crate::tensor::Elements::Uint64($elements) => $body,
            $crate::tensor::Elements::Fp16($elements) => $body,
            $crate::tensor::Elements::Bf16($elements) => $body,
            $crate::tensor::Elements::Fp32($elements) => $body,
            $crate::tensor::Elements::Fp64($elements) => $body,
            $crate::tensor::Elements::Bytes($elements) => $body,
        }
    };
}

/// Runs a block for each pair of vectors of the same type; `$otherwise` when the types differ.
macro_rules! of_same_type {
    ($left:expr, $right:expr, ($into:ident, $from:ident) => $body:expr, $otherwise:expr, [$($variant:ident),*]) => {
        match ($left, $right) {
            $(($crate::tensor::Elements::$variant($into), $crate::tensor::Elements::$variant($from)) => $body,)*
            _ => $otherwise,
        }
    };
}

impl Elements {
    /// How many there are.
    pub fn len(&self) -> usize {
        of_any_type!(self, elements => elements.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Their type.
    pub const fn datatype(&self) -> Datatype {
        match self {
            Self::Bool(_) => Datatype::Bool,
            Self::Int8(_) => Datatype::Int8,
            Self::Int16(_) => Datatype::Int16,
            Self::Int32(_) => Datatype::Int32,
            Self::Int64(_) => Datatype::Int64,
            Self::Uint8(_) => Datatype::Uint8,
            Self::Uint16(_) => Datatype::Uint16,
            Self::Uint32(_) => Datatype::Uint32,
            Self::Uint64(_) => Datatype::Uint64,
            Self::Fp16(_) => Datatype::Fp16,
            Self::Bf16(_) => Datatype::Bf16,
            Self::Fp32(_) => Datatype::Fp32,
            Self::Fp64(_) => Datatype::Fp64,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// The number at `place` as a float, which rounds whole numbers beyond 2^53; `None` for strings and beyond the end.
    pub fn number(&self, place: usize) -> Option<f64> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "rounded to the nearest, as every float of a whole number is"
        )]
        match self {
            Self::Bool(elements) => elements.get(place).map(|flag| f64::from(u8::from(*flag))),
            Self::Int8(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Int16(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Int32(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Int64(elements) => elements.get(place).map(|number| *number as f64),
            Self::Uint8(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Uint16(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Uint32(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Uint64(elements) => elements.get(place).map(|number| *number as f64),
            Self::Fp16(elements) => elements.get(place).map(|number| number.to_f64()),
            Self::Bf16(elements) => elements.get(place).map(|number| number.to_f64()),
            Self::Fp32(elements) => elements.get(place).map(|number| f64::from(*number)),
            Self::Fp64(elements) => elements.get(place).copied(),
            Self::Bytes(_) => None,
        }
    }

    /// Appends `other`; `None`, and nothing is appended, when it is of another type.
    pub(super) fn append(&mut self, other: Self) -> Option<()> {
        of_same_type!(
            self, other,
            (into, from) => { into.extend(from); Some(()) },
            None,
            [Bool, Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64, Fp16, Bf16, Fp32, Fp64, Bytes]
        )
    }

    /// Takes the elements from `at` on away and answers them.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Bool(elements) => Self::Bool(elements.split_off(at.min(elements.len()))),
            Self::Int8(elements) => Self::Int8(elements.split_off(at.min(elements.len()))),
            Self::Int16(elements) => Self::Int16(elements.split_off(at.min(elements.len()))),
            Self::Int32(elements) => Self::Int32(elements.split_off(at.min(elements.len()))),
            Self::Int64(elements) => Self::Int64(elements.split_off(at.min(elements.len()))),
            Self::Uint8(elements) => Self::Uint8(elements.split_off(at.min(elements.len()))),
            Self::Uint16(elements) => Self::Uint16(elements.split_off(at.min(elements.len()))),
            Self::Uint32(elements) => Self::Uint32(elements.split_off(at.min(elements.len()))),
            Self::Uint64(elements) => Self::Uint64(elements.split_off(at.min(elements.len()))),
            Self::Fp16(elements) => Self::Fp16(elements.split_off(at.min(elements.len()))),
            Self::Bf16(elements) => Self::Bf16(elements.split_off(at.min(elements.len()))),
            Self::Fp32(elements) => Self::Fp32(elements.split_off(at.min(elements.len()))),
            Self::Fp64(elements) => Self::Fp64(elements.split_off(at.min(elements.len()))),
            Self::Bytes(elements) => Self::Bytes(elements.split_off(at.min(elements.len()))),
        }
    }
}

//! The types of the elements of tensors; the words are those of the Open Inference protocol.

use std::{fmt, str::FromStr};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Datatype {
    /// True or false.
    Bool,
    /// Whole numbers of 8 bits.
    Int8,
    /// Whole numbers of 16 bits.
    Int16,
    /// Whole numbers of 32 bits.
    Int32,
    /// Whole numbers of 64 bits.
    Int64,
    /// Whole numbers of 8 bits without a sign.
    Uint8,
    /// Whole numbers of 16 bits without a sign.
    Uint16,
    /// Whole numbers of 32 bits without a sign.
    Uint32,
    /// Whole numbers of 64 bits without a sign.
    Uint64,
    /// IEEE 754 half precision.
    Fp16,
    /// The upper half of single precision.
    Bf16,
    /// Single precision.
    Fp32,
    /// Double precision.
    Fp64,
    /// Strings of bytes of any length.
    Bytes,
}

/// A word that names no type of elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no datatype; there are {}", Datatype::ALL.map(Datatype::word).join(", "))]
pub struct UnknownDatatype {
    word: String,
}

impl Datatype {
    /// Every type.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes of an element; `None` for strings, which have a length each.
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Int32 | Self::Uint32 | Self::Fp32 => Some(4),
            Self::Int64 | Self::Uint64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

impl FromStr for Datatype {
    type Err = UnknownDatatype;

    fn from_str(word: &str) -> Result<Self, UnknownDatatype> {
        let known = Self::ALL.into_iter().find(|datatype| datatype.word() == word);
        known.ok_or_else(|| UnknownDatatype { word: word.chars().take(40).collect() })
    }
}

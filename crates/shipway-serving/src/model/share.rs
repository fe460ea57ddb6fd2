//! A share of many things.

use serde::{Deserialize, Serialize};
use shipway_core::Sampling;

/// A share, from 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(Sampling);

impl Share {
    /// Everything.
    pub const ALL: Self = Self(Sampling::All);
    /// Nothing.
    pub const NONE: Self = Self(Sampling::Off);

    /// Whether what has this key is part of it. The same key always is or never is, and is part of every greater share too.
    pub(crate) fn has(self, key: &[u8]) -> bool {
        self.0.keeps(key)
    }

    pub(crate) fn is_none(self) -> bool {
        self.0 == Sampling::Off
    }
}

impl TryFrom<f64> for Share {
    type Error = &'static str;

    fn try_from(share: f64) -> Result<Self, Self::Error> {
        Sampling::of_fraction(share).map(Self).ok_or("a share is a number from 0 to 1")
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        match share.0 {
            Sampling::All => 1.0,
            Sampling::PerMillion(millionths) => Self::from(millionths) / 1e6,
            Sampling::Off => 0.0,
        }
    }
}

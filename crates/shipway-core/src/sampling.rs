//! Which keys are kept of many: all, none, or a share that is the same keys every time.

use serde::{Deserialize, Serialize};

/// Which keys are kept. A share keeps whole keys, chosen by a fixed hash: the same key is always kept or never, on every
/// server and after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Every key.
    #[default]
    All,
    /// Of a million keys this many, more or less.
    PerMillion(u32),
    /// No key.
    Off,
}

const MILLION: u64 = 1_000_000;

impl Sampling {
    /// Keeps about `fraction` of the keys; `None` unless it lies between 0 and 1. A fraction below a millionth keeps one key in
    /// a million.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to a million")]
    pub fn of_fraction(fraction: f64) -> Option<Self> {
        match fraction {
            0.0 => Some(Self::Off),
            1.0 => Some(Self::All),
            _ if fraction > 0.0 && fraction < 1.0 => {
                Some(Self::PerMillion(((fraction * MILLION as f64).round() as u32).max(1)))
            }
            _ => None,
        }
    }

    /// Whether every key is kept, as where nothing is said.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether the key of these bytes is kept.
    pub fn keeps(self, key: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Off => false,
            Self::PerMillion(share) => spread(key) % MILLION < u64::from(share),
        }
    }
}

/// FNV-1a with a final mix, because its low bits alone follow the last byte.
fn spread(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_keeps_about_that_many_keys_and_a_greater_share_keeps_them_too() {
        let tenth = Sampling::of_fraction(0.1).unwrap();
        let half = Sampling::of_fraction(0.5).unwrap();
        let keys: Vec<[u8; 8]> = (0..20_000_u64).map(u64::to_le_bytes).collect();
        let kept = keys.iter().filter(|key| tenth.keeps(*key)).count();
        assert!((1_800..2_200).contains(&kept), "{kept}");
        assert!(keys.iter().all(|key| !tenth.keeps(key) || half.keeps(key)));
        assert!(keys.iter().all(|key| Sampling::All.keeps(key) && !Sampling::Off.keeps(key)));
    }

    #[test]
    fn the_choice_never_changes() {
        let tenth = Sampling::of_fraction(0.1).unwrap();
        let kept: Vec<u64> = (0..40_u64).filter(|key| tenth.keeps(&key.to_le_bytes())).collect();
        assert_eq!(kept, [8, 9, 12, 35]);
    }

    #[test]
    fn a_fraction_outside_its_range_is_none() {
        for fraction in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampling::of_fraction(fraction), None);
        }
        assert_eq!(Sampling::of_fraction(1e-9), Some(Sampling::PerMillion(1)));
        assert_eq!(Sampling::of_fraction(0.0), Some(Sampling::Off));
    }
}

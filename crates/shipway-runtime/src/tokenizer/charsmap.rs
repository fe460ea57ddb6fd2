//! The map of characters that SentencePiece compiles its normalisation into: a double-array trie (Aoe 1989, in the layout of
//! Darts-clone) whose values are places in a block of strings that end with a zero.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use unicode_segmentation::UnicodeSegmentation as _;

use super::{MAX_FILLER_BYTES, damaged};
use crate::error::RuntimeError;

/// Clusters of characters with this many bytes are not looked up as a whole.
const LONG_CLUSTER_BYTES: usize = 6;

#[derive(Debug)]
pub(super) struct CharsMap {
    units: Vec<u32>,
    strings: String,
}

impl CharsMap {
    pub(super) fn of(encoded: &str) -> Result<Self, RuntimeError> {
        let wrong = |reason: &str| damaged(format!("precompiled_charsmap: {reason}"));
        let bytes = STANDARD.decode(encoded).map_err(|_| wrong("not base64"))?;
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(|| wrong("it has no size"))?;
        let size = usize::try_from(u32::from_le_bytes(*size)).map_err(|_| wrong("it is too large"))?;
        let (trie, strings) = rest.split_at_checked(size).ok_or_else(|| wrong("it is cut"))?;
        let (units, odd) = trie.as_chunks::<4>();
        if units.is_empty() || !odd.is_empty() {
            return Err(wrong("its trie is cut"));
        }
        let units = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        let strings = String::from_utf8(strings.to_vec()).map_err(|_| wrong("its strings are not UTF-8"))?;
        if strings.split('\0').any(|string| string.len() > MAX_FILLER_BYTES) {
            return Err(wrong("one of its strings is too long"));
        }
        Ok(Self { units, strings })
    }

    pub(super) fn normalize(&self, text: &str) -> String {
        let mut normalized = String::with_capacity(text.len());
        for cluster in text.graphemes(true) {
            let whole = (cluster.len() < LONG_CLUSTER_BYTES).then(|| self.replacement(cluster)).flatten();
            match whole {
                Some(replacement) => normalized.push_str(replacement),
                None => cluster.chars().for_each(|character| {
                    let mut buffer = [0; 4];
                    let one: &str = character.encode_utf8(&mut buffer);
                    normalized.push_str(self.replacement(one).unwrap_or(one));
                }),
            }
        }
        normalized
    }

    /// What the shortest known beginning of `key` is replaced with; the library takes it for all of the key.
    fn replacement(&self, key: &str) -> Option<&str> {
        let from = self.shortest(key.as_bytes())?;
        self.strings.get(from..)?.split('\0').next()
    }

    fn shortest(&self, key: &[u8]) -> Option<usize> {
        let unit = |place: u32| self.units.get(usize::try_from(place).ok()?).copied();
        let offset = |unit: u32| (unit >> 10) << ((unit & (1 << 9)) >> 6);
        let mut place = offset(unit(0)?);
        for byte in key.iter().take_while(|byte| **byte != 0) {
            place ^= u32::from(*byte);
            let found = unit(place)?;
            if found & (1 << 31 | 0xFF) != u32::from(*byte) {
                return None;
            }
            place ^= offset(found);
            if found >> 8 & 1 == 1 {
                return usize::try_from(unit(place)? & !(1 << 31)).ok();
            }
        }
        None
    }
}

//! Which packed form a forest takes, and what all of them promise.
//!
//! Each row adds its leaves in the order of the trees and in the library's precision, so sums have the library's bits.

use super::{
    codes::{Code, Coder},
    forest::Forest,
    packed::Packed,
    quick::Quick,
};

/// What sums are held in: the precision of the library that trained the forest.
pub(super) trait Sum:
    Copy
    + Default
    + std::fmt::Debug
    + Send
    + Sync
    + std::ops::AddAssign
    + std::ops::Add<Output = Self>
    + Into<f64>
    + 'static
{
    /// The number in this precision.
    fn of(number: f64) -> Self;
}

impl Sum for f64 {
    fn of(number: f64) -> Self {
        number
    }
}

impl Sum for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the library computes in single precision")]
    fn of(number: f64) -> Self {
        number as Self
    }
}

/// Sums the leaves of rows.
pub(super) trait Walk: std::fmt::Debug + Send + Sync {
    /// Adds to `into`, for each row of a matrix, the sums of its leaves; each row starts with `start`.
    fn sums(&self, rows: &[f64], start: &[f64], into: &mut Vec<f64>);
}

/// Packs a forest into the smallest form that holds it.
pub(super) fn pack(forest: &Forest) -> Box<dyn Walk> {
    if forest.rules.single_sums { pack_as::<f32>(forest) } else { pack_as::<f64>(forest) }
}

fn pack_as<V: Sum>(forest: &Forest) -> Box<dyn Walk> {
    let (coder, places) = Coder::new(forest);
    let coder = match Quick::<V>::new(forest, coder, &places) {
        Ok(quick) => return Box::new(quick),
        Err(coder) => coder,
    };
    let most_nodes = forest.trees.iter().map(|tree| tree.splits.len() * 2 + 1).max().unwrap_or(0);
    let fits = |largest: usize, link: usize| {
        coder.largest() <= largest && coder.slots() <= largest + 1 && most_nodes <= link
    };
    if fits(u8::LARGEST, u8::LARGEST_LINK) {
        Box::new(Packed::<u8, V>::new(forest, coder, &places))
    } else if fits(u16::LARGEST, u16::LARGEST_LINK) {
        Box::new(Packed::<u16, V>::new(forest, coder, &places))
    } else {
        Box::new(Packed::<u32, V>::new(forest, coder, &places))
    }
}

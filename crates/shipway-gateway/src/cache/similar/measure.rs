//! How often an answer that was made for another question would have been the right one, by how alike the questions were.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Similarities are counted in steps of this many millionths.
const STEP: u32 = 5_000;
const STEPS: usize = 200;
/// Beyond so many comparisons older ones count half: what was true of last month's questions need not be true of today's.
const MOST_COMPARED: u64 = 20_000;
/// Before so many nothing is concluded from errors: one wrong answer among three is no rate.
const FEW: u64 = 20;
/// 95 % of a normal distribution lie within so many deviations.
const DEVIATIONS: f64 = 1.96;

/// What was compared, by similarity. Counts begin anew when the server starts.
#[derive(Debug, Default)]
pub(crate) struct Measure(Mutex<Counts>);

#[derive(Debug, Clone)]
struct Counts {
    steps: Vec<Compared>,
    tally: Tally,
}

/// Answers that were compared: to how many the other question would have got the same one, and to how many not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) same: u64,
    pub(crate) different: u64,
}

/// What became of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// An answer was given again.
    pub(crate) given: u64,
    /// Alike enough, and asked nevertheless.
    pub(crate) checked: u64,
    /// Alike enough by their vectors, and about something else by their words.
    pub(crate) other_words: u64,
    /// The vector of a question or an answer could not be had.
    pub(crate) failed: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self { steps: vec![Compared::default(); STEPS + 1], tally: Tally::default() }
    }
}

impl Compared {
    pub(crate) fn all(self) -> u64 {
        self.same + self.different
    }

    /// Between which shares the rate of wrong answers lies, at 95 % (Wilson). Without a comparison: anything.
    #[expect(clippy::cast_precision_loss, reason = "some ten thousands at most")]
    pub(crate) fn wrong_within(self) -> (f64, f64) {
        if self.all() == 0 {
            return (0.0, 1.0);
        }
        let count = self.all() as f64;
        let rate = self.different as f64 / count;
        let square = DEVIATIONS * DEVIATIONS;
        let middle = (rate + square / (2.0 * count)) / (1.0 + square / count);
        let spread = rate * (1.0 - rate) / count + square / (4.0 * count * count);
        let reach = DEVIATIONS / (1.0 + square / count) * spread.sqrt();
        ((middle - reach).max(0.0), (middle + reach).min(1.0))
    }
}

fn step(millionths: u32) -> usize {
    (millionths / STEP) as usize
}

impl Measure {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an answer that came, beside the one that would have been given.
    pub(crate) fn compared(&self, similarity: u32, is_same: bool) {
        let mut counts = self.counts();
        let step = step(similarity).min(STEPS);
        if let Some(compared) = counts.steps.get_mut(step) {
            if is_same { compared.same += 1 } else { compared.different += 1 }
        }
        if counts.steps.iter().map(|compared| compared.all()).sum::<u64>() > MOST_COMPARED {
            for compared in &mut counts.steps {
                *compared = Compared { same: compared.same / 2, different: compared.different / 2 };
            }
        }
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.counts().tally);
    }

    pub(crate) fn tally(&self) -> Tally {
        self.counts().tally
    }

    /// All comparisons of at least this similarity, in millionths.
    pub(crate) fn from(&self, least: u32) -> Compared {
        let counts = self.counts();
        let steps = counts.steps.iter().skip(step(least).min(STEPS));
        steps.fold(Compared::default(), |sum, one| Compared {
            same: sum.same + one.same,
            different: sum.different + one.different,
        })
    }

    /// Whether nothing speaks against it that of answers from `least` on no more than `wrong` are wrong, in millionths.
    pub(crate) fn is_trusted(&self, least: u32, wrong: u32) -> bool {
        let compared = self.from(least);
        compared.all() < FEW || compared.wrong_within().0 <= f64::from(wrong) / 1e6
    }

    /// The smallest similarity from which on no more than `wrong` are wrong, as far as 95 % is certain.
    pub(crate) fn advises(&self, wrong: u32) -> Option<u32> {
        let certain = |least: &u32| self.from(*least).wrong_within().1 <= f64::from(wrong) / 1e6;
        let from = |step: usize| u32::try_from(step).unwrap_or(u32::MAX).saturating_mul(STEP);
        // From the greatest down, as long as it holds: what is less alike must not hide behind what is more.
        let all = (0..=STEPS).rev().map(from).skip_while(|least| self.from(*least).all() == 0);
        all.skip_while(|least| !certain(least)).take_while(certain).last()
    }

    /// Each step in which something was compared, from the greatest similarity.
    pub(crate) fn steps(&self) -> Vec<(u32, Compared)> {
        let counts = self.counts();
        let steps = counts.steps.iter().enumerate().rev().filter(|(_, compared)| compared.all() > 0);
        steps.map(|(step, compared)| (u32::try_from(step).unwrap_or(0) * STEP, *compared)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(compared: &[(u32, u64, u64)]) -> Measure {
        let measure = Measure::default();
        for (similarity, same, different) in compared {
            (0..*same).for_each(|_| measure.compared(*similarity, true));
            (0..*different).for_each(|_| measure.compared(*similarity, false));
        }
        measure
    }

    #[test]
    fn the_bounds_are_those_of_wilson() {
        let (low, high) = Compared { same: 90, different: 10 }.wrong_within();
        assert!((low - 0.0552).abs() < 1e-3 && (high - 0.1744).abs() < 1e-3, "{low} {high}");
        assert_eq!(Compared::default().wrong_within(), (0.0, 1.0));
        let (low, high) = Compared { same: 0, different: 5 }.wrong_within();
        assert!(low > 0.5 && (high - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_similarity_is_trusted_until_errors_are_certain() {
        let measure = measured(&[(990_000, 500, 0), (955_000, 30, 30)]);
        assert!(measure.is_trusted(980_000, 20_000));
        assert!(!measure.is_trusted(950_000, 20_000));
        // Three are no rate.
        assert!(measured(&[(960_000, 0, 3)]).is_trusted(950_000, 20_000));
    }

    #[test]
    fn what_is_advised_holds_for_all_that_is_more_alike() {
        let measure =
            measured(&[(995_000, 300, 0), (970_000, 300, 0), (950_000, 5, 60), (900_000, 5_000, 0)]);
        assert_eq!(measure.advises(20_000), Some(955_000));
        assert_eq!(measured(&[(995_000, 10, 0)]).advises(20_000), None);
        assert_eq!(Measure::default().advises(20_000), None);
    }

    #[test]
    fn older_comparisons_count_less() {
        let measure = measured(&[(990_000, MOST_COMPARED, 0), (990_000, 0, 2)]);
        let compared = measure.from(0);
        assert_eq!((compared.same, compared.different), (MOST_COMPARED / 2, 1));
        assert_eq!(measure.steps(), [(990_000, compared)]);
    }
}

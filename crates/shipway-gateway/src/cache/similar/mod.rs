//! Questions that were answered, by what they mean: which of them is most like another one.
//!
//! Only questions that have everything but their last words in common are compared. They are in memory, within a bound of bytes, and the
//! oldest go first; all of them on a shelf are looked at, since an index that misses some saves nothing at these sizes.
//!
//! - `words`: what words say, whatever vectors say
//! - `measure`: how often an answer would have been wrong
//! - here: the shelves

mod measure;
mod words;

use std::{
    collections::{HashMap, VecDeque},
    sync::{PoisonError, RwLock},
};

use shipway_core::Timestamp;

use super::Key;
pub(crate) use measure::{Compared, Measure, Tally};
pub(crate) use words::{Verdict, Words};

/// About what a question takes besides its vector and its words.
const ENTRY_BYTES: usize = 128;
const MILLION: f32 = 1_000_000.0;

/// A question that is looked for, or kept.
#[derive(Debug, Clone)]
pub(crate) struct Meant {
    pub(crate) words: Words,
    /// Of length 1; empty where it is not known.
    pub(crate) vector: Vec<f32>,
}

/// A question that was answered.
#[derive(Debug)]
struct Entry {
    answer: Key,
    meant: Meant,
    until: Timestamp,
}

/// The question that is most like another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nearest {
    /// Under which its answer is kept.
    pub(crate) answer: Key,
    /// A cosine, in millionths.
    pub(crate) similarity: u32,
}

/// What a shelf has for a question.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) nearest: Option<Nearest>,
    /// How alike the vector of a question is that its words say is another one, in millionths.
    pub(crate) other_words: u32,
}

/// All questions.
#[derive(Debug)]
pub(crate) struct Shelves {
    all: RwLock<All>,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct All {
    shelves: HashMap<Key, VecDeque<Entry>>,
    /// The shelf of each question, from the oldest.
    order: VecDeque<Key>,
    bytes: usize,
}

impl Entry {
    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.meant.words.bytes() + self.meant.vector.len() * size_of::<f32>()
    }
}

impl Shelves {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { all: RwLock::default(), most_bytes }
    }

    /// What is most like `meant` on the shelf `around`, of the questions whose answer `is_there`.
    pub(crate) fn look(
        &self,
        around: &Key,
        meant: &Meant,
        now: Timestamp,
        is_there: impl Fn(&Key) -> bool,
    ) -> Match {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        let mut best = Match::default();
        for entry in all.shelves.get(around).into_iter().flatten() {
            let similarity = cosine(&entry.meant.vector, &meant.vector);
            let least = best.nearest.map_or(0, |nearest| nearest.similarity);
            // The same words need no vector.
            if similarity < least || now >= entry.until {
                continue;
            }
            match entry.meant.words.compare(&meant.words) {
                Verdict::Different => best.other_words = best.other_words.max(similarity),
                verdict => {
                    let similarity = if verdict == Verdict::SameWords { 1_000_000 } else { similarity };
                    if similarity >= least && is_there(&entry.answer) {
                        best.nearest = Some(Nearest { answer: entry.answer, similarity });
                    }
                }
            }
        }
        best
    }

    /// How many questions there are.
    pub(crate) fn len(&self) -> usize {
        self.all.read().unwrap_or_else(PoisonError::into_inner).order.len()
    }

    /// Keeps a question beside the answer that it got; what is too old now is forgotten.
    pub(crate) fn put(&self, around: Key, meant: Meant, (answer, until): (Key, Timestamp), now: Timestamp) {
        let entry = Entry { answer, meant, until };
        if entry.bytes() > self.most_bytes {
            return;
        }
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        all.bytes += entry.bytes();
        all.order.push_back(around);
        all.shelves.entry(around).or_default().push_back(entry);
        while all.bytes > self.most_bytes || all.oldest_until().is_some_and(|until| until <= now) {
            all.forget_oldest();
        }
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a metric is a float")]
        metrics::gauge!("shipway_llm_similar_bytes").set(all.bytes as f64);
    }
}

impl All {
    fn oldest_until(&self) -> Option<Timestamp> {
        Some(self.shelves.get(self.order.front()?)?.front()?.until)
    }

    /// The oldest of all is the oldest of its shelf.
    fn forget_oldest(&mut self) {
        let Some(around) = self.order.pop_front() else { return };
        let Some(shelf) = self.shelves.get_mut(&around) else { return };
        if let Some(entry) = shelf.pop_front() {
            self.bytes -= entry.bytes();
        }
        if shelf.is_empty() {
            self.shelves.remove(&around);
        }
    }
}

/// How alike two vectors of length 1 are, in millionths; 0 where they are not of one space.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
pub(crate) fn cosine(one: &[f32], two: &[f32]) -> u32 {
    if one.len() != two.len() {
        return 0;
    }
    // Eight sums at once: the processor adds them together.
    let mut sums = [0.0_f32; 8];
    let (ones, twos) = (one.chunks_exact(8), two.chunks_exact(8));
    let rest: f32 = ones.remainder().iter().zip(twos.remainder()).map(|(left, right)| left * right).sum();
    for (left, right) in ones.zip(twos) {
        for place in 0..8 {
            sums[place] += left[place] * right[place];
        }
    }
    let product = sums.iter().sum::<f32>() + rest;
    (product.clamp(0.0, 1.0) * MILLION) as u32
}

/// A vector of length 1 in the same direction; none where it has no direction.
pub(crate) fn normalised(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !length.is_finite() || length <= f32::EPSILON {
        return None;
    }
    vector.iter_mut().for_each(|value| *value /= length);
    Some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Timestamp = Timestamp(i64::MAX);
    const NOW: Timestamp = Timestamp(5);

    fn key(number: u8) -> Key {
        Key([number; 32])
    }

    fn meant(text: &str, vector: &[f32]) -> Meant {
        Meant { words: Words::of(text), vector: normalised(vector.to_vec()).unwrap_or_default() }
    }

    fn look(shelves: &Shelves, around: u8, meant: &Meant) -> Match {
        shelves.look(&key(around), meant, Timestamp(10), |_| true)
    }

    #[test]
    fn the_nearest_is_found_among_questions_with_the_same_around_them() {
        let shelves = Shelves::new(1 << 20);
        shelves.put(key(1), meant("how tall is it", &[1.0, 0.0]), (key(11), NEVER), NOW);
        shelves.put(key(1), meant("where does it stand", &[0.0, 1.0]), (key(12), NEVER), NOW);
        shelves.put(key(2), meant("what height", &[1.0, 0.1]), (key(13), NEVER), NOW);
        let found = look(&shelves, 1, &meant("what height has this", &[1.0, 0.2]));
        let nearest = found.nearest.unwrap();
        assert_eq!(nearest.answer, key(11));
        assert!((970_000..990_000).contains(&nearest.similarity), "{}", nearest.similarity);
        assert_eq!(look(&shelves, 3, &meant("what height", &[1.0, 0.0])), Match::default());
        // Its words say that it is another question.
        let other = look(&shelves, 1, &meant("how tall is he", &[1.0, 0.0]));
        assert_eq!(
            (other.nearest.map(|nearest| nearest.answer), other.other_words),
            (Some(key(12)), 1_000_000)
        );
        // The same words need no vector.
        let same = look(&shelves, 1, &meant("How tall is it?", &[]));
        assert_eq!(same.nearest, Some(Nearest { answer: key(11), similarity: 1_000_000 }));
    }

    #[test]
    fn an_answer_that_is_gone_or_too_old_is_none() {
        let shelves = Shelves::new(1 << 20);
        shelves.put(key(1), meant("a b", &[1.0]), (key(11), Timestamp(10)), NOW);
        let asked = meant("a b", &[1.0]);
        assert_eq!(look(&shelves, 1, &asked), Match::default());
        assert!(shelves.look(&key(1), &asked, Timestamp(9), |_| true).nearest.is_some());
        assert!(shelves.look(&key(1), &asked, Timestamp(9), |_| false).nearest.is_none());
        shelves.put(key(2), meant("c d", &[1.0]), (key(12), NEVER), Timestamp(10));
        assert_eq!(shelves.all.read().unwrap().order, [key(2)]);
    }

    #[test]
    fn all_questions_together_stay_within_the_bound_and_the_oldest_go() {
        let vector = vec![1.0; 100];
        let one = Entry { answer: key(1), meant: meant("some words", &vector), until: NEVER }.bytes();
        let shelves = Shelves::new(one * 10);
        for number in 0..100 {
            shelves.put(key(number % 3), meant("some words", &vector), (key(number), NEVER), NOW);
        }
        let all = shelves.all.read().unwrap();
        assert_eq!((all.bytes, all.order.len()), (one * 10, 10));
        let kept: usize = all.shelves.values().map(VecDeque::len).sum();
        assert_eq!(kept, 10);
        assert!(all.shelves.values().flatten().all(|entry| entry.answer.0[0] >= 90));
        drop(all);
        shelves.put(key(9), meant("far too much", &vec![1.0; 10_000]), (key(200), NEVER), NOW);
        assert!(!shelves.all.read().unwrap().shelves.contains_key(&key(9)));
    }

    #[test]
    fn vectors_of_another_space_are_not_alike() {
        assert_eq!(cosine(&[1.0], &[1.0, 0.0]), 0);
        assert_eq!(cosine(&[1.0, 0.0], &[-1.0, 0.0]), 0);
        assert_eq!(normalised(vec![0.0; 4]), None);
        assert_eq!(normalised(vec![f32::NAN]), None);
        let long: Vec<f32> = (1_u8..=19).map(f32::from).collect();
        let long = normalised(long).unwrap();
        assert!(cosine(&long, &long) > 999_990);
    }
}

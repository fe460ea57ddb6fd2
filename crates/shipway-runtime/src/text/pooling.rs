//! From the vectors of tokens to the one of a text, and from logits to scores. Pure; sums are in double precision.

use serde::Deserialize;

/// Which vector of a text's tokens stands for the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pooling {
    /// The mean of all of them.
    #[default]
    Mean,
    /// The first.
    Cls,
    /// The largest number of each dimension.
    Max,
    /// The last.
    #[serde(alias = "lasttoken")]
    Last,
}

/// How logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Activation {
    /// Among each other: they add up to one.
    Softmax,
    /// Each by itself.
    Sigmoid,
    /// Not at all.
    None,
}

/// Appends the vector of a text whose tokens have the vectors `[tokens, width]`; there is at least one.
pub(super) fn pool(vectors: &[f64], width: usize, pooling: Pooling, into: &mut Vec<f32>) {
    let mut tokens = vectors.chunks_exact(width);
    let chosen = match pooling {
        Pooling::Cls => tokens.next().map(<[f64]>::to_vec),
        Pooling::Last => tokens.next_back().map(<[f64]>::to_vec),
        Pooling::Mean => {
            #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
            let count = tokens.len() as f64;
            let sum =
                tokens.fold(vec![0.0; width], |sum, token| together(sum, token, |sum, number| sum + number));
            Some(sum.into_iter().map(|sum| sum / count).collect())
        }
        Pooling::Max => {
            let least = vec![f64::NEG_INFINITY; width];
            Some(tokens.fold(least, |most, token| together(most, token, f64::max)))
        }
    };
    into.extend(chosen.unwrap_or_default().into_iter().map(single));
}

fn together(mut all: Vec<f64>, token: &[f64], put: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    all.iter_mut().zip(token).for_each(|(held, number)| *held = put(*held, *number));
    all
}

/// Makes a vector one of length one, in the direction that it has; one without a direction stays as it is.
pub fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number = single(f64::from(*number) / length));
    }
}

/// Turns the logits of a row into its scores.
pub(super) fn activate(row: &mut [f32], activation: Activation) {
    match activation {
        Activation::None => {}
        Activation::Sigmoid => {
            row.iter_mut().for_each(|logit| *logit = single(1.0 / (1.0 + (-f64::from(*logit)).exp())));
        }
        Activation::Softmax => {
            // The largest is taken away first, so that no power of e is too large.
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let powers: Vec<f64> = row.iter().map(|logit| f64::from(logit - largest).exp()).collect();
            let sum: f64 = powers.iter().sum();
            row.iter_mut().zip(powers).for_each(|(score, power)| *score = single(power / sum));
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "answers are in single precision")]
const fn single(number: f64) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_its_first_last_largest_or_mean_token() {
        let vectors = [1.0, -2.0, 3.0, -4.0, 5.0, 0.0];
        let pooled = |pooling| {
            let mut into = Vec::new();
            pool(&vectors, 2, pooling, &mut into);
            into
        };
        assert_eq!(pooled(Pooling::Mean), [3.0, -2.0]);
        assert_eq!(pooled(Pooling::Cls), [1.0, -2.0]);
        assert_eq!(pooled(Pooling::Last), [5.0, 0.0]);
        assert_eq!(pooled(Pooling::Max), [5.0, 0.0]);
    }

    #[test]
    fn vectors_have_length_one_and_scores_add_up() {
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
        let mut nothing = [0.0, 0.0];
        normalize(&mut nothing);
        assert_eq!(nothing, [0.0, 0.0]);
        let mut scores = [1_000.0, 1_000.0, -1_000.0];
        activate(&mut scores, Activation::Softmax);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
        let mut scores = [0.0, -1_000.0, 1_000.0];
        activate(&mut scores, Activation::Sigmoid);
        assert_eq!(scores, [0.5, 0.0, 1.0]);
        activate(&mut scores, Activation::None);
        assert_eq!(scores, [0.5, 0.0, 1.0]);
    }
}

//! From margins to outputs: the link function of each objective that XGBoost trains, in its single precision.

use super::{damaged, unsupported};
use crate::{
    error::RuntimeError,
    outputs::largest,
    trees::{Link, Task},
};

/// What happens to the sums of the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// Margins are outputs: squared and absolute error, quantiles, ranking, raw logits.
    Identity,
    /// A share, or the probability of the second class.
    Sigmoid { is_binary: bool },
    /// 1 for positive margins, else 0.
    Hinge,
    /// Counts, gamma, Tweedie, hazards, survival times.
    Exponential,
    /// Probabilities that sum to one.
    Softmax,
    /// The place of the largest margin.
    Largest,
}

impl Objective {
    pub(super) fn parse(name: &str) -> Result<Self, RuntimeError> {
        Ok(match name {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map"
            | "binary:logitraw" => Self::Identity,
            "reg:logistic" => Self::Sigmoid { is_binary: false },
            "binary:logistic" => Self::Sigmoid { is_binary: true },
            "binary:hinge" => Self::Hinge,
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                Self::Exponential
            }
            "multi:softprob" => Self::Softmax,
            "multi:softmax" => Self::Largest,
            other => {
                return Err(unsupported(format!("objective {}", other.chars().take(60).collect::<String>())));
            }
        })
    }

    /// The margin that the file's base score, which is an output, stands for.
    pub(super) fn margin(self, base: f32) -> Result<f32, RuntimeError> {
        let margin = match self {
            Self::Sigmoid { .. } => -(1.0 / base - 1.0).ln(),
            Self::Exponential => base.ln(),
            _ => base,
        };
        if margin.is_nan() { Err(damaged(format!("base_score {base}"))) } else { Ok(margin) }
    }
}

impl Link for Objective {
    fn outputs(&self, sums: usize) -> usize {
        if *self == Self::Largest { 1 } else { sums }
    }

    #[expect(clippy::cast_possible_truncation, reason = "margins are of single precision")]
    fn transform(&self, scores: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Sigmoid { .. } => each(scores, |margin| 1.0 / ((-margin).min(88.7).exp() + 1.0 + 1e-16)),
            Self::Hinge => each(scores, |margin| if margin > 0.0 { 1.0 } else { 0.0 }),
            Self::Exponential => each(scores, f32::exp),
            Self::Softmax => {
                let largest = scores.iter().map(|score| *score as f32).fold(f32::MIN, f32::max);
                each(scores, |margin| (margin - largest).exp());
                let sum = scores.iter().sum::<f64>() as f32;
                each(scores, |part| part / sum);
            }
            Self::Largest => {
                let place = largest(scores);
                if let Some(first) = scores.first_mut() {
                    *first = place;
                }
            }
        }
    }

    fn task(&self) -> Task {
        match self {
            Self::Sigmoid { is_binary: true } | Self::Hinge => Task::Binary,
            Self::Softmax | Self::Largest => Task::Classes,
            _ => Task::Numbers,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "scores are of single precision")]
fn each(scores: &mut [f64], link: impl Fn(f32) -> f32) {
    scores.iter_mut().for_each(|score| *score = f64::from(link(*score as f32)));
}

//! From raw scores to outputs: the link function of each objective that LightGBM trains.

use super::{damaged, unsupported};
use crate::{error::RuntimeError, trees::Task};

/// What happens to the sums of the leaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Objective {
    /// Scores are outputs: squared and absolute error, quantiles, ranking, objectives of the user's own.
    Identity,
    /// The model was trained on square roots.
    SignedSquare,
    /// Poisson, gamma, Tweedie.
    Exponential,
    /// A share between 0 and 1.
    Sigmoid,
    /// Probabilities that sum to one.
    Softmax,
    /// `log(1 + exp(score))`.
    SoftPlus,
    /// A probability per class, each by itself.
    OneAgainstRest { steepness: f64 },
    /// The probability of the second of two classes.
    Binary { steepness: f64 },
}

impl Objective {
    /// Reads `objective=`, such as `binary sigmoid:1`. A model without the line was trained with an objective of the user's
    /// own, and LightGBM itself answers raw scores for it.
    pub(super) fn parse(text: Option<&str>, outputs: usize) -> Result<Self, RuntimeError> {
        let mut words = text.unwrap_or_default().split_ascii_whitespace();
        let Some(name) = words.next() else { return Ok(Self::Identity) };
        let mut steepness = None;
        let mut root = false;
        let mut classes = None;
        for word in words {
            match word.split_once(':') {
                Some(("sigmoid", number)) => steepness = number.parse::<f64>().ok(),
                Some(("num_class", number)) => classes = number.parse::<usize>().ok(),
                None if word == "sqrt" => root = true,
                _ => {}
            }
        }
        let sigmoid = || match steepness {
            Some(steepness) if steepness > 0.0 => Ok(steepness),
            _ => Err(damaged(format!("objective {name} has no positive sigmoid"))),
        };
        match name {
            "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
                if root =>
            {
                Ok(Self::SignedSquare)
            }
            "regression" | "regression_l2" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
            | "lambdarank" | "rank_xendcg" | "custom" | "none" => Ok(Self::Identity),
            "poisson" | "gamma" | "tweedie" => Ok(Self::Exponential),
            "binary" if outputs != 1 => {
                Err(damaged(format!("objective binary has one score, the trees have {outputs}")))
            }
            "binary" => Ok(Self::Binary { steepness: sigmoid()? }),
            "cross_entropy" => Ok(Self::Sigmoid),
            "cross_entropy_lambda" => Ok(Self::SoftPlus),
            "multiclass" | "multiclassova" if classes != Some(outputs) => {
                Err(damaged(format!("objective {name} does not have the {outputs} classes of the trees")))
            }
            "multiclass" => Ok(Self::Softmax),
            "multiclassova" => Ok(Self::OneAgainstRest { steepness: sigmoid()? }),
            other => Err(unsupported(format!("objective {other}"))),
        }
    }

    /// What the outputs tell.
    pub(super) const fn task(self) -> Task {
        match self {
            Self::Binary { .. } => Task::Binary,
            Self::Softmax | Self::OneAgainstRest { .. } => Task::Classes,
            _ => Task::Numbers,
        }
    }

    /// Turns the raw scores of one row into its outputs.
    pub(super) fn transform(self, scores: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::SignedSquare => each(scores, |score| score.abs() * score),
            Self::Exponential => each(scores, f64::exp),
            Self::Sigmoid => each(scores, |score| 1.0 / (1.0 + (-score).exp())),
            Self::Binary { steepness } | Self::OneAgainstRest { steepness } => {
                each(scores, |score| 1.0 / (1.0 + (-steepness * score).exp()));
            }
            Self::SoftPlus => each(scores, |score| score.exp().ln_1p()),
            Self::Softmax => {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mut sum = 0.0;
                for score in scores.iter_mut() {
                    *score = (*score - largest).exp();
                    sum += *score;
                }
                each(scores, |score| score / sum);
            }
        }
    }
}

fn each(scores: &mut [f64], link: impl Fn(f64) -> f64) {
    scores.iter_mut().for_each(|score| *score = link(*score));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_objective_is_refused_by_name() {
        let refusal = Objective::parse(Some("astrology sign:3"), 1).unwrap_err();
        assert_eq!(refusal.to_string(), "lightgbm model: objective astrology is not supported");
    }

    #[test]
    fn a_class_count_that_does_not_fit_the_trees_is_damage() {
        assert!(Objective::parse(Some("multiclass num_class:4"), 3).is_err());
        assert_eq!(Objective::parse(Some("multiclass num_class:3"), 3).unwrap(), Objective::Softmax);
        assert!(Objective::parse(Some("binary sigmoid:0"), 1).is_err());
        assert!(Objective::parse(Some("binary sigmoid:1"), 2).is_err());
        assert!(Objective::parse(Some("binary"), 1).is_err());
    }
}

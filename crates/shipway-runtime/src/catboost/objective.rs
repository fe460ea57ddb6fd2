//! From raw scores to outputs: what CatBoost's `predict` and `predict_proba` answer for each loss function.

use super::unsupported;
use crate::{
    error::RuntimeError,
    trees::{Link, Task},
};

/// What happens to the sums of the leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// Scores are outputs.
    Identity,
    /// Counts and amounts.
    Exponential,
    /// The probability of the second class.
    Sigmoid,
    /// A probability per label, each by itself.
    SigmoidEach,
    /// A probability per class, each by itself.
    OneAgainstRest,
    /// Probabilities that sum to one.
    Softmax,
}

impl Objective {
    pub(super) fn parse(loss: &str) -> Result<Self, RuntimeError> {
        Ok(match loss {
            "RMSE"
            | "MAE"
            | "MAPE"
            | "Quantile"
            | "GroupQuantile"
            | "LogLinQuantile"
            | "Expectile"
            | "Lq"
            | "Huber"
            | "LogCosh"
            | "MultiRMSE"
            | "MultiRMSEWithMissingValues"
            | "MultiQuantile"
            | "Cox"
            | "SurvivalAft"
            | "QueryRMSE"
            | "QuerySoftMax"
            | "QueryCrossEntropy"
            | "YetiRank"
            | "YetiRankPairwise"
            | "PairLogit"
            | "PairLogitPairwise"
            | "LambdaMart"
            | "StochasticFilter"
            | "StochasticRank" => Self::Identity,
            "Poisson" | "Tweedie" => Self::Exponential,
            "Logloss" | "CrossEntropy" | "Focal" => Self::Sigmoid,
            "MultiLogloss" | "MultiCrossEntropy" => Self::SigmoidEach,
            "MultiClass" => Self::Softmax,
            "MultiClassOneVsAll" => Self::OneAgainstRest,
            other => {
                return Err(unsupported(format!(
                    "loss function {}",
                    other.chars().take(60).collect::<String>()
                )));
            }
        })
    }
}

/// The link of a model: its scores are `scale × sum + bias`.
#[derive(Debug)]
pub(super) struct Outputs {
    pub(super) objective: Objective,
    pub(super) scale: f64,
    pub(super) bias: Vec<f64>,
}

impl Link for Outputs {
    fn outputs(&self, sums: usize) -> usize {
        sums
    }

    fn raw(&self, sums: &mut [f64]) {
        for (sum, bias) in sums.iter_mut().zip(&self.bias) {
            *sum = *sum * self.scale + bias;
        }
    }

    fn transform(&self, scores: &mut [f64]) {
        match self.objective {
            Objective::Identity => {}
            Objective::Exponential => each(scores, f64::exp),
            Objective::Sigmoid | Objective::SigmoidEach | Objective::OneAgainstRest => {
                each(scores, |score| 1.0 / (1.0 + (-score).exp()));
            }
            Objective::Softmax => {
                let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                each(scores, |score| (score - largest).exp());
                let sum: f64 = scores.iter().sum();
                each(scores, |part| part / sum);
            }
        }
    }

    fn scale(&self) -> f64 {
        self.scale
    }

    fn task(&self) -> Task {
        match self.objective {
            Objective::Sigmoid => Task::Binary,
            Objective::Softmax | Objective::OneAgainstRest => Task::Classes,
            Objective::Identity | Objective::Exponential | Objective::SigmoidEach => Task::Numbers,
        }
    }
}

fn each(scores: &mut [f64], link: impl Fn(f64) -> f64) {
    scores.iter_mut().for_each(|score| *score = link(*score));
}

//! What a key or a group may use.

use serde::{Deserialize, Serialize};
use shipway_dialects::Nanos;

use super::Window;
use crate::error::GatewayError;

/// A budget of one kind of window each at most.
const MOST_BUDGETS: usize = 5;
const MOST_PER_MINUTE: u64 = 1_000_000_000_000;

/// What a key or a group may use; what is left out has no bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Money, by window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// Calls that begin within any minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens of calls that begin within any minute, those of their answers among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Calls at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// What becomes of calls while the store that several servers share cannot be reached.
    #[serde(default, skip_serializing_if = "OnOutage::is_usual")]
    pub on_outage: OnOutage,
}

/// What becomes of calls while the store that several servers share cannot be reached, once what a server has leased is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOutage {
    /// They are refused: no limit is passed.
    #[default]
    Refuse,
    /// They are let through as far as the limit goes by what each server knows itself.
    Allow,
}

impl OnOutage {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// An amount that may be spent in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// How much, in dollars.
    pub dollars: Nanos,
    /// How long it lasts.
    pub window: Window,
}

impl Budget {
    /// The amount in billionths of a dollar.
    pub(crate) fn nanos(&self) -> i64 {
        self.dollars.0
    }
}

impl Limits {
    /// Refuses what makes no sense: a window twice, amounts beyond any bound.
    pub fn check(&self) -> Result<(), GatewayError> {
        let wrong = |reason: &str| Err(GatewayError::invalid("limits", reason));
        if self.budgets.len() > MOST_BUDGETS {
            return wrong("there are more budgets than windows");
        }
        for (index, budget) in self.budgets.iter().enumerate() {
            if budget.dollars < Nanos::ZERO {
                return wrong("a budget is negative");
            }
            if self.budgets[..index].iter().any(|other| other.window == budget.window) {
                return wrong("two budgets have the same window");
            }
        }
        let per_minute = [self.requests_per_minute, self.tokens_per_minute];
        if per_minute.into_iter().flatten().any(|limit| limit > MOST_PER_MINUTE) {
            return wrong("a limit for a minute is beyond any bound; leave it out");
        }
        Ok(())
    }
}
